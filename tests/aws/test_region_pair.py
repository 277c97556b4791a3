"""What the program makes at AWS, deployed by its own components and asked by clients of AWS.

`make test` runs these tests against moto, and `make test-aws` the very same ones in an account.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from components.iam.permissions import ServiceAccount, pod_identity_trust
from lab import project
from lab.cloud.access_keys import AccessKey
from lab.waiting import until
from settings.parts import PARTS, Part
from settings.roles import ROLES, Role, peer_of
from settings.topology import Purpose
from tests.aws.world import World
from tests.permissions import PURPOSES, Call, allowed, forbidden, outcome

BUCKETS: tuple[Purpose, ...] = ("velero", "etcd", "database")


def eventually(pair: World, what: str, probe: Callable[[], Any]) -> Any:
    return until(what, probe, timeout=pair.patience, interval=pair.interval)


def s3_of(pair: World, role: Role) -> Any:
    return pair.client("s3", pair.names(role).region)


def key_arn(pair: World, role: Role) -> str:
    names = pair.names(role)
    return str(pair.client("kms", names.region).describe_key(KeyId=names.key_alias)["KeyMetadata"]["Arn"])


def put_as(pair: World, part: Part, role: Role, key: str) -> str:
    """Write an object with the part's own access key. Returns the outcome."""
    names = pair.names(role)
    arguments = {"Bucket": names.bucket(PURPOSES[part]), "Key": key, "Body": "a row of a backup"}
    call = Call(service="s3", region=names.region, operation="put_object", arguments=arguments)
    return asked(pair, call, pair.keys[role, part])


def asked(pair: World, call: Call, key: AccessKey) -> str:
    return outcome(call, pair.endpoint, **key.client)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("purpose", BUCKETS)
def test_each_bucket_keeps_versions_is_not_public_and_encrypts_with_its_own_regions_key(
    pair: World, role: Role, purpose: Purpose
) -> None:
    s3, bucket = s3_of(pair, role), pair.names(role).bucket(purpose)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    by_default = rule["ApplyServerSideEncryptionByDefault"]
    assert (by_default["SSEAlgorithm"], by_default["KMSMasterKeyID"]) == ("aws:kms", key_arn(pair, role))


@pytest.mark.parametrize("role", ROLES)
def test_what_velero_writes_is_copied_to_the_other_region_and_encrypted_with_its_key(pair: World, role: Role) -> None:
    """Both ways. An object that was written before an alias of a key was known to IAM may never be copied, so each attempt writes
    another one."""
    peer, region = peer_of(role), pair.names(role).region
    written: list[str] = []

    def copied() -> dict[str, Any] | None:
        key = f"velero/{role}/backups/b/{len(written)}"
        if put_as(pair, "velero", role, key) == "done":
            written.append(key)
        there = s3_of(pair, peer)
        listed = there.list_objects_v2(Bucket=pair.names(peer).bucket("velero"), Prefix=f"velero/{role}/").get("Contents", [])
        if not listed:
            time.sleep(pair.interval)
            return None
        return dict(there.head_object(Bucket=pair.names(peer).bucket("velero"), Key=listed[0]["Key"]))

    copy = eventually(pair, f"S3 to copy an object from {region}", copied)
    # The lab's copies carry no status.
    assert copy.get("ReplicationStatus", "REPLICA") == "REPLICA"
    assert copy["ServerSideEncryption"] == "aws:kms"
    # AWS tells the key. moto repeats the alias that the replication rule names.
    assert copy["SSEKMSKeyId"] in (key_arn(pair, peer), pair.names(role).peer_key_alias_arn)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("part", PARTS)
def test_each_part_may_do_what_it_needs(pair: World, part: Part, role: Role) -> None:
    for call, wanted in allowed(part, pair.names(role)):
        ask = partial(asked, pair, call, pair.keys[role, part])
        eventually(pair, f"{call} to be {wanted}", lambda ask=ask, wanted=wanted: ask() == wanted)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("part", PARTS)
def test_no_part_can_do_what_would_lose_a_backup_or_move_the_traffic(pair: World, part: Part, role: Role) -> None:
    """That each is denied and not refused for another reason, the lab's tests assert. Here a call of which AWS refuses the form
    first is as good."""
    key = pair.keys[role, part]
    assert [str(call) for call in forbidden(part, pair.names(role)) if asked(pair, call, key) == "done"] == []


@pytest.mark.parametrize("role", ROLES)
def test_iam_accepts_the_trust_of_a_role_for_pods(pair: World, role: Role) -> None:
    """Associations need a cluster, and IAM's own check of the policy does not."""
    names = pair.names(role)
    trust = pod_identity_trust(names, "no-such-cluster", [ServiceAccount("velero", "velero")])
    made = pair.client("iam", "us-east-1").create_role(
        RoleName=f"{names.topology.organization}-trust-{names.region}", AssumeRolePolicyDocument=json.dumps(trust)
    )
    assert made["Role"]["Arn"].startswith(f"arn:aws:iam::{names.topology.account_id}:role/")


def test_route_53s_checkers_can_read_the_flag_and_it_moves_users_there_and_back(pair: World) -> None:
    a, b = (project.load_balancer(role) for role in ROLES)
    eventually(pair, "every checker to read the flag", lambda: pair.unseen_by_checkers() == [])
    eventually(pair, "users to be sent to the primary", lambda: pair.answer() == a)
    pair.serve_from("secondary")
    eventually(pair, "users to be sent to the secondary", lambda: pair.answer() == b)
    pair.serve_from("primary")
    eventually(pair, "users to be sent back", lambda: pair.answer() == a)
