"""What each part may do at AWS, and who may be it: IAM policies as plain data, made from names alone.

A writer of backups may never delete a version, change a bucket, lift a lock or move the traffic: whoever takes a pod over can
spoil what is current, and a version brings it back. Nothing here is `*`, and nothing depends on `active`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from settings.names import ARCHIVE_PREFIX, Names
from settings.roles import peer_of

_WRITE = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
# DeleteObject leaves a delete marker. What it hides is kept as a version, which only DeleteObjectVersion could remove.
_DELETE_CURRENT = ["s3:DeleteObject"]

ServiceAccount = tuple[str, str]
"""Namespace and name."""


def _statement(sid: str, actions: Sequence[str], resource: str, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    allowed = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}
    return {**allowed, "Condition": condition} if condition else allowed


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _bucket(name: str) -> str:
    return f"arn:aws:s3:::{name}"


def _key(sid: str, actions: Sequence[str], names: Names, region: str) -> dict[str, Any]:
    """The key of the backups in `region`, through S3 alone. By its alias, which both regions know without asking."""
    return _statement(
        sid,
        actions,
        f"arn:aws:kms:{region}:{names.topology.account_id}:key/*",
        {
            "StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"},
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias},
        },
    )


def velero_policy(names: Names) -> dict[str, Any]:
    """Velero's server and node agents: both prefixes of the region's own bucket.

    Nothing of EC2: snapshots are taken by the EBS CSI driver with a role of its own, and their data is moved into the bucket.
    """
    bucket = _bucket(names.bucket("velero"))
    own, peer = f"{names.velero_prefix(names.role)}/*", f"{names.velero_prefix(peer_of(names.role))}/*"
    return _document(
        # S3 holds this condition against the key too when it decides whether "no such key" may be told, and a new kopia
        # repository begins with that answer.
        _statement("List", ["s3:ListBucket"], bucket, {"StringLike": {"s3:prefix": [own, peer]}}),
        # kopia's repositories are below it too, and both delete what has expired.
        _statement("Own", ["s3:GetObject", *_WRITE, *_DELETE_CURRENT], f"{bucket}/{own}"),
        _statement("ReadPeer", ["s3:GetObject"], f"{bucket}/{peer}"),
        # A restore writes its log and results next to the backup it restores, in a read-only location too.
        _statement("RestoresOfPeer", [*_WRITE, *_DELETE_CURRENT], f"{bucket}/{peer.removesuffix('*')}restores/*"),
        _key("Key", ["kms:Decrypt", "kms:GenerateDataKey"], names, names.region),
    )


def database_policy(names: Names, *, reads_peer: bool) -> dict[str, Any]:
    """Barman in every instance: all archives of the region's own bucket, of which it writes its own region's; with `reads_peer`
    it fetches from the peer's bucket too.

    Without s3:GetObjectRetention Barman does not see locks, and so hides what has expired instead of giving up.
    """
    own, peer = _bucket(names.bucket("database")), _bucket(names.peer_bucket("database"))
    # Every server name has the role of its region in it: the replica of the peer's archive is below the same prefix.
    written = f"{own}/{ARCHIVE_PREFIX}/*-{names.role}-g*/*"
    statements = [
        # No condition on the prefix: Barman begins with HeadBucket, which has none, and nothing else is in this bucket.
        _statement("List", ["s3:ListBucket"], own),
        _statement("Read", ["s3:GetObject"], f"{own}/{ARCHIVE_PREFIX}/*"),
        _statement("Own", [*_WRITE, *_DELETE_CURRENT], written),
        _key("Key", ["kms:Decrypt", "kms:GenerateDataKey"], names, names.region),
    ]
    if reads_peer:
        statements += [
            _statement("ListPeer", ["s3:ListBucket"], peer),
            _statement("ReadPeer", ["s3:GetObject"], f"{peer}/{ARCHIVE_PREFIX}/*"),
            _key("KeyOfPeer", ["kms:Decrypt"], names, names.peer_region),
        ]
    return _document(*statements)


def etcd_policy(names: Names) -> dict[str, Any]:
    """The etcd backup: writes its own snapshots and checks what arrived. It deletes nothing, and lists nothing."""
    return _document(
        # GetObject is what HeadObject asks for; Decrypt what S3 needs to put parts together, and to tell a checksum.
        _statement("Own", ["s3:GetObject", *_WRITE], f"{_bucket(names.bucket('etcd'))}/etcd/{names.role}/*"),
        _key("Key", ["kms:Decrypt", "kms:GenerateDataKey"], names, names.region),
    )


def pod_identity_trust(names: Names, cluster: str, accounts: Sequence[ServiceAccount]) -> dict[str, Any]:
    """Pods of `accounts` in the EKS cluster called `cluster`, by the session tags that EKS sets: without them every
    association in the account could take the role. The cluster's ARN holds account and region."""
    tags = {
        "eks-cluster-arn": f"arn:aws:eks:{names.region}:{names.topology.account_id}:cluster/{cluster}",
        "kubernetes-namespace": _several(namespace for namespace, _ in accounts),
        "kubernetes-service-account": _several(account for _, account in accounts),
    }
    return _trust(
        {"Service": "pods.eks.amazonaws.com"},
        ["sts:AssumeRole", "sts:TagSession"],
        {f"aws:RequestTag/{tag}": value for tag, value in tags.items()},
    )


def irsa_trust(names: Names, issuer: str, accounts: Sequence[ServiceAccount]) -> dict[str, Any]:
    """Pods of `accounts` in the cluster whose OIDC issuer is `issuer`, without https://; IAM must know it as a provider."""
    provider = f"arn:aws:iam::{names.topology.account_id}:oidc-provider/{issuer}"
    return _trust(
        {"Federated": provider},
        ["sts:AssumeRoleWithWebIdentity"],
        {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": _several(f"system:serviceaccount:{namespace}:{account}" for namespace, account in accounts),
        },
    )


def _trust(principal: dict[str, str], actions: Sequence[str], equal: dict[str, Any]) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions), "Condition": {"StringEquals": equal}}
    return _document(statement)


def _several(values: Iterable[str]) -> list[str]:
    return sorted(set(values))
