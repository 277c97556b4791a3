"""Velero's schedules: what is backed up when, and kept how long."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.velero.specs import OWN, VELERO_NAMESPACE
from settings.model import Backup
from settings.names import EXCLUDED_FROM_BACKUP, Names
from settings.roles import Duties

# CloudNativePG backs up its databases itself, and a Cluster or a volume that Velero brings back breaks the one that runs. The
# kinds have their full names, because `backups` alone would be Velero's own.
CNPG_KINDS = sorted(
    [
        *(
            f"{kind}.postgresql.cnpg.io"
            for kind in (
                "backups",
                "clusterimagecatalogs",
                "clusters",
                "databaseroles",
                "databases",
                "failoverquorums",
                "imagecatalogs",
                "poolers",
                "publications",
                "scheduledbackups",
                "subscriptions",
            )
        ),
        "objectstores.barmancloud.cnpg.io",
    ]
)
BACKUP_SELECTOR = {
    "matchExpressions": [
        {"key": "cnpg.io/cluster", "operator": "DoesNotExist"},
        # The Secrets of CloudNativePG's own certificate authority carry no label but this.
        {"key": "app.kubernetes.io/managed-by", "operator": "NotIn", "values": ["cloudnative-pg"]},
        # EndpointSlices hold the addresses of a Service's Pods, and every cluster makes them anew. If that Service serves here
        # already, restored ones would send users to Pods of the dead region until the controller notices.
        {
            "key": "endpointslice.kubernetes.io/managed-by",
            "operator": "NotIn",
            "values": ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"],
        },
    ]
}
"""Selects what is backed up and what is restored, by labels."""

VOLUME_POLICY = "volume-policy"
"""ConfigMap that keeps the data of databases' volumes out too, should such a volume ever be selected."""


@dataclass(frozen=True, kw_only=True)
class SchedulesArgs:
    names: Names
    backups: Sequence[Backup]
    duties: Duties


def backup_template(backup: Backup) -> dict[str, Any]:
    """Spec of every Backup that the schedule makes. Velero copies volumes to S3: a snapshot cannot leave its region."""
    choice: dict[str, Any] = {"includedNamespaces": backup.include} if backup.include else {}
    if backup.exclude:
        choice = {"excludedNamespaces": backup.exclude}
    return {
        **choice,
        "excludedResources": CNPG_KINDS,
        "labelSelector": BACKUP_SELECTOR,
        "resourcePolicy": {"kind": "configmap", "name": VOLUME_POLICY},
        "snapshotVolumes": True,
        "snapshotMoveData": True,
        "storageLocation": OWN,
        "ttl": backup.keep,
        "metadata": {"labels": {"backup-type": backup.name}},
    }


class Schedules(pulumi.ComponentResource):
    """One Velero Schedule for each configured backup, with the region in its name.

    For the auditor who asks what is backed up. A schedule runs while its region serves, and pauses while the region stands by.
    When it resumes it never fires at once, because that would back up a region that is half restored.
    """

    def __init__(self, name: str, args: SchedulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:velero:Schedules", name, None, opts)
        skipped = {"conditions": {"pvcLabels": {"app.kubernetes.io/managed-by": "cloudnative-pg"}}, "action": {"type": "skip"}}
        policy = k8s.core.v1.ConfigMap(
            f"{name}-volume-policy",
            metadata={"name": VOLUME_POLICY, "namespace": VELERO_NAMESPACE, "labels": EXCLUDED_FROM_BACKUP},
            data={"policy.yaml": json.dumps({"version": "v1", "volumePolicies": [skipped]})},
            opts=pulumi.ResourceOptions(parent=self),
        )
        for backup in args.backups:
            k8s.apiextensions.CustomResource(
                f"{name}-{backup.name}",
                api_version="velero.io/v1",
                kind="Schedule",
                metadata={
                    "name": args.names.schedule(backup.name, args.names.role),
                    "namespace": VELERO_NAMESPACE,
                    # Velero sets skipImmediately back to false by itself; the next change must win the field back.
                    "annotations": {"pulumi.com/patchForce": "true"},
                },
                spec={
                    "schedule": backup.cron,
                    "paused": args.duties.schedules_paused,
                    "skipImmediately": True,
                    "template": backup_template(backup),
                },
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
        self.register_outputs({})
