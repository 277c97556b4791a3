"""CloudWatch's alarms on the health checks by which Route 53 sends users to one region or the other."""

from __future__ import annotations

from typing import Any

import pytest

from settings.roles import ROLES, Role
from tests.unit.recorder import Recorder, Seen, deployed, run_program

TOPIC = "arn:aws:sns:us-east-1:123456789012:traffic"
ASKED: dict[str, Any] = {"peerReady": True, "monitoring": {"healthCheckAlarms": TOPIC}}
BOTH: dict[str, Any] = {
    **ASKED,
    "tier": "active-active",
    "dns": {"zoneId": "Z0123456789ABCDEFGHIJ", "names": ["app.example.com"], "mode": "both-regions"},
    "databases": [],
    "databasePasswords": {},
}


def alarms(recorder: Recorder) -> dict[str, Seen]:
    return {seen.inputs["name"]: seen for seen in recorder.of("MetricAlarm")}


def test_there_is_none_where_nobody_asked_or_the_stack_makes_no_check() -> None:
    assert alarms(run_program("primary", {"peerReady": True})) == {}
    assert alarms(run_program("secondary", ASKED)) == {}


def test_the_check_of_the_primarys_records_is_watched_where_its_metric_is() -> None:
    region = run_program("primary", ASKED)
    alarm = alarms(region)["acme-dr-primary-no-users"]
    [record] = [seen for seen in region.of("Record") if seen.name == "traffic-app.example.com"]
    assert alarm.inputs["dimensions"] == {"HealthCheckId": record.inputs["healthCheckId"]}
    assert (alarm.inputs["namespace"], alarm.inputs["metricName"]) == ("AWS/Route53", "HealthCheckStatus")
    assert (alarm.inputs["statistic"], alarm.inputs["comparisonOperator"], alarm.inputs["threshold"]) == (
        "Minimum",
        "LessThanThreshold",
        1,
    )
    assert alarm.inputs["region"] == "us-east-1"
    assert alarm.inputs["alarmActions"] == alarm.inputs["okActions"] == [TOPIC]


@pytest.mark.parametrize("stack", ROLES)
def test_where_both_regions_serve_each_is_watched_and_so_is_its_own_endpoint(stack: Role) -> None:
    region = run_program(stack, BOTH)
    made = alarms(region)
    of_the_flag = {"acme-dr-primary-flag-unread"} if stack == "primary" else set()
    assert set(made) == {f"acme-dr-{stack}-no-users", f"acme-dr-{stack}-hardly-reached", *of_the_flag}
    [record] = region.of("Record")
    assert made[f"acme-dr-{stack}-no-users"].inputs["dimensions"]["HealthCheckId"] == record.inputs["healthCheckId"]
    reached = made[f"acme-dr-{stack}-hardly-reached"].inputs
    assert reached["metricName"] == "HealthCheckPercentageHealthy"
    assert reached["dimensions"]["HealthCheckId"] == f"traffic-{stack}-answers-id"


@pytest.mark.parametrize("asked", [ASKED, BOTH], ids=["standby-takes-over", "both-regions"])
def test_a_flag_that_checkers_cannot_read_is_told_by_a_check_that_does_not_care_what_it_says(asked: dict[str, Any]) -> None:
    region = run_program("primary", asked)
    alarm = alarms(region)["acme-dr-primary-flag-unread"].inputs
    check = region["health-alarms-flag-can-be-read"]
    assert alarm["dimensions"] == {"HealthCheckId": f"{check.name}-id"}
    assert (alarm["metricName"], alarm["comparisonOperator"]) == ("HealthCheckPercentageHealthy", "LessThanThreshold")
    assert alarm["threshold"] > 18, "below that a failover moves nobody, and it is too late to say so"
    assert alarm["alarmActions"] == [TOPIC]
    [of_the_records] = [seen for seen in region.of("HealthCheck") if seen.name == "traffic-standby-took-over"]
    for where in ("fqdn", "port", "resourcePath", "enableSni"):
        assert check.inputs[where] == of_the_records.inputs[where], "users follow another object"
    assert check.inputs["type"] == "HTTPS"
    assert not {"searchString", "invertHealthcheck"} & check.inputs.keys(), "it would go by what the flag says"
    followed = [
        *(record.inputs.get("healthCheckId") for record in region.of("Record")),
        *(part for seen in region.of("HealthCheck") for part in seen.inputs.get("childHealthchecks", ())),
    ]
    assert f"{check.name}-id" not in followed


def test_nobody_asks_for_a_flag_that_the_other_stack_has_not_made_yet() -> None:
    assert set(alarms(run_program("primary", {**ASKED, "peerReady": False}))) == {"acme-dr-primary-no-users"}


@pytest.mark.parametrize("stack", ROLES)
def test_a_failover_touches_none_and_needs_no_provider_of_another_region(stack: Role) -> None:
    regions = [run_program(stack, {**BOTH, **deployed(serving)}) for serving in ROLES]
    before, after = ({name: seen.inputs for name, seen in alarms(region).items()} for region in regions)
    assert before == after
    for region in regions:
        for seen in region.of("MetricAlarm"):
            assert "failover" not in seen.parent
            assert seen.provider == "aws", (
                "one that is configured in each up, and asks the STS of us-east-1, would be a second one"
            )
            assert seen.depends_on <= {each.name for each in region.of("HealthCheck")}


@pytest.mark.parametrize("stack", ROLES)
def test_one_that_is_still_to_be_made_keeps_no_user_from_the_other_region(stack: Role) -> None:
    """The engine ends an `up` at the first resource that fails, and us-east-1 may be what has failed."""
    region = run_program(stack, {**BOTH, **deployed(stack)})
    [alarms_of] = region.of("HealthAlarms")
    assert "failover-serving" in alarms_of.depends_on, "its alarms are registered once it is, and so once users may come"


def test_they_are_asked_of_the_endpoint_that_is_not_aws() -> None:
    services = run_program("primary", {**ASKED, "aws": {"endpoint": "http://172.30.0.1:5555"}})["aws"].inputs["endpoints"]
    assert "cloudwatch" in str(services)
