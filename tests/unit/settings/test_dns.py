"""What a region is asked to know it alive, and which of it only one mode has a use for."""

from __future__ import annotations

from typing import Any

import pytest

from settings.advice import warnings
from settings.load import SECRETS, load
from settings.model import Settings
from tests.examples import example
from tests.unit.settings.test_mistakes import complaint, part

WITHOUT_DATABASES: dict[str, Any] = {"tier": "active-active", "databases": [], "databasePasswords": {}}
STREAMING = {
    "hosts": {"primary": "pg-primary.example.com", "secondary": "pg-secondary.example.com"},
    "certificates": {"server": "tls", "serverCa": "ca", "clientCa": "ca", "replication": "client"},
}
PROBE = (
    "failover.probe: must be a URL that only the primary region answers, and with dns.mode both-regions the secondary answers at "
    "app.example.com too; write the primary's own load balancer, as in probe: https://lb-primary.us-east-1.elb.amazonaws.com/"
)


def both(**changes: Any) -> dict[str, Any]:
    return {"tier": "active-active", **part("databases", streaming=STREAMING), **changes}


def loaded(changes: dict[str, Any]) -> Settings:
    return load("secondary", example("secondary", changes), SECRETS)


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        (None, ("https", 443, "/")),
        ({}, ("https", 443, "/")),
        ({"protocol": "http"}, ("http", 80, "/")),
        ({"protocol": "http", "port": 8080, "path": "/healthz"}, ("http", 8080, "/healthz")),
    ],
)
def test_an_endpoint_is_asked_over_https_unless_something_else_is_written(
    written: dict[str, Any] | None, asked: tuple[str, int, str]
) -> None:
    check = loaded({**WITHOUT_DATABASES, **part("dns", **({} if written is None else {"check": written}))}).dns.endpoint_check
    assert (check.protocol, check.asked_port, check.path) == asked


@pytest.mark.parametrize("mode", ["standby-takes-over", "record"])
def test_where_one_region_serves_no_endpoint_is_asked(mode: str) -> None:
    assert loaded(part("dns", mode=mode)).dns.check is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            part("dns", check={"path": "/healthz"}),
            "dns.check: is only asked with dns.mode both-regions, and the mode is standby-takes-over; take check out, or set "
            "that mode",
        ),
        (
            part("dns", check={"path": "healthz"}) | WITHOUT_DATABASES,
            "dns.check.path: healthz is not a path; write /healthz",
        ),
        (part("dns", check={"port": 0}) | WITHOUT_DATABASES, "dns.check.port: 0 is less than 1; write 1 or more"),
        (part("dns", check={"port": "443"}) | WITHOUT_DATABASES, "dns.check.port: 443 is text; write it without quotes"),
        (
            part("dns", check={"protocol": "tcp"}) | WITHOUT_DATABASES,
            "dns.check.protocol: tcp is not one of 'https', 'http'; write one of them",
        ),
        (
            part("dns", check={"pth": "/"}) | WITHOUT_DATABASES,
            "dns.check.pth: unknown key, did you mean path?",
        ),
        (part("dns", check="/") | WITHOUT_DATABASES, "dns.check: / is not an object; write {protocol: …, port: …, path: …}"),
        (both(), PROBE),
        (both(failover={"probe": "http://APP.example.com:8080/healthz"}), PROBE),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_fix(changes: dict[str, Any], message: str) -> None:
    assert complaint("secondary", example("secondary", changes)) == f"k8s-dr:{message}"


def test_a_probe_of_the_primarys_own_load_balancer_tells_the_regions_apart() -> None:
    probe = "https://lb-primary.us-east-1.elb.amazonaws.com/"
    assert loaded(both(failover={"probe": probe})).probe == probe


ALIAS = {"endpoint": {"name": "lb-secondary.us-west-2.elb.amazonaws.com", "zoneId": "Z1H1FL5HABSF5"}}
WARM = {"workloads": [{"namespace": "production", "replicas": 3, "standbyReplicas": 1}]}
OF_A = {"failover": {"probe": "https://lb-primary.us-east-1.elb.amazonaws.com/"}}


def advice(*changes: dict[str, Any], stack: str = "secondary") -> list[str]:
    merged = {key: value for each in changes for key, value in each.items()}
    found = warnings(load(stack, example(stack, merged), SECRETS))
    return [line for line in found if line.startswith("k8s-dr:failover.probe: ")]


def test_a_probe_that_what_stands_by_would_answer_is_told_by_day_and_refuses_nothing() -> None:
    (said,) = advice(ALIAS, WARM)
    assert "asks app.example.com, and endpoint is an alias: with a dead primary Route 53 already answers that name with" in said
    assert "where production stands by (standbyReplicas: 1)" in said
    assert said.endswith("as in probe: https://lb-primary.us-east-1.elb.amazonaws.com/")
    own = {"endpoint": {"name": "lb-a.us-east-1.elb.amazonaws.com", "zoneId": "Z35SXDOTRQ7X7K"}}
    (said,) = advice(own, WARM, stack="primary")
    assert said.endswith("as in probe: https://lb-a.us-east-1.elb.amazonaws.com/"), "it is the primary's own"


@pytest.mark.parametrize(
    "changes",
    [
        (ALIAS,),
        (WARM,),
        (ALIAS, WARM, OF_A),
        (ALIAS, WARM, part("dns", mode="record")),
        (ALIAS, WARM, {"databases": [], "databasePasswords": {}}),
    ],
    ids=["nothing stands by", "no alias", "it asks the primary's own", "another mode", "nobody asks"],
)
def test_a_probe_that_the_primary_alone_answers_is_not_told(changes: tuple[dict[str, Any], ...]) -> None:
    assert advice(*changes) == []


def test_an_alias_of_a_distribution_is_refused_only_where_its_health_would_count() -> None:
    distribution = {"endpoint": {"name": "d111111abcdef8.cloudfront.net", "zoneId": "Z2FDTNDATAQYW2"}}
    assert complaint("secondary", example("secondary", distribution)) == (
        "k8s-dr:endpoint.zoneId: Z2FDTNDATAQYW2 is CloudFront's, and with dns.mode standby-takes-over Route 53 has to count the "
        "health of the alias's target, which a distribution has none of, so it would refuse the record; write the name and zone "
        "of this region's load balancer, CanonicalHostedZoneId in: aws elbv2 describe-load-balancers"
    )
    assert load("secondary", example("secondary", {**distribution, **part("dns", mode="record")}), SECRETS).endpoint
