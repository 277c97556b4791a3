"""Disks that take snapshots: a driver in the place of EBS', and Kubernetes' own controllers around it.

The controllers are the real ones, external-provisioner and external-snapshotter. They and the driver run beside the region's
pods, as its other daemons do. What the driver does not prove is in lab/standins/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.regions.layout import DISKS, KUBELET
from lab.regions.spec import RegionSpec

DRIVER = "ebs.csi.aws.com"
_SOCKET = KUBELET / "plugins" / DRIVER / "csi.sock"


def commands(spec: RegionSpec, tools: Mapping[str, str], kubeconfig: str) -> dict[str, list[str]]:
    """The command lines of the driver and of the controllers, by name. None in a region without their programs."""
    if "disks" not in tools:
        return {}
    client = f"--kubeconfig={kubeconfig}"
    address = f"--csi-address={_SOCKET}"
    return {
        "disks": [tools["disks"], f"-directory={DISKS}", f"-kubelet={KUBELET}", f"-node={spec.name}", f"-zone={spec.zone}"],
        # A volume with a file system's name is given to its Pod's group, as the EBS driver's are.
        "csi-provisioner": [tools["csi-provisioner"], client, address, "--default-fstype=ext4"],
        "csi-snapshotter": [tools["csi-snapshotter"], client, address],
        "snapshot-controller": [tools["snapshot-controller"], client],
    }


def documents(spec: RegionSpec) -> list[dict[str, Any]]:
    """The driver, and the region's StorageClass for its disks."""
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": DRIVER},
            # Nothing is attached: a directory is there. EBS attaches a disk to one node at a time.
            "spec": {"attachRequired": False, "podInfoOnMount": False, "volumeLifecycleModes": ["Persistent"]},
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": spec.storage_class},
            "provisioner": DRIVER,
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
        },
    ]
