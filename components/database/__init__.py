"""PostgreSQL by CloudNativePG: one side of each database in this region, its archive, and what stands against a promotion."""
