"""Every key that a person may write, with its meaning, its default and the values that it takes.

Pulumi.yaml holds what both regions share; each stack file (Pulumi.primary.yaml, Pulumi.secondary.yaml) only what is its region's
own. Most objects of a key are in modules of their own; `Settings`, at the end, holds them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, SecretStr, field_validator, model_validator

from settings.aws import Aws
from settings.backup import Backup
from settings.cluster import Cluster
from settings.database import DatabaseSettings
from settings.delivery import DeliverySettings
from settings.dns import Alias, Dns, callable_name
from settings.drills import KINDS, DrillsSettings, Kind
from settings.etcd import EtcdSettings
from settings.failover import FailoverSettings, GuardSettings
from settings.fields import ClassName, Model, Switch, all_different
from settings.handover import PLANNED, HandoverText, Servers, Token, is_receipt, parse
from settings.hosts import HostName
from settings.identity import IdentityMode, StaticCredentials
from settings.images import Images
from settings.monitoring import MonitoringSettings
from settings.parts import PARTS, Part
from settings.people import MOVES, PeoplesKind
from settings.pods import PodsSettings
from settings.presets import DEFAULT, with_the_managed_class, with_tier_values
from settings.receivers import Receivers
from settings.roles import Handover, Role, serving
from settings.storage import StorageSettings
from settings.tiers import Objectives, Targets, Tier, objectives
from settings.topology import Topology
from settings.velero import VeleroSettings
from settings.workloads import Workload, refuse_overlaps


class OperatorsSettings(Model):
    """The operators that this program installs, from the archives in charts/. The cluster must already have the others."""

    cloudnative_pg: Switch = Field(default=False, description="CloudNativePG, which runs the databases")
    barman_cloud: Switch = Field(default=False, description="the Barman Cloud plugin, by which CloudNativePG archives to S3")
    cert_manager: Switch = Field(default=False, description="cert-manager, which the plugin needs")


class StorageClassSettings(Model):
    """The StorageClass of the databases' volumes."""

    managed: Switch = Field(
        default=False, description="true: this program creates it, and volumes are encrypted with the region's own key"
    )
    name: ClassName = Field(default="gp3-encrypted", description="name of the StorageClass, the same in both regions")


