"""Buckets are hardened, and each region copies what it writes to the other's bucket of the computed name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from settings.roles import Role
from tests.unit.components.conftest import Program
from tests.unit.recorder import Recorder, Seen, run_program

PURPOSES = ("velero", "etcd", "database")
BUCKETS = {
    "primary": {purpose: f"acme-{purpose}-us-east-1-123456789012" for purpose in PURPOSES},
    "secondary": {purpose: f"acme-{purpose}-us-west-2-123456789012" for purpose in PURPOSES},
}


def statements(seen: Seen) -> list[dict[str, Any]]:
    return json.loads(seen.inputs["policy"])["Statement"]


@pytest.fixture(params=["primary", "secondary"])
def stack(request: pytest.FixtureRequest) -> Role:
    return request.param


@pytest.fixture
def region(stack: Role, program: Program) -> Recorder:
    return program(stack, "primary")


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_bucket_is_named_by_organization_purpose_region_and_account(stack: Role, region: Recorder, purpose: str) -> None:
    assert region[f"storage-{purpose}"].inputs["bucket"] == BUCKETS[stack][purpose]
    assert region[f"storage-{purpose}"].inputs["forceDestroy"] is False


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_bucket_is_versioned_private_without_acls_and_encrypted_with_the_regions_key(region: Recorder, purpose: str) -> None:
    stem = f"storage-{purpose}"
    assert region[f"{stem}-versioning"].inputs["versioningConfiguration"] == {"status": "Enabled"}
    assert region[f"{stem}-ownership"].inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(region[f"{stem}-public-access"].inputs[switch] is True for switch in switches)
    (rule,) = region[f"{stem}-encryption"].inputs["rules"]
    assert rule["bucketKeyEnabled"] is True
    assert rule["applyServerSideEncryptionByDefault"] == {
        "sseAlgorithm": "aws:kms",
        "kmsMasterKeyId": "arn:aws:mock::storage-key",
    }


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_bucket_refuses_plain_http(stack: Role, region: Recorder, purpose: str) -> None:
    arn = f"arn:aws:s3:::{BUCKETS[stack][purpose]}"
    (only,) = statements(region[f"storage-{purpose}-policy"])
    assert (only["Effect"], only["Principal"], only["Action"]) == ("Deny", "*", "s3:*")
    assert only["Resource"] == [arn, f"{arn}/*"]
    assert only["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_current_versions_never_expire_by_age(region: Recorder, purpose: str) -> None:
    for rule in region[f"storage-{purpose}-lifecycle"].inputs["rules"]:
        assert rule["expiration"] == {"expiredObjectDeleteMarker": True}
        assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 60}
        assert "transitions" not in rule


def test_the_key_rotates_and_takes_a_month_to_delete(region: Recorder) -> None:
    key = region["storage-key"].inputs
    assert key["enableKeyRotation"] is True
    assert key["deletionWindowInDays"] == 30
    assert region["storage-key-alias"].inputs["name"] == "alias/acme-dr"


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_region_copies_what_it_writes_to_the_peers_bucket_under_the_peers_key(
    stack: Role, region: Recorder, purpose: str
) -> None:
    peer: Role = "secondary" if stack == "primary" else "primary"
    (rule,) = region[f"storage-{purpose}-replication"].inputs["rules"]
    assert rule["filter"] == {"prefix": f"velero/{stack}/" if purpose == "velero" else ""}
    assert rule["destination"]["bucket"] == f"arn:aws:s3:::{BUCKETS[peer][purpose]}"
    key = rule["destination"]["encryptionConfiguration"]["replicaKmsKeyId"]
    assert key == f"arn:aws:kms:{'us-west-2' if peer == 'secondary' else 'us-east-1'}:123456789012:alias/acme-dr"
    assert rule["status"] == "Enabled"
    assert rule["sourceSelectionCriteria"] == {"sseKmsEncryptedObjects": {"status": "Enabled"}}
    assert rule["deleteMarkerReplication"] == {"status": "Enabled"}


def test_replication_waits_for_the_versions_of_its_bucket(region: Recorder) -> None:
    for purpose in PURPOSES:
        assert f"storage-{purpose}-versioning" in region[f"storage-{purpose}-replication"].depends_on


def test_nothing_is_replicated_before_the_peer_is_ready(stack: Role) -> None:
    alone = run_program(stack, {"peerReady": False})
    assert not alone.of("BucketReplicationConfig")
    assert not [seen for seen in alone.custom() if seen.type.startswith("aws:iam")]


def test_readiness_of_the_peer_adds_replication_and_of_what_is_no_database_nothing_else(stack: Role) -> None:
    without = {"databases": [], "databasePasswords": {}}
    alone, ready = (run_program(stack, {"peerReady": peer_ready, **without}) for peer_ready in (False, True))
    added = ready.identities() - alone.identities()
    assert {kind.rsplit(":", 1)[-1] for kind, _ in added} == {"BucketReplicationConfig", "Role", "RolePolicy"}
    assert not alone.identities() - ready.identities()


def test_the_replication_role_reads_here_writes_there_and_may_do_nothing_else(stack: Role, region: Recorder) -> None:
    peer: Role = "secondary" if stack == "primary" else "primary"
    (role_policy,) = region.of("RolePolicy")
    policy = {statement["Sid"]: statement for statement in statements(role_policy)}
    assert set(policy) == {"ReadRules", "ReadVersions", "WriteReplicas", "DecryptHere", "EncryptThere"}
    assert policy["ReadVersions"]["Resource"] == [f"arn:aws:s3:::{BUCKETS[stack][purpose]}/*" for purpose in PURPOSES]
    assert policy["WriteReplicas"]["Resource"] == [f"arn:aws:s3:::{BUCKETS[peer][purpose]}/*" for purpose in PURPOSES]
    assert policy["DecryptHere"]["Resource"] == "arn:aws:mock::storage-key"
    assert policy["EncryptThere"]["Condition"]["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": "alias/acme-dr"}
    actions = [
        action
        for statement in policy.values()
        for action in [statement["Action"]]
        for action in ([action] if isinstance(action, str) else action)
    ]
    assert not [action for action in actions if "*" in action]
    (role,) = region.of("Role")
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "s3.amazonaws.com"}


def test_replication_time_control_is_a_setting() -> None:
    paid = run_program("secondary", {"storage": {"replicationTimeControl": True}})
    for seen in paid.of("BucketReplicationConfig"):
        destination = seen.inputs["rules"][0]["destination"]
        assert destination["replicationTime"] == {"status": "Enabled", "time": {"minutes": 15}}
        assert destination["metrics"]["status"] == "Enabled"


def test_object_lock_is_a_setting_of_the_buckets() -> None:
    locked = run_program("secondary", {"storage": {"objectLock": {"mode": "COMPLIANCE", "days": 30}, "noncurrentDays": 90}})
    assert [seen.inputs["rule"] for seen in locked.of("BucketObjectLockConfiguration")] == [
        {"defaultRetention": {"mode": "COMPLIANCE", "days": 30}}
    ] * len(PURPOSES)
    for purpose in PURPOSES:
        assert locked[f"storage-{purpose}"].inputs["objectLockEnabled"] is True
        (rule,) = locked[f"storage-{purpose}-lifecycle"].inputs["rules"]
        assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 90}
