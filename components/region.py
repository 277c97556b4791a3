"""One region: its parts, and the order in which the program makes and changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import pulumi

from components.database import freshness
from components.database.adoption import Adoption, begun
from components.database.archive import Archive, LiveArchive
from components.database.creation import refuse_creation
from components.database.database import DatabaseArgs, DatabasesArgs
from components.database.freshness import Freshness, FreshnessArgs
from components.database.giving_up import give_up
from components.database.live import is_there, live_databases, settings_as_they_run
from components.database.side_role import role_now
from components.database.specs import DatabaseSide
from components.drills import pods as drill_pods
from components.drills.drills import Drills
from components.drills.records import LiveRecords, Records
from components.etcd import backup as etcd
from components.etcd.backup import EtcdBackup, EtcdBackupArgs
from components.failover import guard_specs, questions
from components.failover.ahead import Ahead
from components.failover.duties import duties_now, refuse_second_writer
from components.failover.failover import Failover, FailoverArgs
from components.failover.gate import begins_to_serve
from components.failover.guard import Guard
from components.failover.handover import refuse_false_receipt
from components.failover.questions import Primary
from components.failover.stopped import overrule, stopped_by_guard, was_overruled
from components.iam.access import Access
from components.iam.delivery import Delivery, DeliveryArgs
from components.iam.identity import Identity, IdentityArgs
from components.iam.permissions import ServiceAccount
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError, LiveCluster
from components.kube.job_runner import JobRunner
from components.kube.runner.flag import Flag
from components.kube.this_cluster import ThisCluster, find_this_cluster
from components.monitoring.alarms import Alarms, AlarmsArgs
from components.monitoring.health_alarms import HealthAlarms, HealthAlarmsArgs
from components.monitoring.heartbeats import Heartbeats, HeartbeatsArgs
from components.monitoring.monitoring import Monitoring, MonitoringArgs
from components.operators.operators import Operators, OperatorsArgs, planned
from components.outputs import outputs
from components.providers import make_providers
from components.runbook.runbook import Runbook, RunbookArgs
from components.stale_primary import refuse_stale_primary, refuse_to_give_up_alone
from components.storage.backup_buckets import BackupBuckets, BackupBucketsArgs
from components.storage.storage_class import StorageClass, StorageClassArgs
from components.traffic.flag_object import FlagUnreadableError, read_flag
from components.traffic.records import Traffic, TrafficArgs
from components.tried_by_day import TriedByDay, TriedByDayArgs
from components.velero import specs as velero_specs
from components.velero.files import BackupFiles, LiveBackupFiles
from components.velero.schedules import Schedules, SchedulesArgs
from components.velero.velero import Velero, VeleroArgs
from settings.database import DatabaseSettings
from settings.model import Settings
from settings.names import Names
from settings.parts import Part
from settings.roles import DatabaseRole, Role, peer_of


@dataclass(frozen=True, kw_only=True)
class RegionArgs:
    settings: Settings
    cluster: ClusterApi | None = None
    """Answers questions about the live cluster; by default, the cluster that the settings name answers itself."""

    archive: Archive | None = None
    """Answers questions about this region's database archive; by default, from the bucket."""

    flag: Callable[[], Flag | None] | None = None
    """Reads the traffic flag; by default, from its object in S3. It returns None while there is no flag to read."""

    files: Callable[[Role], BackupFiles] | None = None
    """Reads what Velero wrote beside the backups of a region, in this region's bucket; by default, from the bucket."""

    not_copied: Callable[[], Sequence[str]] | None = None
    """What S3 has failed to copy to the peer, a line each; by default, as the region's own buckets say."""

    unseen: Callable[[Mapping[str, str]], Sequence[str]] | None = None
    """What Route 53's checkers cannot read, a line each, by the ids of health checks; by default, Route 53 is asked."""

    tries_in_previews: bool = False
    """Whether a preview, too, asks what each `up` asks by day of the failover to come."""

    records: Records | None = None
    """Reads the records of this region's drills; by default, from the bucket."""


