"""What the endpoint adds to moto's S3: AWS's refusals, unchanged replication configurations, and the replicator's journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import xmltodict  # type: ignore[import-untyped]

from lab.cloud import moto_state
from lab.cloud.replication import Journal, parse
from lab.cloud.scope import Target

WANTS_BODY = frozenset({"PutBucketReplication", "DeleteObjects"})
"""Operations whose request body the endpoint reads. The bodies of both are small."""

_WRITES = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload"})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer that does not come from moto. `status` is the HTTP status with its reason; the body is XML."""

    status: str
    body: bytes = b""


class Buckets:
    """The additions to S3 of one endpoint. Safe for threads."""

    def __init__(self) -> None:
        self.journal = Journal()
        self._configurations: dict[str, bytes] = {}

    def answer(self, operation: str | None, target: Target, body: bytes) -> Answer | None:
        """AWS's answer, if moto's would differ from it; else None."""
        bucket = target.bucket or ""
        if operation == "GetBucketReplication" and moto_state.bucket_region(bucket) is not None:
            # moto would rewrite the rules, and lose their filters and delete marker settings.
            if (stored := self._configurations.get(bucket)) is not None:
                return Answer(status="200 OK", body=stored)
            return error("404 Not Found", "ReplicationConfigurationNotFoundError", "The replication configuration was not found")
        if operation == "PutBucketReplication" and moto_state.bucket_region(bucket) is not None:
            return self._refusal(bucket, body)
        return None

    def happened(self, operation: str | None, target: Target, body: bytes, headers: Mapping[str, str], *, replica: bool) -> None:
        """Note a request that moto served. `headers` are those of moto's successful answer, by lower-case name."""
        bucket, key = target.bucket or "", target.key or ""
        if operation == "PutBucketReplication":
            self._configurations[bucket] = body
            self.journal.add("rules", bucket, rules=tuple(parse(body)))
        elif operation in ("DeleteBucketReplication", "DeleteBucket"):
            if self._configurations.pop(bucket, None) is not None:
                self.journal.add("rules", bucket)
        elif replica:
            return
        elif operation in _WRITES and (version := headers.get("x-amz-version-id")):
            encrypted = moto_state.is_kms_encrypted(bucket, key, version)
            self.journal.add("written", bucket, key=key, version=version, kms_encrypted=encrypted)
        elif operation == "DeleteObject" and headers.get("x-amz-delete-marker") == "true" and not target.version:
            self.journal.add("deleted", bucket, key=key)
        elif operation == "DeleteObjects" and moto_state.is_versioned(bucket):
            for deleted in _deleted(body):
                self.journal.add("deleted", bucket, key=deleted)

    def _refusal(self, bucket: str, body: bytes) -> Answer | None:
        try:
            rules = parse(body)
        except ValueError as malformed:
            return error("400 Bad Request", "MalformedXML", str(malformed))
        if not moto_state.is_versioned(bucket):
            reason = "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
            return error("400 Bad Request", "InvalidRequest", reason)
        for rule in rules:
            if moto_state.bucket_region(rule.destination) is None:
                return error("400 Bad Request", "InvalidRequest", "Destination bucket must exist.")
            if not moto_state.is_versioned(rule.destination):
                return error("400 Bad Request", "InvalidRequest", "Destination bucket must have versioning enabled.")
        return None


def error(status: str, code: str, message: str) -> Answer:
    body = xmltodict.unparse({"Error": {"Code": code, "Message": message}})
    return Answer(status=status, body=body.encode())


def _deleted(body: bytes) -> list[str]:
    """The keys on which a DeleteObjects request puts a delete marker: those without a version."""
    objects = xmltodict.parse(body, force_list=("Object",), strip_whitespace=False)["Delete"]["Object"]
    return [found["Key"] for found in objects if not found.get("VersionId")]
