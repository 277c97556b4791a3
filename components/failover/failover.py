"""The failover itself. It asks a gate, promotes and restores, scales, verifies, and moves the traffic last.

Everything that a failover changes is below this one component. So at 3 a.m., with half of the stack unreachable,
`pulumi up --target '**dr:failover:Failover$**'` does exactly this and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.database import objections as database_objections
from components.database.archive import Archive, ArchiveUnreadableError
from components.database.database import Database, Databases, DatabasesArgs
from components.failover import gate, timeline
from components.failover.report import LocalReport
from components.failover.workloads import Workloads, WorkloadsArgs
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.records import ATTEMPTS_RECORD, SERVING_RECORD
from components.traffic.flag_object import TrafficFlag, TrafficFlagArgs
from components.traffic.records import TrafficArgs
from components.velero.restores import Restores, RestoresArgs, in_order
from settings.model import Settings
from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE, Names
from settings.roles import Duties, peer_of, refusal

_MUST_NOT_FAIL = pulumi.ResourceHookOptions(ignore_errors=True)
"""For a hook that only tells: whatever happens in it, the failover goes on."""


@dataclass(frozen=True, kw_only=True)
class FailoverArgs:
    settings: Settings
    names: Names
    duties: Duties
    cluster: ClusterApi
    archive: Archive
    databases: DatabasesArgs
    traffic: TrafficArgs
    flag_bucket: aws.s3.Bucket | None


class Failover(pulumi.ComponentResource):
    """Moves users to this region, or away from it, when `active` changes.

    For whoever is on call. Its input is `active`: each change asks the gate exactly once, in previews too, and nothing below it
    is touched unless the gate opens. In a region that takes over, it promotes, restores, scales and verifies, then rewrites the
    traffic flag and records that the region serves. In a primary that was replaced, it scales to standby. It destroys nothing.
    """

    timeline: pulumi.Output[dict[str, Any]]
    """The steps of the takeover and their seconds, as `timeline.summary` returns them."""

    since: pulumi.Output[str | None]
    """When this region began to serve, in RFC 3339; None while it stands by."""

    databases: dict[str, pulumi.Output[str]]
    """The role of this region's side of each database, by the database's name. Fails with the operator's reason if it is lost."""

    def __init__(self, name: str, args: FailoverArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        self._args = args
        self._report = LocalReport(args.names.role, args.names.region, args.settings.serving_role)
        hook = pulumi.ResourceHook("failover-gate", self._ask_gate, pulumi.ResourceHookOptions(on_dry_run=True))
        opts = pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook]))
        )
        super().__init__("dr:failover:Failover", name, {"active": args.settings.serving_role}, opts)
        restores = Restores(
            f"{name}-restores",
            RestoresArgs(
                names=args.names,
                backups=args.settings.backups,
                duties=args.duties,
                timeouts=args.settings.failover,
                cluster=args.cluster,
                attempts=self._attempts(),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        databases = Databases(f"{name}-databases", args.databases, opts=pulumi.ResourceOptions(parent=self))
        self.databases = {
            database_name: pulumi.Output.all(*database.writable).apply(partial(self._side, database))
            for database_name, database in databases.by_name.items()
        }
        self._writable = [output for database in databases.by_name.values() for output in database.writable]
        if args.duties.takes_over:
            workloads = self._workloads(name, restores)
            flag = self._flag(name, after=[restores, databases, workloads])
        else:
            # A region that stands by goes the other way round: users leave before the workloads that serve them are scaled down.
            flag = self._flag(name)
            workloads = self._workloads(name, restores, after=[flag])
        steps = self._steps(restores, databases, workloads)
        self.since = self._record_serving(name, flag, steps)
        self.timeline = pulumi.Output.all(steps=steps, since=self.since).apply(
            lambda seen: timeline.summary(seen["steps"], seen["since"])
        )
        self.register_outputs({})

    @staticmethod
    def _side(database: Database, _: object) -> str:
        """The role of this region's side. The second argument is ignored: waiting for it is what matters."""
        return database.side

    def _workloads(self, name: str, restores: Restores, after: Sequence[pulumi.Resource] = ()) -> Workloads:
        return Workloads(
            f"{name}-workloads",
            WorkloadsArgs(
                workloads=self._args.settings.workloads,
                duties=self._args.duties,
                image=self._args.settings.images.kubectl,
                timeouts=self._args.settings.failover,
                # Workloads that start to write wait for their database. Workloads that stop must not wait for anything.
                after=[*restores.completed, *(self._writable if self._args.duties.serves else [])],
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _flag(self, name: str, after: Sequence[pulumi.Resource] = ()) -> TrafficFlag:
        args = TrafficFlagArgs(traffic=self._args.traffic, bucket=self._args.flag_bucket, duties=self._args.duties)
        return TrafficFlag(f"{name}-flag", args, opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)))

    def _record_serving(
        self, name: str, flag: TrafficFlag, steps: pulumi.Output[list[dict[str, Any]]]
    ) -> pulumi.Output[str | None]:
        """Keeps a ConfigMap that exists exactly while the region serves. Returns since when, by the API server's clock."""
        if not self._args.duties.serves:
            return pulumi.Output.from_input(None)

        async def write_report(hook: pulumi.ResourceHookArgs) -> None:
            # The ConfigMap is made after every step, so all steps are known by now. An `apply` would write in every `up`.
            since = (hook.new_outputs or {})["metadata"]["creationTimestamp"]
            finished = await steps.future()
            self._report.write(timeline.summary(finished or [], since)["steps"])

        hooks = pulumi.ResourceHookBinding(after_create=[pulumi.ResourceHook(f"{name}-report", write_report, _MUST_NOT_FAIL)])
        serving = k8s.core.v1.ConfigMap(
            f"{name}-serving",
            metadata={"name": SERVING_RECORD, "namespace": PROGRAM_NAMESPACE, "labels": EXCLUDED_FROM_BACKUP},
            data={"region": self._args.names.region},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[flag], hooks=hooks if self._args.duties.takes_over else None),
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

        def read(seen: Mapping[str, Any]) -> list[dict[str, Any]]:
            steps = [timeline.restore_step(name, status or {}) for name, status in seen["restored"].items()]
            steps += [timeline.job_step(name, status or {}) for name, status in seen["jobs"].items()]
            steps += [
                timeline.job_step(name, recovery["status"] or {}, since=recovery["cluster"].get("creationTimestamp"))
                for name, recovery in seen["recovered"].items()
            ]
            return [step for step in steps if step]

        return pulumi.Output.all(restored=restored, jobs=jobs, recovered=recovered).apply(read)

    def _attempts(self) -> Mapping[str, str]:
        """The number of each restore's next attempt, if one has failed. A preview that cannot reach the cluster assumes none."""
        if not self._args.duties.takes_over:
            return {}
        try:
            return self._args.cluster.read_record(ATTEMPTS_RECORD) or {}
        except ClusterUnreachableError as error:
            if not pulumi.runtime.is_dry_run():
                raise pulumi.RunError(f"{error}; nothing was touched") from None
            return {}

    def _ask_gate(self, _: pulumi.ResourceHookArgs) -> None:
        """Raises GateClosedError if the gate stays closed. A preview that cannot reach the cluster only warns."""
        args = self._args
        started = datetime.now(UTC)
        try:
            if args.names.role == "secondary" and args.settings.active is None:
                serves_here = args.cluster.read_record(SERVING_RECORD) is not None
                if reason := refusal(args.names.role, args.settings.active, serves_here=serves_here):
                    raise gate.GateClosedError(f"k8s-dr:active: {reason}")
            if args.duties.takes_over:
                self._refuse_while_the_primary_answers()
                self._wait_until_ready()
            elif args.names.role == "secondary" and (
                reason := database_objections.refusal_to_stand_by(args.cluster, args.settings.databases)
            ):
                raise gate.GateClosedError(f"k8s-dr:active: {reason}")
        except ClusterUnreachableError as error:
            if not pulumi.runtime.is_dry_run():
                raise gate.GateClosedError(f"{error}; nothing was touched") from None
            pulumi.log.warn(f"{error}: whether this region can take over was not checked")
        self._report.preflight = timeline.step("preflight", started.isoformat(), datetime.now(UTC).isoformat())

    def _refuse_while_the_primary_answers(self) -> None:
        """Raises GateClosedError if the primary still answers: two regions that write are worse than none that does.

        A preview does not ask, because asking takes a Pod.
        """
        settings = self._args.settings
        if not settings.databases or settings.force or pulumi.runtime.is_dry_run():
            return
        primary_answers = self._args.cluster.reaches(settings.probe)
        if primary_answers is None:
            pulumi.log.warn(f"whether the primary region still answers at {settings.probe} could not be asked; going on")
        if primary_answers:
            raise gate.GateClosedError(
                f"the primary region still answers at {settings.probe}, and two regions must never write at once; if it is to be "
                f"given up all the same, stop it first; {database_objections.FORCE}"
            )

    def _wait_until_ready(self) -> None:
        """Raises GateClosedError if backups or databases are not ready after the `preflight` timeout. A preview does not wait."""
        args, settings = self._args, self._args.settings
        schedules = [args.names.schedule(backup.name, peer_of(args.names.role)) for backup in in_order(settings.backups)]
        rpo = timedelta(seconds=settings.objectives.rpo_seconds)

        def objections() -> list[str]:
            databases = settings.databases
            return [
                *gate.objections(args.cluster, schedules),
                *database_objections.objections(args.cluster, args.archive, databases, rpo, force=settings.force),
            ]

        try:
            gate.wait_until_open(objections, seconds=0 if pulumi.runtime.is_dry_run() else settings.failover.seconds("preflight"))
        except ArchiveUnreadableError as error:
            raise gate.GateClosedError(f"{error}; {database_objections.FORCE}") from None
