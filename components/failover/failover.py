"""The failover itself. It asks a gate, promotes and restores, scales, verifies, and moves the traffic last.

Everything that a failover changes is below this one component. So at 3 a.m., with half of the stack unreachable,
`pulumi up --target '**dr:failover:Failover$**'` does exactly this and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.database.archive import Archive
from components.database.database import Database, Databases, DatabasesArgs
from components.failover import questions, timeline
from components.failover.ahead import Ahead
from components.failover.preflight import Preflight
from components.failover.questions import Primary
from components.failover.report import LocalReport
from components.failover.status_page import MUST_NOT_FAIL, StatusPage
from components.failover.telling import Telling, giving_up_steps
from components.failover.workloads import Workloads, WorkloadsArgs
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.pods import Runner
from components.kube.records import HANDOVER_RECORD, SERVING_RECORD
from components.kube.runner.flag import Flag
from components.kube.this_cluster import ThisCluster
from components.traffic.flag_object import TrafficFlag, TrafficFlagArgs
from components.traffic.records import TrafficArgs
from components.velero.files import BackupFiles
from components.velero.final_backups import FinalBackups, FinalBackupsArgs
from components.velero.memory import Memory, recall
from components.velero.restores import Restores, RestoresArgs
from settings.handover import NOTHING, Token, parse
from settings.model import Settings
from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE, Names
from settings.roles import Duties


@dataclass(frozen=True, kw_only=True)
class FailoverArgs:
    settings: Settings
    names: Names
    duties: Duties
    cluster: ClusterApi
    this_cluster: ThisCluster
    runner: Runner
    archive: Archive
    files: BackupFiles
    """Those beside the peer's backups, in this region's bucket."""

    own_files: BackupFiles
    """Those beside this region's own backups."""

    databases: DatabasesArgs
    pause_schedules: Callable[[Sequence[pulumi.Resource]], pulumi.Resource]
    """Makes the region's own schedules, in one that gives up by plan, after these resources."""

    traffic: TrafficArgs
    flag_bucket: aws.s3.Bucket | None
    read_flag: Callable[[], Flag | None]
    """Reads the traffic flag, as `traffic.flag_object.read_flag` does."""

    primary: Ahead[Primary] | None = None
    """What the primary answers, where it was asked ahead."""

    stopped: str | None = None
    """Which stop of the guard this region wakes from, if it serves now."""

    overrule: Callable[[], None] | None = None
    """Records that a person has overruled the traffic flag, before anything is woken."""


