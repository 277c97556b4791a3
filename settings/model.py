"""Every key a person may write, what it means, and what it may be. Frozen; unknown keys are refused.

What both regions share stands once, in Pulumi.yaml; a stack file holds only what is its own region's.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from settings.cluster import Cluster
from settings.database import DatabaseSettings
from settings.delivery import DeliverySettings
from settings.dns import Alias, Dns
from settings.durations import parse_duration
from settings.fields import (
    Cron,
    Duration,
    HostName,
    Label,
    Model,
    Switch,
    Url,
    all_different,
    matching,
)
from settings.identity import IdentityMode, StaticCredentials
from settings.images import Images
from settings.parts import PARTS, Part
from settings.presets import DEFAULT, filled
from settings.roles import Role, serving
from settings.rules import check_rules
from settings.storage import StorageSettings
from settings.tiers import Objectives, Targets, Tier, objectives
from settings.topology import Topology
from settings.workloads import Workload


class Backup(Model):
    """One Velero schedule, in both regions."""

    name: Label = Field(description="the schedule's name; the region is added to it")
    cron: Cron = Field(description="when, five fields, UTC")
    keep: Duration = Field(description="how long a backup is kept, as in 720h")
    include: list[Label] = Field(default=[], description="only these namespaces")
    exclude: list[Label] = Field(default=[], description="all namespaces but these")
    restore: Switch = Field(
        default=True, description="whether a failover restores it; false where something else deploys the workloads"
    )

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Backup:
        if self.include and self.exclude:
            raise ValueError("has both include and exclude; keep include for some namespaces or exclude for all but some")
        return self


class VeleroSettings(Model):
    """How Velero is installed."""

    managed: Switch = Field(default=True, description="false where the cluster runs Velero already (namespace velero)")
    kubelet_root: str = Field(default="/var/lib/kubelet", description="the kubelet's directory on the nodes, for the node agent")


class FailoverTimeouts(Model):
    """How long each step of a failover may take before it is a failure."""

    restore: Duration = Field(default="30m", description="one Velero restore")
    scale: Duration = Field(default="10m", description="workloads scaled and available")
    verify: Duration = Field(default="5m", description="the checks answered")
    preflight: Duration = Field(default="3m", description="backups of the peer visible here")
    promote: Duration = Field(default="10m", description="a database promoted, written to and archiving")
    recover: Duration = Field(default="4h", description="a database without a standby recovered from its archive")

    def seconds(self, step: Literal["restore", "scale", "verify", "preflight", "promote", "recover"]) -> int:
        durations = {
            "restore": self.restore,
            "scale": self.scale,
            "verify": self.verify,
            "preflight": self.preflight,
            "promote": self.promote,
            "recover": self.recover,
        }
        return int(parse_duration(durations[step]).total_seconds())


class FailoverSettings(FailoverTimeouts):
    """How long each step of a failover may take, and how to ask whether the primary region still serves."""

    probe: Annotated[str, matching(re.compile(r"https?://\S+"), "a URL", "https://app.example.com/")] | None = Field(
        default=None,
        description="URL that answers while the primary region serves; a promotion is refused while it does. By default https:// "
        "and the first of dns.names",
    )

    @field_validator("probe")
    @classmethod
    def _probe_has_a_host(cls, probe: str | None) -> str | None:
        try:
            host = probe is None or urlsplit(probe).hostname
        except ValueError:
            host = None
        if not host:
            raise ValueError("is not a URL; write one as in https://app.example.com/")
        return probe


class EtcdSettings(Model):
    """Snapshots of the control plane's own store, on clusters whose control plane is the team's."""

    enabled: Switch | None = Field(default=None, description="by default true where distribution is self-managed; never on eks")
    cron: Cron = Field(default="0 */6 * * *", description="when, five fields, UTC")
    keep_local: Duration = Field(default="168h", description="how long a copy stays on the control-plane node")
    directory: str = Field(default="/var/backups/etcd", description="where it stays")
    certificates: str = Field(default="/etc/kubernetes/pki/etcd", description="directory of etcd's certificates on the node")
    ca: str = Field(default="ca.crt", description="etcd's authority, in that directory")
    certificate: str = Field(default="healthcheck-client.crt", description="the client certificate, in that directory")
    key: str = Field(default="healthcheck-client.key", description="the client's key, in that directory")
    endpoint: str = Field(default="https://127.0.0.1:2379", description="etcd as the control-plane node reaches it")
    timeout: Duration = Field(default="30m", description="how long one backup may take")


class OperatorsSettings(Model):
    """Which operators this program installs, from the archives in charts/; false where the cluster has one already."""

    cloudnative_pg: Switch = Field(default=False, description="CloudNativePG")
    barman_cloud: Switch = Field(default=False, description="its Barman Cloud plugin")
    cert_manager: Switch = Field(default=False, description="cert-manager, which the plugin needs")


class StorageClassSettings(Model):
    """The class of the databases' volumes."""

    managed: Switch = Field(default=False, description="true: made by this program, encrypted with the region's own key")
    name: Label = Field(default="gp3-encrypted", description="its name, the same in both regions")


class Aws(Model):
    """Where this region's AWS is, if not where it always is."""

    endpoint: Url | None = Field(default=None, description="URL of an S3-compatible, AWS-compatible endpoint")
    profile: str | None = Field(default=None, description="profile of the shared AWS configuration")

    @property
    def plain_http(self) -> bool:
        return self.endpoint is not None and self.endpoint.startswith("http://")


