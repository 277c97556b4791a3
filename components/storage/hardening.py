"""What every bucket of the program has, whatever it holds."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.iam.statements import Statement, bucket_arn, deny, objects_arn


def tls_only(bucket: str) -> Statement:
    """The statement that refuses every request without TLS."""
    return deny(
        "TlsOnly",
        ["s3:*"],
        bucket_arn(bucket),
        objects_arn(bucket),
        principal="*",
        condition={"Bool": {"aws:SecureTransport": "false"}},
    )


def guard_bucket(name: str, bucket: aws.s3.Bucket, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Makes a bucket block public access, ignore ACLs and keep versions. Returns the resources that do so."""
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


def expire_noncurrent(days: int) -> dict[str, object]:
    """The lifecycle rule of every bucket: a deleted or overwritten version can be brought back for `days`, however often its
    object was overwritten since."""
    return {
        "id": "noncurrent-versions",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "noncurrent_version_expiration": {"noncurrent_days": days},
        "expiration": {"expired_object_delete_marker": True},
        "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
    }


def expire_by_age(identifier: str, prefix: str, days: int) -> dict[str, object]:
    """A lifecycle rule that deletes objects below `prefix` when they are `days` old. Use it only for objects that nothing refers
    to: it asks neither whether there is a newer one nor whether anybody needs it."""
    return {"id": identifier, "status": "Enabled", "filter": {"prefix": prefix}, "expiration": {"days": days}}
