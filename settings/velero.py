"""Velero: who installs it, which volumes it saves, and what changes on the way from one region into the other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from settings.durations import parse_duration
from settings.fields import AbsolutePath, ClassName, Model, Switch, Whole, at_least, matching
from settings.mistake import Mistake
from settings.modifiers import ModifierRule
from settings.volumes import DataMovers, ServerResources, SnapshotClass, Toleration, VolumeRule

# Within it a space is one: "subnet-0a1b, subnet-0c2d", as the AWS Load Balancer Controller's own pages write lists.
PlainValue = Annotated[
    str,
    matching(
        re.compile(r"\S([^\t\r\n\f\v]*\S)?"),
        "a value in one line, without spaces around it",
        "subnet-0a1b,subnet-0c2d",
    ),
]


_OF_THE_SYSTEM = ("/etc", "/usr", "/bin", "/sbin", "/lib", "/boot", "/proc", "/sys", "/dev")


def turned_round(there: Mapping[str, str]) -> dict[str, str]:
    """What leads back, of what leads there. A value that stands for several has no one way back, and a switch has none."""
    count = Counter(there.values())
    return {after: before for before, after in there.items() if count[after] == 1 and after.lower() not in ("true", "false")}


class VeleroSettings(Model):
    """Who installs Velero, what it needs, and how objects change on their way from one region into the other."""

    managed: Switch = Field(
        default=True, description="true: this program installs Velero; false: the cluster runs it already, in namespace velero"
    )
    kubelet_root: AbsolutePath = Field(
        default="/var/lib/kubelet", description="the kubelet's directory on the nodes, where Velero's node agent reads volumes"
    )
    resources: ServerResources = Field(default_factory=ServerResources, description="requests and limits of Velero's server")
    client_qps: Whole = Field(
        default=500,
        ge=10,
        le=10_000,
        description="how many requests a second Velero's server may send to the API server, and as many at once; it sends two "
        "for each object that it restores, one after the other, so this bounds a restore (see scale.md)",
        examples=[100, 500, 1000],
    )
    tolerations: list[Toleration] = Field(
        default=[],
        description="taints on which Velero's server and its node agent run all the same, beside those of pods.tolerations; the "
        "data movers run on none but CriticalAddonsOnly (see volumes.md)",
        examples=[
            [{"key": "dedicated", "value": "storage", "effect": "NoSchedule"}],
            [{"key": "dedicated", "operator": "Exists"}],
        ],
    )
    data_movers: DataMovers = Field(
        default_factory=DataMovers, description="the Pods that carry volumes to S3 and back: how many, how large, and where"
    )
    prepare_timeout: Annotated[str, at_least("1m", "in which no node has a volume", "45m")] = Field(
        default="30m",
        description="how long it may take until a data mover has its volume, and a node for it; then Velero says why not",
    )
    move_timeout: Annotated[str, at_least("10m", "in which few volumes are moved", "12h")] = Field(
        default="4h",
        description="how long moving the volumes of one backup or one restore may take, prepareTimeout or longer; then Velero "
        "cancels it",
    )
    volumes: list[VolumeRule] = Field(
        default=[],
        description="which volumes are backed up how, where a snapshot is not the way; the first rule that means a volume counts",
        examples=[
            [{"driver": "efs.csi.aws.com", "action": "skip"}],
            [{"classes": ["efs-sc"], "action": "fs-backup"}, {"largest": "1Gi", "action": "skip"}],
        ],
    )
    snapshot_class: SnapshotClass = Field(
        default_factory=SnapshotClass, description="the VolumeSnapshotClass by which Velero takes snapshots"
    )
    counterparts: dict[PlainValue, PlainValue] = Field(
        default={},
        examples=[{"subnet-0a1b,subnet-0c2d": "subnet-1a1b,subnet-1c2d"}, {"sg-0a1b": "sg-1a1b"}],
        description="a value of the primary region and the one that a restore puts in its place: whole values of annotations of "
        "Services, Ingresses and ServiceAccounts (subnets, certificates, security groups, web ACLs, user pools, roles; see "
        "recovery.md)",
    )
    storage_classes: dict[ClassName, ClassName] = Field(
        default={},
        examples=[{"gp2": "gp3-encrypted"}, {"fast": "gp3", "slow": "sc1"}],
        description="a StorageClass of the primary region and the one that restored claims get in its place, which must exist",
    )
    counterparts_back: dict[PlainValue, PlainValue] = Field(
        default={},
        examples=[{"subnet-1a1b,subnet-1c2d": "subnet-0a1b,subnet-0c2d"}, {"sg-1a1b": "sg-0a1b"}],
        description="as counterparts, on the way back into the primary region: a value of the secondary first. By default "
        "counterparts turned round; only what stands there for several values must be written",
    )
    storage_classes_back: dict[ClassName, ClassName] = Field(
        default={},
        examples=[{"gp3-encrypted": "gp2"}, {"gp3": "fast", "sc1": "slow"}],
        description="as storageClasses, on the way back into the primary region: a class of the secondary first. By default "
        "storageClasses turned round; only what stands there for several classes must be written",
    )
    modifiers: list[ModifierRule] = Field(
        default=[],
        examples=[
            [{"conditions": {"groupResource": "services"}, "mergePatches": [{"patchData": "spec: {type: ClusterIP}"}]}],
            [{"conditions": {"groupResource": "deployments.apps"}, "mergePatches": [{"patchData": "spec: {paused: null}"}]}],
        ],
        description="rules of your own that change objects as they are restored: Velero's resource modifiers, v1",
    )
    modifiers_back: list[ModifierRule] = Field(
        default=[],
        examples=[
            [{"conditions": {"groupResource": "services"}, "mergePatches": [{"patchData": "spec: {type: NodePort}"}]}],
            [{"conditions": {"groupResource": "deployments.apps"}, "mergePatches": [{"patchData": "spec: {paused: null}"}]}],
        ],
        description="as modifiers, on the way back into the primary region: no rule can be turned round by itself",
    )

    @field_validator("kubelet_root")
    @classmethod
    def _it_is_the_kubelets_own_directory(cls, root: str) -> str:
        """Velero's node agent mounts `pods` and `plugins` below it."""
        path = PurePosixPath(root)
        if path.name in ("pods", "plugins", "plugins_registry"):
            raise Mistake("is a directory within the kubelet's; write {}", str(path.parent))
        other = next((each for each in _OF_THE_SYSTEM if path.is_relative_to(each)), None)
        if other:
            raise ValueError(f"is in {other}, where no kubelet keeps its volumes; write /var/lib/kubelet")
        return root

    @field_validator("counterparts", "counterparts_back")
    @classmethod
    def _no_switch_is_replaced(cls, counterparts: dict[str, str]) -> dict[str, str]:
        """Whole values are replaced in each annotation of components/velero/modifiers.py, and true may be any one's."""
        for before in counterparts:
            if before.lower() in ("true", "false"):
                raise Mistake(
                    "replaces {} in each annotation of load balancers, whatever it means there; take it out, and write a rule of "
                    "velero.modifiers for the annotation that is meant",
                    before,
                )
        return counterparts

    @model_validator(mode="after")
    def _the_way_back_is_clear(self) -> VeleroSettings:
        """One value that stands for several has no way back that could be told from the others."""
        for key, there, back in (
            ("counterpartsBack", self.counterparts, self.counterparts_back),
            ("storageClassesBack", self.storage_classes, self.storage_classes_back),
        ):
            if unclear := [value for value, count in Counter(there.values()).items() if count > 1 and value not in back]:
                first, second = [before for before, after in there.items() if after == unclear[0]][:2]
                raise Mistake(
                    f"does not say what becomes of {{}} on the way back, which stands for {{}} and for {{}} in "
                    f"{key.removesuffix('Back')}; write the one that it becomes, as in {{}}",
                    unclear[0],
                    first,
                    second,
                    f"{unclear[0]}: {first}",
                    at=(key,),
                )
        return self

    @model_validator(mode="after")
    def _a_volume_may_be_moved_once_it_is_there(self) -> VeleroSettings:
        """A volume is moved after it is ready, so the time for both is no shorter than the time for one."""
        if parse_duration(self.move_timeout) < parse_duration(self.prepare_timeout):
            raise Mistake(
                "{} is shorter than prepareTimeout, {}, and a volume is moved only once it is ready; write {} or more",
                self.move_timeout,
                self.prepare_timeout,
                self.prepare_timeout,
                at=("moveTimeout",),
            )
        return self
