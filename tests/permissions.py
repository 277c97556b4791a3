"""The calls that each part makes to AWS, the calls that no part may make, and the outcome of each. boto3 makes the calls.

The lab's AWS may run in the test's own process. In a running lab another process makes the calls:

    python -m tests.permissions ENDPOINT < calls.json      # made with the access key in the environment; prints the outcomes
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from components.kube.runner.flag import Flag
from settings.names import ARCHIVE_PREFIX, DRILLS_PREFIX, ETCD_PREFIX, FLAG_KEY, FRESHNESS_PREFIX, Names
from settings.parts import Part
from settings.roles import ROLES, Role, peer_of
from settings.topology import Purpose

DENIED = "denied"
PURPOSES: dict[Part, Purpose] = {
    "velero": "velero",
    "database": "database",
    "etcd": "etcd",
    "freshness": "database",
    "drills": "velero",
}
"""Whose bucket is a part's own. The guard has none: it reads the traffic flag, wherever that is. Nor has the throw-away Cluster
of a drill: it reads what databases have written."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call. `arguments` can be written as JSON: a body is text."""

    service: str
    region: str
    operation: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.region} {self.service}.{self.operation} {json.dumps(self.arguments)}"


def outcome(call: Call, endpoint: str, **key: str) -> str:
    """The call's outcome: `done`, `denied`, or the error's code. Without `key` it uses the environment's access key."""
    client = _client(call.service, call.region, endpoint, *key.items())
    try:
        answer = getattr(client, call.operation)(**call.arguments)
    except ClientError as refused:
        error, status = refused.response["Error"], refused.response["ResponseMetadata"]["HTTPStatusCode"]
        # The answer to a HEAD has no body that could say why, and moto's for Route 53 none that is read.
        return _spelled(error["Code"] or str(status))
    return _spelled(answer["Errors"][0]["Code"]) if answer.get("Errors") else "done"


@cache
def _client(service: str, region: str, endpoint: str, *key: tuple[str, str]) -> Any:
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return boto3.client(service, endpoint_url=endpoint, region_name=region, config=config, **dict(key))


def _spelled(code: str) -> str:
    return DENIED if code in ("AccessDenied", "AccessDeniedException", "403") else code


def own(part: Part, role: Role) -> str:
    """The beginning of every key that the part writes in the region `role`."""
    match part:
        case "velero":
            return f"velero/{role}/backups/b/"
        case "database":
            return f"{ARCHIVE_PREFIX}/app-database-{role}-g1/base/"
        case "etcd":
            return f"{ETCD_PREFIX}/{role}/"
        case "freshness":
            return f"{FRESHNESS_PREFIX}/app-database-{role}-g1."
        case "guard":
            return "dr/"
        case "drills":
            return f"{DRILLS_PREFIX}/{role}/integrity/"
        case "drill-database":
            return own("database", role)


def home(part: Part, names: Names) -> tuple[str, str]:
    """The bucket that the part works with, after the region that it is in."""
    if part == "guard":
        return names.topology.regions.secondary, names.flag_bucket
    return names.region, names.bucket("database" if part == "drill-database" else PURPOSES[part])


def lists(part: Part) -> bool:
    return part not in ("etcd", "freshness", "guard", "drills", "drill-database")


