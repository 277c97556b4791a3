"""Restores of the peer's newest backups: once for each time that the region takes over, and never twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.kube.cluster_api import ClusterApi
from components.kube.objects import ObjectWithStatus, after, until_phase
from components.kube.records import ATTEMPTS_RECORD, SERVING_RECORD
from components.velero.schedules import BACKUP_SELECTOR
from components.velero.specs import VELERO_NAMESPACE
from settings.model import Backup, FailoverTimeouts
from settings.names import NEVER_RESTORED, Names
from settings.roles import Duties, peer_of

_ENDED = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")
"""Every phase in which a Restore ends."""


class RestoreFailedError(pulumi.RunError):
    """A restore did not end Completed, or must not run. The message has the reason and what to do."""


@dataclass(frozen=True, kw_only=True)
class RestoresArgs:
    """`attempts` has the number of a restore's next attempt, by `restore-<backup>`, if an earlier one failed."""

    names: Names
    backups: Sequence[Backup]
    duties: Duties
    timeouts: FailoverTimeouts
    cluster: ClusterApi
    attempts: Mapping[str, str]


def in_order(backups: Sequence[Backup]) -> list[Backup]:
    """The backups to restore. Those that name namespaces come first: they are the most frequent and the most urgent."""
    wanted = [backup for backup in backups if backup.restore]
    return [backup for backup in wanted if backup.include] + [backup for backup in wanted if not backup.include]


def restore_spec(backup: Backup, schedule: str, already: Sequence[str]) -> dict[str, Any]:
    """Spec of a Restore of the schedule's newest Completed backup, without the namespaces that are `already` restored.

    It sets no excludedResources: Velero's server adds to that list by itself, and every later `up` would fight it for the field.
    Databases must not come back, but they are not in the backups.
    """
    if backup.include:
        choice = {"includedNamespaces": [namespace for namespace in backup.include if namespace not in already]}
    else:
        choice = {"excludedNamespaces": sorted({*backup.exclude, *NEVER_RESTORED, *already})}
    return {
        "scheduleName": schedule,
        **choice,
        "labelSelector": BACKUP_SELECTOR,
        "existingResourcePolicy": "none",
    }


def explain_failure(name: str, status: Mapping[str, Any]) -> str | None:
    """Why a restore failed, in one line with Velero's own reason; None if it completed."""
    phase = status.get("phase")
    if phase == "Completed":
        return None
    reasons = [*(status.get("validationErrors") or []), *([status["failureReason"]] if status.get("failureReason") else [])]
    if errors := int(status.get("errors") or 0):
        reasons.append(f"{errors} errors, see: velero restore logs {name}")
    return f"Restore {name} ended {phase or 'without a phase'}: {'; '.join(map(str, reasons)) or 'Velero gives no reason'}"


def restored(name: str, status: Mapping[str, Any] | None) -> str:
    """The Restore's name if it completed. Raises RestoreFailedError otherwise, which fails everything that waits for it."""
    if failure := explain_failure(name, status or {}):
        raise RestoreFailedError(failure)
    return name


class Restores(pulumi.ComponentResource):
    """Restores of the peer's newest backups, in a region that takes over; none in any other role.

    For users, whose workloads live nowhere else any more. Namespaces that a backup names are restored first, then the rest. The
    Restores are declared only while the region takes over, and are retained (not deleted) afterwards. While the region already
    serves they are refused: what a second run would bring back is older than what is there.
    """

    by_backup: dict[str, ObjectWithStatus]
    """The Restore of each backup, by the backup's name."""

    completed: list[pulumi.Output[str]]
    """One output for each restore, which fails with Velero's reason if it did not complete."""

    def __init__(self, name: str, args: RestoresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:velero:Restores", name, None, opts)
        self._args = args
        self.by_backup, self.completed = {}, []
        already: list[str] = []
        for backup in in_order(args.backups) if args.duties.takes_over else ():
            key = f"restore-{backup.name}"
            schedule = args.names.schedule(backup.name, peer_of(args.names.role))
            restore = ObjectWithStatus(
                f"{name}-{backup.name}",
                api_version="velero.io/v1",
                kind="Restore",
                # Pulumi makes the name, a new one each time: Velero restores under one name only once.
                metadata={
                    "namespace": VELERO_NAMESPACE,
                    "annotations": {**until_phase(_ENDED), **after(self.completed)},
                },
                spec=restore_spec(backup, schedule, already),
                opts=pulumi.ResourceOptions(
                    parent=self,
                    depends_on=list(self.by_backup.values()),
                    retain_on_delete=True,
                    replacement_trigger=args.attempts.get(key, "1"),
                    custom_timeouts=pulumi.CustomTimeouts(create=args.timeouts.restore, update=args.timeouts.restore),
                    hooks=self._hooks(key),
                ),
            )
            self.by_backup[backup.name] = restore
            self.completed.append(
                pulumi.Output.all(restore.metadata, restore.status).apply(lambda both: restored(both[0]["name"], both[1]))
            )
            already += backup.include
        self.register_outputs({})

    def _hooks(self, key: str) -> pulumi.ResourceHookBinding:
        """Hooks that refuse a second run before a Restore is made, and judge the Restore afterwards."""

        def refuse_second_run(_: pulumi.ResourceHookArgs) -> None:
            refuse_if_serving(self._args.cluster)

        def judge(hook: pulumi.ResourceHookArgs) -> None:
            judge_restore(self._args.cluster, key, hook.new_outputs or {})

        # Updates are judged too: the next `up` waits for a Restore that was still running when an `up` was interrupted.
        judged = pulumi.ResourceHook(f"{key}-judge", judge)
        return pulumi.ResourceHookBinding(
            before_create=[pulumi.ResourceHook(f"{key}-once", refuse_second_run)],
            after_create=[judged],
            after_update=[judged],
        )


def refuse_if_serving(cluster: ClusterApi) -> None:
    """Raises RestoreFailedError if the region serves: the Restore is then a second one, or of a backup that was added since."""
    if cluster.read_record(SERVING_RECORD) is not None:
        raise RestoreFailedError(
            "this region serves already, and a restore now would run over live data (was a Restore deleted by hand, or a backup "
            "added since?); to go on without it set restore: false for it in k8s-dr:backups; if it must run: "
            "kubectl delete configmap serving -n k8s-dr"
        )


def judge_restore(cluster: ClusterApi, key: str, outputs: Mapping[str, Any]) -> None:
    """Raises RestoreFailedError with Velero's reason if the Restore failed, and counts the attempt, so that the next `up` makes a
    new Restore."""
    name = (outputs.get("metadata") or {}).get("name", key)
    if failure := explain_failure(name, outputs.get("status") or {}):
        attempts = cluster.read_record(ATTEMPTS_RECORD) or {}
        cluster.write_record(ATTEMPTS_RECORD, {key: str(int(attempts.get(key, "1")) + 1)})
        raise RestoreFailedError(f"{failure}. Once the cause is gone run pulumi up again: it restores anew")
