"""The names of AWS and Kubernetes resources. Each region computes its own and its peer's, because a dead peer cannot be asked.

No name depends on `active`, so a failover renames nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from settings.fields import LABEL_LENGTH
from settings.parts import Part
from settings.roles import Role, peer_of
from settings.topology import Purpose, Topology

PROGRAM_NAMESPACE = "k8s-dr"
"""Namespace of the program's own Jobs and records, in both clusters."""

FLAG_KEY = "dr/active.json"
"""S3 key of the traffic flag."""

RUNBOOK_KEY = "runbook/runbook.md"
"""S3 key of the runbook with this deployment's names, in the Velero bucket of each region: beside Velero's own prefix."""

EXCLUDED_FROM_BACKUP = {"velero.io/exclude-from-backup": "true"}
"""Label of everything that Velero must not restore: the program's own records and Jobs, and every object of a database, because a
restored Cluster, volume or Secret would break the running database."""

ETCD_PREFIX = "etcd"
"""Prefix of every etcd snapshot in its bucket. Below it, each region has a directory."""

ARCHIVE_PREFIX = "cnpg"
"""Prefix of every database archive in its bucket. Below it, each server name has a directory."""

FRESHNESS_PREFIX = "freshness"
"""Prefix of the marks of the database archives, in the same bucket: one object for each server name."""

BACKUP_RESULTS, BACKUP_VOLUMES, BACKUP_HOLDS = "results.gz", "volumeinfo.json.gz", "resource-list.json.gz"
"""How the names of the small files end that Velero writes beside a backup, after the backup's name and a hyphen."""

DRILLS_NAMESPACE = f"{PROGRAM_NAMESPACE}-drills"
"""Namespace of what drills make, and of nothing else: a drill deletes there what an earlier one left."""

SCRATCH_NAMESPACE = f"{DRILLS_NAMESPACE}-scratch"
"""Namespace into which a drill restores another one. It is empty between two drills, and cut off from all others."""

DRILLS_PREFIX = "drills"
"""Prefix of the records of drills, in the bucket of Velero. Below it, each region has a directory."""

NEVER_RESTORED = (
    "cert-manager",
    "cnpg-system",
    PROGRAM_NAMESPACE,
    DRILLS_NAMESPACE,
    SCRATCH_NAMESPACE,
    "kube-node-lease",
    "kube-public",
    "kube-system",
    "velero",
)
"""Namespaces that Velero never restores: every cluster comes with them, or this program creates them."""


def fitting(name: str, *, room: int = LABEL_LENGTH) -> str:
    """Return `name`, shortened to `room` characters if need be.

    A shortened name ends in a hash of the whole, so that two different long names stay different.
    """
    if len(name) <= room:
        return name
    digest = sha256(name.encode()).hexdigest()[:8]
    return f"{name[: room - 9].rstrip('-.')}-{digest}"


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names, as seen from region `role`."""

    topology: Topology
    role: Role

    @property
    def region(self) -> str:
        return self.topology.region(self.role)

    @property
    def peer_region(self) -> str:
        return self.topology.region(peer_of(self.role))

    def bucket(self, purpose: Purpose) -> str:
        return self.topology.bucket(purpose, self.region)

    def peer_bucket(self, purpose: Purpose) -> str:
        return self.topology.bucket(purpose, self.peer_region)

    @property
    def flag_bucket(self) -> str:
        """The traffic flag's bucket. It is in the secondary region, whichever region this is."""
        return self.topology.bucket("dr-flag", self.topology.regions.secondary)

    @property
    def flag_host(self) -> str:
        """The host from which the health check of the primary's DNS record reads the traffic flag."""
        return f"{self.flag_bucket}.s3.{self.topology.regions.secondary}.amazonaws.com"

    @property
    def key_alias(self) -> str:
        return f"alias/{self.topology.organization}-dr"

    @property
    def peer_key_alias_arn(self) -> str:
        return f"arn:aws:kms:{self.peer_region}:{self.topology.account_id}:{self.key_alias}"

    @property
    def replication_role(self) -> str:
        """The IAM role of S3 replication. IAM has no regions, so the name contains this one."""
        return f"{self.topology.organization}-dr-replication-{self.region}"

    def principal(self, part: Part) -> str:
        """The name of the IAM policy of `part`, and of the IAM role or user that has the policy."""
        return f"{self.topology.organization}-{part}-{self.region}"

    def principal_arn(self, part: Part) -> str:
        """ARN of the role of `part`."""
        return self.iam_arn("role", self.principal(part))

    def iam_arn(self, kind: Literal["role", "policy", "user", "oidc-provider"], name: str) -> str:
        """ARN of something in IAM, which has no region."""
        return f"arn:aws:iam::{self.topology.account_id}:{kind}/{name}"

    def alarm(self, what: str) -> str:
        """The name of an alarm in CloudWatch. `*` stands for any of this program's."""
        return f"{self.topology.organization}-dr-{what}"

    def velero_prefix(self, role: Role) -> str:
        """The prefix below which region `role` writes Velero's backups. S3 replicates it to the peer's bucket unchanged."""
        return f"velero/{role}"

    def inventory_key(self, role: Role) -> str:
        """What the workloads of region `role` need, in the database bucket of both regions: an object beside the marks."""
        return f"{FRESHNESS_PREFIX}/inventory-{role}.json"

    @property
    def etcd_prefix(self) -> str:
        """Each region writes its etcd snapshots below its own prefix, for the replica of the peer's lands in the same bucket."""
        return f"{ETCD_PREFIX}/{self.role}"

    def schedule(self, backup: str, role: Role) -> str:
        """Velero's name of the schedule `backup` of the region `role`."""
        return self.topology.schedule(backup, role)

    @property
    def tags(self) -> dict[str, str]:
        """Tags of every AWS resource. `role` is the region's role, which no failover changes."""
        return {"stack": f"{PROGRAM_NAMESPACE}-{self.role}", "role": self.role, "owner": self.topology.organization}

    @property
    def archive(self) -> str:
        """The S3 URL below which this region's databases archive."""
        return f"s3://{self.bucket('database')}/{ARCHIVE_PREFIX}"

    @property
    def peer_archive(self) -> str:
        """The S3 URL below which the peer's databases archive."""
        return f"s3://{self.peer_bucket('database')}/{ARCHIVE_PREFIX}"
