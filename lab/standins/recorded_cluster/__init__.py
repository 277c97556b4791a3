"""A small Kubernetes API server in memory, whose controllers do at once what was asked: for machines without clusters.

It records. It runs no pod, checks no permission and validates no schema.
"""

from lab.standins.recorded_cluster.server import RecordedCluster, write_kubeconfig

__all__ = ["RecordedCluster", "write_kubeconfig"]
