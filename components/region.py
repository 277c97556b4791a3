"""One region: its providers, its parts, and the order in which they may touch the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components import database_gate, gate
from components.access import Access
from components.archive import Archive, ArchiveUnreadableError, LiveArchive
from components.cluster_api import ClusterApi, ClusterUnreachableError, LiveCluster
from components.database import DatabaseArgs, DatabasesArgs
from components.database_specs import Half
from components.delivery import Delivery, DeliveryArgs
from components.etcd import Etcd, EtcdArgs
from components.failover import Failover, FailoverArgs
from components.identity import Identity, IdentityArgs
from components.operators import Operators, OperatorsArgs, refuse_uninstallable
from components.restores import SERVING_RECORD
from components.schedules import Schedules, SchedulesArgs
from components.storage import Storage, StorageArgs
from components.storage_class import StorageClass, StorageClassArgs
from components.traffic import Traffic, TrafficArgs
from components.velero import Velero, VeleroArgs
from components.workloads import Operator
from settings.database import Database
from settings.identity import Part
from settings.model import Aws, Settings
from settings.names import Names
from settings.roles import DatabaseRole, Role, duties, refusal


@dataclass(frozen=True, kw_only=True)
class RegionArgs:
    settings: Settings
    cluster: ClusterApi | None = None
    """Who is asked about the live cluster; by default the cluster that the settings name."""

    archive: Archive | None = None
    """Who is asked about the databases' archive in this region; by default the bucket."""

    flag: Callable[[], Role | None] | None = None
    """Who is asked what the traffic flag says; by default the object itself."""


