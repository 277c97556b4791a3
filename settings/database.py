"""The settings of one PostgreSQL database, which has a side in each region: one side is written to, the other follows it."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from settings.durations import parse_duration
from settings.fields import CronWithSeconds, Duration, HostName, Label, Model, Switch, Whole, matching
from settings.mistake import Mistake
from settings.roles import Role

Size = Annotated[str, matching(re.compile(r"[1-9]\d*(Ki|Mi|Gi|Ti)"), "a size", "100Gi")]
_Image = Annotated[
    str, matching(re.compile(r"[^\s@]+:(?!latest$)[\w][\w.-]*"), "an image with a tag that says its version", "postgresql:18.4")
]
_Retention = Annotated[str, matching(re.compile(r"[1-9]\d*[dwm]"), "a recovery window in days, weeks or months", "30d")]
_Identifier = Annotated[str, matching(re.compile(r"[a-z_][a-z0-9_]{0,62}"), "a PostgreSQL name in lower case", "app")]
_Quantity = Annotated[str, matching(re.compile(r"\d+(\.\d+)?m?"), "a number of CPUs in quotes", '"2" or "500m"')]

# A person must not set these PostgreSQL parameters: CloudNativePG sets the first group itself, and each of the second has a key.
_NOT_TO_SET = {"archive_mode", "archive_command", "restore_command", "primary_conninfo", "synchronous_standby_names"}
_KEYS_OF_THEIR_OWN = {
    "archive_timeout": "archiveTimeout",
    "checkpoint_timeout": "checkpointTimeout",
    "wal_retrieve_retry_interval": "walRetrieveRetryInterval",
}


class Generations(Model):
    """A number for each side of a database, to be raised when that side is created anew.

    The number is part of the side's server name in the archive. A new database must not archive under the name of an old one: it
    would mix its WAL with the old one's.
    """

    primary: Whole = Field(default=1, ge=1, description="generation of the primary region's side")
    secondary: Whole = Field(default=1, ge=1, description="generation of the secondary region's side")

    def of(self, role: Role) -> int:
        return self.primary if role == "primary" else self.secondary


class Hosts(Model):
    """The host names by which each region reaches the other region's primary instance."""

    primary: HostName = Field(description="host name of the primary region's replication endpoint")
    secondary: HostName = Field(description="host name of the secondary region's replication endpoint")

    def of(self, role: Role) -> str:
        return self.primary if role == "primary" else self.secondary


class Certificates(Model):
    """Names of Secrets in the database's namespace, which hold the TLS certificates of a streaming connection.

    One authority must sign them in both regions. The certificates that each CloudNativePG operator makes by itself do not serve:
    the other region does not trust their authority, and they rotate every 90 days.
    """

    server: Label = Field(description="TLS Secret of the PostgreSQL server; its certificate must be valid for both hosts")
    server_ca: Label = Field(description="Secret with the ca.crt that signed the server's certificate")
    client_ca: Label = Field(description="Secret with the ca.crt that signs client certificates")
    replication: Label = Field(description="TLS Secret of the PostgreSQL user streaming_replica, by which the standby logs in")


class Streaming(Model):
    """The PostgreSQL connection of `replication: streaming`. The standby falls back to the archive where it breaks."""

    hosts: Hosts = Field(
        description="host names by which the regions reach each other's primary instance, over VPC peering or a transit gateway"
    )
    certificates: Certificates = Field(description="TLS certificates of both ends, signed by one authority")
    service_annotations: dict[str, str] = Field(
        default={"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"},
        min_length=1,
        description="annotations of the Service whose load balancer accepts the connection; they must keep it off the internet "
        "and can give it its host name",
    )


class Resources(Model):
    """CPU and memory of each instance. Memory request and limit are equal, so that Kubernetes evicts the instance last."""

    cpu: _Quantity = Field(default="2", description="CPUs requested")
    memory: Size = Field(default="8Gi", description="memory: request and limit alike")

    @property
    def mebibytes(self) -> int:
        return int(self.memory[:-2]) << 10 * ("Ki", "Mi", "Gi", "Ti").index(self.memory[-2:]) >> 10


class DatabaseSettings(Model):
    """One database: a CloudNativePG Cluster in each region. One side is written to, the other is a replica that follows it."""

    name: Label = Field(description="name of the CloudNativePG Cluster, the same in both regions")
    namespace: Label = Field(description="namespace of the Cluster")
    create_namespace: Switch = Field(default=True, description="false where something else creates the namespace")
    database: _Identifier = Field(default="app", description="name of the PostgreSQL database that is created in it")
    owner: _Identifier = Field(
        default="app",
        description="the PostgreSQL role that owns it; its password is in databasePasswords, the same in both regions",
    )
    instances: Whole = Field(
        default=3, ge=1, description="PostgreSQL instances in each region; one of the active region's is writable"
    )
    image: _Image = Field(
        default="ghcr.io/cloudnative-pg/postgresql:18.4-system-trixie", description="image of PostgreSQL, used in both regions"
    )
    storage: Size = Field(default="100Gi", description="size of each instance's volume")
    wal_storage: Size | None = Field(
        default="20Gi",
        description="size of a separate volume for the WAL; null for none. A database that has one cannot lose it later",
    )
    storage_class: Label = Field(default="gp3-encrypted", description="StorageClass of the volumes, in both regions")
    resources: Resources = Field(default_factory=Resources, description="CPU and memory of each instance")
    anti_affinity: Literal["required", "preferred"] = Field(
        default="required",
        description="required: two instances never share a node, and zones hold equal numbers of them, give or take one; "
        "preferred: so only where the cluster has room",
    )
    parameters: dict[str, str] = Field(
        default={}, description="PostgreSQL parameters (postgresql.conf), the same in both regions"
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

    @field_validator("parameters")
    @classmethod
    def _parameters_are_free(cls, parameters: dict[str, str]) -> dict[str, str]:
        for name in parameters:
            if name in _NOT_TO_SET:
                raise Mistake("sets {}, which CloudNativePG sets by itself; take it out", name)
            if name in _KEYS_OF_THEIR_OWN:
                raise Mistake(f"sets {{}}, which has a key of its own: {_KEYS_OF_THEIR_OWN[name]}; take it out", name)
        return parameters

    @field_validator("checkpoint_timeout")
    @classmethod
    def _postgresql_takes_it(cls, checkpoint_timeout: str) -> str:
        if not 30 <= parse_duration(checkpoint_timeout).total_seconds() <= 86400:
            raise ValueError("is not between 30s and 24h, and PostgreSQL takes nothing else; write one as in 2m")
        return checkpoint_timeout

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