def allowed(part: Part, names: Names) -> Iterator[tuple[Call, str]]:
    """The calls that the part needs, each with its outcome, in an order that works from an empty bucket."""
    (region, bucket), prefix, peer = home(part, names), own(part, names.role), own(part, peer_of(names.role))

    def s3(operation: str, **arguments: Any) -> Call:
        return Call(service="s3", region=region, operation=operation, arguments={"Bucket": bucket, **arguments})

    if part == "guard":
        yield s3("get_object", Key=FLAG_KEY), "done"
        return
    if part == "drills":
        yield s3("put_object", Key=f"{prefix}a", Body="a", IfNoneMatch="*"), "done"
        yield s3("put_object", Key=f"{prefix}a", Body="b", IfNoneMatch="*"), "PreconditionFailed"
        for role in ROLES:
            yield s3("list_objects_v2", Prefix=f"velero/{role}/backups/"), "done"
            yield s3("get_object", Key=f"velero/{role}/backups/none"), "NoSuchKey"
        return
    if part == "drill-database":
        yield s3("head_bucket"), "done"
        for each in (prefix, peer):
            yield s3("list_objects_v2", Prefix=each), "done"
            yield s3("get_object", Key=f"{each}none"), "NoSuchKey"
        return
    yield s3("put_object", Key=f"{prefix}a", Body="a"), "done"
    if part == "freshness":
        yield s3("list_objects_v2", Prefix=own("database", names.role), Delimiter="/"), "done"
        return
    yield s3("head_object", Key=f"{prefix}a"), "done"
    yield s3("get_object", Key=f"{prefix}a"), "done"
    yield s3("create_multipart_upload", Key=f"{prefix}b"), "done"
    if part == "database":
        yield s3("head_bucket"), "done"
        yield s3("delete_objects", Delete={"Objects": [{"Key": f"{prefix}a"}]}), "done"
    if part == "velero":
        yield s3("delete_object", Key=f"{prefix}a"), "done"
        yield s3("put_object", Key=f"velero/{peer_of(names.role)}/restores/r/log", Body="log"), "done"
    if lists(part):
        yield s3("list_objects_v2", Prefix=prefix, Delimiter="/"), "done"
        yield s3("list_objects_v2", Prefix=peer), "done"
        # A part that may list gets "not found" for a missing key, in the peer's prefix too.
        yield s3("head_object", Key=f"{prefix}none"), "404"
        yield s3("get_object", Key=f"{peer}none"), "NoSuchKey"


def forbidden(part: Part, names: Names) -> list[Call]:
    """The calls that an attacker in a pod of the part must not be able to make."""
    return [*_of_versions(part, names), *_of_buckets(part, names), *_of_others(part, names), *_of_services(part, names)]


