"""The settings of one PostgreSQL database, which has a side in each region: one side is written to, the other follows it."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from settings import capacity, nearly, postgresql
from settings.durations import format_duration, parse_duration
from settings.fields import (
    ClassName,
    CronWithSeconds,
    Duration,
    Label,
    Model,
    ServiceName,
    Switch,
    Whole,
    matching,
    two,
)
from settings.images import PostgresqlImage, postgresql_major
from settings.labels import LabelKey, LabelValue
from settings.mistake import Mistake
from settings.names import NEVER_RESTORED
from settings.roles import Role
from settings.sizes import Size, bytes_in
from settings.streaming import Streaming
from settings.volumes import Toleration, refuse_labels_of_one_node

_Retention = Annotated[
    str,
    matching(
        re.compile(r"[1-9]\d*[dwm]"),
        "a recovery window in days, weeks or months",
        "30d",
        "8w",
        units=("d", "w", "m"),
        nearly=nearly.retention,
    ),
]
_Identifier = Annotated[
    str,
    matching(
        re.compile(r"[a-z_][a-z0-9_]{0,62}"),
        "a PostgreSQL name in lower case",
        "app",
        "orders_2024",
        nearly=nearly.postgresql_name,
        most=63,
    ),
]
_DatabaseName = Annotated[
    str,
    matching(
        re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}"),
        "a name of a PostgreSQL database (letters, digits, _ and -)",
        "app",
        "orders-2024",
        nearly=nearly.postgresql_name,
        most=63,
    ),
]
"""CloudNativePG quotes it (pgx.Identifier, Sanitize, in initdb.go), so capitals and hyphens stay as they are."""
_Quantity = Annotated[
    str,
    two(
        matching(re.compile(r"(?!0*(\.0+)?m?$)(\d+(\.\d{1,3})?|\.\d{1,3}|\d+m)"), "a number of CPUs in quotes", '"2" or "500m"'),
        "2",
        "500m",
    ),
]
_RESERVED_DATABASES = ("postgres", "template0", "template1")
_RESERVED_ROLES = (
    "postgres",
    "streaming_replica",
    "cnpg_pooler_pgbouncer",
    "public",
    "none",
    "current_role",
    "current_user",
    "session_user",
)

LEAST_ARCHIVE_TIMEOUT = 10
"""Seconds. Each takes a segment of 16 MB, in two regions. PostgreSQL: "It is unwise to use a very short archive_timeout"."""


class Generations(Model):
    """A number for each side of a database, to be raised when that side is created anew.

    The number is part of the side's server name in the archive. A new database must not archive under the name of an old one: it
    would mix its WAL with the old one's.
    """

    primary: Whole = Field(default=1, ge=1, description="generation of the primary region's side")
    secondary: Whole = Field(default=1, ge=1, description="generation of the secondary region's side")

    def of(self, role: Role) -> int:
        return self.primary if role == "primary" else self.secondary


class Resources(Model):
    """CPU and memory of each instance. Memory request and limit are equal, so that Kubernetes evicts the instance last."""

    cpu: _Quantity = Field(default="2", description="CPUs requested")
    memory: Size = Field(default="8Gi", description="memory: request and limit alike")

    @property
    def mebibytes(self) -> int:
        return bytes_in(self.memory) >> 20


class DatabaseSettings(Model):
    """One database: a CloudNativePG Cluster in each region. One side is written to, the other is a replica that follows it."""

    name: ServiceName = Field(description="name of the CloudNativePG Cluster, the same in both regions")
    namespace: Label = Field(description="namespace of the Cluster")
    create_namespace: Switch = Field(default=True, description="false where something else creates the namespace")
    database: _DatabaseName = Field(default="app", description="name of the PostgreSQL database that is created in it")
    owner: _Identifier = Field(
        default="app",
        description="the PostgreSQL role that owns it; its password is in databasePasswords, the same in both regions",
    )
    instances: Whole = Field(
        default=3, ge=1, description="PostgreSQL instances in each region; one of the active region's is writable"
    )
    image: PostgresqlImage = Field(
        default="ghcr.io/cloudnative-pg/postgresql:18.4-system-trixie", description="image of PostgreSQL, used in both regions"
    )
    storage: Size = Field(default="100Gi", description="size of each instance's volume")
    wal_storage: Size | None = Field(
        default="20Gi",
        description="size of a separate volume for the WAL; null for none. A database that has one cannot lose it later",
    )
    storage_class: ClassName = Field(default="gp3-encrypted", description="StorageClass of the volumes, in both regions")
    resources: Resources = Field(default_factory=Resources, description="CPU and memory of each instance")
    anti_affinity: Literal["required", "preferred"] = Field(
        default="required",
        description="required: two instances never share a node, and zones hold equal numbers of them, give or take one; "
        "preferred: so only where the cluster has room",
    )
    node_selector: dict[LabelKey, LabelValue] | None = Field(
        default=None,
        description="labels of the nodes on which its instances run; by default pods.nodeSelector",
        examples=[{"pool": "databases"}, {"node.kubernetes.io/instance-type": "r7g.xlarge"}],
    )
    tolerations: list[Toleration] = Field(
        default=[],
        description="taints on which its instances run all the same, beside those of pods.tolerations",
        examples=[
            [{"key": "dedicated", "value": "database", "effect": "NoSchedule"}],
            [{"key": "dedicated", "operator": "Exists"}],
        ],
    )
    parameters: dict[str, str] = Field(
        default={},
        examples=[{"max_connections": "200"}, {"work_mem": "64MB", "shared_buffers": "2GB"}],
        description="PostgreSQL parameters (postgresql.conf), the same in both regions",
    )
    archive_timeout: Duration = Field(
        default="60s",
        description="longest time after which a WAL segment is archived although it is not full: without streaming, a failover "
        "loses up to this much",
    )
    checkpoint_timeout: Duration = Field(
        default="2m",
        description="longest time between checkpoints; just after a promotion, archiveTimeout may take this much longer",
    )
    wal_retrieve_retry_interval: Duration = Field(
        default="30s", description="how often the standby asks the archive for WAL that has not arrived yet"
    )
    retention: _Retention = Field(default="30d", description="how far back the archive can recover the database")
    backup_cron: CronWithSeconds = Field(
        default="0 0 3 * * *", description="when base backups are taken: six fields (seconds first), UTC"
    )
    standby: Switch = Field(
        default=True,
        description="whether a replica runs in the region that stands by; false (tier backup-restore sets it): there is none, "
        "and a failover recovers the database from its archive",
    )
    source: Literal["replica-bucket", "primary-bucket"] = Field(
        default="replica-bucket",
        description="where the standby reads the archive. replica-bucket: in its own region, where S3 replication copies it, so "
        "that a failover never waits for the dead region's S3; primary-bucket: in the primary region, which saves the delay of "
        "S3 replication",
    )
    replication: Literal["archive", "streaming"] = Field(
        default="archive",
        description="how changes reach the standby. archive: as WAL files in S3; streaming: by a PostgreSQL connection, with the "
        "archive as fallback",
    )
    streaming: Streaming | None = Field(
        default=None, description="hosts and certificates of the connection, with replication: streaming"
    )
    pod_monitor: Switch = Field(default=True, description="false where there is no Prometheus operator (no PodMonitor)")
    generations: Generations = Field(
        default_factory=Generations,
        description="a number for each region, raised when that region's side is created anew; part of its name in the archive",
    )

    @field_validator("name")
    @classmethod
    def _name_fits(cls, name: str) -> str:
        if len(name) > 40:
            raise ValueError("is longer than 40 characters, and the names of its parts are made from it; choose a shorter one")
        return name

    @field_validator("node_selector")
    @classmethod
    def _more_than_one_node_may_have_the_labels(cls, nodes: dict[str, str] | None) -> dict[str, str] | None:
        return nodes if nodes is None else refuse_labels_of_one_node(nodes, "no instance")

    @field_validator("namespace")
    @classmethod
    def _the_namespace_is_users_own(cls, namespace: str) -> str:
        if namespace in NEVER_RESTORED:
            raise ValueError("belongs to the cluster or to this program; write one of your own, as in databases")
        return namespace

    @model_validator(mode="after")
    def _the_namespace_can_be_created(self) -> DatabaseSettings:
        if self.namespace == "default" and self.create_namespace:
            text = "{} is in every cluster already, and creating it fails; write createNamespace: false, or another namespace"
            raise Mistake(text, self.namespace, at=("namespace",))
        return self

    @field_validator("database")
    @classmethod
    def _the_database_is_made_anew(cls, database: str) -> str:
        """CloudNativePG runs postInitApplicationSQL only where it creates the database (initdb.go): the right by which a
        promotion is confirmed."""
        if database in _RESERVED_DATABASES:
            raise ValueError("is in every PostgreSQL already, and CloudNativePG would not set it up; write one as in app")
        return database

    @field_validator("owner")
    @classmethod
    def _the_owner_is_an_ordinary_role(cls, owner: str) -> str:
        """CloudNativePG takes the password of `postgres` away in each reconciliation; PostgreSQL reserves pg_ (CREATE ROLE), and
        CloudNativePG cnpg_ (databaserole_types.go)."""
        if owner in _RESERVED_ROLES or owner.startswith(("pg_", "cnpg_")):
            raise ValueError("is a role of PostgreSQL or of CloudNativePG itself; write one as in app")
        return owner

    @model_validator(mode="after")
    def _parameters_can_be_set(self) -> DatabaseSettings:
        try:
            postgresql.check(self.parameters, postgresql_major(self.image))
        except Mistake as mistake:
            raise Mistake(mistake.text, *mistake.written, at=("parameters",)) from None
        return self

    @model_validator(mode="after")
    def _postgresql_takes_the_times(self) -> DatabaseSettings:
        """The limits of `pg_settings`, and a least value for archiveTimeout of our own."""
        for key, name, written in (
            ("archiveTimeout", "archive_timeout", self.archive_timeout),
            ("checkpointTimeout", "checkpoint_timeout", self.checkpoint_timeout),
            ("walRetrieveRetryInterval", "wal_retrieve_retry_interval", self.wal_retrieve_retry_interval),
        ):
            low, high = postgresql.seconds_between(name)
            least = LEAST_ARCHIVE_TIMEOUT if name == "archive_timeout" else max(1, math.ceil(low))
            if not least <= parse_duration(written).total_seconds() <= high:
                longest = format_duration(timedelta(seconds=math.floor(high)))
                why = "each archives 16 MB, in two regions" if name == "archive_timeout" else "PostgreSQL takes nothing else"
                text = (
                    f"{{}} is not between {format_duration(timedelta(seconds=least))} and {longest}, and {why}; "
                    "write one as in 2m"
                )
                raise Mistake(text, written, at=(key,))
        return self

    @model_validator(mode="after")
    def _it_fits_into_its_memory_and_its_volumes(self) -> DatabaseSettings:
        capacity.check(self)
        return self

    @model_validator(mode="after")
    def _replication_streaming_and_its_connection_go_together(self) -> DatabaseSettings:
        if self.replication == "archive" and self.streaming is not None:
            text = "is set while replication is archive; set replication: streaming, or take it out"
            raise Mistake(text, at=("streaming",))
        if self.replication == "streaming" and self.streaming is None:
            raise ValueError("has replication: streaming and no connection; add streaming: {hosts: …, certificates: …}")
        return self

    @model_validator(mode="after")
    def _a_database_without_a_standby_neither_streams_nor_reads_the_primarys_bucket(self) -> DatabaseSettings:
        if self.standby:
            return self
        if self.replication == "streaming":
            raise ValueError(
                "has replication: streaming and no standby to stream to (standby: false, as tier backup-restore sets it); take "
                "replication and streaming out, or set tier: warm-standby"
            )
        if self.source == "primary-bucket":
            raise ValueError(
                "has source: primary-bucket and no standby (standby: false, as tier backup-restore sets it): it would be "
                "recovered from the bucket of a dead region; take source out, or set tier: pilot-light"
            )
        return self

    def member(self, role: Role) -> str:
        """Name of the side in region `role`. Both regions use it for the ObjectStore, the external cluster and the topology."""
        return f"{self.name}-{role}"

    def server(self, role: Role) -> str:
        """Server name under which the side in region `role` archives, below the bucket's prefix. Each generation has its own."""
        return f"{self.member(role)}-g{self.generations.of(role)}"
