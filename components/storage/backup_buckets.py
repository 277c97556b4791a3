"""The backup buckets of one region: hardened, encrypted with the region's own key, and replicated to the peer region."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pulumi
import pulumi_aws as aws

from components.iam.statements import document, text
from components.storage.access_logs import AccessLogs, AccessLogsArgs
from components.storage.hardening import expire_by_age, expire_noncurrent, guard_bucket, tls_only
from components.storage.replication import ReplicationArgs, replicate
from settings.names import DRILLS_PREFIX, ETCD_PREFIX, Names
from settings.storage import StorageSettings
from settings.topology import Purpose

PURPOSES: tuple[Purpose, ...] = ("velero", "etcd", "database")


@dataclass(frozen=True, kw_only=True)
class BackupBucketsArgs:
    """`peer_ready` is set once, when the peer's buckets exist. A failover never touches it: the control plane of S3's bucket
    configuration is in us-east-1, which may be the region that is dead."""

    names: Names
    settings: StorageSettings
    peer_ready: bool
    drill_days: int
    """Days for which records of drills are kept."""

    plain_http: bool = False
    """The endpoint is an S3-compatible store without TLS: a policy that demands TLS would lock everybody out."""

    permissions_boundary: str | None = None
    """ARN of the permissions boundary of the role by which S3 replicates."""


class BackupBuckets(pulumi.ComponentResource):
    """Three buckets of one region: for Velero, etcd snapshots and database archives.

    For the region's own backup writers and, through replication, for the peer's restores. Nothing here depends on `active`. The
    buckets and their key are protected from deletion.
    """

    buckets: dict[Purpose, aws.s3.Bucket]
    key_arn: pulumi.Output[str]
    """ARN of the region's KMS key."""

    ready: list[pulumi.Resource]
    """What writers wait for: buckets keep versions, have their Object Lock if the settings want one and, once the peer is ready,
    replicate what is written from then on."""

    def __init__(self, name: str, args: BackupBucketsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:storage:BackupBuckets", name, None, opts)
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
            replication = ReplicationArgs(
                names=args.names,
                settings=args.settings,
                buckets=self.buckets,
                key_arn=key.arn,
                ready=tuple(self.ready),
                permissions_boundary=args.permissions_boundary,
            )
            self.ready += replicate(name, replication, parent=self)
        if args.settings.access_logs:
            logs = AccessLogsArgs(names=args.names, settings=args.settings, buckets=self.buckets, plain_http=args.plain_http)
            AccessLogs(f"{name}-access-logs", logs, opts=child())
        self.register_outputs({"buckets": {purpose: bucket.bucket for purpose, bucket in self.buckets.items()}})

    def _bucket(self, purpose: Purpose, key: aws.kms.Key) -> tuple[aws.s3.Bucket, list[pulumi.Resource]]:
        child = partial(pulumi.ResourceOptions, parent=self)
        name, settings = f"{self._stem}-{purpose}", self._args.settings
        bucket_name = self._args.names.bucket(purpose)
        # Object Lock is not an input of the bucket: on a bucket that exists, it would replace the bucket.
        bucket = aws.s3.Bucket(name, bucket=bucket_name, force_destroy=False, opts=child(protect=True))
        parts = guard_bucket(name, bucket, child())
        if not self._args.plain_http:
            aws.s3.BucketPolicy(f"{name}-policy", bucket=bucket.id, policy=text(document(tls_only(bucket_name))), opts=child())
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
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle", bucket=bucket.id, rules=self._lifecycle(purpose), opts=child(depends_on=parts)
        )
        if settings.object_lock is not None:
            lock = {"mode": settings.object_lock.mode, "days": settings.object_lock.days}
            locked = aws.s3.BucketObjectLockConfiguration(
                f"{name}-object-lock", bucket=bucket.id, rule={"default_retention": lock}, opts=child(depends_on=parts)
            )
            parts = [*parts, locked]
        return bucket, parts

    def _lifecycle(self, purpose: Purpose) -> list[dict[str, object]]:
        """The bucket's lifecycle rules. Current versions never expire by age: kopia's packs and WAL files are needed as long as
        any backup refers to them, and only their writers know how long that is. etcd's snapshots and records of drills may: none
        needs another."""
        settings = self._args.settings
        rules = [expire_noncurrent(settings.noncurrent_days)]
        if purpose == "etcd" and settings.etcd_snapshot_days is not None:
            rules.append(expire_by_age("old-snapshots", f"{ETCD_PREFIX}/", settings.etcd_snapshot_days))
        if purpose == "velero":
            # Both regions' records: the peer's are copied here.
            rules.append(expire_by_age("old-drills", f"{DRILLS_PREFIX}/", self._args.drill_days))
        return rules
