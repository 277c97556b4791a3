"""A stand-in for pulumi-resource-kubernetes 4.34. It uses server-side apply, and waits as the real one does."""
