"""Two regions on one machine: one dies, the other takes over. Nothing outside lab/ and tests/ imports this package."""
