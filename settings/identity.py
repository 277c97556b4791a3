"""Who the pods are to AWS: roles where they can be had, static credentials where not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, SecretStr

from settings.cluster import Cluster
from settings.fields import Model
from settings.parts import PARTS, Part
from settings.roles import Role

IdentityMode = Literal["pod-identity", "irsa", "instance-profile", "static"]


class AccessKey(Model):
    """A static credential of one IAM user."""

    access_key_id: SecretStr = Field(min_length=1, description="the id of the access key")
    secret_access_key: SecretStr = Field(min_length=1, description="the key that belongs to the id")

    def secret_data(self) -> dict[str, str]:
        """Both values in plain text, under the keys that the program's Kubernetes Secrets use for them."""
        return {
            "accessKeyId": self.access_key_id.get_secret_value(),
            "secretAccessKey": self.secret_access_key.get_secret_value(),
        }


class StaticCredentials(Model):
    """One access key a part, of the users that the program attaches its policies to (identity: static)."""

    velero: AccessKey | None = Field(default=None, description="of the user of Velero")
    database: AccessKey | None = Field(default=None, description="of the user of the databases' archives")
    etcd: AccessKey | None = Field(default=None, description="of the user of the etcd backup")

    def of(self, part: Part) -> AccessKey | None:
        keys: dict[Part, AccessKey | None] = {"velero": self.velero, "database": self.database, "etcd": self.etcd}
        return keys[part]


def check_identity(identity: IdentityMode | None, cluster: Cluster) -> None:
    """Raise ValueError where the cluster cannot have this identity, or lacks what it takes."""
    own = any(cluster.role_arn(part) for part in PARTS)
    match identity:
        case None if cluster.distribution == "self-managed":
            raise ValueError(
                "is missing, and cluster.distribution is self-managed; write irsa, instance-profile or static; only EKS has pod "
                "identities"
            )
        case "pod-identity" if cluster.distribution == "self-managed":
            raise ValueError(
                "needs Amazon EKS, and cluster.distribution is self-managed; write irsa, instance-profile or static instead"
            )
        case "irsa" if cluster.oidc_issuer is None:
            raise ValueError(
                "needs cluster.oidcIssuer, the cluster's OIDC issuer without https:// (on EKS: aws eks describe-cluster "
                "--name NAME --query cluster.identity.oidc.issuer); add it"
            )
        case "instance-profile" if cluster.node_role is None:
            raise ValueError("needs cluster.nodeRole, the name of the nodes' IAM role; add it")
        case "instance-profile" | "static" if own:
            raise ValueError("takes no role, but cluster has one of veleroRoleArn, databaseRoleArn, etcdRoleArn; take that out")


def check_static_credentials(identity: IdentityMode, keys: StaticCredentials, needed: Sequence[Part], role: Role) -> None:
    """Raise ValueError where a part has no key and needs one, or has one that nobody uses."""
    given = [part for part in PARTS if keys.of(part)]
    if identity != "static":
        if given:
            raise ValueError(
                f"has a key for {given[0]} while identity is {identity}, and nobody uses it; set identity: static, or run: "
                f"pulumi config rm staticCredentials -s {role}"
            )
        return
    if unused := [part for part in given if part not in needed]:
        raise ValueError(
            f"has a key for {unused[0]}, which this stack does not run; run: pulumi config rm --path "
            f"staticCredentials.{unused[0]} -s {role}"
        )
    if missing := [part for part in needed if part not in given]:
        raise ValueError(
            f"has no key for {missing[0]} while identity is static; run, and the same for secretAccessKey: pulumi config set "
            f"--secret --path staticCredentials.{missing[0]}.accessKeyId -s {role}"
        )