class Settings(Model):
    """The whole configuration of one stack. Every field is valid; `load`, which alone makes one, has checked every rule too."""

    role: Role
    """The stack's name, not a key of the configuration."""

    active: Role | None = Field(
        default=None,
        description="the region that serves, primary or secondary; not set before the first failover, when the primary serves",
    )
    topology: Topology = Field(description="your organization, its AWS account and the two regions")
    dns: Dns = Field(description="the hosted zone, the names that users call, and how their traffic moves")
    backups: list[Backup] = Field(min_length=1, description="Velero schedules, the same in both regions")
    workloads: list[Workload] = Field(
        default=[], description="the workloads that serve users, namespace by namespace; none where databases are all there is"
    )
    databases: list[DatabaseSettings] = Field(
        default=[], description="PostgreSQL databases, each with a side in both regions, run by CloudNativePG"
    )
    targets: Targets = Field(default_factory=Targets, description="RPO and RTO of your own, in place of the tier's")
    tier: Tier = Field(
        default=DEFAULT,
        description="what a failover promises (RPO and RTO), and what runs in the region that stands by: see tiers.md",
    )
    etcd: EtcdSettings = Field(default_factory=EtcdSettings, description="etcd snapshots, on self-managed control planes")
    guard: GuardSettings = Field(
        default_factory=GuardSettings, description="what stops a region by itself that comes back after it was replaced"
    )
    drills: DrillsSettings = Field(
        default_factory=DrillsSettings, description="what is tried by the calendar, so that no backup goes untested"
    )
    monitoring: MonitoringSettings = Field(
        default_factory=MonitoringSettings, description="alerts and metrics, where the clusters have a Prometheus operator"
    )
    operators: OperatorsSettings = Field(default_factory=OperatorsSettings, description="operators that this program installs")
    storage_class: StorageClassSettings = Field(
        default_factory=StorageClassSettings, description="the StorageClass of the databases' volumes"
    )
    velero: VeleroSettings = Field(
        default_factory=VeleroSettings, description="who installs Velero, and what changes in a restore"
    )
    pods: PodsSettings = Field(
        default_factory=PodsSettings,
        description="what a strict cluster asks of every Pod and namespace that this program makes: pull secrets, tolerations, "
        "nodes, least requests, labels (see pods.md)",
    )
    storage: StorageSettings = Field(default_factory=StorageSettings, description="the backup buckets")
    failover: FailoverSettings = Field(
        default_factory=FailoverSettings,
        description="timeouts of a failover's steps, and what is asked of both endpoints",
    )

    cluster: Cluster = Field(description="this region's cluster")
    identity: IdentityMode | None = Field(
        default=None,
        description="how pods authenticate to AWS: pod-identity (default on eks), irsa, instance-profile or static",
    )
    endpoint: HostName | Alias = Field(
        description="this region's load balancer: its DNS name; or, where one of dns.names is the top of its zone, its name and "
        "zoneId for a Route 53 alias, whose own health then counts too"
    )
    peer_ready: Switch = Field(
        default=False, description="true once the other region's buckets exist: S3 then replicates new objects to them"
    )
    force: Switch = Field(
        default=False,
        description="true: fail over although a database would lose more than the RPO, or the primary still answers; in the "
        "primary: serve again after the guard has stopped it, although the traffic flag cannot be read; unset it afterwards",
    )
    handover: HandoverText | None = Field(
        default=None,
        description="a planned switchover. planned, with active naming the other region: this one gives up in good order, and "
        "prints its token; or what the other stack has printed as its output handover (docs/runbook.md, Switchover)",
    )
    hold: Switch = Field(
        default=False,
        description="in the secondary, true: take over all but the traffic in a planned switchover, for a last look; taken out, "
        "the next up moves users. A failover holds nobody",
    )
    rejoin: Servers | None = Field(
        default=None,
        description="archives of this region's old databases, with commas between them: these databases are given up, their "
        "volumes kept, and made anew as followers of the other region (docs/runbook.md, Rejoin)",
    )
    images: Images = Field(default_factory=Images, description="the container images that the program runs")
    delivery: DeliverySettings | None = Field(
        default=None, description="the repository whose pipelines preview and deploy this program, for their IAM roles"
    )
    aws: Aws = Field(default_factory=Aws, description="how to reach AWS, where the usual endpoint or credentials are not meant")
    backup_encryption_password: SecretStr = Field(
        description="encrypts volume backups; must be the same in both regions, and must never change",
        json_schema_extra={"format": "text of 12 characters or more"},
    )
    static_credentials: StaticCredentials = Field(
        default_factory=StaticCredentials,
        description="with identity static: access keys of IAM users, where the cluster can have no roles",
    )
    database_passwords: dict[str, SecretStr] = Field(
        default={},
        description="password of each database's owner, by the database's name; must be the same in both regions",
    )
    receivers: Receivers = Field(
        default_factory=Receivers,
        description="URLs that this region calls: heartbeats of its jobs, Alertmanager's webhook, a status page; each region has "
        "its own (docs/monitoring.md)",
    )

    @field_validator("backups")
    @classmethod
    def _backups_differ(cls, backups: list[Backup]) -> list[Backup]:
        all_different([backup.name for backup in backups], "backup")
        return backups

    @field_validator("workloads")
    @classmethod
    def _workloads_differ(cls, workloads: list[Workload]) -> list[Workload]:
        refuse_overlaps(workloads)
        return workloads

    @field_validator("backup_encryption_password")
    @classmethod
    def _password_is_hard_to_guess(cls, password: SecretStr) -> SecretStr:
        text = password.get_secret_value()
        if len(text.strip()) < 12:
            raise ValueError("is shorter than 12 characters, and whoever reads the bucket can try it; choose a longer one")
        if len({*text}) < 4:
            raise ValueError(
                "repeats a few characters, and whoever reads the bucket can try it; choose one that is harder to guess"
            )
        if "\n" in text or "\r" in text:
            raise ValueError("has a line break, as a file ends in; store it without, the same in both stacks")
        return password

    @field_validator("databases")
    @classmethod
    def _databases_differ(cls, databases: list[DatabaseSettings]) -> list[DatabaseSettings]:
        all_different([database.name for database in databases], "database")
        return databases

    @model_validator(mode="before")
    @classmethod
    def _the_tier_sets_what_nobody_wrote(cls, raw: Any) -> Any:
        return with_the_managed_class(with_tier_values(raw))

    @property
    def serving_role(self) -> Role:
        return serving(self.active)

    @property
    def token(self) -> Token | None:
        """The handover token by which this region takes over; None where it does not serve by one."""
        told = parse(self.handover) if self.handover else None
        return told if isinstance(told, Token) and self.serving_role == self.role else None

    @property
    def handover_now(self) -> Handover | None:
        """What `handover` means now. What is left of an earlier switchover means nothing, and must not stop a failover."""
        if self.token:
            return "token"
        if self.serving_role == self.role:
            return None
        return "planned" if self.handover == PLANNED else "receipt" if is_receipt(self.handover) else None

    @property
    def given_up(self) -> frozenset[str]:
        """The server names of this region's old databases that a person gives up."""
        return frozenset(each.strip() for each in (self.rejoin or "").split(","))

    @property
    def named_namespaces(self) -> list[str]:
        """The namespaces of workloads and databases, sorted: what users need, whatever backup it is in."""
        return sorted({*(each.namespace for each in self.workloads), *(each.namespace for each in self.databases)})

    @property
    def backs_up_etcd(self) -> bool:
        return self.cluster.distribution == "self-managed" and self.etcd.enabled is not False

    @property
    def guarded(self) -> bool:
        """Whether the guard runs here: not before there is a flag, for one that cannot be read is a failure of the guard."""
        return self.guard.enabled and (self.role == "secondary" or self.peer_ready)

    @property
    def drilled_namespace(self) -> str | None:
        """The namespace that the drill of that name restores; None where no backup brings one."""
        namespace = self.drills.namespace.namespace or next((each.namespace for each in self.workloads), None)
        kept_out = {each for backup in self.backups if backup.restore is False for each in backup.include}
        brought = namespace not in kept_out and any(backup.brings(namespace) for backup in self.backups) if namespace else False
        return namespace if brought else None

    @property
    def drilled_databases(self) -> list[DatabaseSettings]:
        """The databases that the drill of that name recovers."""
        named = self.drills.database.databases
        return [database for database in self.databases if not named or database.name in named]

    @property
    def drilled(self) -> list[Kind]:
        """The drills that this stack runs: those that are not switched off and have something to drill."""
        something: dict[Kind, bool] = {
            "integrity": True,
            "namespace": self.drilled_namespace is not None,
            "database": bool(self.drilled_databases),
        }
        return [kind for kind in KINDS if self.drills.enabled and self.drills.of(kind).enabled and something[kind]]

    @property
    def practised(self) -> Mapping[PeoplesKind, str]:
        """What people practise, with its cron line: nothing that needs the other region before that one is there."""
        crons = self.drills.people.crons() if self.drills.enabled else {}
        return {kind: cron for kind, cron in crons.items() if self.peer_ready or kind not in MOVES}

    @property
    def parts(self) -> list[Part]:
        """The parts of this stack that need AWS permissions from this program. A Velero that others installed has its own."""
        runs: dict[Part, bool] = {
            "velero": self.velero.managed,
            "database": bool(self.databases),
            "etcd": self.backs_up_etcd,
            "freshness": bool(self.databases),
            "guard": self.guard.enabled,
            "drills": bool(self.drilled),
            "drill-database": "database" in self.drilled,
        }
        return [part for part in PARTS if runs[part]]

    @property
    def repository_password(self) -> str | None:
        """The password by which volumes are encrypted; None where Velero, and so its password, is not this program's."""
        return self.backup_encryption_password.get_secret_value() if self.velero.managed else None

    @property
    def owner_passwords(self) -> dict[str, str]:
        """The password of each database's owner, by the database's name."""
        return {name: password.get_secret_value() for name, password in self.database_passwords.items()}

    @property
    def identity_mode(self) -> IdentityMode:
        """How pods authenticate to AWS: `identity`, or its default. A rule refuses that default where the cluster is not EKS."""
        return self.identity or "pod-identity"

    @property
    def objectives(self) -> Objectives:
        return objectives(self.tier, self.targets)

    @property
    def probe(self) -> str:
        """The URL that answers while the primary region serves users."""
        plain = [name for name in self.dns.names if not name.startswith("*.")]
        name = plain[0] if plain else callable_name(self.dns.names[0])
        return self.failover.probe or f"https://{name}/"

    @property
    def endpoint_host(self) -> str:
        return self.endpoint if isinstance(self.endpoint, str) else self.endpoint.name
