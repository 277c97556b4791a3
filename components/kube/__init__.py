"""Kubernetes code that the other folders share: Jobs, custom objects with a status, and questions to the region's own cluster."""
