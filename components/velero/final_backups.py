"""Last backups of a region that gives up in good order: made once its workloads have stopped, so that nothing is written after
them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi

from components.kube.cluster_api import ClusterApi
from components.kube.objects import ObjectWithStatus, after, until_phase
from components.kube.runner import restored
from components.kube.runner.restored import ResultsUnavailableError
from components.velero.choice import OF_SCHEDULE
from components.velero.files import BackupFiles, Volume
from components.velero.memory import Memory, note_failed_backup
from components.velero.schedules import backup_template
from components.velero.selection import chosen
from components.velero.specs import VELERO_NAMESPACE
from components.velero.unsaved import of_a_database
from settings.backup import Backup
from settings.durations import parse_duration
from settings.names import Names
from settings.volumes import VolumeRule

LEAST_KEPT = "720h"
"""How long a last backup is kept at least. A switchover may be on hold for days, and the token names nothing any more once Velero
has deleted what it names. `keep` of an hourly schedule may be a day."""

AGAIN = "once the cause is gone run the same pulumi up: it makes another one. The workloads stay stopped meanwhile"

_ADDED_BY_VELERO = ("volumesnapshots.snapshot.storage.k8s.io", "volumesnapshotcontents.snapshot.storage.k8s.io")
"""Kinds that it leaves out of every Backup (backup_controller.go, `autoExcludeNamespaceScopedResources` and the cluster's)."""


class LastBackupFailedError(pulumi.RunError):
    """A last backup lacks something of what users wrote. The message has Velero's reason and what to do."""


@dataclass(frozen=True, kw_only=True)
class FinalBackupsArgs:
    """`named` are the namespaces of workloads and databases. `after` are outputs that are known once nothing writes any more: the
    workloads have stopped. `paused` are the region's own schedules, which begin no backup any more. `files` are those beside this
    region's own backups, `volumes` the rules of velero.volumes, and
    `databases` the namespaces and names of the databases, whose volumes have their own archive."""

    names: Names
    backups: Sequence[Backup]
    named: Collection[str]
    cluster: ClusterApi
    files: BackupFiles
    volumes: Sequence[VolumeRule]
    databases: Collection[tuple[str, str]]
    after: Sequence[pulumi.Output[str]]
    timeout: str
    memory: Memory
    paused: pulumi.Resource | None = None


def last_backup(names: Names, backup: Backup) -> tuple[dict[str, str], dict[str, Any]]:
    """Labels and spec of a last Backup: those of each one that its schedule makes, so that it counts as one of them. But it is
    kept for 30 days at least."""
    spec = backup_template(backup)
    # Velero adds these by itself, and a list that lacks one would be Velero's afterwards.
    ours = [kind for kind in spec["excludedResources"] if kind not in _ADDED_BY_VELERO]
    spec["excludedResources"] = [*ours, *_ADDED_BY_VELERO]
    spec["ttl"] = max(backup.keep, LEAST_KEPT, key=parse_duration)
    labels = spec.pop("metadata")["labels"]
    return {OF_SCHEDULE: names.schedule(backup.name, names.role), **labels}, spec


def lost_volumes(
    files: BackupFiles, name: str, volumes: Sequence[VolumeRule], databases: Collection[tuple[str, str]]
) -> list[Volume]:
    """The volumes whose data Backup `name` lacks although nobody said so. Raises ResultsUnavailableError if it cannot be read."""
    skips = any(rule.action == "skip" for rule in volumes)
    return [volume for volume in files.skipped(name) if not of_a_database(volume, databases) and not (skips and volume.by_a_rule)]


class FinalBackups(pulumi.ComponentResource):
    """The last backup of each entry of `backups` that the other region restores, in a region that gives up in good order.

    For users, whose files must come along to the last one. Each is made after the workloads have stopped, waited for, and judged:
    a volume that Velero passed over without an error is one here. They are retained, count as their schedules' newest, and end by
    their schedules' `keep`, but not within 30 days. The next time that the region gives up it makes new ones.
    """

    by_backup: dict[str, pulumi.Output[str]]
    """By entry of `backups`, the name of its last Backup. Fails with Velero's reason if that did not complete."""

    statuses: dict[str, pulumi.Output[Any]]
    """By entry of `backups`, the status of its last Backup, which has when it began and ended."""

    def __init__(self, name: str, args: FinalBackupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:velero:FinalBackups", name, None, opts)
        self.by_backup, self.statuses = {}, {}
        for each in chosen(args.backups, args.named):
            labels, spec = last_backup(args.names, each.backup)
            judged = pulumi.ResourceHook(f"backup-{each.backup.name}-judge", _judge(args, each.backup))
            made = ObjectWithStatus(
                f"{name}-{each.backup.name}",
                api_version="velero.io/v1",
                kind="Backup",
                # Pulumi makes the name, a new one each time. A Backup that a killed `up` has left behind stays as one more.
                metadata={
                    "namespace": VELERO_NAMESPACE,
                    "labels": labels,
                    "annotations": {**until_phase(restored.ENDED), **after(args.after)},
                },
                spec=spec,
                opts=pulumi.ResourceOptions(
                    parent=self,
                    depends_on=[args.paused] if args.paused else [],
                    retain_on_delete=True,
                    replacement_trigger=args.memory.backup_attempt(each.backup),
                    # Velero reads a Backup's spec once. A changed one is another backup.
                    replace_on_changes=["spec"],
                    # How long it is kept changes nothing of what it holds, and another one would make the given token stale.
                    ignore_changes=["spec.ttl"],
                    custom_timeouts=pulumi.CustomTimeouts(create=args.timeout, update=args.timeout),
                    hooks=pulumi.ResourceHookBinding(after_create=[judged], after_update=[judged]),
                ),
            )
            self.by_backup[each.backup.name] = pulumi.Output.all(made.metadata, made.status).apply(_completed)
            self.statuses[each.backup.name] = made.status
        self.register_outputs({})


def _completed(both: Sequence[Any]) -> str:
    """The Backup's name. Raises LastBackupFailedError if it did not complete."""
    name, status = str(both[0]["name"]), both[1] or {}
    if failure := restored.failure(name, status, kind="Backup"):
        raise LastBackupFailedError(f"{failure}; {AGAIN}")
    return name


def _judge(args: FinalBackupsArgs, backup: Backup) -> Callable[[pulumi.ResourceHookArgs], None]:
    def judge(hook: pulumi.ResourceHookArgs) -> None:
        judge_backup(args, backup, hook.new_outputs or {})

    return judge


def judge_backup(args: FinalBackupsArgs, backup: Backup, outputs: Mapping[str, Any]) -> None:
    """Raises LastBackupFailedError if the Backup did not complete or lacks a volume, and notes it, so that the next `up` makes a
    new one."""
    name, status = (outputs.get("metadata") or {}).get("name", backup.name), outputs.get("status") or {}
    problem = restored.failure(name, status, partial(args.files.results, name), kind="Backup") or _lacks(args, name)
    if problem:
        note_failed_backup(args.cluster, backup)
        raise LastBackupFailedError(f"{problem}; {AGAIN}")


def _lacks(args: FinalBackupsArgs, name: str) -> str | None:
    """Why a Backup that completed would lose files all the same; None if it would not."""
    describe = f"velero backup describe {name} --details"
    try:
        lost = lost_volumes(args.files, name, args.volumes, args.databases)
    except ResultsUnavailableError as error:
        return f"Backup {name} completed, and whether it has the data of every volume is not known: {error}; see: {describe}"
    if not lost:
        return None
    volumes = restored.shortened(tuple(sorted(map(str, lost))), describe)
    return (
        f"Backup {name} completed without the data of {volumes}: they would be lost. Move them to claims of a CSI class with a "
        "VolumeSnapshotClass (docs/volumes.md), or, where their data are not needed, write a rule with action: skip to "
        "k8s-dr:velero.volumes, or label the claims velero.io/exclude-from-backup=true"
    )
