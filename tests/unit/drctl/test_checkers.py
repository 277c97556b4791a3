"""The health checks that read the traffic flag are found by the pair's own records, whoever's stack owns them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from components.traffic import checkers
from components.traffic.records import set_identifier
from drctl.checkers import flag_unseen
from settings import Settings
from settings.aws import Aws
from settings.load import SECRETS, load
from settings.names import FLAG_KEY
from settings.roles import Role
from tests.examples import example

FLAG = {
    "Type": "HTTPS_STR_MATCH",
    "FullyQualifiedDomainName": "flag.example.com",
    "ResourcePath": f"/{FLAG_KEY}",
    "SearchString": '"secondary"',
}
ENDPOINT = {"Type": "HTTPS", "FullyQualifiedDomainName": "lb.example.com", "ResourcePath": "/healthz"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, str]]:
    """The checks whose checkers were asked."""
    found: list[Mapping[str, str]] = []

    def unseen(_: Aws, checks: Mapping[str, str]) -> list[str]:
        found.append(checks)
        return []

    monkeypatch.setattr(checkers, "unseen", unseen)
    return found


@pytest.fixture
def route53(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("route53", region_name="us-east-1")


def settings_of(zone: str, **dns: Any) -> Settings:
    settings = load("secondary", example("secondary"), SECRETS)
    return settings.model_copy(update={"dns": settings.dns.model_copy(update={"zone_id": zone, **dns})})


def zone(route53: Any) -> str:
    made: str = route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
    return made.removeprefix("/hostedzone/")


def check(route53: Any, **config: Any) -> str:
    made = route53.create_health_check(CallerReference=str(len(str(config))), HealthCheckConfig=config)
    return str(made["HealthCheck"]["Id"])


def record(route53: Any, zone: str, role: Role, host: str, **more: Any) -> None:
    failover = {"SetIdentifier": set_identifier(role, host), "Failover": role.upper(), **more}
    body = {"Name": host, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "lb.example.com"}], **failover}
    changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": body}]}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)


def test_the_check_of_the_primarys_record_is_asked(route53: Any, asked: list[Mapping[str, str]]) -> None:
    place, flag = zone(route53), check(route53, **FLAG)
    settings = settings_of(place)
    [host, *_] = settings.dns.names
    record(route53, place, "primary", host, HealthCheckId=flag)
    record(route53, place, "secondary", host)
    assert flag_unseen(settings) == []
    assert asked == [{"flag": flag}]


def test_of_a_calculated_check_the_part_is_asked_that_reads_the_flag(route53: Any, asked: list[Mapping[str, str]]) -> None:
    place, flag, endpoint = zone(route53), check(route53, **FLAG), check(route53, **ENDPOINT)
    both = check(route53, Type="CALCULATED", ChildHealthChecks=[flag, endpoint], HealthThreshold=2)
    settings = settings_of(place)
    record(route53, place, "primary", settings.dns.names[0], HealthCheckId=both)
    assert flag_unseen(settings) == []
    assert asked == [{"flag": flag}]


def test_a_record_of_somebody_else_is_passed_over_and_it_is_said_that_nobody_knows(
    route53: Any, asked: list[Mapping[str, str]]
) -> None:
    place, flag = zone(route53), check(route53, **FLAG)
    settings = settings_of(place)
    record(route53, place, "primary", f"z.{settings.dns.names[0]}", HealthCheckId=flag)
    record(route53, place, "secondary", settings.dns.names[0])
    [line] = flag_unseen(settings)
    assert line.startswith(f"what Route 53's checkers see is not known: no record of {settings.dns.names[0]} has a health check")
    assert asked == []


def test_a_zone_that_cannot_be_read_is_one_line(route53: Any, asked: list[Mapping[str, str]]) -> None:
    [line] = flag_unseen(settings_of("Z0000000000000"))
    assert line.startswith("what Route 53's checkers see is not known: ")
    assert "NoSuchHostedZone" in line
    assert "\n" not in line
    assert asked == []


def test_in_mode_record_nobody_reads_the_flag_and_nobody_is_asked(asked: list[Mapping[str, str]]) -> None:
    assert flag_unseen(settings_of("Z0123456789ABCDEFGHIJ", mode="record")) == []
    assert asked == []
