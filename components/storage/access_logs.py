"""Who read and wrote the backup buckets: S3's access logs, in a bucket of their own in the same region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pulumi
import pulumi_aws as aws

from components.iam.statements import Statement, allow, bucket_arn, document, objects_arn, text
from components.storage.hardening import expire_by_age, expire_noncurrent, guard_bucket, tls_only
from settings.names import Names
from settings.storage import StorageSettings
from settings.topology import Purpose

PREFIX = "access/"
"""Prefix of all logs. S3 adds <account>/<region>/<bucket>/<year>/<month>/<day>/…, so one night of one bucket is one prefix."""


@dataclass(frozen=True, kw_only=True)
class AccessLogsArgs:
    """`buckets` are those whose requests are logged."""

    names: Names
    settings: StorageSettings
    buckets: Mapping[Purpose, aws.s3.Bucket]
    plain_http: bool = False


class AccessLogs(pulumi.ComponentResource):
    """The bucket of the access logs, and what makes S3 write them.

    For whoever has to find out what a stolen key did, and when. No part of the program reads or writes these logs. The bucket is
    never locked, and is encrypted with S3's own key, because S3 delivers its logs to no other bucket. It is not replicated,
    because the logs are of this region's requests.
    """

    def __init__(self, name: str, args: AccessLogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:storage:AccessLogs", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        bucket_name = args.names.bucket("logs")
        bucket = aws.s3.Bucket(name, bucket=bucket_name, force_destroy=False, opts=child(protect=True))
        guards = guard_bucket(name, bucket, child())
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child(),
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.id,
            rules=[
                expire_noncurrent(args.settings.noncurrent_days),
                expire_by_age("old-logs", PREFIX, args.settings.access_log_days),
            ],
            opts=child(depends_on=guards),
        )
        tls_rule = [] if args.plain_http else [tls_only(bucket_name)]
        writable = aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.id,
            policy=text(document(_delivery(args.names, args.buckets), *tls_rule)),
            opts=child(),
        )
        for purpose, source in args.buckets.items():
            aws.s3.BucketLogging(
                f"{name}-of-{purpose}",
                bucket=source.id,
                target_bucket=bucket.bucket,
                target_prefix=PREFIX,
                target_object_key_format={"partitioned_prefix": {"partition_date_source": "EventTime"}},
                opts=child(depends_on=[writable]),
            )
        self.register_outputs({})


def _delivery(names: Names, purposes: Mapping[Purpose, object]) -> Statement:
    """The statement that lets S3's logging service write here, for these buckets of this account alone."""
    resource = objects_arn(names.bucket("logs"), f"{PREFIX}*")
    statement = allow(
        "Delivery",
        ["s3:PutObject"],
        resource,
        principal={"Service": "logging.s3.amazonaws.com"},
        condition={
            "ArnEquals": {"aws:SourceArn": [bucket_arn(names.bucket(purpose)) for purpose in purposes]},
            "StringEquals": {"aws:SourceAccount": names.topology.account_id},
        },
    )
    # One text and no list, as in AWS's own example: who checks a logging bucket's policy (moto does) may look for just that.
    return {**statement, "Resource": resource}
