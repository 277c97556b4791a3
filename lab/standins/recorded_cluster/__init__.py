"""A small Kubernetes API server in memory, for machines without clusters. It imitates the controllers, which finish at once.

It records objects. It runs no pods, checks no permissions and validates no schemas.
"""

from lab.standins.recorded_cluster.server import RecordedCluster, write_kubeconfig

__all__ = ["RecordedCluster", "write_kubeconfig"]
