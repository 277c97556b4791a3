"""Velero's schedules: what is backed up when, and kept how long."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.velero.selection import selector
from components.velero.specs import OWN, VELERO_NAMESPACE
from settings.backup import Backup
from settings.names import DRILLS_NAMESPACE, EXCLUDED_FROM_BACKUP, SCRATCH_NAMESPACE, Names
from settings.roles import Duties
from settings.volumes import VolumeRule

VOLUME_POLICY = "volume-policy"
"""ConfigMap that says of which volumes the data are saved, and how."""

_DATABASES = {"conditions": {"pvcLabels": {"app.kubernetes.io/managed-by": "cloudnative-pg"}}, "action": {"type": "skip"}}
"""The data of databases' volumes stay out, should such a volume ever be selected."""


@dataclass(frozen=True, kw_only=True)
class SchedulesArgs:
    """`stopped` is by which stop the guard has paused the schedules of a region that serves now: they resume once for
    it."""

    names: Names
    backups: Sequence[Backup]
    duties: Duties
    volumes: Sequence[VolumeRule] = ()
    stopped: str | None = None


def volume_policy(rules: Sequence[VolumeRule]) -> str:
    """Velero's volume policies as it reads them: JSON, which is YAML too. The first that means a volume counts."""
    return json.dumps({"version": "v1", "volumePolicies": [_DATABASES, *(rule.as_velero_reads_it() for rule in rules)]})


def backup_template(backup: Backup) -> dict[str, Any]:
    """Spec of every Backup that the schedule makes. Velero copies volumes to S3: a snapshot cannot leave its region.

    What drills make is in none that does not name it: a killed drill leaves a copy of production there until the next one.
    """
    left_out = list(dict.fromkeys([*backup.exclude, DRILLS_NAMESPACE, SCRATCH_NAMESPACE]))
    return {
        **({"includedNamespaces": backup.include} if backup.include else {"excludedNamespaces": left_out}),
        "excludedResources": backup.not_backed_up,
        "labelSelector": selector(backup),
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
    When it resumes it never fires at once, because that would back up a region that is half restored. One that gives up by plan
    pauses before its last backups, so that no later one of its schedules is of the same time.
    """

    def __init__(self, name: str, args: SchedulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:velero:Schedules", name, None, opts)
        policy = k8s.core.v1.ConfigMap(
            f"{name}-volume-policy",
            metadata={"name": VOLUME_POLICY, "namespace": VELERO_NAMESPACE, "labels": EXCLUDED_FROM_BACKUP},
            data={"policy.yaml": volume_policy(args.volumes)},
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
                    "annotations": {
                        "pulumi.com/patchForce": "true",
                        **({"k8s-dr/resumed-after": args.stopped} if args.stopped else {}),
                    },
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
