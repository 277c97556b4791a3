"""Names that both regions compute and nobody looks up: a peer that is dead cannot be asked what its bucket is called.

No name depends on `active`, so nothing is renamed by a failover.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from settings.fields import LABEL_LENGTH
from settings.parts import Part
from settings.roles import Role, peer_of
from settings.topology import Purpose, Topology

PROGRAM_NAMESPACE = "k8s-dr"
"""Namespace of the program's own Jobs and records, in both clusters."""

FLAG_KEY = "dr/active.json"
"""S3 key of the traffic flag."""

EXCLUDED_FROM_BACKUP = {"velero.io/exclude-from-backup": "true"}
"""Label of what Velero must not bring back: the program's own records and Jobs, and everything of a database, for a Cluster, a
volume or a Secret that comes back breaks the one that runs."""

ETCD_PREFIX = "etcd"
"""Prefix of every etcd snapshot in its bucket; below it one directory a region."""

ARCHIVE_PREFIX = "cnpg"
"""Prefix of every database archive in its bucket; below it one directory a server name."""

NEVER_RESTORED = ("cert-manager", "cnpg-system", PROGRAM_NAMESPACE, "kube-node-lease", "kube-public", "kube-system", "velero")
"""Namespaces that a cluster brings itself or that this program owns: never restored over."""


def fitting(name: str, *, room: int = LABEL_LENGTH) -> str:
    """`name` as a Kubernetes object may have it: cut where it is too long, with a hash of the whole, so that two stay two."""
    if len(name) <= room:
        return name
    digest = sha256(name.encode()).hexdigest()[:8]
    return f"{name[: room - 9].rstrip('-.')}-{digest}"


@dataclass(frozen=True, kw_only=True)
class Names:
    """Everything that has a computable name, seen from the region `role`."""

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
        """The flag's bucket, in the secondary region whoever asks."""
        return self.topology.bucket("dr-flag", self.topology.regions.secondary)

    @property
    def flag_host(self) -> str:
        """Where the health check of the primary's record reads the flag."""
        return f"{self.flag_bucket}.s3.{self.topology.regions.secondary}.amazonaws.com"

    @property
    def key_alias(self) -> str:
        return f"alias/{self.topology.organization}-dr"

    @property
    def peer_key_alias_arn(self) -> str:
        return f"arn:aws:kms:{self.peer_region}:{self.topology.account_id}:{self.key_alias}"

    @property
    def replication_role(self) -> str:
        """IAM is global, so the region is in the name."""
        return f"{self.topology.organization}-dr-replication-{self.region}"

    def principal(self, part: Part) -> str:
        """Of `part`: its IAM policy, and the role or user that has it."""
        return f"{self.topology.organization}-{part}-{self.region}"

    def principal_arn(self, part: Part) -> str:
        """Of the role."""
        return f"arn:aws:iam::{self.topology.account_id}:role/{self.principal(part)}"

    def velero_prefix(self, role: Role) -> str:
        """Each region writes below its own prefix; the peer reads the replica of it in its own bucket."""
        return f"velero/{role}"

    @property
    def etcd_prefix(self) -> str:
        """Each region writes its etcd snapshots below its own prefix, for the replica of the peer's lands in the same bucket."""
        return f"{ETCD_PREFIX}/{self.role}"

    def schedule(self, backup: str, role: Role) -> str:
        """Velero's name of the schedule `backup` of the region `role`."""
        return self.topology.schedule(backup, role)

    @property
    def tags(self) -> dict[str, str]:
        """Whose an AWS resource is. `role` is the region's, which no failover changes."""
        return {"stack": f"{PROGRAM_NAMESPACE}-{self.role}", "role": self.role, "owner": self.topology.organization}

    @property
    def archive(self) -> str:
        """Where this region's databases are archived; the peer's are below the same prefix of the peer's bucket."""
        return f"s3://{self.bucket('database')}/{ARCHIVE_PREFIX}"

    @property
    def peer_archive(self) -> str:
        return f"s3://{self.peer_bucket('database')}/{ARCHIVE_PREFIX}"
