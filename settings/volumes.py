"""Volumes: which are backed up and how, what moves their data, and where those programs may run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from settings.fields import ClassName, Model, Switch, Whole, matching
from settings.labels import LabelKey, LabelValue
from settings.mistake import Mistake
from settings.sizes import Size, bytes_in

Cpus = Annotated[str, matching(re.compile(r"(\d+(\.\d+)?|\.\d+)m?"), "a number of CPUs in quotes", '"2"', "500m")]
Driver = Annotated[
    str,
    matching(
        re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?"), "the name of a CSI driver", "efs.csi.aws.com", "ebs.csi.aws.com"
    ),
]

EBS = "ebs.csi.aws.com"
WITHOUT_SNAPSHOTS = ("efs.csi.aws.com", "fsx.csi.aws.com", "s3.csi.aws.com")
"""Drivers of AWS that take no snapshots: for Amazon EFS, for Lustre, for Mountpoint (none has CREATE_DELETE_SNAPSHOT)."""


OF_A_REGION = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
OF_A_ZONE = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone")
"""Labels of nodes whose values one region alone has (Kubernetes, well-known labels; the EBS CSI driver)."""
_OF_A_NODE = ("kubernetes.io/hostname", "topology.k8s.aws/zone-id")


class ServerResources(Model):
    """Requests and limits of Velero's server. It holds the list of a backup's objects in memory."""

    cpu: Cpus = Field(default="500m", description="CPUs requested", examples=["500m", "1"])
    cpu_limit: Cpus = Field(default="1", description="CPUs at most")
    memory: Size = Field(default="128Mi", description="memory requested")
    memory_limit: Size = Field(
        default="1Gi", description="memory at most; a server that needs more is killed, and its backup or restore ends Failed"
    )

    @model_validator(mode="after")
    def _requests_are_within_limits(self) -> ServerResources:
        if cpus_in(self.cpu_limit) < cpus_in(_LEAST_CPU):
            raise Mistake(
                "{} is too little for Velero's server; write {} or more",
                self.cpu_limit,
                _LEAST_CPU,
                at=("cpuLimit",),
            )
        _refuse_too_little(self.memory_limit)
        if cpus_in(self.cpu) > cpus_in(self.cpu_limit):
            raise Mistake(
                f"{{}} is more than cpuLimit, {{}}, {_REFUSED}; write less, or more there", self.cpu, self.cpu_limit, at=("cpu",)
            )
        _refuse_more_than_the_limit(self.memory, self.memory_limit)
        return self


class Toleration(Model):
    """A taint on which Pods may run all the same, as Kubernetes writes it."""

    key: LabelKey | None = Field(
        default=None, description="the taint's key; without one, every taint", examples=["dedicated", "workload"]
    )
    operator: Literal["Equal", "Exists"] = Field(default="Equal", description="how its value is compared")
    value: LabelValue | None = Field(default=None, description="its value, with Equal", examples=["storage", "database"])
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="its effect; without one, every effect"
    )

    @model_validator(mode="after")
    def _is_what_kubernetes_takes(self) -> Toleration:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("has a value, which Exists does not compare; take value out, or write operator: Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("has no key, and Equal compares one; write key, or operator: Exists for every taint")
        return self

    def as_kubernetes_reads_it(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


class VolumeRule(Model):
    """Which volumes, and what a backup does with their data. All conditions that are written must hold."""

    driver: Driver | None = Field(default=None, description="only volumes of this CSI driver")
    classes: list[ClassName] = Field(default=[], description="only volumes of these StorageClasses")
    smallest: Size | None = Field(default=None, description="only volumes of this size and larger ones")
    largest: Size | None = Field(default=None, description="only volumes of this size and smaller ones")
    labels: dict[LabelKey, LabelValue] = Field(
        default={},
        description="only volumes whose claim has these labels",
        examples=[{"app": "cache"}, {"app": "queue", "tier": "back"}],
    )
    action: Literal["skip", "snapshot", "fs-backup"] = Field(
        description="skip: no data, and the claim comes back empty; snapshot: a snapshot by the driver, whose data are moved "
        "to S3; fs-backup: files are read through the Pod that mounts them, for drivers without snapshots (needs pods: all)"
    )

    @model_validator(mode="after")
    def _says_which(self) -> VolumeRule:
        if not (self.driver or self.classes or self.smallest or self.largest or self.labels):
            raise ValueError("says of no volume that it is meant; write one of driver, classes, smallest, largest, labels")
        if self.smallest and self.largest and bytes_in(self.smallest) > bytes_in(self.largest):
            raise ValueError("has a smallest above its largest, so no volume is meant; exchange them")
        if self.action == "snapshot" and self.driver in WITHOUT_SNAPSHOTS:
            raise Mistake("asks for snapshots of {}, which takes none; write action: fs-backup or skip", self.driver)
        return self

    def means(self, driver: str, storage_class: str, size: int, labels: Mapping[str, str]) -> bool:
        """Whether a volume of this driver, class and size in bytes, whose claim has these labels, is meant."""
        return (
            self.driver in (None, driver)
            and (not self.classes or storage_class in self.classes)
            and (self.smallest is None or bytes_in(self.smallest) <= size)
            and (self.largest is None or size <= bytes_in(self.largest))
            and self.labels.items() <= labels.items()
        )

    def as_velero_reads_it(self) -> dict[str, Any]:
        conditions: dict[str, Any] = {}
        if self.driver:
            conditions["csi"] = {"driver": self.driver}
        if self.classes:
            conditions["storageClass"] = self.classes
        if self.smallest or self.largest:
            conditions["capacity"] = f"{self.smallest or ''},{self.largest or ''}"
        if self.labels:
            conditions["pvcLabels"] = self.labels
        return {"conditions": conditions, "action": {"type": self.action}}


class SnapshotClass(Model):
    """The VolumeSnapshotClass by which Velero takes snapshots: one that has its label."""

    managed: Switch = Field(
        default=False,
        description="true: this program creates it, which needs the snapshot controller and its CRDs in the cluster (on EKS the "
        "add-on snapshot-controller)",
    )
    driver: Driver = Field(default=EBS, description="the CSI driver that takes the snapshots")

    @field_validator("driver")
    @classmethod
    def _the_driver_takes_snapshots(cls, driver: str) -> str:
        if driver in WITHOUT_SNAPSHOTS:
            raise ValueError(f"takes no snapshots; write one that does, as {EBS}, and see volumes.md for the others")
        return driver


class DataMovers(Model):
    """The Pods of Velero's node agent that carry a volume's data to S3 and back, one for each volume."""

    concurrency: Whole = Field(default=2, ge=1, le=100, description="how many volumes a node carries at the same time")
    cpu: Cpus = Field(default="100m", description="CPUs that each requests")
    memory: Size = Field(default="256Mi", description="memory that each requests")
    memory_limit: Size | None = Field(
        default=None,
        description="memory that each may use; without one, as much as the node has: millions of files need gigabytes",
    )

    @model_validator(mode="after")
    def _requests_are_within_limits(self) -> DataMovers:
        if self.memory_limit:
            _refuse_too_little(self.memory_limit)
            _refuse_more_than_the_limit(self.memory, self.memory_limit)
        return self

    nodes: dict[LabelKey, LabelValue] = Field(
        default={},
        description="labels of the nodes on which they run; by default any node",
        examples=[{"node.kubernetes.io/lifecycle": "normal"}, {"pool": "storage"}],
    )

    @field_validator("nodes")
    @classmethod
    def _a_label_is_of_more_than_one_node(cls, nodes: dict[str, str]) -> dict[str, str]:
        return refuse_labels_of_one_node(nodes, "no data mover")

    cache_class: ClassName | None = Field(
        default=None,
        description="a StorageClass for the cache of a restore, which otherwise is on the node's own disk; a volume of its own "
        "is made for each volume from cacheFrom on",
    )
    cache_from: Size = Field(
        default="10Gi", description="with cacheClass: volumes of this much data and more have a cache volume"
    )
    wait_for_pods: Switch = Field(
        default=False,
        description="true: a restore fills a claim on the node of the Pod that mounts it, and fails where none does (a CronJob, "
        "a workload at zero); false: on any node of `nodes`, and the Pod follows its volume's zone",
    )

    def as_node_agent_reads_it(self) -> dict[str, Any]:
        """The node agent's configuration (Velero's types.NodeAgentConfigs)."""
        unlimited = "0"
        configuration: dict[str, Any] = {
            "loadConcurrency": {"globalConfig": self.concurrency},
            "podResources": {
                "cpuRequest": self.cpu,
                "memoryRequest": self.memory,
                "cpuLimit": unlimited,
                "memoryLimit": self.memory_limit or unlimited,
            },
            "restorePVC": {"ignoreDelayBinding": not self.wait_for_pods},
        }
        if self.nodes:
            configuration["loadAffinity"] = [{"nodeSelector": {"matchLabels": self.nodes}}]
        if self.cache_class:
            # As Velero counts megabytes: a size below one would make a cache volume for every volume.
            above = max(bytes_in(self.cache_from) >> 20, 1)
            configuration["cachePVC"] = {"storageClass": self.cache_class, "residentThresholdInMB": above}
        return configuration


_REFUSED = "which Kubernetes refuses of a Pod"
"""Kubernetes, validation of containers: a request "must be less than or equal to" its limit."""


_LEAST_MEMORY, _LEAST_CPU = "128Mi", "100m"
"""Least limits of our own: as much memory as `velero install` requests for the server, and a fifth of its CPU."""


def _refuse_too_little(limit: str) -> None:
    if bytes_in(limit) < bytes_in(_LEAST_MEMORY):
        raise Mistake("{} is less than Velero starts with; write {} or more", limit, _LEAST_MEMORY, at=("memoryLimit",))


def _refuse_more_than_the_limit(memory: str, limit: str) -> None:
    if bytes_in(memory) > bytes_in(limit):
        raise Mistake(
            f"{{}} is more than memoryLimit, {{}}, {_REFUSED}; write less, or more there", memory, limit, at=("memory",)
        )


def refuse_labels_of_one_node(nodes: dict[str, str], who: str) -> dict[str, str]:
    """Nodes come and go, and none has its name in both regions; the id of a zone says nothing of its region."""
    for label in nodes:
        if label in _OF_A_NODE:
            text = f"has {{}}, by which {who} runs once that node or zone is gone; write a label of several nodes, as in "
            raise Mistake(text + "pool: storage", label)
    return nodes


def cpus_in(amount: str) -> float:
    """The CPUs that a text of the form Cpus says."""
    return float(amount.removesuffix("m")) / (1000 if amount.endswith("m") else 1)
