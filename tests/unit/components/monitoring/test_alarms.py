"""CloudWatch's alarms on what S3 copies between the regions."""

from __future__ import annotations

from typing import Any

import pytest

from settings.roles import ROLES, Role
from tests.unit.recorder import Recorder, Seen, deployed, run_program

REGIONS = {"primary": "us-east-1", "secondary": "us-west-2"}
TOPICS = {role: f"arn:aws:sns:{region}:123456789012:on-call" for role, region in REGIONS.items()}
ALARMS: dict[str, Any] = {"peerReady": True, "monitoring": {"alarms": TOPICS}, "storage": {"replicationMetrics": True}}


def alarms(recorder: Recorder) -> dict[str, Seen]:
    return {seen.inputs["name"]: seen for seen in recorder.of("MetricAlarm")}


def test_none_is_made_where_nobody_asked_for_it_or_nothing_is_copied_yet() -> None:
    assert alarms(run_program("primary", {"peerReady": True})) == {}
    assert alarms(run_program("primary", {**ALARMS, "peerReady": False})) == {}


@pytest.mark.parametrize("stack", ROLES)
def test_each_rule_has_one_for_what_fails_to_leave_and_one_for_what_comes_late(stack: Role) -> None:
    made = alarms(run_program(stack, ALARMS))
    assert set(made) == {
        f"acme-dr-{copied}-replication-{what}"
        for copied in ("velero", "etcd", "database", "drills")
        for what in ("failed", "late")
    }
    own, peer = (f"acme-database-{region}-123456789012" for region in (REGIONS[stack], *set(REGIONS.values()) - {REGIONS[stack]}))
    failed, late = made["acme-dr-database-replication-failed"].inputs, made["acme-dr-database-replication-late"].inputs
    assert failed["dimensions"] == {"SourceBucket": own, "DestinationBucket": peer, "RuleId": "to-peer"}
    assert late["dimensions"] == {"SourceBucket": peer, "DestinationBucket": own, "RuleId": "to-peer"}
    assert (failed["metricName"], failed["statistic"], failed["threshold"]) == ("OperationsFailedReplication", "Sum", 0)
    assert (late["metricName"], late["statistic"], late["threshold"]) == ("ReplicationLatency", "Maximum", 900)
    for seen in made.values():
        assert seen.inputs["namespace"] == "AWS/S3"
        assert seen.inputs["alarmActions"] == seen.inputs["okActions"] == [TOPICS[stack]]
        assert seen.inputs["treatMissingData"] == "notBreaching"


@pytest.mark.parametrize("stack", ROLES)
def test_the_rules_that_they_watch_are_those_that_copy(stack: Role) -> None:
    recorder = run_program(stack, ALARMS)
    rules = [rule["id"] for seen in recorder.of("BucketReplicationConfig") for rule in seen.inputs["rules"]]
    dimensions = [seen.inputs["dimensions"] for name, seen in alarms(recorder).items() if name.endswith("-failed")]
    assert sorted(each["RuleId"] for each in dimensions) == sorted(rules)
    drills = alarms(recorder)["acme-dr-drills-replication-failed"].inputs["dimensions"]
    assert drills["SourceBucket"] == f"acme-velero-{REGIONS[stack]}-123456789012"


@pytest.mark.parametrize("stack", ROLES)
def test_a_flip_changes_none(stack: Role) -> None:
    before, after = (
        {name: seen.inputs for name, seen in alarms(run_program(stack, {**ALARMS, **deployed(serving)})).items()}
        for serving in ROLES
    )
    assert before == after


def test_they_are_asked_of_the_endpoint_that_is_not_aws() -> None:
    endpoint = {"aws": {"endpoint": "http://172.30.0.1:5555"}}
    for changes, known in ((ALARMS, True), ({"peerReady": True}, False)):
        services = run_program("primary", {**changes, **endpoint})["aws"].inputs["endpoints"]
        assert ("cloudwatch" in str(services)) is known
