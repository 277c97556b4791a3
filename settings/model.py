"""Every key a person may write, what it means, and what it may be. Frozen; unknown keys are refused.

What both regions share stands once, in Pulumi.yaml; a stack file holds only what is its own region's.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from settings.database import Database
from settings.durations import parse_duration
from settings.fields import (
    LABEL_LENGTH,
    Cron,
    Duration,
    HostName,
    Label,
    Mistake,
    Model,
    Switch,
    Url,
    Whole,
    WorkloadName,
    ZoneId,
    all_different,
    matching,
)
from settings.roles import ROLES, Role, serving
from settings.tiers import Objectives, Targets, Tier, objectives
from settings.topology import Topology


class Dns(Model):
    """The names users know, and how they move."""

    zone_id: ZoneId = Field(description="the public hosted zone that holds the names")
    names: list[HostName] = Field(min_length=1, description="the names that users call")
    ttl: Whole = Field(default=60, ge=1, le=86400, description="seconds a resolver may keep an answer; failover waits for it")
    mode: Literal["standby-takes-over", "record"] = Field(
        default="standby-takes-over",
        description="standby-takes-over: one S3 object in the secondary region moves the traffic, no DNS change at failover; "
        "record: a weighted record is created at failover (private zones, accounts that forbid the flag's policy)",
    )

    @field_validator("names")
    @classmethod
    def _names_differ(cls, names: list[str]) -> list[str]:
        return all_different(names, "name")


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


class Check(Model):
    """A request that must succeed inside the cluster before users are sent to it."""

    service: Label = Field(description="the Service to ask")
    port: Whole = Field(default=80, ge=1, le=65535, description="the Service's port")
    path: Annotated[str, matching(re.compile(r"/[^\s?#]*"), "a path", "/healthz")] = Field(
        default="/", description="the path that must answer with success"
    )


class Workload(Model):
    """What runs where users are served, and how much of it."""

    namespace: Label = Field(description="the namespace")
    names: list[WorkloadName] = Field(default=[], description="only these; by default every Deployment and StatefulSet")
    replicas: Whole = Field(description="replicas while this region is active", json_schema_extra={"minimum": 1})
    standby_replicas: Whole = Field(default=0, ge=0, description="replicas while this region stands by")
    check: Check | None = Field(default=None, description="what must answer before the traffic moves")

    @field_validator("replicas")
    @classmethod
    def _somebody_serves(cls, replicas: int) -> int:
        if replicas < 1:
            raise ValueError("serves nobody while this region is active; set 1 or more")
        return replicas

    @field_validator("names")
    @classmethod
    def _names_differ(cls, names: list[str]) -> list[str]:
        return all_different(names, "workload")


class Velero(Model):
    """How Velero is installed."""

    managed: Switch = Field(default=True, description="false where the cluster runs Velero already (namespace velero)")
    kubelet_root: str = Field(default="/var/lib/kubelet", description="the kubelet's directory on the nodes, for the node agent")


class Images(Model):
    """Every image the program runs; point them at a registry of your own region before you need them."""

    velero: str = Field(default="docker.io/velero/velero:v1.18.3", description="Velero's server, node agent and CRD installer")
    velero_plugin_for_aws: str = Field(
        default="docker.io/velero/velero-plugin-for-aws:v1.14.3", description="Velero's plugin for S3"
    )
    kubectl: str = Field(default="registry.k8s.io/kubectl:v1.37.2", description="scales workloads and checks them")
    etcd: str = Field(default="gcr.io/etcd-development/etcd:v3.6.5", description="takes and verifies etcd snapshots")
    aws_cli: str = Field(default="public.ecr.aws/aws-cli/aws-cli:2.31.0", description="uploads etcd snapshots")
    cloudnative_pg: str = Field(
        default="ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0", description="the operator, where this program installs it"
    )
    barman_cloud_plugin: str = Field(
        default="ghcr.io/cloudnative-pg/plugin-barman-cloud:v0.14.0", description="the plugin, where this program installs it"
    )
    barman_cloud_sidecar: str = Field(
        default="ghcr.io/cloudnative-pg/plugin-barman-cloud-sidecar:v0.14.0", description="the plugin's part in each instance"
    )


class ObjectLock(Model):
    """Backups that nobody can delete before their time."""

    mode: Literal["GOVERNANCE", "COMPLIANCE"] = Field(description="GOVERNANCE: a privileged role can lift it; COMPLIANCE: nobody")
    days: Whole = Field(ge=1, le=36500, description="days each version is locked")


class Storage(Model):
    """The three backup buckets of a region."""

    noncurrent_days: Whole = Field(default=60, ge=1, description="days that deleted and overwritten versions can be brought back")
    object_lock: ObjectLock | None = Field(default=None, description="lock every version; only when a bucket is created")
    replication_time_control: Switch = Field(
        default=False, description="S3 replication time control and its metrics: 99.9 % of objects within 15 minutes, at a price"
    )


class Failover(Model):
    """How long each step of a failover may take before it is a failure."""

    restore: Duration = Field(default="30m", description="one Velero restore")
    scale: Duration = Field(default="10m", description="workloads scaled and available")
    verify: Duration = Field(default="5m", description="the checks answered")
    preflight: Duration = Field(default="3m", description="backups of the peer visible here")
    promote: Duration = Field(default="10m", description="a database promoted, written to and archiving")
    probe: Annotated[str, matching(re.compile(r"https?://\S+"), "a URL", "https://app.example.com/")] | None = Field(
        default=None,
        description="URL that answers while the primary region serves; a promotion is refused while it does. By default https:// "
        "and the first of dns.names",
    )

    def seconds(self, step: Literal["restore", "scale", "verify", "preflight", "promote"]) -> int:
        return int(parse_duration(getattr(self, step)).total_seconds())


class Cluster(Model):
    """This region's Kubernetes cluster."""

    context: str = Field(min_length=1, description="the kubeconfig context; no other is ever used")
    name: str = Field(min_length=1, description="what the cluster is called, so that a changed kubeconfig replaces nothing")
    distribution: Literal["eks", "self-managed"] = Field(description="eks, or self-managed (kubeadm, kOps, …)")
    kubeconfig: str | None = Field(default=None, description="path of the kubeconfig; by default the one kubectl uses")
    velero_role_arn: str | None = Field(default=None, description="IAM role that Velero's service account assumes (IRSA)")
    database_role_arn: str | None = Field(default=None, description="IAM role that databases' service accounts assume (IRSA)")
    etcd_role_arn: str | None = Field(default=None, description="IAM role that the etcd backup's service account assumes (IRSA)")


