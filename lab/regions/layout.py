"""Paths inside a region, and the file with which the lab starts a region's first process.

Both regions see their disk at the same short path. So configurations are the same in both, and no socket's path becomes longer
than the kernel allows, however long the checkout's path is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

DISK = Path("/run/region")
PKI = DISK / "pki"
ETCD_PKI = PKI / "etcd"
ADDONS_PKI = PKI / "addons"
CONFIG = DISK / "config"
LOGS = DISK / "log"
CONTAINERD = DISK / "containerd"
KUBELET = DISK / "kubelet"
PODS_LOGS = DISK / "pod-logs"
ETCD = DISK / "etcd"
ETCD_BACKUPS = DISK / "etcd-backups"
VOLUMES = DISK / "volumes"
DISKS = DISK / "disks"
AUDIT_LOG = DISK / "audit.log"
READY = DISK / "ready"
SNAPSHOTTER = CONFIG / "snapshotter"
BOOT = DISK / "boot.json"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

KUBELET_ROOT = str(KUBELET)
"""kubelet's directory, for pods that mount it, such as Velero's node agent."""

TOOLS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "coredns",
    "local-path-provisioner",
)
"""The programs that a region needs from the lab's toolbox."""

DISK_TOOLS = ("disks", "csi-provisioner", "csi-snapshotter", "snapshot-controller")
"""The programs that a region with disks needs too."""

DISK_KINDS = ("volumesnapshotclasses.yaml", "volumesnapshotcontents.yaml", "volumesnapshots.yaml")
"""The files of custom resource definitions that a region with disks needs."""


@dataclass(frozen=True, kw_only=True)
class Boot:
    """The configuration of a region's first process."""

    region: str
    disk: str
    """The region's directory as the machine sees it."""

    tools: Mapping[str, str]
    kinds: Sequence[str]
    """Files with custom resource definitions. Empty in a region without disks."""

    storage_helper: str
    """Image of the pods that create and remove the directories of volumes."""

    def write(self, file: Path) -> None:
        file.write_text(json.dumps({**asdict(self), "tools": dict(self.tools)}, indent=2))

    @staticmethod
    def read(file: Path) -> Boot:
        return Boot(**json.loads(file.read_text()))


def on_disk(disk: Path, path: Path) -> Path:
    """The machine's path for `path` in the region. `disk` is the machine's path of the region's disk."""
    return disk / path.relative_to(DISK)
