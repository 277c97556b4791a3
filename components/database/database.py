"""PostgreSQL in both regions: CloudNativePG Clusters in a distributed topology, their archives, backups and promotion.

Each region archives to its own bucket under its own server name, and never writes the peer's archive. The standby follows the
primary's archive. Only `replica.primary`, hibernation, and the Job that confirms a promotion depend on `active`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pydantic import SecretStr

from components.database import specs
from components.database.specs import CREDENTIALS, LOST, DatabaseSide
from components.iam.access import Access
from components.kube.jobs import job
from components.kube.objects import ObjectWithStatus, until_phase
from settings.database import DatabaseSettings
from settings.names import EXCLUDED_FROM_BACKUP
from settings.roles import ROLES

_BACKUP_ENDED = ("completed", "failed", "invalid backup definition")


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
    fix = f"pulumi up --refresh -s {side.names.role}"
    if side.database_role in ("replica", "recovered"):
        condition = (
            "if the standby was never made" if side.database_role == "replica" else "if its recovery never ended, and only then"
        )
        fix += f"; {condition}: kubectl delete cluster.postgresql.cnpg.io {settings.name} -n {settings.namespace} first"
    else:
        fix += "; do not delete the Cluster, its volumes would go with it"
    raise DatabaseLostError(f"database {settings.name}: {status['phase']}: {reason}. Once the cause is gone: {fix}")


def judge_backup(settings: DatabaseSettings, name: str, status: Mapping[str, Any] | None) -> str:
    """The Backup's name if it completed. Raises DatabaseLostError otherwise: no standby could be made from it."""
    status = status or {}
    if status.get("phase", "completed") != "completed":
        raise DatabaseLostError(
            f"database {settings.name}: its first backup ended {status['phase']}: {status.get('error') or 'no reason is given'}. "
            f"Once the cause is gone: kubectl delete backup.postgresql.cnpg.io {name} -n {settings.namespace}, then pulumi up "
            "--refresh"
        )
    return name


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """`password` is the owner's, the same in both regions: a promotion must not change it. `peer_ready` says that the peer's
    stack is deployed; before that there is no backup to wait for and nothing to follow. `before_creation` raises to refuse."""

    side: DatabaseSide
    password: SecretStr
    peer_ready: bool
    before_creation: Callable[[], None]


