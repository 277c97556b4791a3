"""Restores of the peer's backups: once for each time that the region takes over, and never twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.kube.aside import NotKeptError, begun, set_aside
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.objects import ObjectWithStatus, after, until_phase
from components.kube.records import SERVING_RECORD
from components.kube.runner.restored import ENDED
from components.kube.runner.restored import failure as why_failed
from components.velero import modifiers, outcome
from components.velero.choice import Choice, choice_of, objection
from components.velero.claims import claims_in_the_way, delete_ownerless, empty_claims, failed_volumes, unfilled_claims
from components.velero.downloads import results_of
from components.velero.files import BackupFiles, without_data
from components.velero.inventory import items
from components.velero.memory import Memory, WrongRestoreError, note_acceptance, note_failure, note_success
from components.velero.selection import RESTORED_PODS, Chosen, chosen, selector
from components.velero.specs import VELERO_NAMESPACE
from settings.backup import Backup
from settings.failover import FailoverTimeouts
from settings.names import EXCLUDED_FROM_BACKUP, Names
from settings.roles import Duties
from settings.velero import VeleroSettings

_SET_ASIDE_SECONDS = 300.0

_OF_LOAD_BALANCERS = {
    "services": "/api/v1/services",
    "ingresses.networking.k8s.io": "/apis/networking.k8s.io/v1/ingresses",
}


class RestoreFailedError(pulumi.RunError):
    """A restore did not end Completed, or must not run. The message has the reason and what to do."""


@dataclass(frozen=True, kw_only=True)
class RestoresArgs:
    """`named` are the namespaces of workloads and databases. `memory` is what the cluster remembers of earlier restores.
    `named_backups` are the Backups that the peer's handover token names, by entry of `backups`; empty in a failover."""

    names: Names
    backups: Sequence[Backup]
    named: Sequence[str]
    settings: VeleroSettings
    duties: Duties
    timeouts: FailoverTimeouts
    cluster: ClusterApi
    memory: Memory
    files: BackupFiles
    """Those beside the peer's backups, in this region's bucket."""

    named_backups: Mapping[str, str] = field(default_factory=dict)
    force: bool = False
    """Whether a person passes over what is a matter of judgement."""

    @property
    def served_before(self) -> bool:
        """Whether objects of an earlier time may be here: the primary region has always served before it takes over."""
        return self.names.role == "primary" or self.memory.served_before

    @property
    def used_by_day(self) -> bool:
        """Whether people restore here by hand what is this region's own: a primary that has not given up."""
        return self.names.role == "primary" and self.duties.serves and not self.duties.takes_over


def restore_spec(each: Chosen, choice: Choice, *, served_before: bool = False) -> dict[str, Any]:
    """Spec of a Restore of one backup.

    It names every kind that Velero would add to excludedResources by itself: a list that lacks one would be Velero's afterwards.
    In a region that has served before, objects of that time are older than the backup, and are made as they are there.
    """
    status = {"restoreStatus": {"includedResources": each.backup.restore_status}} if each.backup.restore_status else {}
    existing = each.backup.existing or ("update" if served_before else "keep")
    return {
        **choice.spec,
        **each.namespaces,
        "excludedResources": each.backup.not_restored,
        "labelSelector": selector(each.backup),
        **status,
        "existingResourcePolicy": "update" if existing == "update" else "none",
        "resourceModifier": {"kind": "ConfigMap", "name": modifiers.RESTORE_MODIFIERS},
    }


def restored(name: str, status: Mapping[str, Any] | None, accepted: str | None = None) -> str:
    """The Restore's name if it completed, or if it is the PartiallyFailed one that a person has `accepted`. Raises
    RestoreFailedError otherwise, which fails everything that waits for it."""
    status = status or {}
    if status.get("phase") == "PartiallyFailed" and name == accepted:
        return name
    if failure := why_failed(name, status):
        raise RestoreFailedError(failure)
    return name


