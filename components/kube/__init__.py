"""What every other folder stands on: Jobs, custom objects with a status, and questions to the region's own cluster."""
