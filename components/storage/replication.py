"""What a region writes, copied to the other region's bucket of the computed name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws

from components.iam.statements import Document, allow, bucket_arn, document, objects_arn, text, trust, use_key
from settings.names import Names
from settings.storage import StorageSettings
from settings.topology import Purpose

_READ_VERSIONS = [
    "s3:GetObjectVersionForReplication",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionTagging",
    "s3:GetObjectRetention",
    "s3:GetObjectLegalHold",
]
_MINUTES = {"minutes": 15}
"""The only threshold that S3 has."""


@dataclass(frozen=True, kw_only=True)
class ReplicationArgs:
    """`ready` is what S3 demands of a bucket before it replicates: versions, and the lock if there is one."""

    names: Names
    settings: StorageSettings
    buckets: Mapping[Purpose, aws.s3.Bucket]
    key_arn: pulumi.Output[str]
    ready: Sequence[pulumi.Resource]


def replicate(name: str, args: ReplicationArgs, *, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """A rule for each bucket, and the role that S3 has for it. S3 does not copy a copy, so two rules in opposite directions make
    no circle."""
    child = partial(pulumi.ResourceOptions, parent=parent)
    role = aws.iam.Role(
        f"{name}-replication",
        name=args.names.replication_role,
        assume_role_policy=text(trust({"Service": "s3.amazonaws.com"}, ["sts:AssumeRole"])),
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
            rules=[_rule(args, purpose)],
            opts=child(depends_on=[*args.ready, permissions]),
        )
        for purpose, bucket in args.buckets.items()
    ]


def _rule(args: ReplicationArgs, purpose: Purpose) -> dict[str, Any]:
    names = args.names
    return {
        "id": "to-peer",
        "status": "Enabled",
        "priority": 1,
        "filter": {"prefix": f"{names.velero_prefix(names.role)}/" if purpose == "velero" else ""},
        "delete_marker_replication": {"status": "Enabled"},
        "source_selection_criteria": {"sse_kms_encrypted_objects": {"status": "Enabled"}},
        "destination": {
            "bucket": bucket_arn(names.peer_bucket(purpose)),
            "storage_class": "STANDARD",
            "encryption_configuration": {"replica_kms_key_id": names.peer_key_alias_arn},
            **_measured(args.settings),
        },
    }


def _measured(settings: StorageSettings) -> dict[str, Any]:
    """With time control S3 demands the metrics, and their threshold; without it the metrics alone have none."""
    if settings.replication_time_control:
        return {
            "replication_time": {"status": "Enabled", "time": _MINUTES},
            "metrics": {"status": "Enabled", "event_threshold": _MINUTES},
        }
    return {"metrics": {"status": "Enabled"}} if settings.replication_metrics else {}


def role_policy(names: Names, purposes: Sequence[Purpose], key_arn: str) -> Document:
    """What S3 needs to read here and to write there, of locked versions too: a version takes its lock along, and for a role that
    may not see the lock S3 copies nothing from a locked bucket. With bucket keys the encryption context is the bucket's ARN."""
    own, peer = [names.bucket(purpose) for purpose in purposes], [names.peer_bucket(purpose) for purpose in purposes]
    through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{names.region}.amazonaws.com"}}
    return document(
        allow("ReadRules", ["s3:GetReplicationConfiguration", "s3:ListBucket"], *map(bucket_arn, own)),
        allow("ReadVersions", _READ_VERSIONS, *map(objects_arn, own)),
        allow("WriteReplicas", ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"], *map(objects_arn, peer)),
        allow("DecryptHere", ["kms:Decrypt"], key_arn, condition=through_s3),
        use_key("EncryptThere", ["kms:Encrypt", "kms:GenerateDataKey"], names, names.peer_region),
    )
