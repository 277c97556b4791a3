"""PostgreSQL in both regions: CloudNativePG Clusters in a distributed topology, their archives, backups and promotion.

Each region archives to its own bucket under its own server name, and never writes the peer's archive. The standby follows the
primary's archive. Only `replica.primary`, hibernation, and the Job that confirms a promotion depend on `active`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pydantic import SecretStr

from components.database import specs
from components.database.adoption import Adoption
from components.database.specs import CREDENTIALS, LOST, DatabaseSide
from components.database.stopping import NotStoppedError, wait_until_stopped
from components.iam.access import Access
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.jobs import job
from components.kube.objects import ObjectWithStatus
from components.kube.pods import LABELS, ONLY_ADMISSION, outward_only
from settings.database import DatabaseSettings
from settings.names import EXCLUDED_FROM_BACKUP
from settings.roles import ROLES

_FAILED = ("failed", "invalid backup definition")
_CREATION_SECONDS = 3600
_FIRST_BACKUP_SECONDS, _PAUSE_SECONDS = 6 * 3600, 5.0


class DatabaseLostError(pulumi.RunError):
    """A database is not what it should be, and waiting does not help. The message has the operator's own reason."""


def judge_cluster(side: DatabaseSide, status: Mapping[str, Any] | None) -> str:
    """The Cluster's name. Raises DatabaseLostError, with the operator's reason, in a phase that says that something is wrong.

    `status` is from when the program last read the Cluster: one that has healed since needs a refresh.
    """
    settings, status = side.settings, status or {}
    if status.get("phase") not in LOST:
        return settings.name
    reason = status.get("phaseReason") or "the operator gives no reason"
    fix = f"pulumi up --refresh --run-program -s {side.names.role}"
    if side.database_role in ("replica", "recovered"):
        condition = (
            "if the standby was never made" if side.database_role == "replica" else "if its recovery never ended, and only then"
        )
        fix += f"; {condition}: kubectl delete cluster.postgresql.cnpg.io {settings.name} -n {settings.namespace} first"
    else:
        fix += "; do not delete the Cluster, its volumes would go with it"
    raise DatabaseLostError(f"database {settings.name}: {status['phase']}: {reason}. Once the cause is gone: {fix}")


