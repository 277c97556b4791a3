"""Access logs are kept apart from what they are about, and only S3 writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from settings.roles import Role
from tests.unit.components.conftest import Program
from tests.unit.recorder import Recorder, run_program

PURPOSES = ("velero", "etcd", "database")
LOGS = {role: f"acme-logs-{region}-123456789012" for role, region in (("primary", "us-east-1"), ("secondary", "us-west-2"))}


@pytest.fixture(scope="module", params=["primary", "secondary"])
def logged(request: pytest.FixtureRequest) -> tuple[Role, Recorder]:
    return request.param, run_program(request.param, {"peerReady": True, "storage": {"accessLogs": True, "accessLogDays": 90}})


def test_the_requests_of_all_three_buckets_are_logged_by_the_day_on_which_they_were_made(logged: tuple[Role, Recorder]) -> None:
    role, region = logged
    written = {seen.name: seen.inputs for seen in region.of("BucketLogging")}
    assert set(written) == {f"storage-access-logs-of-{purpose}" for purpose in PURPOSES}
    for purpose in PURPOSES:
        inputs = written[f"storage-access-logs-of-{purpose}"]
        assert inputs["bucket"] == f"storage-{purpose}-id"
        assert (inputs["targetBucket"], inputs["targetPrefix"]) == (LOGS[role], "access/")
        assert inputs["targetObjectKeyFormat"] == {"partitionedPrefix": {"partitionDateSource": "EventTime"}}


def test_their_bucket_is_private_versioned_protected_and_one_that_s3_delivers_to(logged: tuple[Role, Recorder]) -> None:
    role, region = logged
    stem = "storage-access-logs"
    bucket = next(seen for seen in region.of("Bucket") if seen.name == stem)
    assert bucket.protect
    assert bucket.inputs == {"bucket": LOGS[role], "forceDestroy": False}
    assert region[f"{stem}-versioning"].inputs["versioningConfiguration"] == {"status": "Enabled"}
    assert region[f"{stem}-ownership"].inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    assert region[f"{stem}-public-access"].inputs["blockPublicPolicy"] is True
    (rule,) = region[f"{stem}-encryption"].inputs["rules"]
    # S3's delivery has no key of ours.
    assert rule == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}


def test_only_s3_may_write_them_and_only_for_these_buckets_of_this_account(logged: tuple[Role, Recorder]) -> None:
    role, region = logged
    delivery, demand = statements(region)
    assert (delivery["Effect"], delivery["Principal"]) == ("Allow", {"Service": "logging.s3.amazonaws.com"})
    assert delivery["Action"] == ["s3:PutObject"]
    assert delivery["Resource"] == f"arn:aws:s3:::{LOGS[role]}/access/*"
    assert delivery["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    sources = [f"arn:aws:s3:::{LOGS[role].replace('logs', purpose)}" for purpose in PURPOSES]
    assert delivery["Condition"]["ArnEquals"] == {"aws:SourceArn": sources}
    assert (demand["Effect"], demand["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_nothing_is_logged_before_s3_may_write(logged: tuple[Role, Recorder]) -> None:
    for seen in logged[1].of("BucketLogging"):
        assert "storage-access-logs-policy" in seen.depends_on


def test_logs_are_kept_as_long_as_is_said(logged: tuple[Role, Recorder]) -> None:
    rules = {rule["id"]: rule for rule in logged[1]["storage-access-logs-lifecycle"].inputs["rules"]}
    assert rules["old-logs"]["expiration"] == {"days": 90}
    assert rules["old-logs"]["filter"] == {"prefix": "access/"}
    assert rules["noncurrent-versions"]["noncurrentVersionExpiration"] == {"noncurrentDays": 60}


def test_logs_are_of_their_region_and_are_not_copied(logged: tuple[Role, Recorder]) -> None:
    assert {seen.inputs["bucket"] for seen in logged[1].of("BucketReplicationConfig")} == {
        f"storage-{purpose}-id" for purpose in PURPOSES
    }


def test_there_are_none_unless_they_are_asked_for(program: Program) -> None:
    region = program("primary", "primary")
    assert not region.of("BucketLogging")
    assert not [seen for seen in region.seen if "access-logs" in seen.name]


def statements(region: Recorder) -> list[dict[str, Any]]:
    return json.loads(region["storage-access-logs-policy"].inputs["policy"])["Statement"]
