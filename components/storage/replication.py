"""S3 replication of what a region writes, to the peer's buckets, whose names are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws

from components.iam.statements import Document, allow, bucket_arn, document, objects_arn, text, through_s3, trust, use_key
from settings.names import DRILLS_PREFIX, Names
from settings.storage import StorageSettings
from settings.topology import Purpose

_READ_VERSIONS = [
    "s3:GetObjectVersionForReplication",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionTagging",
    "s3:GetObjectRetention",
    "s3:GetObjectLegalHold",
]
RULE, DRILLS_RULE = "to-peer", "drills-to-peer"
"""The id of each bucket's rule, and of the one beside it in Velero's bucket that copies the records of drills."""

THRESHOLD_MINUTES = 15
"""The only threshold that S3 knows."""


@dataclass(frozen=True, kw_only=True)
class ReplicationArgs:
    """`ready` is what S3 demands of a bucket before it replicates: versioning, and its Object Lock if there is one."""

    names: Names
    settings: StorageSettings
    buckets: Mapping[Purpose, aws.s3.Bucket]
    key_arn: pulumi.Output[str]
    ready: Sequence[pulumi.Resource]
    permissions_boundary: str | None = None


def replicate(name: str, args: ReplicationArgs, *, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """A replication rule for each bucket, and the role by which S3 follows it. Returns the rules. S3 does not copy a copy, so
    rules in opposite directions make no circle."""
    child = partial(pulumi.ResourceOptions, parent=parent)
    role = aws.iam.Role(
        f"{name}-replication",
        name=args.names.replication_role,
        assume_role_policy=text(trust({"Service": "s3.amazonaws.com"}, ["sts:AssumeRole"])),
        permissions_boundary=args.permissions_boundary,
        opts=child(),
    )
    permissions = aws.iam.RolePolicy(
        f"{name}-replication",
        role=role.id,
        policy=args.key_arn.apply(lambda arn: text(role_policy(args.names, tuple(args.buckets), arn))),
        opts=child(),
    )
    return [
        aws.s3.BucketReplicationConfig(
            f"{name}-{purpose}-replication",
            bucket=bucket.id,
            role=role.arn,
            rules=_rules(args, purpose),
            opts=child(depends_on=[*args.ready, permissions]),
        )
        for purpose, bucket in args.buckets.items()
    ]


def _rules(args: ReplicationArgs, purpose: Purpose) -> list[dict[str, Any]]:
    """Velero's own prefix, and beside it the records of drills: Velero takes a location for broken that holds anything else."""
    names = args.names
    if purpose != "velero":
        return [_rule(args, purpose, RULE, 1, "")]
    return [
        _rule(args, purpose, RULE, 1, f"{names.velero_prefix(names.role)}/"),
        _rule(args, purpose, DRILLS_RULE, 2, f"{DRILLS_PREFIX}/{names.role}/"),
    ]


def _rule(args: ReplicationArgs, purpose: Purpose, identifier: str, priority: int, prefix: str) -> dict[str, Any]:
    names = args.names
    return {
        "id": identifier,
        "status": "Enabled",
        "priority": priority,
        "filter": {"prefix": prefix},
        "delete_marker_replication": {"status": "Enabled"},
        "source_selection_criteria": {"sse_kms_encrypted_objects": {"status": "Enabled"}},
        "destination": {
            "bucket": bucket_arn(names.peer_bucket(purpose)),
            "storage_class": "STANDARD",
            "encryption_configuration": {"replica_kms_key_id": names.peer_key_alias_arn},
            **_metrics(args.settings),
        },
    }


def _metrics(settings: StorageSettings) -> dict[str, Any]:
    """The metrics of a rule. With time control S3 demands metrics and their threshold; without it, metrics have no threshold."""
    threshold = {"minutes": THRESHOLD_MINUTES}
    if settings.replication_time_control:
        return {
            "replication_time": {"status": "Enabled", "time": threshold},
            "metrics": {"status": "Enabled", "event_threshold": threshold},
        }
    return {"metrics": {"status": "Enabled"}} if settings.replication_metrics else {}


def role_policy(names: Names, purposes: Sequence[Purpose], key_arn: str) -> Document:
    """What S3 needs to read here and to write in the peer region. A version takes its lock along: if the role may not read locks,
    S3 copies nothing from a locked bucket. With bucket keys the encryption context is the bucket's ARN."""
    own, peer = [names.bucket(purpose) for purpose in purposes], [names.peer_bucket(purpose) for purpose in purposes]
    return document(
        allow("ReadRules", ["s3:GetReplicationConfiguration", "s3:ListBucket"], *map(bucket_arn, own)),
        allow("ReadVersions", _READ_VERSIONS, *map(objects_arn, own)),
        allow("WriteReplicas", ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"], *map(objects_arn, peer)),
        allow("DecryptHere", ["kms:Decrypt"], key_arn, condition=through_s3(names.region)),
        use_key("EncryptThere", ["kms:Encrypt", "kms:GenerateDataKey"], names, names.peer_region),
    )
