"""The backup buckets of one region, hardened, with a key of the region's own and a copy of every object in the other region."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pulumi
import pulumi_aws as aws

from settings.model import Storage as StorageSettings
from settings.names import Names
from settings.topology import Purpose

PURPOSES: tuple[Purpose, ...] = ("velero", "etcd", "database")


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    """`peer_ready` is set once, when the other region's buckets exist, and never touched by a failover: S3's bucket
    configuration has its control plane in us-east-1, which may be the region that is dead."""

    names: Names
    settings: StorageSettings
    peer_ready: bool
    plain_http: bool = False
    """The endpoint is an S3-compatible one without TLS: a policy that demands it would lock everybody out."""


def tls_only(arn: str) -> dict[str, object]:
    """The statement that refuses every request that is not encrypted on its way."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def policy(*statements: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def guard_bucket(name: str, bucket: aws.s3.Bucket, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """What every bucket of the program has: no public access, no ACLs, versions."""
    return [
        aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=opts,
        ),
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership", bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=opts
        ),
        aws.s3.BucketVersioning(
            f"{name}-versioning", bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=opts
        ),
    ]


class Storage(pulumi.ComponentResource):
    """Three buckets of one region: for Velero, etcd snapshots and database archives.

    For the region's own backup writers, and through replication for the other region's restores. Does the same whether
    its region is active or standby: nothing here depends on `active`. Everything is protected from deletion.
    """

    buckets: dict[Purpose, aws.s3.Bucket]
    key_arn: pulumi.Output[str]
    ready: list[pulumi.Resource]
    """What writers need: buckets that have versions and, once the peer is ready, replicate what is written from then on."""

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:storage:Storage", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        self._stem, self._args = name, args

        key = aws.kms.Key(
            f"{name}-key",
            description=f"Backups of {args.names.topology.organization} in {args.names.region}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            opts=child(protect=True),
        )
        aws.kms.Alias(f"{name}-key-alias", name=args.names.key_alias, target_key_id=key.key_id, opts=child())
        self.key_arn = key.arn

        self.buckets = {}
        self.ready = []
        for purpose in PURPOSES:
            self.buckets[purpose], parts = self._bucket(purpose, key)
            self.ready += parts
        if args.peer_ready:
            self.ready += self._replicate(list(self.ready))
        self.register_outputs({"buckets": {purpose: bucket.bucket for purpose, bucket in self.buckets.items()}})

    def _bucket(self, purpose: Purpose, key: aws.kms.Key) -> tuple[aws.s3.Bucket, list[pulumi.Resource]]:
        child = partial(pulumi.ResourceOptions, parent=self)
        name, settings = f"{self._stem}-{purpose}", self._args.settings
        bucket_name = self._args.names.bucket(purpose)
        bucket = aws.s3.Bucket(
            name,
            bucket=bucket_name,
            force_destroy=False,
            object_lock_enabled=settings.object_lock is not None,
            opts=child(protect=True),
        )
        parts = guard_bucket(name, bucket, child())
        if not self._args.plain_http:
            aws.s3.BucketPolicy(
                f"{name}-policy", bucket=bucket.id, policy=policy(tls_only(f"arn:aws:s3:::{bucket_name}")), opts=child()
            )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.id,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": key.arn},
                    "bucket_key_enabled": True,
                }
            ],
            opts=child(),
        )
        # Current versions never expire by age: kopia's packs and WAL files are needed for as long as any backup that
        # refers to them, and only their writers know how long that is.
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.id,
            rules=[
                {
                    "id": "noncurrent-versions",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": settings.noncurrent_days},
                    "expiration": {"expired_object_delete_marker": True},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
                }
            ],
            opts=child(depends_on=parts),
        )
        if settings.object_lock is not None:
            lock = {"mode": settings.object_lock.mode, "days": settings.object_lock.days}
            aws.s3.BucketObjectLockConfiguration(
                f"{name}-object-lock", bucket=bucket.id, rule={"default_retention": lock}, opts=child(depends_on=parts)
            )
        return bucket, parts

    def _replicate(self, ready: list[pulumi.Resource]) -> list[pulumi.Resource]:
        """Copy what this region writes to the peer's bucket of the computed name. S3 does not copy a copy, so two rules
        in opposite directions make no circle."""
        child = partial(pulumi.ResourceOptions, parent=self)
        names = self._args.names
        role = aws.iam.Role(
            f"{self._stem}-replication",
            name=names.replication_role,
            assume_role_policy=policy(
                {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ),
            opts=child(),
        )
        permissions = aws.iam.RolePolicy(
            f"{self._stem}-replication", role=role.id, policy=self.key_arn.apply(self._replication_policy), opts=child()
        )
        time_control = (
            {
                "replication_time": {"status": "Enabled", "time": {"minutes": 15}},
                "metrics": {"status": "Enabled", "event_threshold": {"minutes": 15}},
            }
            if self._args.settings.replication_time_control
            else {}
        )
        replications: list[pulumi.Resource] = []
        for purpose, bucket in self.buckets.items():
            prefix = f"{names.velero_prefix(names.role)}/" if purpose == "velero" else ""
            replications.append(
                aws.s3.BucketReplicationConfig(
                    f"{self._stem}-{purpose}-replication",
                    bucket=bucket.id,
                    role=role.arn,
                    rules=[
                        {
                            "id": "to-peer",
                            "status": "Enabled",
                            "priority": 1,
                            "filter": {"prefix": prefix},
                            "delete_marker_replication": {"status": "Enabled"},
                            "source_selection_criteria": {"sse_kms_encrypted_objects": {"status": "Enabled"}},
                            "destination": {
                                "bucket": f"arn:aws:s3:::{names.peer_bucket(purpose)}",
                                "storage_class": "STANDARD",
                                "encryption_configuration": {"replica_kms_key_id": names.peer_key_alias_arn},
                                **time_control,
                            },
                        }
                    ],
                    opts=child(depends_on=[*ready, permissions]),
                )
            )
        return replications

    def _replication_policy(self, key_arn: str) -> str:
        """What S3 needs to read here and write there. With bucket keys the encryption context is the bucket's ARN."""
        names = self._args.names
        own = [f"arn:aws:s3:::{names.bucket(purpose)}" for purpose in PURPOSES]
        peer = [f"arn:aws:s3:::{names.peer_bucket(purpose)}" for purpose in PURPOSES]
        return policy(
            {
                "Sid": "ReadRules",
                "Effect": "Allow",
                "Action": ["s3:GetReplicationConfiguration", "s3:ListBucket"],
                "Resource": own,
            },
            {
                "Sid": "ReadVersions",
                "Effect": "Allow",
                "Action": [
                    "s3:GetObjectVersionForReplication",
                    "s3:GetObjectVersionAcl",
                    "s3:GetObjectVersionTagging",
                    "s3:GetObjectRetention",
                    "s3:GetObjectLegalHold",
                ],
                "Resource": [f"{arn}/*" for arn in own],
            },
            {
                "Sid": "WriteReplicas",
                "Effect": "Allow",
                "Action": ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"],
                "Resource": [f"{arn}/*" for arn in peer],
            },
            {
                "Sid": "DecryptHere",
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": key_arn,
                "Condition": {"StringLike": {"kms:ViaService": f"s3.{names.region}.amazonaws.com"}},
            },
            {
                "Sid": "EncryptThere",
                "Effect": "Allow",
                "Action": ["kms:Encrypt", "kms:GenerateDataKey"],
                "Resource": f"arn:aws:kms:{names.peer_region}:{names.topology.account_id}:key/*",
                "Condition": {
                    "StringLike": {"kms:ViaService": f"s3.{names.peer_region}.amazonaws.com"},
                    "ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias},
                },
            },
        )
