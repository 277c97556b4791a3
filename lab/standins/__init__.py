"""Stand-ins for parts of the Pulumi engine that some machines cannot install. README.md says what they do not prove."""