class Settings(Model):
    """One stack's whole configuration. The role is the stack's name."""

    role: Role

    active: Role | None = Field(
        default=None,
        description="the region that serves, primary or secondary; not set before the first failover, when the primary serves",
    )
    topology: Topology = Field(description="organization, account and the two regions")
    dns: Dns = Field(description="zone, names and how traffic moves")
    backups: list[Backup] = Field(min_length=1, description="Velero schedules, the same in both regions")
    workloads: list[Workload] = Field(min_length=1, description="what runs in the active region")
    databases: list[DatabaseSettings] = Field(default=[], description="PostgreSQL in both regions, by CloudNativePG")
    targets: Targets = Field(default_factory=Targets, description="targets of your own, in place of the tier's")
    tier: Tier = Field(
        default=DEFAULT,
        description="what a failover promises, its RPO and RTO, and what runs in the region that stands by: see tiers.md",
    )
    etcd: EtcdSettings = Field(default_factory=EtcdSettings, description="etcd snapshots, on self-managed control planes")
    operators: OperatorsSettings = Field(default_factory=OperatorsSettings, description="operators that this program installs")
    storage_class: StorageClassSettings = Field(
        default_factory=StorageClassSettings, description="the class of the databases' volumes"
    )
    velero: VeleroSettings = Field(default_factory=VeleroSettings, description="how Velero is installed")
    storage: StorageSettings = Field(default_factory=StorageSettings, description="the backup buckets")
    failover: FailoverSettings = Field(default_factory=FailoverSettings, description="timeouts of a failover's steps")

    cluster: Cluster = Field(description="this region's cluster")
    identity: IdentityMode | None = Field(
        default=None,
        description="who the pods are to AWS: pod-identity (default on eks), irsa, instance-profile or static",
    )
    endpoint: HostName | Alias = Field(
        description="this region's load balancer: a DNS name; or, for a name at the top of its zone, name and zoneId of an "
        "alias, whose own health then counts too"
    )
    peer_ready: Switch = Field(
        default=False, description="true once the other region's buckets exist: replication starts, of new objects"
    )
    force: Switch = Field(
        default=False, description="fail over although a database is too far behind, or the primary still answers; unset it after"
    )
    images: Images = Field(default_factory=Images, description="container images")
    delivery: DeliverySettings | None = Field(
        default=None, description="roles of the pipelines that preview and deploy this program"
    )
    aws: Aws = Field(default_factory=Aws, description="endpoint or profile, where not the usual")
    backup_encryption_password: SecretStr = Field(
        description="encrypts volume backups; the same in both regions, for ever",
        json_schema_extra={"format": "text of 12 characters or more"},
    )
    static_credentials: StaticCredentials = Field(
        default_factory=StaticCredentials,
        description="access keys of IAM users, where no role can be had (identity: static)",
    )
    database_passwords: dict[str, SecretStr] = Field(
        default={},
        description="password of each database's owner, by the database's name; the same in both regions",
    )

    @field_validator("backups")
    @classmethod
    def _backups_differ(cls, backups: list[Backup]) -> list[Backup]:
        all_different([backup.name for backup in backups], "backup")
        return backups

    @field_validator("workloads")
    @classmethod
    def _workloads_differ(cls, workloads: list[Workload]) -> list[Workload]:
        all_different([workload.namespace for workload in workloads], "namespace")
        return workloads

    @field_validator("backup_encryption_password")
    @classmethod
    def _hard_to_guess(cls, password: SecretStr) -> SecretStr:
        if len(password.get_secret_value()) < 12:
            raise ValueError("is shorter than 12 characters, and whoever reads the bucket can try it; choose a longer one")
        return password

    @field_validator("databases")
    @classmethod
    def _databases_differ(cls, databases: list[DatabaseSettings]) -> list[DatabaseSettings]:
        all_different([database.name for database in databases], "database")
        return databases

    @model_validator(mode="before")
    @classmethod
    def _the_tier_sets_what_is_not_written(cls, raw: Any) -> Any:
        return filled(raw)

    @model_validator(mode="after")
    def _no_rule_is_broken(self) -> Settings:
        check_rules(self)
        return self

    @property
    def serving_role(self) -> Role:
        return serving(self.active)

    @property
    def backs_up_etcd(self) -> bool:
        return self.cluster.distribution == "self-managed" and self.etcd.enabled is not False

    @property
    def parts(self) -> list[Part]:
        """The parts of this stack that need permissions of AWS. A Velero that somebody else installed has its own already."""
        runs: dict[Part, bool] = {"velero": self.velero.managed, "database": bool(self.databases), "etcd": self.backs_up_etcd}
        return [part for part in PARTS if runs[part]]

    @property
    def identity_mode(self) -> IdentityMode:
        """Who the pods are to AWS: `identity`, or its default. A rule refuses that default where the cluster is not EKS."""
        return self.identity or "pod-identity"

    @property
    def objectives(self) -> Objectives:
        return objectives(self.tier, self.targets)

    @property
    def probe(self) -> str:
        """What answers while the primary region serves users."""
        return self.failover.probe or f"https://{self.dns.names[0]}/"
