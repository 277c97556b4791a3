"""One PostgreSQL database of both regions, as a person writes it down."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from settings.durations import parse_duration
from settings.fields import CronWithSeconds, Duration, HostName, Label, Mistake, Model, Switch, Whole, matching
from settings.roles import Role

Size = Annotated[str, matching(re.compile(r"[1-9]\d*(Ki|Mi|Gi|Ti)"), "a size", "100Gi")]
_Image = Annotated[
    str, matching(re.compile(r"[^\s@]+:(?!latest$)[\w][\w.-]*"), "an image with a tag that says its version", "postgresql:18.4")
]
_Retention = Annotated[str, matching(re.compile(r"[1-9]\d*[dwm]"), "a recovery window in days, weeks or months", "30d")]
_Identifier = Annotated[str, matching(re.compile(r"[a-z_][a-z0-9_]{0,62}"), "a PostgreSQL name in lower case", "app")]
_Quantity = Annotated[str, matching(re.compile(r"\d+(\.\d+)?m?"), "a number of CPUs in quotes", '"2" or "500m"')]

# Set by CloudNativePG itself, or by a key of this program: a second value would fight the first.
_NOT_TO_SET = {"archive_mode", "archive_command", "restore_command", "primary_conninfo", "synchronous_standby_names"}
_KEYS_OF_THEIR_OWN = {
    "archive_timeout": "archiveTimeout",
    "checkpoint_timeout": "checkpointTimeout",
    "wal_retrieve_retry_interval": "walRetrieveRetryInterval",
}


class Generations(Model):
    """How often a region's database was made anew. A server name may be archived to by one incarnation only."""

    primary: Whole = Field(default=1, ge=1, description="of the primary region's database")
    secondary: Whole = Field(default=1, ge=1, description="of the secondary region's database")

    def of(self, role: Role) -> int:
        return self.primary if role == "primary" else self.secondary


class Hosts(Model):
    """Where each region's primary instance is reached from the other region."""

    primary: HostName = Field(description="host name of the primary region's replication endpoint")
    secondary: HostName = Field(description="host name of the secondary region's replication endpoint")

    def of(self, role: Role) -> str:
        return self.primary if role == "primary" else self.secondary


class Certificates(Model):
    """Secrets of the database's namespace, in both regions signed by one authority: each operator's own would be unknown to the
    other region, and rotates every 90 days."""

    server: Label = Field(description="TLS Secret of the server, valid for both hosts")
    server_ca: Label = Field(description="Secret with the ca.crt that signed it")
    client_ca: Label = Field(description="Secret with the ca.crt that signs clients")
    replication: Label = Field(description="TLS Secret of the user streaming_replica")


class Streaming(Model):
    """The connection of `replication: streaming`; the archive stays as its fallback."""

    hosts: Hosts = Field(description="where each region's primary instance is reached, over peering or a transit gateway")
    certificates: Certificates = Field(description="TLS of both ends, from one authority")
    service_annotations: dict[str, str] = Field(
        default={"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"},
        min_length=1,
        description="annotations of the load balancer's Service: those that keep it from the internet, and name it",
    )


class Resources(Model):
    """What each instance gets; its memory is request and limit alike, so that it is the last to be evicted."""

    cpu: _Quantity = Field(default="2", description="CPUs requested")
    memory: Size = Field(default="8Gi", description="memory requested, and the limit")

    @property
    def mebibytes(self) -> int:
        return int(self.memory[:-2]) << 10 * ("Ki", "Mi", "Gi", "Ti").index(self.memory[-2:]) >> 10


class DatabaseSettings(Model):
    """A CloudNativePG Cluster in each region: one is written to, the other follows it through the archive."""

    name: Label = Field(description="the Cluster's name, the same in both regions")
    namespace: Label = Field(description="the namespace")
    create_namespace: Switch = Field(default=True, description="false where something else creates the namespace")
    database: _Identifier = Field(default="app", description="the PostgreSQL database that is created")
    owner: _Identifier = Field(
        default="app", description="the role that owns it; its password is in databasePasswords, the same in both regions"
    )
    instances: Whole = Field(default=3, ge=1, description="instances in each region, one of them writable")
    image: _Image = Field(
        default="ghcr.io/cloudnative-pg/postgresql:18.4-system-trixie", description="PostgreSQL, the same major version in both"
    )
    storage: Size = Field(default="100Gi", description="volume of each instance")
    wal_storage: Size | None = Field(
        default="20Gi", description="a volume of its own for the WAL; null for none, and it cannot be taken away later"
    )
    storage_class: Label = Field(default="gp3-encrypted", description="StorageClass of the volumes, in both regions")
    resources: Resources = Field(default_factory=Resources, description="CPU and memory of each instance")
    anti_affinity: Literal["required", "preferred"] = Field(
        default="required", description="whether two instances may share a node, or a zone hold more than its share"
    )
    parameters: dict[str, str] = Field(default={}, description="PostgreSQL settings, the same in both regions")
    archive_timeout: Duration = Field(
        default="60s", description="the longest that a committed row waits for its WAL segment to be archived while WAL is quiet"
    )
    checkpoint_timeout: Duration = Field(
        default="2m", description="time between checkpoints; after a promotion the archive may sleep for as long"
    )
    wal_retrieve_retry_interval: Duration = Field(
        default="30s", description="how often the standby asks the archive for WAL that is not there yet"
    )
    retention: _Retention = Field(default="30d", description="recovery window of the archive")
    backup_cron: CronWithSeconds = Field(default="0 0 3 * * *", description="base backups, six fields (seconds first), UTC")
    standby: Switch = Field(
        default=True,
        description="whether a replica runs in the region that stands by; false, as tier backup-restore sets it: a failover "
        "recovers the database from its archive",
    )
    source: Literal["replica-bucket", "primary-bucket"] = Field(
        default="replica-bucket",
        description="where the standby reads the archive: in its own region's bucket, which S3 replication fills, so that "
        "nothing of a failover waits for a dead S3; or in the primary's, which is fresher by the replication's delay",
    )
    replication: Literal["archive", "streaming"] = Field(
        default="archive",
        description="archive: WAL files through S3; streaming: a connection too, and the archive as fallback",
    )
    streaming: Streaming | None = Field(default=None, description="the connection of replication: streaming")
    pod_monitor: Switch = Field(default=True, description="false where there is no Prometheus operator (no PodMonitor)")
    generations: Generations = Field(
        default_factory=Generations, description="raised when a region's database is made anew; part of its name in the archive"
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
    def _what_is_recovered_comes_from_its_own_regions_archive(self) -> DatabaseSettings:
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
        """What region `role`'s half is called in both clusters: ObjectStore, external cluster and topology alike."""
        return f"{self.name}-{role}"

    def server(self, role: Role) -> str:
        """Where region `role`'s half archives, below the bucket's prefix: used by one incarnation and never again."""
        return f"{self.member(role)}-g{self.generations.of(role)}"
