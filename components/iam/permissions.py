"""What each part may do at AWS, and which pods may act as it: IAM policies as plain data, computed from names alone.

A writer of backups may never delete a version, change a bucket, lift a lock or move the traffic. Whoever takes a pod over can
spoil what is current, but its earlier versions remain. No statement is for `*`, and nothing depends on `active`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from components.iam.statements import Document, allow, bucket_arn, document, eks_arn, objects_arn, trust, use_key
from settings.names import ARCHIVE_PREFIX, DRILLS_PREFIX, FLAG_KEY, FRESHNESS_PREFIX, Names
from settings.roles import peer_of

_WRITE = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
# DeleteObject adds a delete marker. The version below the marker remains: only DeleteObjectVersion could remove it.
_DELETE_CURRENT = ["s3:DeleteObject"]


class ServiceAccount(NamedTuple):
    """The Kubernetes account that a part's pods run under."""

    namespace: str
    name: str


def velero_policy(names: Names) -> Document:
    """Velero's server and node agents. In the region's bucket they write its own prefix, and read the replica of the peer's.

    No right in EC2: the EBS CSI driver takes snapshots, with a role of its own, and Velero moves their data into the bucket.
    """
    bucket = names.bucket("velero")
    own, peer = f"{names.velero_prefix(names.role)}/*", f"{names.velero_prefix(peer_of(names.role))}/*"
    return document(
        # S3 applies this condition before answering 404 rather than 403, and a new kopia repository needs that 404.
        allow("List", ["s3:ListBucket"], bucket_arn(bucket), condition={"StringLike": {"s3:prefix": [own, peer]}}),
        # kopia's repositories are below this prefix too. Velero and kopia both delete what has expired.
        allow("Own", ["s3:GetObject", *_WRITE, *_DELETE_CURRENT], objects_arn(bucket, own)),
        allow("ReadPeer", ["s3:GetObject"], objects_arn(bucket, peer)),
        # A restore writes its log and results next to the backup it restores, in a read-only location too.
        allow("RestoresOfPeer", [*_WRITE, *_DELETE_CURRENT], objects_arn(bucket, f"{peer.removesuffix('*')}restores/*")),
        use_key("Key", ["kms:Decrypt", "kms:GenerateDataKey"], names, names.region),
    )


def database_policy(names: Names, *, reads_peer: bool) -> Document:
    """Barman in every instance. It reads all archives in the region's own bucket and writes its own region's archives alone. With
    `reads_peer` it reads those in the peer's bucket too.

    No s3:GetObjectRetention, on purpose: Barman would see the locks, and give up instead of hiding what has expired.
    """
    own, peer = names.bucket("database"), names.peer_bucket("database")
    # The replica of the peer's archive is below the same prefix, so the pattern asks for this region's role in the server name.
    written = objects_arn(own, f"{ARCHIVE_PREFIX}/*-{names.role}-g*/*")
    statements = [
        # No condition on the prefix: Barman begins with HeadBucket, which names no prefix, and this bucket holds nothing else.
        allow("List", ["s3:ListBucket"], bucket_arn(own)),
        allow("Read", ["s3:GetObject"], objects_arn(own, f"{ARCHIVE_PREFIX}/*")),
        allow("Own", [*_WRITE, *_DELETE_CURRENT], written),
        use_key("Key", ["kms:Decrypt", "kms:GenerateDataKey"], names, names.region),
    ]
    if reads_peer:
        statements += [
            allow("ListPeer", ["s3:ListBucket"], bucket_arn(peer)),
            allow("ReadPeer", ["s3:GetObject"], objects_arn(peer, f"{ARCHIVE_PREFIX}/*")),
            use_key("KeyOfPeer", ["kms:Decrypt"], names, names.peer_region),
        ]
    return document(*statements)


def etcd_policy(names: Names) -> Document:
    """The etcd backup. It writes its own snapshots and checks what arrived; it may neither delete nor list."""
    return document(
        # HeadObject takes the right GetObject. S3 takes Decrypt to put the parts of an upload together and to return a checksum.
        allow("Own", ["s3:GetObject", *_WRITE], objects_arn(names.bucket("etcd"), f"{names.etcd_prefix}/*")),
        use_key("Key", ["kms:Decrypt", "kms:GenerateDataKey"], names, names.region),
    )


