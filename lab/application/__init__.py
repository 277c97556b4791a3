"""The application that lives in the primary region and must be served by the secondary after a failover."""
