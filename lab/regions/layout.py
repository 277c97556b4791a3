"""Where things are inside a region, and what its first process is told: the contract between those who start it and it.

A region sees its disk at one short path, the same in both: configuration reads the same everywhere, and no socket's path can get
longer than the kernel allows, however deep the checkout lies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

DISK = Path("/run/region")
PKI = DISK / "pki"
ETCD_PKI = PKI / "etcd"
CONFIG = DISK / "config"
LOGS = DISK / "log"
CONTAINERD = DISK / "containerd"
KUBELET = DISK / "kubelet"
PODS_LOGS = DISK / "pod-logs"
ETCD = DISK / "etcd"
ETCD_BACKUPS = DISK / "etcd-backups"
VOLUMES = DISK / "volumes"
AUDIT_LOG = DISK / "audit.log"
READY = DISK / "ready"
SNAPSHOTTER = CONFIG / "snapshotter"
BOOT = DISK / "boot.json"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

KUBELET_ROOT = str(KUBELET)
"""For those who mount what kubelet keeps, such as Velero's node agent."""

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


@dataclass(frozen=True, kw_only=True)
class Boot:
    """What a region's first process needs to know."""

    region: str
    disk: str
    """The region's directory as the machine sees it."""

    tools: Mapping[str, str]
    storage_helper: str
    """Image of the pods that make and remove volumes' directories."""

    def write(self, file: Path) -> None:
        file.write_text(json.dumps({**asdict(self), "tools": dict(self.tools)}, indent=2))

    @staticmethod
    def read(file: Path) -> Boot:
        return Boot(**json.loads(file.read_text()))


def on_disk(disk: Path, path: Path) -> Path:
    """Where `path`, as the region sees it, is on the region's `disk` as the machine sees it."""
    return disk / path.relative_to(DISK)