class Region(pulumi.ComponentResource):
    """Everything that one stack provisions: one region of the disaster-recovery system.

    For the platform team, and for whoever is on call. The active region serves users, and its schedules run. The standby holds a
    copy of the peer's backups and waits. Only what is below `Failover`, and the pause of the schedules, depends on `active`.
    Everything else is made long before a failover, and a failover does not touch it.
    """

    def __init__(self, name: str, args: RegionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, names = args.settings, Names(topology=args.settings.topology, role=args.settings.role)
        cluster = args.cluster or LiveCluster(settings.cluster, settings.images.python, settings.pods)
        archive = args.archive or LiveArchive(names.bucket("database"), names.region, settings.aws)
        this_cluster = find_this_cluster(settings, names, cluster)
        self._cluster = cluster
        with this_cluster.before_any_refusal():
            self._names, self._live = names, live_databases(cluster, settings)
            self._duties = duties_now(settings, cluster, archive, self._live)
            settings = self._settings = settings_as_they_run(settings, self._live, self._duties)
            stopped = cache(partial(stopped_by_guard, cluster, self._duties))
            read = args.flag or partial(read_flag, names, settings.aws)
            self._flag = flag = cache(read)
            overruled = refuse_stale_primary(settings, self._live, flag, stopped)
            refuse_to_give_up_alone(settings, self._live, flag)
            refuse_second_writer(settings, cluster, self._duties, self._live)
            refuse_false_receipt(settings, cluster)
        primary = self._ask_primary_ahead(this_cluster)
        installations = planned(settings.operators, settings.images, pods=settings.pods)
        compare = pulumi.ResourceHook(f"{name}-cluster", this_cluster.compare, pulumi.ResourceHookOptions(on_dry_run=True))
        before = pulumi.ResourceHookBinding(before_create=[compare], before_update=[compare])
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(hooks=before))
        super().__init__("dr:region:Region", name, this_cluster.inputs, pulumi.ResourceOptions.merge(opts, this_cluster.options))
        self._stopped = found.which if (found := stopped()) else None
        providers = make_providers(settings, names, parent=self)
        child = partial(pulumi.ResourceOptions, parent=self, providers=providers)

        storage = BackupBuckets(
            "storage",
            BackupBucketsArgs(
                names=names,
                settings=settings.storage,
                peer_ready=settings.peer_ready,
                drill_days=settings.drills.keep_days,
                plain_http=settings.aws.plain_http,
                permissions_boundary=settings.aws.permissions_boundary,
            ),
            opts=child(),
        )
        traffic_args = TrafficArgs(names=names, dns=settings.dns, endpoint=settings.endpoint, plain_http=settings.aws.plain_http)
        traffic = Traffic("traffic", traffic_args, opts=child())
        access = self._access(cluster, child())
        velero = Velero(
            "velero",
            VeleroArgs(
                names=names,
                settings=settings.velero,
                images=settings.images,
                pods=settings.pods,
                bucket=storage.buckets["velero"].bucket,
                bucket_ready=[storage.buckets["velero"]],
                repository_password=settings.backup_encryption_password,
                access=access.get("velero", Access()),
                endpoint=settings.aws.endpoint,
                locked=settings.storage.object_lock is not None,
            ),
            opts=child(),
        )
        if settings.delivery is not None:
            Delivery("delivery", DeliveryArgs(names=names, settings=settings, delivery=settings.delivery), opts=child())
        through_the_api = any(workload.check and workload.check.via == "api-server" for workload in settings.workloads)
        job_runner = JobRunner(
            "job-runner", settings.images.python, opts=child(), pods=settings.pods, through_the_api=through_the_api
        )
        this_cluster.record("cluster", child(depends_on=[job_runner]))
        Runbook(
            "runbook",
            RunbookArgs(
                settings=args.settings,
                bucket=storage.buckets["velero"].bucket,
                bucket_ready=[storage.buckets["velero"]],
            ),
            opts=child(depends_on=[job_runner]),
        )
        if settings.backs_up_etcd:
            EtcdBackup(
                "etcd",
                EtcdBackupArgs(
                    names=names,
                    settings=settings.etcd,
                    cluster_name=settings.cluster.name,
                    images=settings.images,
                    pods=settings.pods,
                    bucket=storage.buckets["etcd"].bucket,
                    endpoint=settings.aws.endpoint,
                    access=access["etcd"],
                ),
                opts=child(),
            )
        charts = OperatorsArgs(installations=installations, namespace_labels=settings.pods.namespace_labels)
        operators = Operators("operators", charts, opts=child())
        storage_class = StorageClass(
            "storage-class",
            StorageClassArgs(settings=settings.storage_class, key_arn=storage.key_arn),
            opts=child(),
        )
        files = args.files or partial(LiveBackupFiles, names, settings.aws)
        databases = self._databases(cluster, archive, access.get("database", Access()))
        schedules = SchedulesArgs(
            names=names,
            backups=settings.backups,
            duties=self._duties,
            volumes=settings.velero.volumes,
            stopped=self._stopped,
        )
        self._failover = Failover(
            "failover",
            FailoverArgs(
                settings=settings,
                names=names,
                duties=self._duties,
                cluster=cluster,
                this_cluster=this_cluster,
                runner=job_runner.runner,
                archive=archive,
                files=files(peer_of(settings.role)),
                own_files=files(settings.role),
                databases=databases,
                traffic=traffic_args,
                flag_bucket=traffic.flag_bucket,
                read_flag=read,
                primary=primary,
                stopped=self._stopped,
                overrule=partial(overrule, cluster, overruled) if overruled else None,
                pause_schedules=lambda after: Schedules("schedules", schedules, opts=child(depends_on=after)),
            ),
            opts=child(
                depends_on=[
                    *velero.ready,
                    job_runner,
                    *traffic.ready,
                    # A database's first backup needs replication to run. A failover must not wait for bucket configuration,
                    # whose control plane may be down: the secondary waits for the buckets alone.
                    *(storage.ready if settings.role == "primary" else storage.buckets.values()),
                    *operators.ready,
                    *storage_class.ready,
                ]
            ),
        )
        if settings.databases:
            # After the databases: a generation that they refuse must not be marked as theirs.
            Freshness(
                "freshness",
                FreshnessArgs(
                    names=names,
                    servers=[database.server(settings.role) for database in settings.databases],
                    probe=settings.probe if settings.role == "secondary" else None,
                    image=settings.images.aws_cli,
                    pods=settings.pods,
                    endpoint=settings.aws.endpoint,
                    access=access["freshness"],
                ),
                opts=child(depends_on=[job_runner, self._failover]),
            )
        if settings.guarded:
            after = [job_runner, velero, self._failover]
            looks = guard_specs.GuardArgs(
                names=names, settings=settings, runner=job_runner.runner, access=access["guard"], after=after
            )
            Guard("guard", looks, opts=child(depends_on=after))
        if settings.drilled:
            needed: list[pulumi.Resource] = [job_runner, velero, *operators.ready]
            drilled = drill_pods.DrillsArgs(
                names=names,
                settings=settings,
                runner=job_runner.runner,
                access=access["drills"],
                cluster_access=access.get("drill-database", Access()),
                after=needed,
            )
            Drills("drills", drilled, opts=child(depends_on=needed))
        if settings.monitoring.enabled:
            # Of the settings as a person wrote them, and not as they run: a flip must change nothing of it.
            Monitoring("monitoring", MonitoringArgs(names=names, settings=args.settings), opts=child(depends_on=[job_runner]))
        if settings.monitoring.alarms and settings.peer_ready:
            Alarms("alarms", AlarmsArgs(names=names, topic=settings.monitoring.alarms.of(settings.role)), opts=child())
        if topic := settings.monitoring.health_check_alarms:
            checks = HealthAlarmsArgs(
                names=names,
                topic=topic,
                record=traffic.record_check,
                endpoint=traffic.checks.get("endpoint"),
                asks_for_the_flag=settings.role == "primary" and settings.peer_ready,
            )
            # Whatever of them is still to be made or changed asks us-east-1: not before users are where they shall be.
            HealthAlarms("health-alarms", checks, opts=child(depends_on=[self._failover]))
        if any(settings.receivers.heartbeats.of_jobs()):
            beats = HeartbeatsArgs(names=names, settings=args.settings, runner=job_runner.runner)
            # The namespaces of databases and of Velero must be there, in which it may look.
            Heartbeats("heartbeats", beats, opts=child(depends_on=[job_runner, velero, self._failover]))
        tried = TriedByDay(
            self,
            TriedByDayArgs(
                settings=settings,
                names=names,
                duties=self._duties,
                cluster=cluster,
                archive=archive,
                files=files,
                flag=read,
                sides=databases.sides,
                failover=self._failover,
                runner_ready=job_runner.ready,
                storage_ready=storage.ready,
                checks=traffic.checks,
                not_copied=args.not_copied,
                unseen=args.unseen,
                in_previews=args.tries_in_previews,
                records=args.records or LiveRecords(names, settings.aws),
            ),
        )
        tried.begin()
        self._drills, self._follows = tried.drills(), tried.follows()
        if not self._duties.hands_over:
            # Schedules come last: one that resumes earlier would back up a region that is half restored.
            Schedules("schedules", schedules, opts=child(depends_on=[self._failover]))
        # The policy pack reads these: in which regions data may be, and whether the peer must hold a copy of them.
        self.register_outputs({"region": names.region, "peerRegion": names.peer_region, "peerReady": settings.peer_ready})

    def _ask_primary_ahead(self, this_cluster: ThisCluster) -> Ahead[Primary] | None:
        """Begin to ask the primary, in the `up` of a failover: its silence has to last longer than the program registers."""
        settings, cluster, duties = self._settings, self._cluster, self._duties
        if pulumi.runtime.is_dry_run() or not settings.databases or settings.token or not duties.restores:
            return None
        if not begins_to_serve(cluster, duties):
            return None
        return Ahead(partial(questions.ask_primary, cluster, settings), own=this_cluster.surely_own)

    def _access(self, cluster: ClusterApi, opts: pulumi.ResourceOptions) -> dict[Part, Access]:
        """How each part in use reaches AWS. In a region that takes over, nothing waits for IAM: its control plane may be down."""
        settings = self._settings
        identity = Identity(
            "identity",
            IdentityArgs(
                names=self._names,
                mode=settings.identity_mode,
                cluster=settings.cluster,
                parts=settings.parts,
                accounts={
                    "velero": [velero_specs.SERVICE_ACCOUNT],
                    "database": [ServiceAccount(database.namespace, database.name) for database in settings.databases],
                    "etcd": [etcd.SERVICE_ACCOUNT],
                    "freshness": [freshness.SERVICE_ACCOUNT],
                    "guard": [guard_specs.SERVICE_ACCOUNT],
                    "drills": drill_pods.accounts(),
                    "drill-database": drill_pods.cluster_accounts(),
                },
                reads_peer_archive=any(database.source == "primary-bucket" for database in settings.databases),
                static_credentials=settings.static_credentials,
                permissions_boundary=settings.aws.permissions_boundary,
                taking_over=partial(begins_to_serve, cluster, self._duties),
            ),
            opts=opts,
        )
        if self._duties.takes_over:
            return {part: replace(access, ready=()) for part, access in identity.access.items()}
        return identity.access

    def _databases(self, cluster: ClusterApi, archive: Archive, access: Access) -> DatabasesArgs:
        settings, names = self._settings, self._names
        unfinished = begun(cluster) if settings.databases else ()
        sides = [
            DatabaseSide(
                names=names,
                settings=database,
                database_role=self._role_of(database),
                endpoint=settings.aws.endpoint,
                role_arn=access.role_arn,
                static_credentials=access.key is not None,
                promote_seconds=settings.failover.seconds("promote"),
                recover_seconds=settings.failover.seconds("recover"),
                stopped=self._stopped,
                # A database that is recovered replays its source's WAL to the end, and is nobody's replica.
                token=settings.token.databases.get(database.name)
                if settings.token and self._role_of(database) == "promoted"
                else None,
                given_up=database.server(settings.role) in settings.given_up,
                monitor_labels=settings.monitoring.labels,
                pods=settings.pods,
            )
            for database in settings.databases
        ]
        return DatabasesArgs(
            databases=[
                DatabaseArgs(
                    side=side,
                    password=settings.database_passwords[database.name],
                    peer_ready=settings.peer_ready,
                    before_creation=partial(
                        refuse_creation,
                        database,
                        self._role_of(database),
                        names,
                        cluster,
                        archive,
                        settings.aws,
                        force=settings.force,
                    ),
                    adoption=Adoption(cluster, side, unfinished),
                    give_up=partial(give_up, cluster, side, settings.given_up),
                    runs=is_there(side, self._live)
                    and not any(server.rpartition("-g")[0] == database.member(settings.role) for server in settings.given_up),
                    backups_of=partial(cluster.list_base_backups, database.namespace),
                    live=partial(cluster.read_database, database.namespace, database.name),
                )
                for database, side in zip(settings.databases, sides, strict=True)
            ],
            region=names.region,
            access=access,
        )

    def _role_of(self, database: DatabaseSettings) -> DatabaseRole:
        return role_now(database, self._settings.role, self._duties, self._live.get(database.name))

    def outputs(self) -> dict[str, pulumi.Input[Any]]:
        """The stack's outputs: what people read after `pulumi up`."""
        return outputs(
            self._settings, self._names, self._duties, self._failover, self._drills, self._follows, flag=self._flag_names
        )

    @property
    def _flag_names(self) -> Role | None:
        """Whom the traffic flag sends users to, as the primary sees it. None where nobody knows: it cannot be read, or it is of a
        time before somebody made the primary serve by force."""
        try:
            flag = self._flag() if self._settings.role == "primary" else None
            if flag is None or (flag.active == "secondary" and was_overruled(self._cluster, flag.written)):
                return None
        except (FlagUnreadableError, ClusterUnreachableError):
            return None
        return flag.active