def _of_versions(part: Part, names: Names) -> Iterator[Call]:
    """The part cannot remove a version that is kept, and it can neither set nor lift a lock."""
    (region, bucket), key = home(part, names), f"{own(part, names.role)}a"
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": "2026-01-01T00:00:00Z"}
    for operation, arguments in (
        ("delete_object", {"VersionId": "1"}),
        ("delete_object", {"BypassGovernanceRetention": True}),
        ("put_object_retention", {"Retention": retention}),
        ("put_object_retention", {"Retention": retention, "BypassGovernanceRetention": True}),
        ("put_object_legal_hold", {"LegalHold": {"Status": "OFF"}}),
        ("put_object", {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": "2099-01-01T00:00:00Z", "Body": "x"}),
        ("put_object_acl", {"ACL": "public-read"}),
    ):
        yield _s3(region, operation, bucket, Key=key, **arguments)
    yield _s3(region, "delete_objects", bucket, Delete={"Objects": [{"Key": key, "VersionId": "1"}]})


def _of_buckets(part: Part, names: Names) -> Iterator[Call]:
    """Only the engine may change how a bucket is configured."""
    region, bucket = home(part, names)
    rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    open_to_all = {"BlockPublicAcls": False, "BlockPublicPolicy": False}
    lock = {"ObjectLockEnabled": "Enabled"}
    replication = {"Role": "arn:aws:iam::123456789012:role/x", "Rules": []}
    for operation, arguments in (
        ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Suspended"}}),
        ("put_bucket_lifecycle_configuration", {"LifecycleConfiguration": {"Rules": [rule]}}),
        ("delete_bucket_lifecycle", {}),
        ("put_bucket_policy", {"Policy": json.dumps({"Version": "2012-10-17", "Statement": []})}),
        ("delete_bucket_policy", {}),
        ("put_bucket_encryption", {"ServerSideEncryptionConfiguration": encryption}),
        ("delete_bucket_encryption", {}),
        ("put_bucket_replication", {"ReplicationConfiguration": replication}),
        ("delete_bucket_replication", {}),
        ("put_object_lock_configuration", {"ObjectLockConfiguration": lock}),
        ("put_public_access_block", {"PublicAccessBlockConfiguration": open_to_all}),
        ("delete_public_access_block", {}),
        ("put_bucket_acl", {"ACL": "public-read"}),
        ("delete_bucket", {}),
    ):
        yield _s3(region, operation, bucket, **arguments)


def _of_others(part: Part, names: Names) -> Iterator[Call]:
    """The part reads and writes neither another part's objects nor the other region's, and it does not move the traffic."""
    peer, (region, bucket) = own(part, peer_of(names.role)), home(part, names)
    yield from _writes(region, bucket, peer)
    for other, purpose in PURPOSES.items():
        if other != part:
            # Two parts that share a bucket may list it, and read nothing of each other's.
            # Drills read what all others write, and change none of it; their throw-away Cluster reads what databases write.
            only_reads = part == "drills" or (part, other) == ("drill-database", "database")
            every = _writes if only_reads else _reads_and_writes if names.bucket(purpose) == bucket else _everything
            yield from every(names.region, names.bucket(purpose), own(other, names.role))
        yield from _everything(names.peer_region, names.peer_bucket(purpose), own(other, peer_of(names.role)))
    flag = names.flag_bucket
    secondary = names.topology.regions.secondary
    yield _s3(secondary, "list_objects_v2", flag, Prefix="dr/")
    yield _s3(secondary, "get_object", flag, Key=f"{FLAG_KEY}.old")
    yield _s3(secondary, "put_object", flag, Key=FLAG_KEY, Body=Flag(active="secondary").content())
    yield _s3(secondary, "delete_object", flag, Key=FLAG_KEY)
    yield _s3(secondary, "put_bucket_policy", flag, Policy=json.dumps({"Version": "2012-10-17", "Statement": []}))


def _everything(region: str, bucket: str, prefix: str) -> Iterator[Call]:
    yield _s3(region, "list_objects_v2", bucket, Prefix=prefix)
    yield from _reads_and_writes(region, bucket, prefix)


def _reads_and_writes(region: str, bucket: str, prefix: str) -> Iterator[Call]:
    yield _s3(region, "get_object", bucket, Key=f"{prefix}a")
    yield from _writes(region, bucket, prefix)


def _writes(region: str, bucket: str, prefix: str) -> Iterator[Call]:
    yield _s3(region, "put_object", bucket, Key=f"{prefix}a", Body="x")
    yield _s3(region, "create_multipart_upload", bucket, Key=f"{prefix}a")
    yield _s3(region, "delete_object", bucket, Key=f"{prefix}a")


def _of_services(part: Part, names: Names) -> Iterator[Call]:
    """The part uses KMS keys only through S3, and it cannot delete them. Only the engine manages users, zones and buckets."""
    user = names.principal(part)
    arn = f"arn:aws:iam::{names.topology.account_id}:policy/{user}"
    document = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    change = {"Action": "DELETE", "ResourceRecordSet": {"Name": "app.example.com", "Type": "A"}}
    key = names.key_alias
    for service, operation, arguments in (
        ("kms", "disable_key", {"KeyId": key}),
        ("kms", "schedule_key_deletion", {"KeyId": key}),
        ("kms", "put_key_policy", {"KeyId": key, "PolicyName": "default", "Policy": document}),
        ("kms", "generate_data_key", {"KeyId": key, "KeySpec": "AES_256"}),
        ("kms", "decrypt", {"KeyId": key, "CiphertextBlob": "x"}),
        ("kms", "delete_alias", {"AliasName": key}),
        ("iam", "create_access_key", {"UserName": user}),
        ("iam", "put_user_policy", {"UserName": user, "PolicyName": "x", "PolicyDocument": document}),
        ("iam", "attach_user_policy", {"UserName": user, "PolicyArn": arn}),
        ("iam", "create_policy_version", {"PolicyArn": arn, "PolicyDocument": document, "SetAsDefault": True}),
        ("iam", "create_user", {"UserName": "x"}),
        ("iam", "list_users", {}),
        ("route53", "change_resource_record_sets", {"HostedZoneId": "Z", "ChangeBatch": {"Changes": [change]}}),
        ("route53", "list_hosted_zones", {}),
        ("s3", "list_buckets", {}),
    ):
        yield Call(service=service, region=names.region, operation=operation, arguments=arguments)


def _s3(region: str, operation: str, bucket: str, **arguments: Any) -> Call:
    return Call(service="s3", region=region, operation=operation, arguments={"Bucket": bucket, **arguments})


def dump(calls: Sequence[Call]) -> str:
    return json.dumps([asdict(call) for call in calls])


def main(endpoint: str) -> None:
    """Print the outcome of each call in standard input, in their order."""
    print(json.dumps([outcome(Call(**fields), endpoint) for fields in json.load(sys.stdin)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
