"""Stand-ins for parts of the Pulumi engine that no package registry has. README.md says what they do not prove."""
