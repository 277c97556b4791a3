"""What Route 53's checkers see, asked by day: a flag that they may not read looks like a normal day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from components.traffic.checkers import judged, unseen
from settings.aws import Aws

CHECK = "abcdef11-2222-3333-4444-555555fedcba"


def seen(*said: str) -> list[dict[str, Any]]:
    return [{"Region": "us-west-1", "IPAddress": "15.177.0.1", "StatusReport": {"Status": each}} for each in said]


@pytest.mark.parametrize(
    "said",
    [
        "Failure: HTTP Status Code 200, string not found",
        "Failure: HTTP Status Code: 200. Resolved IP: 52.92.0.1. The search string was not found in the body",
        "Failure: The response body did not contain the search string",
        "Success: HTTP Status Code 200, OK",
    ],
)
def test_a_flag_that_was_read_is_read_whether_its_text_was_found_or_not(said: str) -> None:
    assert judged("flag", CHECK, seen(said)) is None


@pytest.mark.parametrize(
    "said",
    [
        "Failure: HTTP Status Code 403, Forbidden",
        "Failure: HTTP Status Code: 404. Not Found",
        "Failure: The health checker could not establish a connection within the timeout limit.",
    ],
)
def test_a_flag_that_could_not_be_read_is_told_with_the_checkers_own_words(said: str) -> None:
    good = "Failure: HTTP Status Code 200, string not found"
    assert judged("flag", CHECK, seen(good, said, said)) == (
        f"Route 53's checkers cannot read the traffic flag (health check {CHECK}; 2 of 3 say: {said}): a failover would end well "
        "and move no user; see docs/traffic.md#can-route-53-read-the-flag"
    )


def test_an_endpoint_must_be_healthy() -> None:
    assert judged("endpoint", CHECK, seen("Success: HTTP Status Code 200, OK")) is None
    told = judged("endpoint", CHECK, seen("Failure: HTTP Status Code 404, Not Found"))
    assert told is not None
    assert "1 of 1 say: Failure: HTTP Status Code 404, Not Found" in told
    assert "k8s-dr:dns.check" in told


@pytest.mark.parametrize("observations", [[], [{"StatusReport": {}}], [{}]])
def test_checkers_that_have_said_nothing_yet_are_told_too(observations: list[dict[str, Any]]) -> None:
    assert f"have said nothing yet of health check {CHECK}" in str(judged("flag", CHECK, observations))


@pytest.fixture
def route53(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("route53", region_name="us-east-1")


def test_each_check_is_asked_and_one_that_is_gone_is_one_line(route53: Any) -> None:
    config = {"Type": "HTTPS_STR_MATCH", "FullyQualifiedDomainName": "a.example.com", "SearchString": "x"}
    made = route53.create_health_check(CallerReference="1", HealthCheckConfig=config)["HealthCheck"]["Id"]
    assert unseen(Aws(), {"flag": made}) == []
    [told] = unseen(Aws(), {"endpoint": made, "flag": CHECK})
    assert told.startswith("what Route 53's checkers see is not known: ")
    assert "NoSuchHealthCheck" in told
    assert "\n" not in told


def test_without_the_right_to_ask_the_right_is_named(monkeypatch: pytest.MonkeyPatch, route53: Any) -> None:
    import botocore.client
    from botocore.exceptions import ClientError

    def refuse(*_: Any, **__: Any) -> None:
        message = "User: x is not authorized to perform: route53:GetHealthCheckStatus because no identity-based policy allows it"
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": message}}, "GetHealthCheckStatus")

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refuse)
    [told] = unseen(Aws(), {"flag": CHECK, "endpoint": CHECK})
    assert told.endswith("allow route53:GetHealthCheckStatus")