class Restores(pulumi.ComponentResource):
    """Restores of the peer's backups, in a region that takes over; none in any other role.

    In a planned takeover they bring the last Backups of the region that gave up, which its handover token names.

    For users, whose workloads live nowhere else any more. Namespaces that a backup names are restored first, then the rest. The
    Restores are declared only while the region takes over, and are retained (not deleted) afterwards. Until the region serves, a
    failed or changed one is made anew. While it serves they stay as they are, whatever the configuration says, and new ones are
    refused: what a second run would bring back is older than what is there.
    """

    by_backup: dict[str, ObjectWithStatus]
    """The Restore of each backup, by the backup's name."""

    completed: list[pulumi.Output[str]]
    """One output for each restore, which fails with Velero's reason if it did not complete."""

    def __init__(self, name: str, args: RestoresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:velero:Restores", name, None, opts)
        self._args = args
        self.by_backup, self.completed = {}, []
        changes = self._changes(name)
        for each in chosen(args.backups, args.named) if args.duties.restores else ():
            backup, memory = each.backup, args.memory
            self._heed_acceptance(backup)
            choice = choice_of(args.names, backup, args.named_backups)
            restore = ObjectWithStatus(
                f"{name}-{backup.name}",
                api_version="velero.io/v1",
                kind="Restore",
                # Pulumi makes the name, a new one each time: Velero restores under one name only once.
                metadata={
                    "namespace": VELERO_NAMESPACE,
                    "annotations": {**until_phase(ENDED), **after(self.completed)},
                },
                spec=restore_spec(each, choice, served_before=args.served_before),
                opts=pulumi.ResourceOptions(
                    parent=self,
                    depends_on=[*changes, *self.by_backup.values()],
                    retain_on_delete=True,
                    replacement_trigger=memory.attempt(backup),
                    # Velero reads a Restore's spec once. A changed one is another restore, and none over live data.
                    replace_on_changes=["spec"],
                    ignore_changes=["spec", "metadata"] if memory.serves else [],
                    custom_timeouts=pulumi.CustomTimeouts(create=args.timeouts.restore, update=args.timeouts.restore),
                    hooks=self._hooks(each, choice),
                ),
            )
            self.by_backup[backup.name] = restore
            self.completed.append(
                pulumi.Output.all(restore.metadata, restore.status).apply(partial(_restored, memory.accepts(backup)))
            )
        self.register_outputs({})

    def _changes(self, name: str) -> list[pulumi.Resource]:
        """What Velero changes in objects that it restores, as ConfigMaps that are there long before a failover.

        The changes lead from the peer's region into this one. A Restore names the ConfigMap of rules that it uses. But that of
        classes holds for each restore in the cluster, so it comes into a primary only once that has given up.
        """
        settings, role = self._args.settings, self._args.names.role
        rules = k8s.core.v1.ConfigMap(
            f"{name}-modifiers",
            metadata={"name": modifiers.RESTORE_MODIFIERS, "namespace": VELERO_NAMESPACE, "labels": EXCLUDED_FROM_BACKUP},
            data={"rules.yaml": modifiers.document(settings, role, self._kept_here())},
            opts=pulumi.ResourceOptions(parent=self),
        )
        storage_classes = modifiers.storage_classes(settings, role)
        if not storage_classes or self._args.used_by_day:
            return [rules]
        classes = k8s.core.v1.ConfigMap(
            f"{name}-storage-classes",
            metadata={
                "name": modifiers.STORAGE_CLASSES,
                "namespace": VELERO_NAMESPACE,
                "labels": {**EXCLUDED_FROM_BACKUP, **modifiers.STORAGE_CLASS_PLUGIN},
            },
            data=storage_classes,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return [rules, classes]

    def _kept_here(self) -> list[dict[str, Any]]:
        """Rules that keep what objects here have of this region, where a restore is about to make them as the peer's are."""
        args = self._args
        wanted = chosen(args.backups, args.named)
        updates = args.served_before or any(each.backup.existing == "update" for each in wanted)
        if not (args.duties.takes_over and updates) or args.memory.serves:
            return []
        try:
            return modifiers.kept_here(
                {
                    kind: [
                        item
                        for item in items(args.cluster, path)
                        if any(each.has(item["metadata"]["namespace"]) for each in wanted)
                    ]
                    for kind, path in _OF_LOAD_BALANCERS.items()
                }
            )
        except ClusterUnreachableError as error:
            if not pulumi.runtime.is_dry_run():
                raise RestoreFailedError(f"{error}; nothing was restored") from None
            return []

    def _entry(self, backup: Backup) -> str:
        """Where the backup is configured, as in `backups[1]`."""
        return f"backups[{[each.name for each in self._args.backups].index(backup.name)}]"

    def _heed_acceptance(self, backup: Backup) -> None:
        """Keep that a person accepts a failed Restore. Raises RestoreFailedError if that is not the one that failed."""
        try:
            self._args.memory.refuse_other_restores(backup, self._entry(backup))
            if not pulumi.runtime.is_dry_run():
                note_acceptance(self._args.cluster, self._args.memory, backup)
        except (WrongRestoreError, ClusterUnreachableError) as error:
            raise RestoreFailedError(str(error)) from None

    def _set_old_claims_aside(self, each: Chosen) -> None:
        """Keep the data of claims that are older than the backup under other names. Raises RestoreFailedError."""
        cluster, backup = self._args.cluster, each.backup.name
        stay = without_data(self._args.files, self._args.settings, self._args.named_backups.get(backup))
        of = f"before-{backup}"
        try:
            # Where an `up` was killed, claims may be gone and their volumes not yet have others.
            by_namespace: dict[str, list[str]] = {namespace: [] for namespace in begun(cluster, of)}
            for namespace, name in claims_in_the_way(cluster, each, without_data=stay):
                by_namespace.setdefault(namespace, []).append(name)
            for namespace, names in by_namespace.items():
                for kept in set_aside(cluster, namespace, names, of=of, seconds=_SET_ASIDE_SECONDS):
                    pulumi.log.info(f"claim {namespace}/{kept.claim}: what it had before is kept in {kept.kept_as}")
        except (NotKeptError, ClusterUnreachableError) as error:
            raise RestoreFailedError(f"nothing of {backup} is restored yet: {error}; then run the same pulumi up again") from None

    def _hooks(self, each: Chosen, choice: Choice) -> pulumi.ResourceHookBinding:
        """Hooks that refuse a second run before a Restore is made, and judge the Restore afterwards."""
        cluster, key = self._args.cluster, f"restore-{each.backup.name}"

        def refuse(_: pulumi.ResourceHookArgs) -> None:
            refuse_if_serving(cluster)
            if (failed := self._args.memory.failed(each.backup)) and (claims := unfilled_claims(cluster, failed)):
                raise RestoreFailedError(claims)
            # The gate has asked too, but only when `active` changed. `from` or another token may have been written since.
            problem = objection(cluster, choice) if choice.backup else None
            if problem and not (problem.judgement and self._args.force):
                raise RestoreFailedError(problem)
            if self._args.named_backups or self._args.served_before:
                self._set_old_claims_aside(each)

        def judge(hook: pulumi.ResourceHookArgs) -> None:
            judge_restore(cluster, each.backup, self._entry(each.backup), hook.new_outputs or {})

        # Updates are judged too: the next `up` waits for a Restore that was still running when an `up` was interrupted.
        judged = pulumi.ResourceHook(f"{key}-judge", judge)
        return pulumi.ResourceHookBinding(
            before_create=[pulumi.ResourceHook(f"{key}-once", refuse)], after_create=[judged], after_update=[judged]
        )


def _restored(accepted: str | None, both: Sequence[Any]) -> str:
    return restored(both[0]["name"], both[1], accepted)


def refuse_if_serving(cluster: ClusterApi) -> None:
    """Raises RestoreFailedError if the region serves: the Restore is then a second one, or of a backup that was added since."""
    if cluster.read_record(SERVING_RECORD) is not None:
        raise RestoreFailedError(
            "this region serves already, and a restore now would run over live data (was a Restore deleted by hand, or a backup "
            "added since?); to go on without it set restore: false for it in k8s-dr:backups; if it must run: "
            "kubectl delete configmap serving -n k8s-dr"
        )


def judge_restore(cluster: ClusterApi, backup: Backup, entry: str, outputs: Mapping[str, Any]) -> None:
    """Raises RestoreFailedError with Velero's reason if the Restore failed, and notes it, so that the next `up` makes a new one.

    Of one that completed it tells what Velero warned about. Pods that came back for their volumes alone are replaced.
    """
    name, status = (outputs.get("metadata") or {}).get("name", backup.name), outputs.get("status") or {}
    read = partial(results_of, cluster, name)
    if failure := why_failed(name, status, read):
        note_failure(cluster, backup, name, status.get("phase"))
        volumes = _told_of_volumes(cluster, name)
        ways_on = outcome.ways_on(name, status.get("phase"), entry, failure, volumes)
        raise RestoreFailedError(f"{'; '.join([failure, *volumes])}. {ways_on}")
    if backup.pods == "all":
        try:
            replaced = sum(map(cluster.delete_pods, RESTORED_PODS))
        except ClusterUnreachableError as error:
            note_failure(cluster, backup, name, None)
            raise RestoreFailedError(
                f"Restore {name} completed, but the Pods that controllers own are not replaced: {error}; run the same pulumi up: "
                "it restores again, into what is here, and replaces them"
            ) from None
        pulumi.log.info(f"Restore {name}: {replaced} Pods that controllers own are replaced by Pods of this cluster's admission")
    _delete_ownerless(cluster, name)
    note_success(cluster, backup)
    # With `update` Velero puts its label on claims that were here before, too.
    if backup.existing != "update" and (empty := _told_of_claims(cluster, name)):
        pulumi.log.warn(empty)
    if told := outcome.told(name, status, read):
        pulumi.log.info(told)


def _delete_ownerless(cluster: ClusterApi, restore: str) -> None:
    """A cluster that does not answer now fails nothing: the restore has completed, and a Pod that does not start says why."""
    try:
        deleted = delete_ownerless(cluster, restore)
    except ClusterUnreachableError as error:
        pulumi.log.warn(f"Restore {restore} completed; claims of ephemeral volumes that it brought are not deleted: {error}")
        return
    if deleted:
        pulumi.log.info(
            f"Restore {restore}: claims of generic ephemeral volumes are deleted again ({', '.join(deleted)}), or their Pods "
            "would not start; each Pod makes its own"
        )


def _told_of_claims(cluster: ClusterApi, restore: str) -> str | None:
    """What is to be told of claims. A cluster that does not answer now fails nothing: the restore has completed."""
    try:
        return empty_claims(cluster, restore)
    except ClusterUnreachableError as error:
        return f"Restore {restore} completed; whether it brought claims without data could not be asked: {error}"


def _told_of_volumes(cluster: ClusterApi, restore: str) -> list[str]:
    """The volumes whose data did not come, a text each. A cluster that does not answer now hides no failure."""
    try:
        return failed_volumes(cluster, restore)
    except ClusterUnreachableError as error:
        return [f"which volumes did not come could not be asked: {error}"]