class Failover(pulumi.ComponentResource):
    """Moves users to this region, or away from it, when `active` changes.

    For whoever is on call. Its inputs are `active`, what the stack is told of a planned switchover, and which stop of the guard
    the region wakes from. A change of the first two asks the gate exactly once, in previews too, and nothing below it is touched
    unless the gate opens. In a region that takes over, it promotes, restores, scales and verifies, then rewrites the traffic flag
    and records that the region serves. In a region that gives up by plan, it scales to standby, takes a last backup and demotes.
    In one that was replaced, it scales to standby. It destroys nothing.
    """

    timeline: pulumi.Output[dict[str, Any]]
    """The steps of the takeover and their seconds, as `timeline.summary` returns them."""

    since: pulumi.Output[str | None]
    """When this region began to serve, in RFC 3339; None while it stands by."""

    databases: dict[str, pulumi.Output[str]]
    """The role of this region's side of each database, by the database's name. Fails with the operator's reason if it is lost."""

    handover: pulumi.Output[str]
    """What the other stack is told next in a planned switchover: this region's token, or its receipt; `none` in no switchover."""

    serves_already: bool
    """Whether the region served before this `up`, in a region that takes over."""

    def __init__(self, name: str, args: FailoverArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        self._args = args
        self._report = LocalReport(args.names, args.settings)
        self._status_page = StatusPage(args.settings, args.names, args.duties)
        self._telling = Telling(args.names, args.settings, self._report)
        self._preflight = Preflight(
            settings=args.settings,
            names=args.names,
            duties=args.duties,
            cluster=args.cluster,
            archive=args.archive,
            files=args.files,
            sides=args.databases.sides,
            report=self._report,
            flag=args.read_flag,
            primary_ahead=args.primary,
        )
        hook = pulumi.ResourceHook("failover-gate", self._ask_gate, pulumi.ResourceHookOptions(on_dry_run=True))
        opts = pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook]))
        )
        # The Region has compared the cluster already, unless only this component is the target of the `up`.
        stopped = {"stopped": args.stopped} if args.stopped else {}
        told = {"handover": args.settings.handover_now} if args.settings.handover_now else {}
        inputs = {"active": args.settings.serving_role, **told, **stopped, **args.this_cluster.inputs}
        super().__init__("dr:failover:Failover", name, inputs, pulumi.ResourceOptions.merge(opts, args.this_cluster.options))
        memory = self._memory()
        self.serves_already = memory.serves
        if args.duties.takes_over and not memory.serves:
            self._preflight.begin(args.this_cluster.surely_own)
            self._tell_if_unasked()
        restores = Restores(
            f"{name}-restores",
            RestoresArgs(
                names=args.names,
                backups=args.settings.backups,
                named=args.settings.named_namespaces,
                settings=args.settings.velero,
                duties=args.duties,
                timeouts=args.settings.failover,
                cluster=args.cluster,
                memory=memory,
                files=args.files,
                named_backups=args.settings.token.backups if args.settings.token else {},
                force=args.settings.force,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        databases = Databases(f"{name}-databases", self._databases(), opts=pulumi.ResourceOptions(parent=self))
        self.databases = {
            database_name: pulumi.Output.all(*database.writable).apply(partial(self._side, database))
            for database_name, database in databases.by_name.items()
        }
        self._writable = [output for database in databases.by_name.values() for output in database.writable]
        if args.duties.takes_over:
            workloads = self._workloads(name, restores, memory)
            flag = self._flag(name, after=[restores, databases, workloads])
        else:
            # A region that stands by goes the other way round: users leave before the workloads that serve them are scaled down.
            flag = self._flag(name)
            workloads = self._workloads(name, restores, memory, after=[flag])
        self.handover = self._hand_over(name, databases, workloads, memory)
        steps = self._steps(restores, databases, workloads)
        # A primary has no flag that comes after all the rest.
        before = [restores, databases, workloads, flag] if args.duties.takes_over else [flag]
        self.since = self._record_serving(name, before, steps)
        if token := args.settings.token:
            # Printed once users may come: not while they are held, nor before everything has succeeded.
            self.handover = self.since.apply(lambda since: token.receipt if since else NOTHING)
        self.timeline = pulumi.Output.all(steps=steps, since=self.since).apply(
            lambda seen: timeline.summary(seen["steps"], seen["since"])
        )
        self.register_outputs({})

    @staticmethod
    def _side(database: Database, _: object) -> str:
        """The role of this region's side. The second argument is ignored: waiting for it is what matters."""
        return database.side

    def _workloads(self, name: str, restores: Restores, memory: Memory, after: Sequence[pulumi.Resource] = ()) -> Workloads:
        return Workloads(
            f"{name}-workloads",
            WorkloadsArgs(
                workloads=self._args.settings.workloads,
                duties=self._args.duties,
                runner=self._args.runner,
                timeouts=self._args.settings.failover,
                endpoint=questions.endpoint_questions(self._args.settings),
                endpoint_required=not (memory.serves or self._args.settings.force),
                # Workloads that start to write wait for their database. Workloads that stop must not wait for anything.
                after=[*restores.completed, *(self._writable if self._args.duties.serves else [])],
                restored=restores.completed,
                stopped=self._args.stopped,
                held=self._args.duties.held,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _flag(self, name: str, after: Sequence[pulumi.Resource] = ()) -> TrafficFlag:
        args = TrafficFlagArgs(
            traffic=self._args.traffic,
            bucket=self._args.flag_bucket,
            duties=self._args.duties,
            after_update=self._status_page.after_the_flag(f"{name}-flag"),
        )
        return TrafficFlag(f"{name}-flag", args, opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)))

    def _hand_over(self, name: str, databases: Databases, workloads: Workloads, memory: Memory) -> pulumi.Output[str]:
        """The handover token of a region that gives up by plan, once everything in it has stopped and was saved. A ConfigMap
        keeps it, by which the region knows a receipt."""
        args, settings = self._args, self._args.settings
        if not args.duties.hands_over:
            return pulumi.Output.from_input(NOTHING)
        # First of all: no Backup of theirs is later than the last ones, unless the region has served again (velero/choice.py).
        paused = args.pause_schedules([workloads])
        final = FinalBackups(
            f"{name}-final-backups",
            FinalBackupsArgs(
                names=args.names,
                backups=settings.backups,
                named=settings.named_namespaces,
                cluster=args.cluster,
                files=args.own_files,
                volumes=settings.velero.volumes,
                databases=[(database.namespace, database.name) for database in settings.databases],
                after=[job.metadata.apply(lambda metadata: str(metadata.name)) for job in workloads.scaled.values()],
                paused=paused,
                timeout=settings.failover.restore,
                memory=memory,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        demoted = {each: side.demotion for each, side in databases.by_name.items() if side.demotion is not None}
        token = pulumi.Output.all(databases=demoted, backups=final.by_backup).apply(
            lambda said: Token(given_by=args.names.role, databases=said["databases"], backups=said["backups"]).text
        )
        statuses = pulumi.Output.all(
            scaled={namespace: job.status for namespace, job in workloads.scaled.items()}, backups=final.statuses
        )

        async def tell(hook: pulumi.ResourceHookArgs) -> None:
            made, known = hook.new_outputs or {}, await statuses.future() or {}
            given = parse(made["data"]["token"])
            if isinstance(given, Token):
                steps = giving_up_steps(known["scaled"], known["backups"])
                await self._telling.of_giving_up(steps, given, made["metadata"]["creationTimestamp"])

        told = pulumi.ResourceHookBinding(after_create=[pulumi.ResourceHook(f"{name}-tell", tell, MUST_NOT_FAIL)])
        k8s.core.v1.ConfigMap(
            f"{name}-handover",
            metadata={"name": HANDOVER_RECORD, "namespace": PROGRAM_NAMESPACE, "labels": EXCLUDED_FROM_BACKUP},
            data={"token": token},
            opts=pulumi.ResourceOptions(parent=self, hooks=told),
        )
        return token

    def _record_serving(
        self, name: str, before: Sequence[pulumi.Resource], steps: pulumi.Output[list[dict[str, Any]]]
    ) -> pulumi.Output[str | None]:
        """Keeps a ConfigMap that exists exactly while the region serves. Returns since when, by the API server's clock."""
        if not self._args.duties.serves or self._args.duties.held:
            return pulumi.Output.from_input(None)

        async def write_report(hook: pulumi.ResourceHookArgs) -> None:
            # The ConfigMap is made after every step, so all steps are known by now. An `apply` would write in every `up`.
            since = (hook.new_outputs or {})["metadata"]["creationTimestamp"]
            finished = timeline.summary(await steps.future() or [], since)["steps"]
            self._report.write(finished)
            await self._telling.of_takeover(finished, since)

        report = pulumi.ResourceHook(f"{name}-report", write_report, MUST_NOT_FAIL)
        hooks = pulumi.ResourceHookBinding(after_create=[report, *self._status_page.after_the_record(name)])
        # An `up` that was killed at this moment has left it behind. To import what the stack has already changes nothing.
        left_behind = self.serves_already and not pulumi.runtime.is_dry_run()
        serving = k8s.core.v1.ConfigMap(
            f"{name}-serving",
            metadata={"name": SERVING_RECORD, "namespace": PROGRAM_NAMESPACE, "labels": EXCLUDED_FROM_BACKUP},
            data={"region": self._args.names.region},
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(before),
                hooks=hooks if self._args.duties.takes_over else None,
                import_=f"{PROGRAM_NAMESPACE}/{SERVING_RECORD}" if left_behind else None,
                ignore_changes=["metadata", "data"] if left_behind else None,
            ),
        )
        since: pulumi.Output[str | None] = serving.metadata.apply(lambda metadata: metadata.creation_timestamp)
        return since

    def _steps(self, restores: Restores, databases: Databases, workloads: Workloads) -> pulumi.Output[list[dict[str, Any]]]:
        """The steps before the traffic moves, in a region that takes over, as the cluster's own objects recorded them."""
        if not self._args.duties.takes_over:
            return pulumi.Output.from_input([])
        restored = {name: restore.status for name, restore in restores.by_backup.items()}
        confirmed = [(name, each, each.confirmation.status) for name, each in databases.by_name.items() if each.confirmation]
        jobs = {f"promote {name}": status for name, each, status in confirmed if each.recovered_metadata is None}
        recovered = {
            f"recover {name}": {"cluster": each.recovered_metadata, "status": status}
            for name, each, status in confirmed
            if each.recovered_metadata is not None
        }
        jobs |= {f"scale {name}": job.status for name, job in workloads.scaled.items()}
        jobs |= {f"verify {name}": job.status for name, job in workloads.verified.items()}
        jobs |= {"ask endpoint": workloads.endpoint.status} if workloads.endpoint else {}

        def read(seen: Mapping[str, Any]) -> list[dict[str, Any]]:
            steps = [timeline.restore_step(name, status or {}) for name, status in seen["restored"].items()]
            steps += [timeline.job_step(name, status or {}) for name, status in seen["jobs"].items()]
            steps += [
                timeline.job_step(name, recovery["status"] or {}, since=recovery["cluster"].get("creationTimestamp"))
                for name, recovery in seen["recovered"].items()
            ]
            return [step for step in steps if step]

        return pulumi.Output.all(restored=restored, jobs=jobs, recovered=recovered).apply(read)

    def _memory(self) -> Memory:
        """What the cluster remembers of restores and last backups. A preview that cannot reach the cluster leaves its state as it
        is."""
        if not (self._args.duties.takes_over or self._args.duties.hands_over):
            return Memory()
        try:
            return recall(self._args.cluster)
        except ClusterUnreachableError as error:
            if not pulumi.runtime.is_dry_run():
                raise pulumi.RunError(f"{error}; nothing was touched") from None
            return Memory(serves=True)

    def _ask_gate(self, asked: pulumi.ResourceHookArgs) -> None:
        """Raises GateClosedError if the gate stays closed."""
        self._args.this_cluster.compare(asked)
        # Otherwise the stack only learns which cluster is its own, or wakes what the guard has stopped.
        before, settings = asked.old_inputs or {}, self._args.settings
        told_anew = settings.handover_now is not None and settings.handover_now != before.get("handover")
        if before.get("active") != settings.serving_role or told_anew:
            self._preflight.ask()
        if self._args.overrule and not pulumi.runtime.is_dry_run():
            self._args.overrule()

    def _tell_if_unasked(self) -> None:
        """In an `up` that goes on with a failover, say what the gate would, and go on meanwhile. Where the engine asks the gate,
        it has done so when it answers the registration of this component."""

        async def tell(_: str) -> None:
            await asyncio.to_thread(self._preflight.tell_if_unasked)

        _: pulumi.Output[None] = self.urn.apply(tell)

    def _databases(self) -> DatabasesArgs:
        """The databases, each of which asks before it is promoted."""
        before = self._preflight.refuse_first_promotion
        each = [replace(database, before_promotion=before) for database in self._args.databases.databases]
        return replace(self._args.databases, databases=each)
