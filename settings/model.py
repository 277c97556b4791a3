"""Every key a person may write, what it means, and what it may be. Frozen; unknown keys are refused.

What both regions share stands once, in Pulumi.yaml; a stack file holds only what is its own region's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SecretStr,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from settings.durations import check_cron, parse_duration
from settings.roles import ROLES, Role, serving

Purpose = Literal["velero", "etcd", "database", "dr-flag"]

LABEL_LENGTH = 63
"""Characters of a Kubernetes label's value, and of most names."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_WORKLOAD = re.compile(r"(deployment|statefulset)/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class Mistake(ValueError):  # noqa: N818 - a person's, told in one line; nothing here has gone wrong
    """What is wrong with a value. Each `{}` of the text stands for a part of what was written, which may be a secret."""

    def __init__(self, text: str, *written: str) -> None:
        super().__init__(text.format(*written))
        self.text, self.written = text, written


@dataclass(frozen=True)
class _Form:
    """What a text must be: `check` raises ValueError where it is not, `name` is what the reference of all keys calls it."""

    check: Callable[[str], str]
    name: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "format": self.name}


def _matching(pattern: re.Pattern[str], what: str, example: str) -> _Form:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"is not {what}; write one as in {example}")
        return text

    return _Form(check, f"{what}, as in {example}")


def _duration(text: str) -> str:
    parse_duration(text)
    return text


# Not pydantic's own reading, to which true is 1 and "no" is false.
Whole = Annotated[int, Strict()]
Switch = Annotated[bool, Strict()]

Duration = Annotated[str, _Form(_duration, "a duration, as in 720h, 1h30m or 90s")]
Cron = Annotated[str, _Form(check_cron, 'a cron line of five fields, as in "0 2 * * *"')]
Label = Annotated[str, _matching(_DNS_LABEL, "a Kubernetes name (lower case letters, digits and -)", "production")]
HostName = Annotated[str, _matching(_HOST_NAME, "a host name", "app.example.com")]
# Other partitions (China, GovCloud) have ARNs and host names of their own.
_AWS_REGION = re.compile(r"(?!cn-|us-gov-|us-iso|eu-iso)[a-z]{2}(-[a-z]+)+-\d")
AwsRegion = Annotated[str, _matching(_AWS_REGION, "a commercial AWS region", "us-west-2")]
WorkloadName = Annotated[str, _matching(_WORKLOAD, "a workload", "deployment/web or statefulset/queue")]
Url = Annotated[
    str,
    _matching(re.compile(r"https?://[^/\s]+"), "a plain URL (scheme, host and port)", "http://minio.example.com:9000"),
]
ZoneId = Annotated[str, _matching(re.compile(r"[A-Z0-9]{4,32}"), "a Route 53 hosted zone id", "Z0123456789ABCDEFGHIJ")]


class Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class Regions(Model):
    """The two AWS regions. Which one is which never changes; who is active does."""

    primary: AwsRegion = Field(description="the region that normally serves")
    secondary: AwsRegion = Field(description="the region that takes over")

    @field_validator("secondary")
    @classmethod
    def _two_regions(cls, secondary: str, info: ValidationInfo) -> str:
        if secondary == info.data.get("primary"):
            raise ValueError("is the primary region too; a region cannot stand in for itself, choose another")
        return secondary


class Topology(Model):
    """Whose buckets, in which two regions: from this every name is computed."""

    organization: Annotated[str, _matching(re.compile(r"[a-z0-9][a-z0-9-]{0,19}"), "a short lower-case name", "acme")] = Field(
        description="first part of every bucket and role name"
    )
    account_id: Annotated[str, _matching(re.compile(r"\d{12}"), "an AWS account id in quotes", '"123456789012"')] = Field(
        description="the AWS account, twelve digits, in quotes"
    )
    regions: Regions = Field(description="the two AWS regions")

    def region(self, role: Role) -> str:
        return self.regions.primary if role == "primary" else self.regions.secondary

    def bucket(self, purpose: Purpose, region: str) -> str:
        return f"{self.organization}-{purpose}-{region}-{self.account_id}"

    def schedule(self, backup: str, role: Role) -> str:
        """Velero syncs Backups by name, and one of the same name hides the peer's: so the region is in the name."""
        return f"{backup}-{self.region(role)}"

    @model_validator(mode="after")
    def _bucket_names_fit(self) -> Topology:
        longest = max((self.bucket("database", region) for region in (self.regions.primary, self.regions.secondary)), key=len)
        if len(longest) > 63:
            raise Mistake(f"gives the bucket name {{}} of {len(longest)} characters, S3 allows 63; shorten organization", longest)
        return self


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
        return _all_different(names, "name")


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
    path: Annotated[str, _matching(re.compile(r"/[^\s?#]*"), "a path", "/healthz")] = Field(
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
        return _all_different(names, "workload")


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

    def seconds(self, step: Literal["restore", "scale", "verify", "preflight"]) -> int:
        return int(parse_duration(getattr(self, step)).total_seconds())


class Cluster(Model):
    """This region's Kubernetes cluster."""

    context: str = Field(min_length=1, description="the kubeconfig context; no other is ever used")
    name: str = Field(min_length=1, description="what the cluster is called, so that a changed kubeconfig replaces nothing")
    distribution: Literal["eks", "self-managed"] = Field(description="eks, or self-managed (kubeadm, kOps, …)")
    kubeconfig: str | None = Field(default=None, description="path of the kubeconfig; by default the one kubectl uses")
    velero_role_arn: str | None = Field(default=None, description="IAM role that Velero's service account assumes (IRSA)")


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
    images: Images = Field(default_factory=Images, description="container images")
    aws: Aws = Field(default_factory=Aws, description="endpoint or profile, where not the usual")
    backup_encryption_password: SecretStr = Field(
        description="encrypts volume backups; the same in both regions, for ever",
        json_schema_extra={"format": "text of 12 characters or more"},
    )
    access_key_id: SecretStr | None = Field(default=None, description="static credentials for Velero, where no role can be had")
    secret_access_key: SecretStr | None = Field(default=None, description="the key that belongs to accessKeyId")

    @field_validator("backups")
    @classmethod
    def _backups_have_names_of_their_own_that_fit(cls, backups: list[Backup], info: ValidationInfo) -> list[Backup]:
        _all_different([backup.name for backup in backups], "backup")
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
        _all_different([workload.namespace for workload in workloads], "namespace")
        return workloads

    @field_validator("backup_encryption_password")
    @classmethod
    def _hard_to_guess(cls, password: SecretStr) -> SecretStr:
        if len(password.get_secret_value()) < 12:
            raise ValueError("is shorter than 12 characters, and whoever reads the bucket can try it; choose a longer one")
        return password

    @model_validator(mode="after")
    def _both_halves_of_the_key(self) -> Settings:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            missing = "accessKeyId" if self.access_key_id is None else "secretAccessKey"
            raise ValueError(f"static credentials are incomplete; run: pulumi config set --secret {missing} …")
        return self

    @property
    def serving_role(self) -> Role:
        return serving(self.active)


def _all_different(values: list[str], what: str) -> list[str]:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise Mistake(f"names the {what} {{}} twice; keep one", value)
        seen.add(value)
    return values
