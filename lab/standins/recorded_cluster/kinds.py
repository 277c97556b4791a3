"""The kinds that the recorded cluster serves and lists in discovery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Kind:
    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


def _kinds(api_version: str, namespaced: bool, kinds: Mapping[str, str]) -> list[Kind]:
    group, _, version = api_version.rpartition("/")
    return [Kind(group=group, version=version, kind=kind, plural=plural, namespaced=namespaced) for kind, plural in kinds.items()]


def _regular(*kinds: str) -> dict[str, str]:
    return {kind: f"{kind.lower()}s" for kind in kinds}


BUILT_IN = [
    *_kinds("v1", False, _regular("Namespace", "Node", "PersistentVolume")),
    *_kinds(
        "v1", True, _regular("ConfigMap", "Secret", "Service", "ServiceAccount", "Pod", "PersistentVolumeClaim", "ResourceQuota")
    ),
    *_kinds("apps/v1", True, _regular("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet")),
    *_kinds("batch/v1", True, _regular("Job", "CronJob")),
    *_kinds("rbac.authorization.k8s.io/v1", False, _regular("ClusterRole", "ClusterRoleBinding")),
    *_kinds("rbac.authorization.k8s.io/v1", True, _regular("Role", "RoleBinding")),
    *_kinds("networking.k8s.io/v1", True, {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}),
    *_kinds("policy/v1", True, _regular("PodDisruptionBudget")),
    *_kinds("scheduling.k8s.io/v1", False, {"PriorityClass": "priorityclasses"}),
    *_kinds(
        "admissionregistration.k8s.io/v1",
        False,
        {
            "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
            "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
        },
    ),
    *_kinds("storage.k8s.io/v1", False, {"StorageClass": "storageclasses"}),
    *_kinds("apiextensions.k8s.io/v1", False, _regular("CustomResourceDefinition")),
]

VELERO = _kinds(
    "velero.io/v1",
    True,
    {
        **_regular("Backup", "Restore", "Schedule", "BackupStorageLocation", "VolumeSnapshotLocation", "ServerStatusRequest"),
        **_regular("DeleteBackupRequest", "DownloadRequest", "PodVolumeBackup", "PodVolumeRestore"),
        "BackupRepository": "backuprepositories",
    },
)

OPERATORS = [
    *_kinds("postgresql.cnpg.io/v1", True, _regular("Cluster", "Backup", "ScheduledBackup", "Pooler", "Database")),
    *_kinds("barmancloud.cnpg.io/v1", True, _regular("ObjectStore")),
]
"""The kinds of CloudNativePG and of its Barman Cloud plugin."""


def defined_by(definition: Mapping[str, Any]) -> list[Kind]:
    """The kinds that a CustomResourceDefinition defines."""
    spec = definition["spec"]
    return [
        Kind(
            group=spec["group"],
            version=version["name"],
            kind=spec["names"]["kind"],
            plural=spec["names"]["plural"],
            namespaced=spec["scope"] == "Namespaced",
        )
        for version in spec["versions"]
        if version.get("served", True)
    ]