class Database(pulumi.ComponentResource):
    """This region's side of a database: ObjectStores of both archives, the Cluster, base backups, and its promotion.

    For the application, which writes to `<name>-rw` in the region that serves. A `primary` takes writes. A `replica` follows the
    primary, and is made once there is a backup to make it from. A `promoted` side takes writes, and a Job confirms that. A
    `fenced` side hibernates on its old data. A database without a standby is `absent` (all but the Cluster is made) until it is
    `recovered` from the archive, which a Job confirms too. The Cluster is protected, and kept whatever happens to the stack.
    """

    side: str
    """The side's role, or why there is no side yet."""

    writable: list[pulumi.Output[str]]
    """Outputs that whatever writes must wait for. Each fails with the operator's reason."""

    confirmation: k8s.batch.v1.Job | None
    """The Job that succeeds when a promoted or recovered database accepts writes and archives them."""

    recovered_metadata: pulumi.Output[dict[str, Any]] | None
    """Metadata of the Cluster that a failover recovered; None for every other side, whose Cluster existed before."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:database:Database", name, None, opts)
        self._stem, self._args, self._settings = name, args, args.side.settings
        self.writable, self.confirmation, self.recovered_metadata = [], None, None
        can_be_made = args.peer_ready or args.side.begins_by_itself
        self.side = args.side.database_role if can_be_made else "none yet: set k8s-dr:peerReady to true"
        prerequisites = self._prerequisites() if can_be_made else []
        if can_be_made and args.side.database_role != "absent":
            cluster = self._cluster(prerequisites)
            self._backups_and_metrics(cluster)
            self.writable.append(cluster.status.apply(partial(judge_cluster, self._args.side)))
            if args.side.database_role == "primary" and args.peer_ready:
                self.writable.append(self._first_backup(cluster))
            if args.side.database_role in ("promoted", "recovered"):
                self.confirmation = self._confirm(self.writable[0])
                self.recovered_metadata = cluster.metadata if args.side.database_role == "recovered" else None
        self.register_outputs({})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _metadata(self, name: str, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self._settings.namespace, "labels": EXCLUDED_FROM_BACKUP}
        return {**metadata, "annotations": dict(annotations)} if annotations else metadata

    def _creation_check(self, resource: str) -> pulumi.ResourceHookBinding:
        """Hooks that call `before_creation` before the engine creates one resource."""

        def check(_: pulumi.ResourceHookArgs) -> None:
            self._args.before_creation()

        return pulumi.ResourceHookBinding(before_create=[pulumi.ResourceHook(f"{self._stem}-{resource}-creation-check", check)])

    def _refuse_another_generation(self, hook: pulumi.ResourceHookArgs) -> None:
        """Raises DatabaseLostError if a running Cluster's server name changes: its WAL would go where no base backup is."""
        old, new = (
            inputs["spec"]["plugins"][0]["parameters"]["serverName"] for inputs in (hook.old_inputs, hook.new_inputs) if inputs
        )
        if old != new:
            raise DatabaseLostError(
                f"database {self._settings.name}: {old} runs, and cannot go on as {new}: a generation is raised only for a "
                "database that is made anew; set k8s-dr:databases[].generations back"
            )

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
        side = self._args.side
        same_server = pulumi.ResourceHook(
            f"{self._stem}-same-server", self._refuse_another_generation, pulumi.ResourceHookOptions(on_dry_run=True)
        )
        return ObjectWithStatus(
            self._stem,
            api_version="postgresql.cnpg.io/v1",
            kind="Cluster",
            metadata=self._metadata(self._settings.name, specs.cluster_annotations(side.database_role)),
            spec=specs.cluster_spec(side),
            opts=self._child(
                depends_on=list(prerequisites),
                protect=True,
                retain_on_delete=True,
                hooks=pulumi.ResourceHookBinding(
                    before_create=self._creation_check("cluster").before_create, before_update=[same_server]
                ),
                custom_timeouts=pulumi.CustomTimeouts(
                    create=f"{side.recover_seconds}s" if side.database_role == "recovered" else "60m", update="15m"
                ),
            ),
        )

    def _backups_and_metrics(self, cluster: pulumi.Resource) -> None:
        """The schedule of base backups and, where the cluster has a Prometheus operator, metrics."""
        settings = self._settings
        k8s.apiextensions.CustomResource(
            f"{self._stem}-backups",
            api_version="postgresql.cnpg.io/v1",
            kind="ScheduledBackup",
            metadata=self._metadata(settings.name),
            spec=specs.scheduled_backup_spec(self._args.side),
            opts=self._child(depends_on=[cluster]),
        )
        if settings.pod_monitor:
            k8s.apiextensions.CustomResource(
                f"{self._stem}-monitor",
                api_version="monitoring.coreos.com/v1",
                kind="PodMonitor",
                metadata=self._metadata(settings.name),
                spec=specs.pod_monitor_spec(settings),
                opts=self._child(depends_on=[cluster]),
            )

    def _first_backup(self, cluster: pulumi.Resource) -> pulumi.Output[str]:
        """The base backup that the standby is made from. Replication must run before: S3 copies nothing older than its rule."""
        settings = self._settings
        name = f"{settings.name}-first-g{settings.generations.primary}"
        backup = ObjectWithStatus(
            f"{self._stem}-first-backup",
            api_version="postgresql.cnpg.io/v1",
            kind="Backup",
            metadata=self._metadata(name, until_phase(_BACKUP_ENDED)),
            spec={**specs.backup_spec(settings), "target": "primary"},
            # The Backup is not retained when it leaves the stack: a primary that serves again makes one of the same name. What it
            # saved stays in the archive.
            opts=self._child(depends_on=[cluster], custom_timeouts=pulumi.CustomTimeouts(create="6h")),
        )
        return backup.status.apply(partial(judge_backup, settings, name))

    def _confirm(self, promoted: pulumi.Output[str]) -> k8s.batch.v1.Job:
        """The Job that confirms a promotion or recovery. It starts once `promoted`, the Cluster's own output, is known."""
        side = self._args.side
        confirmation = job(
            f"{self._stem}-promoted",
            specs.confirmation_job(side),
            self._child(),
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


class Databases(pulumi.ComponentResource):
    """Every database of one region, with their namespaces and, where pods can have no role, the archive's access keys."""

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
        if any(settings.create_namespace for settings in databases):
            resources.append(
                k8s.core.v1.Namespace(f"{name}-namespace-{namespace}", metadata={"name": namespace}, opts=child(protect=True))
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
