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


NAMES_OF_SECONDARY = {purpose: {"bucket": name} for purpose, name in BUCKETS["secondary"].items()}


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
    assert (only["Effect"], only["Principal"], only["Action"]) == ("Deny", "*", ["s3:*"])
    assert only["Resource"] == [arn, f"{arn}/*"]
    assert only["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


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
    rules = region[f"storage-{purpose}-replication"].inputs["rules"]
    copied = [f"velero/{stack}/", f"drills/{stack}/"] if purpose == "velero" else [""]
    assert [rule["filter"]["prefix"] for rule in rules] == copied
    assert len({rule["priority"] for rule in rules}) == len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
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
    assert not [seen for seen in alone.custom() if seen.name == "storage-replication"]


def test_readiness_of_the_peer_adds_replication_and_of_what_is_no_database_the_primarys_guard_alone(stack: Role) -> None:
    without = {"databases": [], "databasePasswords": {}}
    alone, ready = (run_program(stack, {"peerReady": peer_ready, **without}) for peer_ready in (False, True))
    added = ready.identities() - alone.identities()
    guard = {(kind, name) for kind, name in added if name.startswith("guard")}
    assert bool(guard) is (stack == "primary"), "there is no flag to read before"
    assert {kind.rsplit(":", 1)[-1] for kind, _ in added - guard} == {"BucketReplicationConfig", "Role", "RolePolicy"}
    assert not alone.identities() - ready.identities()


def test_the_replication_role_reads_here_writes_there_and_may_do_nothing_else(stack: Role, region: Recorder) -> None:
    peer: Role = "secondary" if stack == "primary" else "primary"
    (role_policy,) = [seen for seen in region.of("RolePolicy") if seen.name == "storage-replication"]
    policy = {statement["Sid"]: statement for statement in statements(role_policy)}
    assert set(policy) == {"ReadRules", "ReadVersions", "WriteReplicas", "DecryptHere", "EncryptThere"}
    assert policy["ReadVersions"]["Resource"] == [f"arn:aws:s3:::{BUCKETS[stack][purpose]}/*" for purpose in PURPOSES]
    assert policy["WriteReplicas"]["Resource"] == [f"arn:aws:s3:::{BUCKETS[peer][purpose]}/*" for purpose in PURPOSES]
    assert policy["DecryptHere"]["Resource"] == ["arn:aws:mock::storage-key"]
    assert policy["EncryptThere"]["Condition"]["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": "alias/acme-dr"}
    actions = [
        action
        for statement in policy.values()
        for action in [statement["Action"]]
        for action in ([action] if isinstance(action, str) else action)
    ]
    assert not [action for action in actions if "*" in action]
    (role,) = [seen for seen in region.of("Role") if seen.name == "storage-replication"]
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "s3.amazonaws.com"}


def destinations(storage: dict[str, Any]) -> list[dict[str, Any]]:
    region = run_program("secondary", {"peerReady": True, "storage": storage})
    found = [seen.inputs["rules"][0]["destination"] for seen in region.of("BucketReplicationConfig")]
    assert len(found) == len(PURPOSES)
    return found


def test_replication_is_neither_timed_nor_measured_unless_that_is_asked_for() -> None:
    for destination in destinations({}):
        assert not destination.keys() & {"replicationTime", "metrics"}


def test_time_control_comes_with_its_metrics_and_the_threshold_that_s3_demands() -> None:
    for destination in destinations({"replicationTimeControl": True}):
        assert destination["replicationTime"] == {"status": "Enabled", "time": {"minutes": 15}}
        assert destination["metrics"] == {"status": "Enabled", "eventThreshold": {"minutes": 15}}


def test_metrics_alone_cost_no_time_control() -> None:
    for destination in destinations({"replicationMetrics": True}):
        assert destination["metrics"] == {"status": "Enabled"}
        assert "replicationTime" not in destination


def test_time_control_and_metrics_together_are_time_control() -> None:
    both = {"replicationTimeControl": True, "replicationMetrics": True}
    assert destinations(both) == destinations({"replicationTimeControl": True})


@pytest.fixture(scope="module", params=["GOVERNANCE", "COMPLIANCE"])
def locked(request: pytest.FixtureRequest) -> tuple[str, Recorder]:
    lock = {"mode": request.param, "days": 30}
    return request.param, run_program("secondary", {"peerReady": True, "storage": {"objectLock": lock, "accessLogs": True}})


def test_object_lock_is_a_setting_of_the_backup_buckets_and_of_no_other(locked: tuple[str, Recorder]) -> None:
    mode, region = locked
    locks = {seen.name: seen.inputs["rule"] for seen in region.of("BucketObjectLockConfiguration")}
    retention = {"defaultRetention": {"mode": mode, "days": 30}}
    # Neither the traffic flag's bucket, which a failover rewrites, nor that of the logs, to which S3 would deliver none.
    assert locks == {f"storage-{purpose}-object-lock": retention for purpose in PURPOSES}


def test_a_lock_can_be_switched_on_for_a_bucket_that_exists(locked: tuple[str, Recorder], region: Recorder) -> None:
    """Said of the bucket itself it would replace it, which its protection refuses."""
    for purpose in PURPOSES:
        assert locked[1][f"storage-{purpose}"].inputs == {**region[f"storage-{purpose}"].inputs, **NAMES_OF_SECONDARY[purpose]}


def test_a_lock_waits_for_versions_and_replication_for_the_lock(locked: tuple[str, Recorder]) -> None:
    for purpose in PURPOSES:
        assert f"storage-{purpose}-versioning" in locked[1][f"storage-{purpose}-object-lock"].depends_on
        assert f"storage-{purpose}-object-lock" in locked[1][f"storage-{purpose}-replication"].depends_on


def test_the_replication_role_sees_locks_or_it_would_copy_nothing_of_a_locked_bucket(region: Recorder) -> None:
    (read,) = [one for seen in region.of("RolePolicy") for one in statements(seen) if one.get("Sid") == "ReadVersions"]
    assert {"s3:GetObjectRetention", "s3:GetObjectLegalHold"} <= set(read["Action"])
