"""What each part may do at AWS, and who may be it: IAM policies as plain data, made from names alone.

A writer of backups may never delete a version, change a bucket, lift a lock or move the traffic: whoever takes a pod over can
spoil what is current, and a version brings it back. Nothing here is `*`, and nothing depends on `active`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from components.iam.statements import Document, allow, bucket_arn, document, iam_arn, objects_arn, trust, use_key
from settings.names import ARCHIVE_PREFIX, Names
from settings.roles import peer_of

_WRITE = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
# DeleteObject leaves a delete marker. What it hides is kept as a version, which only DeleteObjectVersion could remove.
_DELETE_CURRENT = ["s3:DeleteObject"]


class ServiceAccount(NamedTuple):
    """The Kubernetes account that a part's pods run under."""

    namespace: str
    name: str


def velero_policy(names: Names) -> Document:
    """Velero's server and node agents: both prefixes of the region's own bucket.

    Nothing of EC2: snapshots are taken by the EBS CSI driver with a role of its own, and their data is moved into the bucket.
    """
    bucket = names.bucket("velero")
    own, peer = f"{names.velero_prefix(names.role)}/*", f"{names.velero_prefix(peer_of(names.role))}/*"
    return document(
        # S3 applies this condition before answering 404 rather than 403, and a new kopia repository needs that 404.
        allow("List", ["s3:ListBucket"], bucket_arn(bucket), condition={"StringLike": {"s3:prefix": [own, peer]}}),
        # kopia's repositories are below it too, and both delete what has expired.
        allow("Own", ["s3:GetObject", *_WRITE, *_DELETE_CURRENT], objects_arn(bucket, own)),
        allow("ReadPeer", ["s3:GetObject"], objects_arn(bucket, peer)),
        # A restore writes its log and results next to the backup it restores, in a read-only location too.
        allow("RestoresOfPeer", [*_WRITE, *_DELETE_CURRENT], objects_arn(bucket, f"{peer.removesuffix('*')}restores/*")),
        use_key("Key", ["kms:Decrypt", "kms:GenerateDataKey"], names, names.region),
    )


def database_policy(names: Names, *, reads_peer: bool) -> Document:
    """Barman in every instance: all archives of the region's own bucket, of which it writes its own region's; with `reads_peer`
    it fetches from the peer's bucket too.

    No s3:GetObjectRetention, on purpose: Barman would see the locks, and give up instead of hiding what has expired.
    """
    own, peer = names.bucket("database"), names.peer_bucket("database")
    # Every server name has the role of its region in it: the replica of the peer's archive is below the same prefix.
    written = objects_arn(own, f"{ARCHIVE_PREFIX}/*-{names.role}-g*/*")
    statements = [
        # No condition on the prefix: Barman begins with HeadBucket, which has none, and nothing else is in this bucket.
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
    """The etcd backup: writes its own snapshots and checks what arrived. It deletes nothing, and lists nothing."""
    return document(
        # GetObject is what HeadObject asks for; Decrypt what S3 needs to put parts together, and to tell a checksum.
        allow("Own", ["s3:GetObject", *_WRITE], objects_arn(names.bucket("etcd"), f"{names.etcd_prefix}/*")),
        use_key("Key", ["kms:Decrypt", "kms:GenerateDataKey"], names, names.region),
    )


def pod_identity_trust(names: Names, cluster: str, accounts: Sequence[ServiceAccount]) -> Document:
    """Pods of `accounts` in the EKS cluster called `cluster`, by the session tags that EKS sets: without them every
    association in the account could take the role. The cluster's ARN holds account and region."""
    tags = {
        "eks-cluster-arn": f"arn:aws:eks:{names.region}:{names.topology.account_id}:cluster/{cluster}",
        "kubernetes-namespace": _several(namespace for namespace, _ in accounts),
        "kubernetes-service-account": _several(account for _, account in accounts),
    }
    return trust(
        {"Service": "pods.eks.amazonaws.com"},
        ["sts:AssumeRole", "sts:TagSession"],
        {"StringEquals": {f"aws:RequestTag/{tag}": value for tag, value in tags.items()}},
    )


def irsa_trust(names: Names, issuer: str, accounts: Sequence[ServiceAccount]) -> Document:
    """Pods of `accounts` in the cluster whose OIDC issuer is `issuer`, without https://; IAM must know it as a provider."""
    claims = {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": _several(f"system:serviceaccount:{namespace}:{account}" for namespace, account in accounts),
    }
    provider = iam_arn(names, "oidc-provider", issuer)
    return trust({"Federated": provider}, ["sts:AssumeRoleWithWebIdentity"], {"StringEquals": claims})


def _several(values: Iterable[str]) -> list[str]:
    return sorted(set(values))
