"""A bucket keeps its objects, and only for its owner; a backup bucket is also copied to the other region."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .model import UNKNOWN, Config, Policy, Resource, Stack, Violation, dig, items, structured

_BUCKETS = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_ENCRYPTIONS = {"aws:kms", "aws:kms:dsse", "AES256"}
_BACKUPS = {
    "type": "string",
    "default": "-(velero|etcd|database)-",
    "description": "regular expression that is found in the names of backup buckets",
}


class _Parts:
    """The resources that configure one bucket."""

    def __init__(self, stack: Stack, bucket: Resource) -> None:
        name = bucket.get("bucket")
        self._parts = [
            resource
            for resource in stack.resources
            if resource.type.startswith("aws:s3/")
            and resource is not bucket
            and (bucket.urn in resource.refers.get("bucket", ()) or (name is not UNKNOWN and resource.get("bucket") == name))
        ]

    def of(self, kind: str) -> list[Resource]:
        return [part for part in self._parts if part.type.endswith((f":{kind}", f":{kind}V2"))]

    def rules(self, kind: str) -> list[Any]:
        """The rules of one kind that are not switched off."""
        found = [rule for part in self.of(kind) for rule in items(part.get("rules"))]
        return [rule for rule in found if dig(rule, "status") != "Disabled"]


def check(stack: Stack, config: Config) -> Iterator[Violation]:
    backup = re.compile(config["backupBuckets"])
    for bucket in stack.of(*_BUCKETS):
        parts = _Parts(stack, bucket)
        objections = list(_of_every_bucket(bucket, parts))
        if backup.search(str(bucket.get("bucket"))):
            objections += _of_backup_bucket(parts, config["recoveryDays"], replicated=stack.region.get("peerReady") is not False)
        for objection in objections:
            yield Violation(resource=bucket, message=objection)


def _of_every_bucket(bucket: Resource, parts: _Parts) -> Iterator[str]:
    if bucket.get("forceDestroy") is True:
        yield "force_destroy deletes the bucket with everything in it: set it to False"
    if not any(part.get("versioningConfiguration", "status") in ("Enabled", UNKNOWN) for part in parts.of("BucketVersioning")):
        yield "keeps no versions: add a BucketVersioning with status Enabled"
    if not any(all(part.get(block) in (True, UNKNOWN) for block in _BLOCKS) for part in parts.of("BucketPublicAccessBlock")):
        yield f"may become public: add a BucketPublicAccessBlock with {', '.join(_BLOCKS)}"
    defaults = "applyServerSideEncryptionByDefault", "sseAlgorithm"
    algorithms = [dig(rule, *defaults) for rule in parts.rules("BucketServerSideEncryptionConfiguration")]
    if not any(algorithm is UNKNOWN or algorithm in _ENCRYPTIONS for algorithm in algorithms):
        yield "is not encrypted by a rule of its own: add a BucketServerSideEncryptionConfiguration with aws:kms or AES256"
    if not _plain_http(bucket) and not any(_demands_tls(part.get("policy")) for part in parts.of("BucketPolicy")):
        yield "answers without TLS: add a BucketPolicy that denies s3:* where aws:SecureTransport is false"


def _plain_http(bucket: Resource) -> bool:
    """Whether the endpoint is an S3-compatible store without TLS, which no policy can demand there."""
    endpoints = items(bucket.provider.structured("endpoints") if bucket.provider else None)
    return any(str(dig(endpoint, "s3")).startswith("http://") for endpoint in endpoints)


def _demands_tls(policy: Any) -> bool:
    if policy is UNKNOWN:
        return True
    statements = dig(structured(policy), "Statement")
    for statement in statements if isinstance(statements, list) else [statements]:
        secure = dig(statement, "Condition", "Bool", "aws:SecureTransport")
        if dig(statement, "Effect") == "Deny" and str(secure).lower() == "false":
            return True
    return False


def _of_backup_bucket(parts: _Parts, recovery_days: float, *, replicated: bool) -> Iterator[str]:
    lifecycle = parts.rules("BucketLifecycleConfiguration")
    if not lifecycle:
        yield "keeps deleted versions for ever: add a BucketLifecycleConfiguration that expires noncurrent versions"
    for rule in lifecycle:
        days = dig(rule, "noncurrentVersionExpiration", "noncurrentDays")
        if isinstance(days, (int, float)) and days < recovery_days:
            yield f"what is deleted can be brought back for {days:g} days only: keep noncurrent versions {recovery_days:g} days"
        # Only etcd's snapshots and the records of drills may expire by age: none of them needs another.
        expires = isinstance(dig(rule, "expiration", "days"), (int, float))
        if expires and dig(rule, "filter", "prefix") not in ("etcd/", "drills/"):
            yield "expires objects by age, while newer backups still refer to them: let their writers delete them"
    if replicated and not parts.rules("BucketReplicationConfig"):
        yield "has no copy in the other region: add a BucketReplicationConfig with a rule to the peer's bucket"


def check_backups(stack: Stack, config: Config) -> Iterator[Violation]:
    for bucket in stack.of(*_BUCKETS):
        if not re.search(config["backupBuckets"], str(bucket.get("bucket"))):
            continue
        parts = _Parts(stack, bucket)
        if not parts.of("BucketObjectLockConfiguration") and not any(
            part.get("versioningConfiguration", "mfaDelete") == "Enabled" for part in parts.of("BucketVersioning")
        ):
            message = "whoever may delete versions, as an administrator, can destroy it: set k8s-dr:storage.objectLock"
            yield Violation(resource=bucket, message=message)
        if stack.region.get("peerReady") is False:
            message = "has no copy in the other region yet: once that region is up set k8s-dr:peerReady to true"
            yield Violation(resource=bucket, message=message)


POLICY = Policy(
    name="bucket-safety",
    description="Buckets keep versions, are encrypted, private and reached by TLS only; backup buckets are copied to the peer.",
    level="mandatory",
    stack=check,
    schema={
        "backupBuckets": _BACKUPS,
        "recoveryDays": {
            "type": "integer",
            "minimum": 1,
            "default": 30,
            "description": "days that a deleted version of a backup must be kept, or more",
        },
    },
)

HARDENING = Policy(
    name="backup-hardening",
    description="Backups cannot be deleted before their time, and are in both regions.",
    level="advisory",
    stack=check_backups,
    schema={"backupBuckets": _BACKUPS},
)
