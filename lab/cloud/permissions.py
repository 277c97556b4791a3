"""The permissions that AWS requires for a request, by its Service Authorization Reference. Pure functions.

For S3, this covers everything that backup tools and the program call, and the calls to KMS that S3 makes for the caller. Requests
to other services need the permission of their operation: on a KMS key, a hosted zone or an IAM resource, else on `*`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs

import xmltodict  # type: ignore[import-untyped]

from lab.cloud.policies import Question
from lab.cloud.scope import Target

_S3_ACTIONS = {
    **dict.fromkeys(("HeadBucket", "ListObjects", "ListObjectsV2"), "ListBucket"),
    **dict.fromkeys(
        ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "CopyObject", "UploadPartCopy"), "PutObject"
    ),
    **dict.fromkeys(("HeadObject", "SelectObjectContent"), "GetObject"),
    **dict.fromkeys(("PutBucketEncryption", "DeleteBucketEncryption"), "PutEncryptionConfiguration"),
    **dict.fromkeys(("PutBucketLifecycleConfiguration", "DeleteBucketLifecycle"), "PutLifecycleConfiguration"),
    **dict.fromkeys(("PutBucketReplication", "DeleteBucketReplication"), "PutReplicationConfiguration"),
    **dict.fromkeys(("PutPublicAccessBlock", "DeletePublicAccessBlock"), "PutBucketPublicAccessBlock"),
    **dict.fromkeys(("PutBucketCors", "DeleteBucketCors"), "PutBucketCORS"),
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketTagging": "PutBucketTagging",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
}
"""Operations whose permission has a different name."""

_OF_VERSIONS = ("GetObject", "DeleteObject", "GetObjectAcl", "PutObjectAcl", "GetObjectTagging", "PutObjectTagging")
"""Permissions that have a different name if the request names a version."""

_BY_HEADER = {
    "x-amz-acl": "PutObjectAcl",
    "x-amz-object-lock-legal-hold": "PutObjectLegalHold",
    "x-amz-object-lock-mode": "PutObjectRetention",
    "x-amz-tagging": "PutObjectTagging",
}
_STARTS_WRITING = ("PutObject", "CopyObject", "CreateMultipartUpload")


class Stored(Protocol):
    """Questions about stored buckets, objects and keys."""

    def has_object(self, bucket: str, key: str, version: str | None) -> bool: ...
    def bucket_region(self, name: str) -> str | None: ...
    def default_key(self, bucket: str) -> str | None:
        """ARN of the KMS key with which a bucket encrypts by default."""

    def object_key(self, bucket: str, key: str, version: str | None) -> str | None:
        """ARN of the KMS key of an object."""

    def key_arn(self, region: str, identifier: str) -> str:
        """ARN of a KMS key, found by its id, its ARN or an alias. Returns the identifier itself if there is no such key."""

    def aliases(self, key: str) -> tuple[str, ...]:
        """Aliases of the KMS key with this ARN."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request. `headers` ignore upper and lower case in names. `operation` is as the API reference spells it."""

    target: Target
    operation: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    account: str
    source: str
    """IP address of the caller."""


def needed(asked: Asked, stored: Stored) -> list[Question]:
    """The permissions for a request. All of them must be allowed."""
    if (asked.target.service, asked.operation) == ("sts", "GetCallerIdentity"):
        return []  # AWS allows this even if a policy denies it
    if asked.target.service == "s3":
        return list(_S3(asked, stored).questions())
    resource = "*"
    if asked.target.service == "kms":
        resource = _kms_resource(asked, stored)
    elif asked.target.service == "iam":
        return [_iam(asked)]
    elif zone := re.search(r"/hostedzone/([^/]+)", asked.path):
        resource = f"arn:aws:route53:::hostedzone/{zone[1]}"
    elif check := re.search(r"/healthcheck/([^/]+)", asked.path):
        resource = f"arn:aws:route53:::healthcheck/{check[1]}"
    return [Question(action=f"{asked.target.service}:{asked.operation}", resource=resource)]


def _iam(asked: Asked) -> Question:
    """The permission for a request to IAM.

    If the request names a policy and a role or user, the resource is the role or user. No resource has a path, because the
    program's resources have none.
    """
    fields = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    resource = fields.get("PolicyArn") or fields.get("OpenIDConnectProviderArn") or "*"
    for kind, field in {"policy": "PolicyName", "user": "UserName", "role": "RoleName"}.items():
        named = fields.get(field)
        if named and (kind != "policy" or asked.operation == "CreatePolicy"):
            resource = f"arn:aws:iam::{asked.account}:{kind}/{named}"
    context = {"iam:PolicyARN": fields["PolicyArn"]} if "PolicyArn" in fields else {}
    return Question(action=f"iam:{asked.operation}", resource=resource, context=context)


