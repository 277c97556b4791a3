"""The engine's event log says what a run did when."""

from __future__ import annotations

import json

from tests.bench import events
from tests.bench.events import FAILOVER, REGION, STACK, Heard, phases

PRE, OUT = "resourcePreEvent", "resOutputsEvent"


def heard(at: float, what: str, kind: str, name: str = "x") -> Heard:
    return Heard(at=at, what=what, type=kind, name=name)


def line(what: str, kind: str, urn: str, operation: str = "create") -> str:
    return json.dumps({"sequence": 1, "timestamp": 1764000000, what: {"metadata": {"op": operation, "urn": urn, "type": kind}}})


def test_an_event_has_the_moment_at_which_it_arrived_and_its_resource() -> None:
    urn = f"urn:pulumi:secondary::k8s-dr::{REGION}${FAILOVER}::failover"
    event = events.read(line(PRE, FAILOVER, urn, "update"), 12.5)
    assert event == Heard(at=12.5, what=PRE, type=FAILOVER, name="failover", operation="update")
    assert event.begins
    assert not event.ends


def test_what_is_no_event_is_passed_over() -> None:
    assert events.read("{half a li", 1.0) is None
    assert events.read("[]", 1.0) is None
    assert events.read('{"sequence": 3, "timestamp": 5}', 1.0) is None
    summary = events.read('{"sequence": 3, "timestamp": 5, "summaryEvent": {"durationSeconds": 3}}', 1.0)
    assert summary == Heard(at=1.0, what="summaryEvent")


def test_the_phases_of_a_run_add_up_to_all_of_it() -> None:
    course = [heard(13, PRE, STACK), heard(15, PRE, REGION), heard(18, OUT, "aws:s3/bucket:Bucket"), heard(19, OUT, STACK)]
    found = phases(10, course, 20)
    assert found == {"engine": 3, "imports and settings": 2, "registration": 3, "end": 2}
    assert sum(found.values()) == 10


def test_a_program_without_a_region_has_no_seconds_of_one() -> None:
    assert phases(10, [heard(12, PRE, STACK)], 14) == {"engine": 2, "imports and settings": 0, "registration": 0, "end": 2}
    assert sum(phases(10, [], 14).values()) == 4
