"""Velero: who installs it, which volumes it saves, and what changes on the way from one region into the other."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from settings.fields import AbsolutePath, ClassName, Duration, Model, Switch, matching
from settings.modifiers import ModifierRule
from settings.volumes import DataMovers, ServerResources, SnapshotClass, Toleration, VolumeRule

# Velero compares these as JSON texts that it puts together by itself, so a quote or a backslash would change their meaning.
PlainValue = Annotated[str, matching(re.compile(r'[^"\\\s]+'), "a value without quotes and spaces", "subnet-0a1b,subnet-0c2d")]


class VeleroSettings(Model):
    """Who installs Velero, what it needs, and how objects change on their way from the primary region into the secondary."""

    managed: Switch = Field(
        default=True, description="true: this program installs Velero; false: the cluster runs it already, in namespace velero"
    )
    kubelet_root: AbsolutePath = Field(
        default="/var/lib/kubelet", description="the kubelet's directory on the nodes, where Velero's node agent reads volumes"
    )
    resources: ServerResources = Field(default_factory=ServerResources, description="requests and limits of Velero's server")
    tolerations: list[Toleration] = Field(
        default=[],
        description="taints on which Velero's server and its node agent run all the same; the data movers run on none but "
        "CriticalAddonsOnly (see volumes.md)",
        examples=[
            [{"key": "dedicated", "value": "storage", "effect": "NoSchedule"}],
            [{"key": "dedicated", "operator": "Exists"}],
        ],
    )
    data_movers: DataMovers = Field(
        default_factory=DataMovers, description="the Pods that carry volumes to S3 and back: how many, how large, and where"
    )
    prepare_timeout: Duration = Field(
        default="30m",
        description="how long it may take until a data mover has its volume, and a node for it; then Velero says why not",
    )
    move_timeout: Duration = Field(
        default="4h", description="how long moving the volumes of one backup or one restore may take; then Velero cancels it"
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
        "Services, Ingresses and ServiceAccounts (subnets, certificates, security groups, web ACLs, roles; see recovery.md)",
    )
    storage_classes: dict[ClassName, ClassName] = Field(
        default={},
        examples=[{"gp2": "gp3-encrypted"}, {"fast": "gp3", "slow": "sc1"}],
        description="a StorageClass of the primary region and the one that restored claims get in its place, which must exist",
    )
    modifiers: list[ModifierRule] = Field(
        default=[],
        examples=[
            [{"conditions": {"groupResource": "services"}, "mergePatches": [{"patchData": "spec: {type: ClusterIP}"}]}],
            [{"conditions": {"groupResource": "deployments.apps"}, "patches": [{"operation": "remove", "path": "/spec/paused"}]}],
        ],
        description="rules of your own that change objects as they are restored: Velero's resource modifiers, v1",
    )