def judge_first_backup(settings: DatabaseSettings, schedule: str, backups: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the first backup has ended, by the Backups that its schedule has made. Raises DatabaseLostError if it failed: no
    standby could be made from it.

    Where there is none any more, the plugin has deleted it after its retention.
    """
    backup = max(backups, key=lambda each: str(each["metadata"].get("creationTimestamp")), default=None)
    status = (backup or {}).get("status") or {}
    if backup is None or status.get("phase") == "completed":
        return True
    if status.get("phase") not in _FAILED:
        return False
    anew = (
        f"kubectl delete scheduledbackup.postgresql.cnpg.io/{schedule} backup.postgresql.cnpg.io/{backup['metadata']['name']} "
        f"-n {settings.namespace}, then pulumi up --refresh --run-program"
    )
    raise DatabaseLostError(
        f"database {settings.name}: its first backup ended {status['phase']}: {status.get('error') or 'no reason is given'}. "
        f"Once the cause is gone: {anew}"
    )


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """`password` is the owner's, the same in both regions: a promotion must not change it. `peer_ready` says that the peer's
    stack is deployed; before that there is no backup to wait for and nothing to follow. `before_creation` raises to refuse.
    `adoption` knows a Cluster that a killed `up` left behind. `give_up` makes room for a side that is made anew, by giving up the
    old one; it raises to refuse. `runs` says that the Cluster of this generation is there, and no earlier one of its side is
    being given up. `backups_of` returns the Backups that a ScheduledBackup of this name has made, and `live` the Cluster as it is
    now; either raises ClusterUnreachableError. `before_promotion` raises to refuse a promotion."""

    side: DatabaseSide
    password: SecretStr
    peer_ready: bool
    before_creation: Callable[[], None]
    adoption: Adoption
    give_up: Callable[[], None]
    runs: bool
    backups_of: Callable[[str], Sequence[Mapping[str, Any]]]
    live: Callable[[], Mapping[str, Any] | None]
    before_promotion: Callable[[], None] | None = None


class Database(pulumi.ComponentResource):
    """This region's side of a database: ObjectStores of both archives, the Cluster, base backups, and its promotion.

    For the application, which writes to `<name>-rw` in the region that serves. A `primary` takes writes. A `replica` follows the
    other region, and is made once there is a backup to make it from. A `promoted` side takes writes, and a Job confirms that. A
    `demoted` side gives its token and follows. A `fenced` side is stopped on its old data: it hibernates, or the guard has fenced
    it. A database without a standby is `absent` (all but the Cluster is made) until it is `recovered` from the archive, which a
    Job confirms too. The Cluster is protected until a person gives it up, and kept whatever happens to the stack: each generation
    is a resource of its own, so that the engine only lets go of an old one.
    """

    side: str
    """The side's role, or why there is no side yet."""

    writable: list[pulumi.Output[str]]
    """Outputs that whatever writes must wait for. Each fails with the operator's reason. Of a fenced side they are known once no
    client can connect any more."""

    confirmation: k8s.batch.v1.Job | None
    """The Job that succeeds when a promoted or recovered database accepts writes and archives them."""

    demotion: pulumi.Output[str] | None
    """The demotion token of a demoted side, once it has shut down; None for every other."""

    recovered_metadata: pulumi.Output[dict[str, Any]] | None
    """Metadata of the Cluster that a failover recovered; None for every other side, whose Cluster existed before."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:database:Database", name, None, opts)
        self._stem, self._args, self._settings = name, args, args.side.settings
        self.writable, self.confirmation, self.recovered_metadata, self.demotion = [], None, None, None
        can_be_made = args.peer_ready or args.side.begins_by_itself
        self.side = args.side.database_role if can_be_made else "none yet: set k8s-dr:peerReady to true"
        prerequisites = self._prerequisites() if can_be_made else []
        if can_be_made and args.side.database_role != "absent":
            cluster = self._cluster(prerequisites)
            self._backups_and_metrics(cluster)
            self.writable.append(cluster.status.apply(self._judged))
            if args.side.database_role == "demoted":
                self.demotion = cluster.status.apply(lambda status: str((status or {}).get("demotionToken") or ""))
            if args.side.database_role == "fenced":
                self.writable.append(cluster.metadata.apply(self._stopped))
            if args.side.database_role == "primary" and args.peer_ready:
                self.writable.append(self._first_backup(cluster))
            if args.side.database_role in ("promoted", "recovered"):
                self.confirmation = self._confirm(self.writable[0])
                self.recovered_metadata = cluster.metadata if args.side.database_role == "recovered" else None
        self.register_outputs({})

    async def _judged(self, status: Mapping[str, Any] | None) -> str:
        """As `judge_cluster`. The engine does not wait for a Cluster that it imports, so the program waits."""
        if self._args.adoption.left_behind and not pulumi.runtime.is_dry_run():
            try:
                status = await asyncio.to_thread(self._args.adoption.wait, self._creation_seconds)
                judged = judge_cluster(self._args.side, status)
                await asyncio.to_thread(self._args.adoption.end)
            except ClusterUnreachableError as error:
                raise DatabaseLostError(f"database {self._settings.name}: {error}; then pulumi up again") from None
            return judged
        return judge_cluster(self._args.side, status)

    async def _stopped(self, _: object) -> str:
        """The Cluster's name, once nothing in it accepts connections. Raises DatabaseLostError."""
        try:
            return (
                self._settings.name if pulumi.runtime.is_dry_run() else await wait_until_stopped(self._args.side, self._args.live)
            )
        except NotStoppedError as error:
            raise DatabaseLostError(f"database {self._settings.name}{error}") from None

    @property
    def _creation_seconds(self) -> int:
        side = self._args.side
        return side.recover_seconds if side.database_role == "recovered" else _CREATION_SECONDS

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _metadata(self, name: str, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self._settings.namespace, "labels": EXCLUDED_FROM_BACKUP}
        return {**metadata, "annotations": dict(annotations)} if annotations else metadata

    def _creation_check(self, resource: str) -> pulumi.ResourceHookBinding:
        """Hooks that call `before_creation` before the engine creates one resource."""

        def check(_: pulumi.ResourceHookArgs) -> None:
            self._args.before_creation()
            if resource == "cluster":
                self._args.give_up()
                self._args.adoption.begin()

        return pulumi.ResourceHookBinding(before_create=[pulumi.ResourceHook(f"{self._stem}-{resource}-creation-check", check)])

    def _ask_before_promotion(self, hook: pulumi.ResourceHookArgs) -> None:
        old, new = ((inputs or {}).get("spec", {}).get("replica") for inputs in (hook.old_inputs, hook.new_inputs))
        if old != new and self._args.before_promotion:
            self._args.before_promotion()

    def _prerequisites(self) -> list[pulumi.Resource]:
        """The owner's Secret and both archives. The plugin asks for every archive that a Cluster names before that may start."""
        settings = self._settings
        owner = k8s.core.v1.Secret(
            f"{self._stem}-owner",
            metadata=self._metadata(specs.owner_secret(settings)),
            type="kubernetes.io/basic-auth",
            string_data={
                "username": settings.owner,
                "password": pulumi.Output.secret(self._args.password.get_secret_value()),
            },
            opts=self._child(retain_on_delete=True, hooks=self._creation_check("owner")),
        )
        archives = [
            k8s.apiextensions.CustomResource(
                f"{self._stem}-archive-{role}",
                api_version="barmancloud.cnpg.io/v1",
                kind="ObjectStore",
                metadata=self._metadata(settings.member(role)),
                spec=specs.object_store(self._args.side, role),
                # The archives come after the owner, so that a refusal is told once and leaves nothing behind.
                opts=self._child(depends_on=[owner], retain_on_delete=True, hooks=self._creation_check(f"archive-{role}")),
            )
            for role in ROLES
        ]
        return [owner, *archives]

    def _cluster(self, prerequisites: Sequence[pulumi.Resource]) -> ObjectWithStatus:
        side, adoption = self._args.side, self._args.adoption

        def made(_: pulumi.ResourceHookArgs) -> None:
            adoption.end()

        promotion = pulumi.ResourceHook(f"{self._stem}-promotion", self._ask_before_promotion)
        return ObjectWithStatus(
            f"{self._stem}{side.stem}",
            api_version="postgresql.cnpg.io/v1",
            kind="Cluster",
            metadata=self._metadata(self._settings.name, specs.cluster_annotations(side)),
            spec=specs.cluster_spec(side),
            opts=pulumi.ResourceOptions.merge(
                self._child(
                    depends_on=list(prerequisites),
                    protect=not side.given_up,
                    retain_on_delete=True,
                    # The operator reads it once. What it says of a side that was made anew is no change of one that runs.
                    ignore_changes=["spec.bootstrap"],
                    # Before version 0.2.0 every generation had the name of the first. A state of that name beside a Cluster that
                    # a killed `up` has begun is of the generation that was given up, and begins otherwise.
                    aliases=[pulumi.Alias(name=self._stem)]
                    if side.stem and self._args.runs and not adoption.left_behind
                    else None,
                    hooks=pulumi.ResourceHookBinding(
                        before_create=self._creation_check("cluster").before_create,
                        after_create=[pulumi.ResourceHook(f"{self._stem}-made", made)],
                        before_update=[promotion] if side.database_role == "promoted" else [],
                    ),
                    custom_timeouts=pulumi.CustomTimeouts(create=f"{self._creation_seconds}s", update="15m"),
                ),
                adoption.options,
            ),
        )

    def _backups_and_metrics(self, cluster: pulumi.Resource) -> None:
        """The schedule of base backups and, where the cluster has a Prometheus operator, metrics."""
        settings = self._settings
        k8s.apiextensions.CustomResource(
            f"{self._stem}-backups{self._args.side.stem}",
            api_version="postgresql.cnpg.io/v1",
            kind="ScheduledBackup",
            # One of another name takes its first backup at once.
            metadata=self._metadata(f"{settings.name}{self._args.side.stem}"),
            spec=specs.scheduled_backup_spec(self._args.side),
            opts=self._child(depends_on=[cluster]),
        )
        if settings.pod_monitor:
            metadata = self._metadata(settings.name)
            k8s.apiextensions.CustomResource(
                f"{self._stem}-monitor",
                api_version="monitoring.coreos.com/v1",
                kind="PodMonitor",
                metadata={**metadata, "labels": {**self._args.side.monitor_labels, **metadata["labels"]}},
                spec=specs.pod_monitor_spec(settings),
                opts=self._child(depends_on=[cluster]),
            )

    def _first_backup(self, cluster: pulumi.Resource) -> pulumi.Output[str]:
        """The base backup that the standby is made from, as an output that is known once it has completed. Replication must run
        before: S3 copies nothing older than its rule."""
        name = f"{self._settings.name}-first-g{self._settings.generations.primary}"
        schedule = ObjectWithStatus(
            f"{self._stem}-first-backup",
            api_version="postgresql.cnpg.io/v1",
            kind="ScheduledBackup",
            # The status has a time once the operator has made the Backup.
            metadata=self._metadata(name, {"pulumi.com/waitFor": "jsonpath={.status.lastScheduleTime}"}),
            spec=specs.first_backup_spec(self._settings),
            # It is not retained when it leaves the stack: a primary that serves again makes one of the same name, and so takes
            # another backup. What it saved stays in the archive.
            opts=self._child(depends_on=[cluster]),
        )

        async def completed(_: object) -> str:
            deadline = time.monotonic() + _FIRST_BACKUP_SECONDS
            while not pulumi.runtime.is_dry_run() and not await asyncio.to_thread(self._first_backup_ended, name):
                if time.monotonic() > deadline:
                    raise DatabaseLostError(f"database {self._settings.name}: its first backup still runs; wait, then pulumi up")
                await asyncio.sleep(_PAUSE_SECONDS)
            return name

        return schedule.metadata.apply(completed)

    def _first_backup_ended(self, name: str) -> bool:
        try:
            return judge_first_backup(self._settings, name, self._args.backups_of(name))
        except ClusterUnreachableError as error:
            raise DatabaseLostError(
                f"database {self._settings.name}: whether its first backup has ended is not known: {error}; then pulumi up again"
            ) from None

    def _confirm(self, promoted: pulumi.Output[str]) -> k8s.batch.v1.Job:
        """The Job that confirms a promotion or recovery. It starts once `promoted`, the Cluster's own output, is known."""
        side = self._args.side
        confirmation = job(
            f"{self._stem}-promoted",
            specs.confirmation_job(side),
            self._child(ignore_changes=list(ONLY_ADMISSION)),
            seconds=side.promote_seconds,
            after=[promoted],
            namespace=self._settings.namespace,
        )
        self.writable.append(confirmation.metadata.apply(lambda metadata: str(metadata.name)))
        return confirmation


@dataclass(frozen=True, kw_only=True)
class DatabasesArgs:
    """`databases` are in the order of the settings. `access` is how their instances reach the archive."""

    databases: Sequence[DatabaseArgs]
    region: str
    access: Access = field(default_factory=Access)

    @property
    def sides(self) -> list[DatabaseSide]:
        return [each.side for each in self.databases]


class Databases(pulumi.ComponentResource):
    """Every database of one region, with their namespaces, a way out for the Jobs in them and, where pods can have no role, the
    archive's access keys."""

    by_name: dict[str, Database]

    def __init__(self, name: str, args: DatabasesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:database:Databases", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        self.by_name = {}
        prepared: dict[str, list[pulumi.Resource]] = {}
        for each in args.databases:
            settings = each.side.settings
            if settings.namespace not in prepared:
                prepared[settings.namespace] = self._namespace_and_credentials(name, settings.namespace, args)
            self.by_name[settings.name] = Database(
                f"{name}-{settings.name}", each, opts=child(depends_on=[*prepared[settings.namespace], *args.access.ready])
            )
        self.register_outputs({})

    def _namespace_and_credentials(self, name: str, namespace: str, args: DatabasesArgs) -> list[pulumi.Resource]:
        child = partial(pulumi.ResourceOptions, parent=self, retain_on_delete=True)
        resources: list[pulumi.Resource] = []
        databases = [each.side.settings for each in args.databases if each.side.settings.namespace == namespace]
        labels = args.databases[0].side.pods.namespace_labels
        if any(settings.create_namespace for settings in databases):
            resources.append(
                k8s.core.v1.Namespace(
                    f"{name}-namespace-{namespace}",
                    metadata={"name": namespace, **({"labels": labels} if labels else {})},
                    opts=child(protect=True),
                )
            )
        k8s.networking.v1.NetworkPolicy(
            f"{name}-network-{namespace}",
            metadata={"name": "k8s-dr-own-pods", "namespace": namespace, "labels": LABELS},
            spec=outward_only(),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(resources)),
        )
        if key := args.access.key:
            resources.append(
                k8s.core.v1.Secret(
                    f"{name}-credentials-{namespace}",
                    metadata={"name": CREDENTIALS, "namespace": namespace, "labels": EXCLUDED_FROM_BACKUP},
                    string_data={
                        **{field: pulumi.Output.secret(value) for field, value in key.secret_data().items()},
                        "region": args.region,
                    },
                    opts=child(depends_on=resources),
                )
            )
        return resources