def freshness_policy(names: Names) -> Document:
    """What marks how fresh the databases' archives are. It writes the marks of its own region's archives and no other object, and
    reads nothing but names."""
    own = names.bucket("database")
    archives = {"StringLike": {"s3:prefix": [f"{ARCHIVE_PREFIX}/*-{names.role}-g*/*"]}}
    return document(
        allow("List", ["s3:ListBucket"], bucket_arn(own), condition=archives),
        allow("Marks", ["s3:PutObject"], objects_arn(own, f"{FRESHNESS_PREFIX}/*-{names.role}-g*")),
        use_key("Key", ["kms:GenerateDataKey"], names, names.region),
    )


def guard_policy(names: Names) -> Document:
    """The guard. It reads the traffic flag, and nothing else: it can neither list nor write, and the flag is not encrypted with a
    key of KMS. Without the right to list, S3 answers alike for a missing flag and a forbidden one; the guard acts on neither."""
    return document(allow("Flag", ["s3:GetObject"], objects_arn(names.flag_bucket, FLAG_KEY)))


def drills_policy(names: Names) -> Document:
    """The drills. They read every backup in this region's buckets, the peer's copies too, and add records of their own.

    A record is written once: S3 refuses a write over an object that is there, and the permission is for no other write.
    """
    velero, etcd, database = (names.bucket(purpose) for purpose in ("velero", "etcd", "database"))
    own, peer = f"{names.velero_prefix(names.role)}/*", f"{names.velero_prefix(peer_of(names.role))}/*"
    snapshots = f"{names.etcd_prefix}/*"
    return document(
        allow("List", ["s3:ListBucket"], bucket_arn(velero), condition={"StringLike": {"s3:prefix": [own, peer]}}),
        allow("ListSnapshots", ["s3:ListBucket"], bucket_arn(etcd), condition={"StringLike": {"s3:prefix": [snapshots]}}),
        # No condition on the prefix: Barman begins with HeadBucket, which names no prefix.
        allow("ListArchives", ["s3:ListBucket"], bucket_arn(database)),
        allow("ReadOwn", ["s3:GetObject"], objects_arn(velero, own)),
        allow("ReadPeer", ["s3:GetObject"], objects_arn(velero, peer)),
        allow("ReadSnapshots", ["s3:GetObject"], objects_arn(etcd, snapshots)),
        allow("ReadArchives", ["s3:GetObject"], objects_arn(database, f"{ARCHIVE_PREFIX}/*")),
        allow("ReadMarks", ["s3:GetObject"], objects_arn(database, f"{FRESHNESS_PREFIX}/*")),
        allow(
            "Records",
            ["s3:PutObject"],
            objects_arn(velero, f"{DRILLS_PREFIX}/{names.role}/*"),
            condition={"Null": {"s3:if-none-match": "false"}},
        ),
        use_key("Key", ["kms:Decrypt", "kms:GenerateDataKey"], names, names.region),
    )


def drill_database_policy(names: Names) -> Document:
    """The throw-away Cluster of the drill of databases. It reads the archives in this region's bucket, and writes nothing.

    PostgreSQL runs there on files that whoever writes the archive has written, so it has nothing that other drills have.
    """
    bucket = names.bucket("database")
    return document(
        # No condition on the prefix: Barman begins with HeadBucket, which names no prefix.
        allow("List", ["s3:ListBucket"], bucket_arn(bucket)),
        allow("Read", ["s3:GetObject"], objects_arn(bucket, f"{ARCHIVE_PREFIX}/*")),
        use_key("Key", ["kms:Decrypt"], names, names.region),
    )


def pod_identity_trust(names: Names, cluster: str, accounts: Sequence[ServiceAccount]) -> Document:
    """Trusts pods of `accounts` in the EKS cluster called `cluster`. EKS sets the session tags that the policy asks for; without
    them every association in the account could assume the role. The cluster's ARN holds account and region."""
    tags = {
        "eks-cluster-arn": eks_arn(names, "cluster", cluster),
        "kubernetes-namespace": _distinct(namespace for namespace, _ in accounts),
        "kubernetes-service-account": _distinct(account for _, account in accounts),
    }
    return trust(
        {"Service": "pods.eks.amazonaws.com"},
        ["sts:AssumeRole", "sts:TagSession"],
        {"StringEquals": {f"aws:RequestTag/{tag}": value for tag, value in tags.items()}},
    )


def irsa_trust(names: Names, issuer: str, accounts: Sequence[ServiceAccount]) -> Document:
    """Trusts pods of `accounts` in the cluster whose OIDC issuer is `issuer`, without https://. IAM must know the issuer as an
    identity provider."""
    claims = {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": _distinct(f"system:serviceaccount:{namespace}:{account}" for namespace, account in accounts),
    }
    provider = names.iam_arn("oidc-provider", issuer)
    return trust({"Federated": provider}, ["sts:AssumeRoleWithWebIdentity"], {"StringEquals": claims})


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values))
