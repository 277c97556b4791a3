"""What a recovery is as a trace, before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from components.telemetry.recoveries import Observed, drill, giving_up, takeover
from components.telemetry.trace import DATA_LOSS, RECOVERY_TIME, ROWS_LOST, Trace
from tests.unit.components.telemetry.samples import DRILL, PRIMARY, RECEIPT, SECONDARY, SINCE, STEPS


def identifiers(trace: Trace) -> set[int]:
    return {trace.trace_id, trace.root_id, *(trace.step_id(step) for step in trace.steps)}


def test_a_failover_lasts_from_its_first_step_until_the_region_serves() -> None:
    trace = takeover(SECONDARY, STEPS, since=SINCE)
    assert trace.root.name == "failover"
    assert trace.root.start == datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    assert trace.root.end == datetime(2026, 3, 1, 12, 1, 30, tzinfo=UTC)
    assert [step.name for step in trace.steps] == ["preflight", "restore daily", "traffic"]
    assert trace.measured == {RECOVERY_TIME: 89.75}, "nobody has counted what was lost"
    assert trace.root.attributes == {
        "cloud.region": "us-west-2",
        "dr.stack": "secondary",
        "dr.active": "secondary",
        "dr.tier": "pilot-light",
        "dr.kind": "failover",
        "dr.rto.target_seconds": 1800,
        "dr.rpo.target_seconds": 300,
        "dr.rto.measured_seconds": 89.75,
        "dr.databases": ["app", "orders"],
        "dr.backups": ["daily"],
    }


def test_the_same_failover_has_the_same_identifiers_and_another_one_has_others() -> None:
    trace = takeover(SECONDARY, STEPS, since=SINCE)
    assert identifiers(trace) == identifiers(takeover(SECONDARY, STEPS, since=SINCE))
    assert len(identifiers(trace)) == 5
    others = [
        takeover(SECONDARY, STEPS, since="2026-03-01T12:01:31Z"),
        takeover(replace(SECONDARY, organization="other"), STEPS, since=SINCE),
        takeover(replace(SECONDARY, stack="primary"), STEPS, since=SINCE),
    ]
    for other in others:
        assert not identifiers(trace) & identifiers(other)


def test_both_regions_of_a_switchover_write_one_trace_without_having_met() -> None:
    gave = giving_up(PRIMARY, STEPS[:1], ended="2026-03-01T12:00:30Z", receipt=RECEIPT, backups=["daily-1"])
    took = takeover(SECONDARY, STEPS, since=SINCE, receipt=RECEIPT)
    assert gave.trace_id == took.trace_id
    assert gave.parent_id == took.root_id
    assert took.parent_id is None
    assert gave.root_id != took.root_id
    assert (took.root.name, gave.root.name) == ("switchover", "give up")
    assert gave.measured == {}, "a region that gives up has recovered nothing"
    assert len(identifiers(gave) | identifiers(took)) == 1 + 2 + 1 + 3


def test_a_switchover_has_lost_nothing_where_there_are_databases_which_replayed_all_that_the_token_names() -> None:
    assert takeover(SECONDARY, STEPS, since=SINCE, receipt=RECEIPT).measured == {RECOVERY_TIME: 89.75, DATA_LOSS: 0.0}
    without = takeover(replace(SECONDARY, databases=()), STEPS, since=SINCE, receipt=RECEIPT)
    assert DATA_LOSS not in without.measured


def test_what_somebody_has_counted_goes_before_what_the_program_knows() -> None:
    died = datetime(2026, 3, 1, 11, 58, tzinfo=UTC)
    seen = Observed(rows_lost=7, rpo_seconds=55.0, rto_seconds=112.0, began=died, others={"dr.files_lost": 2})
    trace = takeover(SECONDARY, STEPS, since=SINCE, seen=seen)
    assert trace.root.start == died
    assert trace.measured == {RECOVERY_TIME: 112.0, DATA_LOSS: 55.0, ROWS_LOST: 7}
    assert trace.root.attributes["dr.rows_lost"] == 7
    assert trace.root.attributes["dr.files_lost"] == 2


def test_a_drill_is_a_trace_with_what_it_measured() -> None:
    trace = drill("acme", DRILL)
    assert trace is not None
    assert (trace.root.name, trace.root.end - trace.root.start) == ("drill database", timedelta(minutes=4))
    assert trace.root.attributes["dr.drill.used"] == ["base-backup 20260228T010000"]
    assert trace.measured == {RECOVERY_TIME: 200.5, DATA_LOSS: 61.0}
    assert trace.root.failed is None
    assert trace.resource["service.version"] == "sha-1"


def test_a_drill_that_failed_says_why_and_one_that_had_nothing_to_do_is_no_trace() -> None:
    failed = drill("acme", replace(DRILL, passed=False, reasons=("a volume is missing", "and another one")))
    assert failed is not None
    assert failed.root.failed == "a volume is missing | and another one"
    assert failed.labels["dr.drill.passed"] is False
    assert drill("acme", replace(DRILL, passed=None)) is None