class Region(pulumi.ComponentResource):
    """Everything of one region of the disaster-recovery system.

    For the platform team, one stack a region, and for whoever is on call. Active: its schedules run, it serves. Standby: it
    holds a copy of the other's backups and waits. Only what is below `Failover`, and the pause of the schedules, depends on
    `active`; all else was made long before a failover and is not touched by one.
    """

    def __init__(self, name: str, args: RegionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = self._settings = args.settings
        names = self._names = Names(topology=settings.topology, role=settings.role)
        refuse_stale_primary(settings, args.flag or partial(gate.read_flag, names, settings.aws))
        operators_args = OperatorsArgs(settings=settings.operators, images=settings.images)
        refuse_uninstallable(operators_args)
        super().__init__("dr:region:Region", name, None, opts)
        role = self._duties = duties(settings.role, settings.active)
        providers = self._make_providers()
        child = partial(pulumi.ResourceOptions, parent=self, providers=providers)

        storage = Storage(
            "storage",
            StorageArgs(
                names=names, settings=settings.storage, peer_ready=settings.peer_ready, plain_http=settings.aws.plain_http
            ),
            opts=child(),
        )
        traffic_args = TrafficArgs(names=names, dns=settings.dns, endpoint=settings.endpoint, plain_http=settings.aws.plain_http)
        traffic = Traffic("traffic", traffic_args, opts=child())
        cluster = args.cluster or LiveCluster(settings.cluster, settings.images.kubectl)
        access = self._access(cluster, child())
        velero = Velero(
            "velero",
            VeleroArgs(
                names=names,
                settings=settings.velero,
                images=settings.images,
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
        operator = Operator("operator", settings.images.kubectl, opts=child())
        if settings.backs_up_etcd:
            Etcd(
                "etcd",
                EtcdArgs(
                    names=names,
                    settings=settings.etcd,
                    cluster_name=settings.cluster.name,
                    images=settings.images,
                    bucket=storage.buckets["etcd"].bucket,
                    endpoint=settings.aws.endpoint,
                    access=access["etcd"],
                ),
                opts=child(),
            )
        operators = Operators("operators", operators_args, opts=child())
        storage_class = StorageClass(
            "storage-class",
            StorageClassArgs(settings=settings.storage_class, key_arn=storage.key_arn),
            opts=child(),
        )
        archive = args.archive or LiveArchive(names.bucket("database"), names.region, settings.aws)
        self._failover = Failover(
            "failover",
            FailoverArgs(
                settings=settings,
                names=names,
                duties=role,
                cluster=cluster,
                archive=archive,
                databases=self._databases(cluster, archive, access.get("database", Access())),
                traffic=traffic_args,
                flag_bucket=traffic.flag_bucket,
            ),
            opts=child(
                depends_on=[
                    *velero.ready,
                    operator,
                    *traffic.ready,
                    # A first backup needs replication to run. A failover must wait for no bucket configuration, whose control
                    # plane may be what is dead: the secondary needs the buckets alone.
                    *(storage.ready if settings.role == "primary" else storage.buckets.values()),
                    *operators.ready,
                    *storage_class.ready,
                ]
            ),
        )
        # Last: a schedule that resumes earlier would back up a region that is half restored.
        Schedules(
            "schedules",
            SchedulesArgs(names=names, backups=settings.backups, duties=role),
            opts=child(depends_on=[self._failover]),
        )
        # Read by the policy pack: where data may be, and whether a copy of them is to be expected.
        self.register_outputs({"region": names.region, "peerRegion": names.peer_region, "peerReady": settings.peer_ready})

    def _access(self, cluster: ClusterApi, opts: pulumi.ResourceOptions) -> dict[Part, Access]:
        """How each part in use reaches AWS. A failover must wait for no IAM, whose control plane may be what is dead."""
        settings = self._settings
        identity = Identity(
            "identity",
            IdentityArgs(
                names=self._names,
                mode=settings.identity or "pod-identity",
                cluster=settings.cluster,
                parts=settings.parts,
                databases=settings.databases,
                static_credentials=settings.static_credentials,
                taking_over=partial(self._taking_over, cluster),
            ),
            opts=opts,
        )
        if self._duties.takes_over:
            return {part: replace(access, ready=()) for part, access in identity.access.items()}
        return identity.access

    def _taking_over(self, cluster: ClusterApi) -> bool:
        """Whether the region is to serve and does not yet: in the `up` of a failover, and in the next if that one stopped."""
        if not self._duties.takes_over:
            return False
        try:
            return cluster.read_record(SERVING_RECORD) is None
        except ClusterUnreachableError:
            return True

    def _databases(self, cluster: ClusterApi, archive: Archive, access: Access) -> DatabasesArgs:
        settings, names = self._settings, self._names

        def refuse(database: Database) -> None:
            source: Archive | None = archive if self._half_of(database) != "absent" else None
            if names.role == "secondary" and database.source == "primary-bucket":
                source = LiveArchive(names.peer_bucket("database"), names.peer_region, settings.aws)
            try:
                reason = database_gate.objection_to_creation(cluster, archive, source, database, names.role)
            except (ArchiveUnreadableError, ClusterUnreachableError) as error:
                reason = f"database {database.name} cannot be made: {error}"
            if reason:
                raise gate.GateClosedError(reason)

        return DatabasesArgs(
            databases=[
                DatabaseArgs(
                    half=Half(
                        names=names,
                        settings=database,
                        role=self._half_of(database),
                        endpoint=settings.aws.endpoint,
                        role_arn=access.role_arn,
                        static_credentials=access.key is not None,
                        promote_seconds=settings.failover.seconds("promote"),
                        recover_seconds=settings.failover.seconds("recover"),
                    ),
                    password=settings.database_passwords[database.name],
                    peer_ready=settings.peer_ready,
                    before_creation=partial(refuse, database),
                )
                for database in settings.databases
            ],
            region=names.region,
            access=access,
        )

    def _half_of(self, database: Database) -> DatabaseRole:
        return self._duties.half_of(standby=database.standby)

    def _make_providers(self) -> list[pulumi.ProviderResource]:
        """One explicit provider each, so that no ambient context or region is ever used by accident."""
        child = pulumi.ResourceOptions(parent=self)
        cluster = self._settings.cluster
        return [
            k8s.Provider(
                "kubernetes",
                context=cluster.context,
                kubeconfig=cluster.kubeconfig,
                cluster_identifier=cluster.name,
                enable_server_side_apply=True,
                # A rotated key or password else replaces a Secret that is kept when it is deleted: "already exists".
                enable_secret_mutable=True,
                opts=child,
            ),
            aws.Provider(
                "aws",
                region=self._names.region,
                profile=self._settings.aws.profile,
                allowed_account_ids=[self._settings.topology.account_id],
                default_tags={"tags": self._names.tags},
                opts=child,
                **_custom_endpoint(self._settings.aws),
            ),
        ]

    def outputs(self) -> dict[str, pulumi.Input[Any]]:
        """What `pulumi up` prints at the end: who is active, where traffic goes, what protects what, what to do next."""
        settings, names = self._settings, self._names
        return {
            "active": settings.serving_role,
            "serving": self._failover.since.apply(self._serving),
            "protected": [
                {
                    "namespaces": ", ".join(backup.include) or f"all but {', '.join(backup.exclude)}".removesuffix(" but "),
                    "schedule": names.schedule(backup.name, settings.role),
                    "cron": backup.cron,
                    "keep": backup.keep,
                    "runs": not self._duties.schedules_paused,
                    "copy": f"s3://{names.peer_bucket('velero')}/{names.velero_prefix(settings.role)}"
                    if settings.peer_ready
                    else "none: set k8s-dr:peerReady to true",
                }
                for backup in settings.backups
            ],
            "databases": self._failover.databases,
            "targets": settings.objectives.model_dump(by_alias=True),
            "failover": self._failover.timeline,
            "next": self._next(),
        }

    def _serving(self, since: str | None) -> dict[str, Any]:
        settings, names = self._settings, self._names
        endpoint = settings.endpoint if isinstance(settings.endpoint, str) else settings.endpoint.name
        both = settings.dns.both_serve and settings.serving_role == "primary"
        also = {"also": names.topology.regions.secondary} if both else {}
        if self._duties.serves:
            return {"region": names.region, **also, "since": since, "names": settings.dns.names, "endpoint": endpoint}
        return {"region": names.peer_region, **also, "names": settings.dns.names}

    def _next(self) -> str:
        """One line for whoever reads it at 3 a.m."""
        role, active = self._settings.role, self._settings.serving_role
        flip = "pulumi config set active secondary -s secondary && pulumi up -s secondary"
        if self._settings.force:
            return f"force is set, and the gate asks less: pulumi config rm force -s {role}"
        if not self._settings.peer_ready:
            return "no backup leaves this region: once the other stack is up set k8s-dr:peerReady to true, then pulumi up"
        if active == "primary":
            return f"if {self._names.topology.regions.primary} is lost: {flip}"
        if role == "secondary":
            wait = 30 + self._settings.dns.ttl
            return (
                f"users arrive within {wait} s (health checks 30 s, DNS {self._settings.dns.ttl} s); when the primary comes "
                "back, before anything else: pulumi config set active secondary -s primary && pulumi up -s primary"
            )
        return "this region stands by; the secondary serves"


def refuse_stale_primary(settings: Settings, flag: Callable[[], Role | None]) -> None:
    """A primary that comes back from the dead is stopped before anything is registered: its standby has taken over.

    Asked in every run, for nothing in its configuration has changed. A preview may run with a role that reads no flag.
    """
    if settings.role != "primary" or settings.serving_role != "primary":
        return
    try:
        reason = refusal(settings.role, settings.active, flag())
    except gate.FlagUnreadableError as error:
        if not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"k8s-dr:active: {error}") from None
        pulumi.log.warn(f"{error}: whether the other region has taken over was not checked")
        return
    if reason:
        raise pulumi.RunError(f"k8s-dr:active: primary: {reason}")


def _custom_endpoint(settings: Aws) -> dict[str, Any]:
    """An AWS-compatible endpoint in place of AWS: one URL for every service that the program uses."""
    if not settings.endpoint:
        return {}
    services = ("eks", "iam", "kms", "route53", "s3", "sts")
    return {
        "endpoints": [dict.fromkeys(services, settings.endpoint)],
        "s3_use_path_style": True,
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
    }
