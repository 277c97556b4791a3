"""S3: buckets and objects."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import urlencode

from lab.standins.aws_provider.resource import Aws, Resource, Values, as_tags
from lab.standins.provider import RefusedError

_HOSTED_ZONES = {
    "us-east-1": "Z3AQBSTGFYJSTF",
    "us-east-2": "Z2O1EMRO9K5GLX",
    "us-west-1": "Z2F56UZL2M1ACD",
    "us-west-2": "Z3BJ6K6RIION7M",
}


def _versions(s3: Any, bucket: str, prefix: str = "") -> Iterator[dict[str, str]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            yield {"Key": entry["Key"], "VersionId": entry["VersionId"]}


class Bucket(Resource):
    token = "aws:s3/bucket:Bucket"  # noqa: S105 - a type's token
    inputs: ClassVar = frozenset({"bucket", "forceDestroy", "objectLockEnabled", "tags"})
    computed: ClassVar = frozenset({"arn", "bucketDomainName", "bucketRegion", "bucketRegionalDomainName", "hostedZoneId"})
    fixed: ClassVar = frozenset({"bucket", "objectLockEnabled"})
    named = "bucket"

    @staticmethod
    def _computed(aws: Aws, name: str) -> Values:
        answer = {
            "arn": f"arn:aws:s3:::{name}",
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "bucketRegion": aws.region,
            "bucketRegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
        }
        return {**answer, **({"hostedZoneId": _HOSTED_ZONES[aws.region]} if aws.region in _HOSTED_ZONES else {})}

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        s3, name = aws.client("s3"), inputs["bucket"]
        place = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
        if name in {bucket["Name"] for bucket in s3.list_buckets().get("Buckets", [])}:
            # us-east-1 accepts a second creation by the bucket's owner, so two programs could both claim the bucket.
            raise RefusedError(f"creating S3 Bucket ({name}): BucketAlreadyOwnedByYou: the bucket exists in this account")
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=inputs.get("objectLockEnabled", False), **place)
        self._tag(s3, name, inputs)
        return name, self._computed(aws, name)

    @staticmethod
    def _tag(s3: Any, name: str, inputs: Values) -> None:
        if inputs.get("tags"):
            s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": as_tags(inputs["tags"])})

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        aws.client("s3").head_bucket(Bucket=identifier)
        return {**inputs, "bucket": identifier}, self._computed(aws, identifier)

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:
        s3 = aws.client("s3")
        if old.get("tags") and not inputs.get("tags"):
            s3.delete_bucket_tagging(Bucket=identifier)
        self._tag(s3, identifier, inputs)
        return {key: old[key] for key in self.computed if key in old}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        s3 = aws.client("s3")
        if state.get("forceDestroy"):
            for version in list(_versions(s3, identifier)):
                s3.delete_object(Bucket=identifier, **version)
        s3.delete_bucket(Bucket=identifier)


_HEADERS = {
    "contentType": "ContentType",
    "cacheControl": "CacheControl",
    "contentDisposition": "ContentDisposition",
    "contentEncoding": "ContentEncoding",
    "contentLanguage": "ContentLanguage",
    "metadata": "Metadata",
    "storageClass": "StorageClass",
    "serverSideEncryption": "ServerSideEncryption",
    "kmsKeyId": "SSEKMSKeyId",
    "bucketKeyEnabled": "BucketKeyEnabled",
}


class BucketObject(Resource):
    token = "aws:s3/bucketObjectv2:BucketObjectv2"  # noqa: S105
    inputs: ClassVar = frozenset(
        {"bucket", "key", "content", "contentBase64", *_HEADERS, "forceDestroy", "tags", "overrideProvider"}
    )
    computed: ClassVar = frozenset({"arn", "etag", "versionId"})
    fixed: ClassVar = frozenset({"bucket", "key"})
    renewed: ClassVar = frozenset({"etag", "versionId"})

    @staticmethod
    def _put(aws: Aws, inputs: Values) -> Values:
        encoded = inputs.get("contentBase64")
        body = inputs.get("content", "").encode() if encoded is None else base64.b64decode(encoded)
        headers = {api: inputs[key] for key, api in _HEADERS.items() if key in inputs}
        if inputs.get("tags"):
            headers["Tagging"] = urlencode(inputs["tags"])
        bucket, key = inputs["bucket"], inputs["key"]
        made = aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body, **headers)
        etag, version = made["ETag"].strip('"'), made.get("VersionId", "")
        return {"arn": f"arn:aws:s3:::{bucket}/{key}", "etag": etag, "versionId": version}

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        return f"{inputs['bucket']}/{inputs['key']}", self._put(aws, inputs)

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        """Like the real provider, compare only the object's name and headers, and not its content."""
        bucket, key = identifier.split("/", 1)
        found = aws.client("s3").head_object(Bucket=bucket, Key=key)
        served = {name: found.get(api) for name, api in _HEADERS.items() if name in inputs}
        computed = {"arn": f"arn:aws:s3:::{identifier}", "etag": found["ETag"].strip('"')}
        return {**inputs, **served, "bucket": bucket, "key": key}, {**computed, "versionId": found.get("VersionId", "")}

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:  # noqa: ARG002
        return self._put(aws, inputs)

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        s3 = aws.client("s3")
        bucket, key = identifier.split("/", 1)
        for version in [version for version in _versions(s3, bucket, key) if version["Key"] == key]:
            s3.delete_object(Bucket=bucket, **version)


RESOURCES: tuple[type[Resource], ...] = (Bucket, BucketObject)
