"""The change batches that Route 53 refuses are refused here, and those that it takes are taken."""

from __future__ import annotations

from typing import Any

import pytest

from lab.cloud.records import Alias, Record
from lab.cloud.route53_rules import Change, RefusedError, apply

CHECKS = {"check-1"}


def record(set_identifier: str | None = None, **fields: Any) -> Record:
    target = {} if "alias" in fields else {"ttl": 60, "values": (f"lb-{set_identifier}",)}
    return Record(**{"name": "app.example.com", "type": "CNAME", "set_identifier": set_identifier, **target, **fields})


PRIMARY = record("dr-primary", failover="PRIMARY", health_check_id="check-1")
SECONDARY = record("dr-secondary", failover="SECONDARY")
HEAVY = record("heavy", weight=255)
SIMPLE = record()


def change(current: list[Record], *changes: tuple[str, Record]) -> tuple[Record, ...]:
    return apply(current, [Change(action=action, record=wanted) for action, wanted in changes], health_checks=CHECKS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("current", "action", "wanted", "code", "reason"),
    [
        ([PRIMARY], "CREATE", record("other", failover="PRIMARY"), "InvalidChangeBatch", "more than one PRIMARY"),
        ([PRIMARY], "UPSERT", record("other", failover="PRIMARY"), "InvalidChangeBatch", "more than one PRIMARY"),
        ([SECONDARY], "CREATE", record("other", failover="SECONDARY"), "InvalidChangeBatch", "more than one SECONDARY"),
        ([PRIMARY, SECONDARY], "UPSERT", record("dr-primary", failover="SECONDARY"), "InvalidChangeBatch", "dr-primary, dr-sec"),
        ([], "CREATE", record(None, failover="PRIMARY"), "InvalidInput", "SetIdentifier"),
        ([], "CREATE", record(None, weight=1), "InvalidInput", "SetIdentifier"),
        ([], "CREATE", record("lonely"), "InvalidInput", "no routing policy"),
        ([PRIMARY], "CREATE", HEAVY, "InvalidChangeBatch", "failover and weighted do not mix"),
        ([HEAVY], "CREATE", SIMPLE, "InvalidChangeBatch", "simple and weighted do not mix"),
        ([PRIMARY, SECONDARY], "CREATE", SIMPLE, "InvalidChangeBatch", "failover and simple do not mix"),
        ([SIMPLE], "CREATE", SECONDARY, "InvalidChangeBatch", "failover and simple do not mix"),
        (
            [],
            "CREATE",
            record("a", failover="PRIMARY", health_check_id="gone"),
            "InvalidInput",
            "No health check found with ID: gone",
        ),
        (
            [],
            "CREATE",
            record("a", failover="PRIMARY", type="A", alias=Alias(name="lb", evaluate_target_health=False)),
            "InvalidInput",
            "EvaluateTargetHealth",
        ),
        ([], "CREATE", record("a", failover="PRIMARY", weight=1), "InvalidInput", "two routing policies"),
        ([], "CREATE", record("a", other_routing="Region"), "InvalidInput", "does not evaluate Region"),
        ([], "CREATE", record(None, values=()), "InvalidInput", "Expected exactly one of"),
        ([SIMPLE], "CREATE", SIMPLE, "InvalidChangeBatch", "already exists"),
        ([], "DELETE", SIMPLE, "InvalidChangeBatch", "not found"),
        ([SIMPLE], "DELETE", record(None, values=("elsewhere",)), "InvalidChangeBatch", "do not match"),
        ([SIMPLE], "CREATE", record(None, type="TXT"), "InvalidChangeBatch", "a CNAME stands alone"),
    ],
)
def test_what_route_53_refuses_is_refused_with_its_code(
    current: list[Record], action: str, wanted: Record, code: str, reason: str
) -> None:
    with pytest.raises(RefusedError, match=reason) as refused:
        change(current, (action, wanted))
    assert refused.value.code == code


def test_each_region_can_add_its_own_record() -> None:
    assert change(list(change([], ("CREATE", PRIMARY))), ("CREATE", SECONDARY)) == (PRIMARY, SECONDARY)


def test_a_primary_without_a_health_check_is_allowed() -> None:
    plain = record("dr-primary", failover="PRIMARY")
    assert change([], ("CREATE", plain)) == (plain,)


def test_a_failover_alias_that_evaluates_its_target_is_allowed() -> None:
    alias = record("a", failover="PRIMARY", type="A", alias=Alias(name="lb", evaluate_target_health=True))
    assert change([], ("CREATE", alias)) == (alias,)


def test_the_same_record_can_be_written_again() -> None:
    longer = record("dr-secondary", failover="SECONDARY", ttl=300)
    assert change([PRIMARY, SECONDARY], ("UPSERT", longer)) == (PRIMARY, longer)


def test_primary_and_secondary_change_places_in_one_batch() -> None:
    swapped = [record("dr-primary", failover="SECONDARY"), record("dr-secondary", failover="PRIMARY")]
    assert set(change([PRIMARY, SECONDARY], *(("UPSERT", wanted) for wanted in swapped))) == set(swapped)


def test_a_routing_policy_can_be_replaced_in_one_batch() -> None:
    assert change([PRIMARY], ("DELETE", PRIMARY), ("CREATE", HEAVY)) == (HEAVY,)


def test_deleting_one_record_leaves_those_of_the_same_set_identifier() -> None:
    other = record("dr-primary", failover="PRIMARY", name="api.example.com")
    assert change([PRIMARY, other], ("DELETE", PRIMARY)) == (other,)


def test_a_refused_change_leaves_nothing_of_its_batch() -> None:
    current = [PRIMARY]
    with pytest.raises(RefusedError):
        change(current, ("CREATE", SECONDARY), ("CREATE", HEAVY))
    assert current == [PRIMARY]