class Etcd(Model):
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


class Operators(Model):
    """Which operators this program installs, from the archives in charts/; false where the cluster has one already."""

    cloudnative_pg: Switch = Field(default=False, description="CloudNativePG")
    barman_cloud: Switch = Field(default=False, description="its Barman Cloud plugin")
    cert_manager: Switch = Field(default=False, description="cert-manager, which the plugin needs")


class StorageClass(Model):
    """The class of the databases' volumes."""

    managed: Switch = Field(default=False, description="true: made by this program, encrypted with the region's own key")
    name: Label = Field(default="gp3-encrypted", description="its name, the same in both regions")


class Alias(Model):
    """A load balancer as a Route 53 alias, for a name at the top of its zone. Of a failover alias Route 53 demands that the load
    balancer's own health counts too: one without a healthy target moves users away, whatever the flag says."""

    name: HostName = Field(description="the load balancer's DNS name")
    zone_id: ZoneId = Field(description="the load balancer's own hosted zone id")


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
    databases: list[Database] = Field(default=[], description="PostgreSQL in both regions, by CloudNativePG")
    tier: Tier = Field(default="pilot-light", description="what a failover promises: its RPO and RTO")
    targets: Targets = Field(default_factory=Targets, description="targets of your own, in place of the tier's")
    etcd: Etcd = Field(default_factory=Etcd, description="etcd snapshots, on self-managed control planes")
    operators: Operators = Field(default_factory=Operators, description="operators that this program installs")
    storage_class: StorageClass = Field(default_factory=StorageClass, description="the class of the databases' volumes")
    velero: Velero = Field(default_factory=Velero, description="how Velero is installed")
    storage: Storage = Field(default_factory=Storage, description="the backup buckets")
    failover: Failover = Field(default_factory=Failover, description="timeouts of a failover's steps")

    cluster: Cluster = Field(description="this region's cluster")
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
    aws: Aws = Field(default_factory=Aws, description="endpoint or profile, where not the usual")
    backup_encryption_password: SecretStr = Field(
        description="encrypts volume backups; the same in both regions, for ever",
        json_schema_extra={"format": "text of 12 characters or more"},
    )
    access_key_id: SecretStr | None = Field(default=None, description="static credentials for Velero, where no role can be had")
    secret_access_key: SecretStr | None = Field(default=None, description="the key that belongs to accessKeyId")
    database_passwords: dict[str, SecretStr] = Field(
        default={},
        validate_default=True,
        description="password of each database's owner, by the database's name; the same in both regions",
    )

    @field_validator("backups")
    @classmethod
    def _backups_have_names_of_their_own_that_fit(cls, backups: list[Backup], info: ValidationInfo) -> list[Backup]:
        all_different([backup.name for backup in backups], "backup")
        topology: Topology | None = info.data.get("topology")
        if topology is None:  # which has a mistake of its own
            return backups
        for backup in backups:
            too_much = max(len(topology.schedule(backup.name, role)) for role in ROLES) - LABEL_LENGTH
            if too_much > 0:
                raise Mistake(
                    "the name {} is too long: with the region's it is the value of a Kubernetes label, which has "
                    f"{LABEL_LENGTH} characters at most; shorten it by {too_much}",
                    backup.name,
                )
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
    def _databases_differ(cls, databases: list[Database]) -> list[Database]:
        all_different([database.name for database in databases], "database")
        return databases

    @field_validator("cluster")
    @classmethod
    def _etcd_is_ours(cls, cluster: Cluster, info: ValidationInfo) -> Cluster:
        etcd: Etcd | None = info.data.get("etcd")
        if etcd is not None and etcd.enabled and cluster.distribution == "eks":
            raise ValueError(
                "has distribution eks while etcd.enabled is true: on EKS nobody but AWS reaches etcd, which AWS backs up and "
                "restores by itself; Velero's backups protect what is in it. Take etcd.enabled out, or set it to false"
            )
        return cluster

    @field_validator("database_passwords")
    @classmethod
    def _every_database_has_one(cls, passwords: dict[str, SecretStr], info: ValidationInfo) -> dict[str, SecretStr]:
        if "databases" not in info.data:  # which have a mistake of their own
            return passwords
        stack, names = info.data["role"], [database.name for database in info.data["databases"]]
        for name in (name for name in names if name not in passwords):
            raise ValueError(
                f"has no password for the owner of {name}; run, with the same password in both stacks: "
                f"pulumi config set --secret --path 'databasePasswords[\"{name}\"]' -s {stack}"
            )
        if empty := next((name for name in names if not passwords[name].get_secret_value()), None):
            raise ValueError(
                f"has an empty password for the owner of {empty}; run: "
                f"pulumi config set --secret --path 'databasePasswords[\"{empty}\"]' -s {stack}"
            )
        if passwords.keys() - set(names):
            raise ValueError(
                f"has a password for a database that is not in databases (see: pulumi config -s {stack}); "
                f"take it out: pulumi config rm --path 'databasePasswords[\"NAME\"]' -s {stack}"
            )
        return passwords

    @model_validator(mode="after")
    def _both_halves_of_the_key(self) -> Settings:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            missing = "accessKeyId" if self.access_key_id is None else "secretAccessKey"
            raise ValueError(f"static credentials are incomplete; run: pulumi config set --secret {missing} …")
        return self

    @property
    def serving_role(self) -> Role:
        return serving(self.active)

    @property
    def backs_up_etcd(self) -> bool:
        return self.cluster.distribution == "self-managed" and self.etcd.enabled is not False

    @property
    def objectives(self) -> Objectives:
        return objectives(self.tier, self.targets)

    @property
    def probe(self) -> str:
        """What answers while the primary region serves users."""
        return self.failover.probe or f"https://{self.dns.names[0]}/"
