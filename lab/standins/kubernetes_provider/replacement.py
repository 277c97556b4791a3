"""The changes that need a replacement: the real provider's table, for the API versions that Kubernetes serves today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.standins.differences import Difference

_SELECTED = ("spec.selector",)
_POD = (
    "affinity", "automountServiceAccountToken", "dnsConfig", "dnsPolicy", "enableServiceLinks", "hostAliases", "hostIPC",
    "hostNetwork", "hostPID", "hostname", "imagePullSecrets", "nodeName", "nodeSelector", "overhead", "preemptionPolicy",
    "priority", "priorityClassName", "readinessGates", "restartPolicy", "runtimeClassName", "schedulerName",
    "securityContext", "serviceAccount", "serviceAccountName", "shareProcessNamespace", "subdomain",
    "terminationGracePeriodSeconds", "volumes", "containers", "initContainers",
)  # fmt: skip
_FORCED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("apps", "DaemonSet"): _SELECTED,
    ("apps", "Deployment"): _SELECTED,
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner"),
    ("", "ConfigMap"): ("binaryData", "data"),
    ("", "PersistentVolumeClaim"): ("spec",),
    ("", "Pod"): tuple(f"spec.{field}" for field in _POD),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("", "Secret"): ("type", "stringData", "data"),
    ("", "Service"): ("spec.clusterIP",),
}


def forced(api_version: str, kind: str, *, config_map_mutable: bool = False, secret_mutable: bool = False) -> list[str]:
    """The dotted paths whose change replaces the object."""
    group = api_version.rpartition("/")[0]
    paths = [*_FORCED.get((group, kind), ())]
    if not group and ((kind == "ConfigMap" and config_map_mutable) or (kind == "Secret" and secret_mutable)):
        paths = [path for path in paths if path == "type"]
    return ["kind", "metadata.name", "metadata.namespace", *paths]


def forces_replacement(difference: Difference, paths: list[str]) -> bool:
    """Whether the difference is at, below or above one of the paths."""
    changed = [part for part in difference.path if isinstance(part, str)]
    for path in paths:
        wanted = path.split(".")
        if changed[: len(wanted)] == wanted:
            return True
        if wanted[: len(changed)] == changed and any(
            _holds(value, wanted[len(changed) :]) for value in (difference.old, difference.new)
        ):
            return True
    return False


def _holds(value: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True
