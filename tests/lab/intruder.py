"""Attacks a bucket with a writer's access key. `compromised_writer` runs it in the network that reaches the lab's AWS.

It prints JSON. Endpoint, region and key come from the environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.exceptions import ClientError

from components.database.archive import LiveArchive
from settings.aws import Aws


def _s3() -> Any:
    return boto3.client("s3")


def _keys(bucket: str, prefix: str) -> Iterator[str]:
    for page in _s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from (found["Key"] for found in page.get("Contents", ()))


def contents(bucket: str, prefix: str) -> dict[str, str]:
    """The current objects below the prefix: by key, the digest of the content."""
    s3 = _s3()
    objects = {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in _keys(bucket, prefix)}
    return {key: hashlib.sha256(content).hexdigest() for key, content in objects.items()}


def versions(bucket: str, prefix: str) -> list[str]:
    """Every version below the prefix, without delete markers."""
    pages = _s3().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [f"{found['Key']} {found['VersionId']}" for page in pages for found in page.get("Versions", ())]


def spoil(bucket: str, prefix: str, deleted: str) -> list[str]:
    """Overwrite everything below the prefix. Then delete what is below `deleted`."""
    s3 = _s3()
    keys = list(_keys(bucket, prefix))
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"spoiled")
    for key in keys:
        if key.startswith(deleted):
            s3.delete_object(Bucket=bucket, Key=key)
    return keys


def attempts(bucket: str, prefix: str) -> dict[str, str]:
    """Try each call that would make a deletion final. Returns S3's answers: an error's code, or "done"."""
    s3 = _s3()
    key = next(_keys(bucket, prefix))
    version = s3.head_object(Bucket=bucket, Key=key)["VersionId"]
    one = {"Bucket": bucket, "Key": key, "VersionId": version}
    every = {"Objects": [{"Key": key, "VersionId": version}]}
    forget = {"ID": "forget", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    tried: dict[str, Callable[[], Any]] = {
        "DeleteObject with a version": lambda: s3.delete_object(**one),
        "DeleteObject with a version, past a lock": lambda: s3.delete_object(**one, BypassGovernanceRetention=True),
        "DeleteObjects with a version": lambda: s3.delete_objects(Bucket=bucket, Delete=every),
        "ListObjectVersions": lambda: s3.list_object_versions(Bucket=bucket, Prefix=prefix),
        "PutBucketLifecycleConfiguration": lambda: s3.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [forget]}
        ),
        "PutBucketVersioning": lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}),
        "DeleteBucketReplication": lambda: s3.delete_bucket_replication(Bucket=bucket),
        "PutBucketPolicy": lambda: s3.put_bucket_policy(Bucket=bucket, Policy="{}"),
        "DeleteBucket": lambda: s3.delete_bucket(Bucket=bucket),
    }
    return {what: _answer(call) for what, call in tried.items()}


def _answer(call: Callable[[], Any]) -> str:
    try:
        answer = call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    # S3 answers a batch key by key.
    return next((error["Code"] for error in answer.get("Errors", ())), "done")


def allow(user: str, policy: str) -> None:
    """Give the policy to an IAM user."""
    boto3.client("iam").put_user_policy(UserName=user, PolicyName="allowed", PolicyDocument=policy)


def missing(bucket: str, server: str) -> str | None:
    """The reason why no standby can be made from this archive, by the program's own gate. None if one can."""
    region = os.environ["AWS_REGION"]
    return LiveArchive(bucket, region, Aws(endpoint=os.environ["AWS_ENDPOINT_URL"])).missing_for_a_standby(server)


COMMANDS: dict[str, Callable[..., Any]] = {
    command.__name__: command for command in (contents, versions, spoil, attempts, allow, missing)
}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