def _kms_resource(asked: Asked, stored: Stored) -> str:
    named = json.loads(asked.body or b"{}")
    identifier = named.get("KeyId") or named.get("TargetKeyId")
    return stored.key_arn(asked.target.region or "", identifier) if identifier else "*"


class _S3:
    """The permissions for one request to S3."""

    def __init__(self, asked: Asked, stored: Stored) -> None:
        self._asked, self._stored, self._target = asked, stored, asked.target
        self._operation, self._headers = asked.operation, asked.headers
        self._bucket, self._key = self._target.bucket or "", self._target.key or ""

    def questions(self) -> Iterator[Question]:
        if self._operation == "DeleteObjects":
            yield from self._batch()
            return
        action = _S3_ACTIONS.get(self._operation, self._operation)
        yield self._ask(self._named(action, self._target.version), self._key)
        if self._operation in ("GetObject", "HeadObject") and not self._exists():
            # A caller without ListBucket gets 403 instead of 404 for a missing key. S3 uses the key as the prefix here.
            yield self._ask("ListBucket", "", prefix=self._key)
        if action == "PutObject":
            yield from (self._ask(other, self._key) for header, other in _BY_HEADER.items() if self._headers.get(header))
            yield from self._source()
        yield from self._bypass(self._key)
        yield from self._encryption()

    def _ask(self, action: str, key: str, bucket: str = "", *, prefix: str | None = None) -> Question:
        bucket = bucket or self._bucket
        resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}" if bucket else "*"
        return Question(action=f"s3:{action}", resource=resource, context=self._context(prefix))

    def _context(self, prefix: str | None) -> dict[str, str]:
        query = self._asked.query if self._operation.startswith("List") else {"prefix": prefix} if prefix else {}
        listed = {f"s3:{name}": value for name, value in query.items() if name in ("prefix", "delimiter", "max-keys")}
        headers = ("if-none-match", "x-amz-acl", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")
        sent = {f"s3:{name}": value for name in headers if (value := self._headers.get(name))}
        common = {
            # The endpoint has no TLS, so a policy that requires TLS must not match.
            "aws:SecureTransport": "false",
            "aws:SourceIp": self._asked.source,
            "aws:ResourceAccount": self._asked.account,
            "s3:ResourceAccount": self._asked.account,
        }
        return common | sent | listed

    @staticmethod
    def _named(action: str, version: str | None) -> str:
        return action.replace("Object", "ObjectVersion", 1) if version and action in _OF_VERSIONS else action

    def _exists(self) -> bool:
        return self._stored.has_object(self._bucket, self._key, self._target.version)

    def _batch(self) -> Iterator[Question]:
        objects = xmltodict.parse(self._asked.body, force_list=("Object",), strip_whitespace=False)["Delete"]["Object"]
        for found in objects:
            yield self._ask(self._named("DeleteObject", found.get("VersionId")), found["Key"])
            yield from self._bypass(found["Key"])

    def _bypass(self, key: str) -> Iterator[Question]:
        if (self._headers.get("x-amz-bypass-governance-retention") or "").lower() == "true":
            yield self._ask("BypassGovernanceRetention", key)

    def _source(self) -> Iterator[Question]:
        """The permissions to read the source of a copy."""
        if (copied := self._target.copied_from) is not None:
            yield self._ask(self._named("GetObject", copied.version), copied.key, copied.bucket)
            yield from self._kms(self._stored.object_key(copied.bucket, copied.key, copied.version), copied.bucket, "Decrypt")

    def _encryption(self) -> Iterator[Question]:
        # S3 returns a checksum only to callers who may decrypt the object.
        reads = self._operation == "GetObject" or (self._operation == "HeadObject" and self._headers.get("x-amz-checksum-mode"))
        if reads and self._exists():
            yield from self._kms(self._stored.object_key(self._bucket, self._key, self._target.version), self._bucket, "Decrypt")
        if self._operation in _STARTS_WRITING:
            named = self._headers.get("x-amz-server-side-encryption-aws-kms-key-id")
            region = self._stored.bucket_region(self._bucket) or ""
            key = self._stored.key_arn(region, named) if named else self._stored.default_key(self._bucket)
            yield from self._kms(key, self._bucket, "GenerateDataKey")
            if self._operation == "CreateMultipartUpload":
                # To complete the upload, S3 has to read the encrypted parts again.
                yield from self._kms(key, self._bucket, "Decrypt")

    def _kms(self, key: str | None, bucket: str, action: str) -> Iterator[Question]:
        """The permission for S3's call to KMS on behalf of the caller. With bucket keys, its context is the bucket's ARN."""
        if key is not None:
            context: dict[str, str | tuple[str, ...]] = {
                "kms:CallerAccount": self._asked.account,
                "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}",
                "kms:ResourceAliases": self._stored.aliases(key),
                "kms:ViaService": f"s3.{self._stored.bucket_region(bucket)}.amazonaws.com",
            }
            yield Question(action=f"kms:{action}", resource=key, context=context)
