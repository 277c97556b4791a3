"""A stand-in for pulumi-resource-kubernetes 4.34: server-side apply against a real API server, and the real one's waits."""
