"""Whom users are sent to, whatever is dead and whatever the flag says: the tables of docs/traffic.md.

The program's own records and health checks, judged by the lab's Route 53.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import pytest

from lab.cloud.answers import Answers
from lab.cloud.health import Monitor, Observation
from lab.cloud.records import Alias, HealthCheck, Record, Route53, Zone
from settings.roles import Role
from tests.unit.recorder import run_program

PRIMARY, SECONDARY, BOTH = ["primary"], ["secondary"], ["primary", "secondary"]
NAME = "app.example.com"
ENDPOINT = {"name": "lb.example.net", "zoneId": "Z35SXDOTRQ7X7K"}


@cache
def program(mode: str, active: Role, *, alias: bool) -> tuple[list[HealthCheck], list[Record]]:
    """What both stacks register once everybody has been told who is active."""
    checks, records = [], []
    tier = "active-active" if mode == "both-regions" else "pilot-light"
    for stack in ("primary", "secondary"):
        endpoint = {**ENDPOINT, "name": f"lb-{stack}.example.net"} if alias else f"lb-{stack}.example.net"
        shared = {
            "dns": {"zoneId": "Z0123456789ABCDEFGHIJ", "names": [NAME], "mode": mode},
            "databases": [],
            "databasePasswords": {},
        }
        region = run_program(stack, {"active": active, "tier": tier, "endpoint": endpoint, **shared})
        checks += [_check(seen.name, seen.inputs) for seen in region.of("HealthCheck")]
        records += [_record(seen.inputs) for seen in region.of("Record")]
    return checks, records


def _check(name: str, inputs: dict[str, Any]) -> HealthCheck:
    return HealthCheck(
        id=f"{name}-id",
        type=inputs["type"],
        fqdn=inputs.get("fqdn"),
        inverted=inputs.get("invertHealthcheck", False),
        children=tuple(inputs.get("childHealthchecks", ())),
        health_threshold=int(inputs.get("childHealthThreshold", 0)),
        failure_threshold=1,
    )


def _record(inputs: dict[str, Any]) -> Record:
    aliases = [
        Alias(name=alias["name"], evaluate_target_health=alias["evaluateTargetHealth"]) for alias in inputs.get("aliases", ())
    ]
    return Record(
        name=inputs["name"],
        type=inputs["type"],
        set_identifier=inputs["setIdentifier"],
        health_check_id=inputs.get("healthCheckId"),
        alias=aliases[0] if aliases else None,
        values=tuple(inputs.get("records", ())),
        failover=next((policy["type"] for policy in inputs.get("failoverRoutingPolicies", ())), None),
        weight=next((int(policy["weight"]) for policy in inputs.get("weightedRoutingPolicies", ())), None),
    )


def served(mode: str, flag: str, alive: str, *, alias: bool = False) -> list[str]:
    """The regions that may be answered with. `flag`: what can be read of it; `alive`: the endpoints that answer, of a and b.

    A load balancer of which an alias says that its health counts is healthy here: only checks decide.
    """
    checks, records = program(mode, "secondary" if flag == "secondary" else "primary", alias=alias)
    monitor = Monitor(checkers=1)
    monitor.know(checks, 0)
    for check in checks:
        if check.type != "CALCULATED":
            asks_flag = str(check.fqdn).endswith(".amazonaws.com")
            ok = flag == "secondary" if asks_flag else ("a" if "primary" in str(check.fqdn) else "b") in alive
            monitor.observe(check.id, Observation(time=0, ok=ok, reason="", checker=0))
    zones = (Zone(id="Z1", name="example.com", records=tuple(records)),)
    answers = Answers(data=Route53(zones=zones), hosts={}, healthy=monitor.healthy)
    (found,) = answers.served().values()
    return sorted(str(record.set_identifier).split("-")[1] for record in found)


BOTH_REGIONS = {
    ("primary", "ab"): BOTH,
    ("primary", "a"): PRIMARY,
    ("primary", "b"): SECONDARY,
    ("primary", ""): [],
    ("secondary", "ab"): SECONDARY,
    ("secondary", "b"): SECONDARY,
    ("secondary", "a"): SECONDARY,
    ("secondary", ""): SECONDARY,
    ("unreadable", "ab"): BOTH,
    ("unreadable", "a"): PRIMARY,
    ("unreadable", "b"): SECONDARY,
    ("unreadable", ""): [],
}
"""By flag and living endpoints. Nobody healthy: Route 53 then answers with all, for there is nothing to lose."""


@pytest.mark.parametrize("alias", [False, True])
@pytest.mark.parametrize(("flag", "alive"), list(BOTH_REGIONS))
def test_with_both_regions_a_dead_one_drops_out_and_a_replaced_one_stays_out(flag: str, alive: str, alias: bool) -> None:
    assert served("both-regions", flag, alive, alias=alias) == (BOTH_REGIONS[flag, alive] or BOTH)


def test_once_the_secondary_has_taken_over_no_failure_of_its_own_sends_users_to_the_old_primary() -> None:
    for alive in ("", "a", "b", "ab"):
        assert "primary" not in served("both-regions", "secondary", alive)


@pytest.mark.parametrize(("flag", "alive"), list(product(["primary", "secondary", "unreadable"], ["", "a", "b", "ab"])))
def test_where_the_standby_takes_over_the_flag_alone_decides(flag: str, alive: str) -> None:
    assert served("standby-takes-over", flag, alive) == (SECONDARY if flag == "secondary" else PRIMARY)


@pytest.mark.parametrize(("flag", "alive"), list(product(["primary", "secondary"], ["", "a", "b", "ab"])))
def test_in_mode_record_the_secondarys_record_alone_decides(flag: str, alive: str) -> None:
    assert served("record", flag, alive) == (SECONDARY if flag == "secondary" else PRIMARY)
