"""PostgreSQL by CloudNativePG: this region's side of each database, its archive, and the checks before a promotion."""
