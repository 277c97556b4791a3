"""An `up` that goes on with a failover which an earlier one began. The engine does not ask the gate, for `active` has not changed
since."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.components.conftest import Clock
from tests.unit.components.failover.test_gate import READY, cluster
from tests.unit.components.failover.test_gate_of_databases import ANSWERS, CONTROL, PROBE, QUESTION, answering, behind
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import Recorder, run_program

SAYS = "this failover was begun by an earlier up, which asked the gate; asked now, the gate would say"
PROMOTES = "failover-databases-app-database-promotion"
PROMOTION = {
    "old": {"spec": {"replica": {"primary": "app-database-primary"}}},
    "new": {"spec": {"replica": {"primary": "app-database-secondary"}}},
}


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, *_: texts.append(text))
    return texts


def go_on(asked: FakeCluster, *, preview: bool = False, **changes: Any) -> Recorder:
    return run_program("secondary", {"active": "secondary", "peerReady": True, **changes}, cluster=asked, preview=preview)


def test_goes_on_and_says_in_one_line_what_the_gate_would_say(warned: list[str]) -> None:
    asked = cluster(READY[1])
    asked.reached = {PROBE: 200}
    go_on(asked)
    (told,) = [line for line in warned if line.startswith(SAYS)]
    assert f"the primary region still answers at {PROBE}" in told
    assert "hourly-critical-us-east-1 has no Completed backup here" in told
    assert asked.asked.count(QUESTION) == 1


def test_says_nothing_where_nothing_stands_against_it_or_where_it_has_ended(warned: list[str]) -> None:
    go_on(answering())
    serving = answering(PROBE)
    serving.records["serving"] = {"region": "us-west-2"}
    go_on(serving)
    assert not [line for line in warned if line.startswith(SAYS)]


def test_says_nothing_where_the_engine_asks_the_gate_itself(warned: list[str]) -> None:
    asked, archive = behind()
    changes = {"active": "secondary", "peerReady": True, "force": True}
    run_program("secondary", changes, cluster=asked, archive=archive, run_hooks={"failover-gate"})
    assert asked.asked.count(QUESTION) == 1
    assert [line for line in warned if line.startswith("k8s-dr:force passes over this: ")]
    assert not [line for line in warned if line.startswith(SAYS)]


def test_a_preview_of_it_asks_all_but_the_primary(warned: list[str]) -> None:
    asked = cluster(READY[1])
    asked.reached = {PROBE: 200}
    go_on(asked, preview=True)
    assert QUESTION not in asked.asked
    assert [line for line in warned if line.startswith(SAYS)]


def test_what_is_promoted_already_is_asked_nothing(warned: list[str]) -> None:
    asked, archive = behind()
    asked.databases["app-database"] |= {"spec": {"replica": {"primary": "app-database-secondary"}}}
    run_program("secondary", {"active": "secondary", "peerReady": True}, cluster=asked, archive=archive)
    assert not [line for line in warned if line.startswith(SAYS)]


def test_a_question_that_breaks_ends_no_failover(warned: list[str]) -> None:
    asked = answering()
    asked.velero["backupstoragelocations"] = [{}]
    go_on(asked)
    (told,) = [line for line in warned if line.startswith(SAYS)]
    assert told == f"{SAYS} nothing that can be known: 'metadata'"


def test_promotes_nothing_first_while_the_primary_answers_unless_it_is_forced() -> None:
    region = go_on(answering(PROBE))
    assert region.call_update_hook(PROMOTES, **PROMOTION) == ANSWERS
    unchanged = dict.fromkeys(("old", "new"), PROMOTION["new"])
    assert region.call_update_hook(PROMOTES, **unchanged) == "", "it is no promotion"
    assert go_on(answering()).call_update_hook(PROMOTES, **PROMOTION) == ""
    nobody = answering()
    nobody.reached = None
    unknown = f"whether the primary region still answers at {PROBE} could not be asked: "
    assert go_on(nobody).call_update_hook(PROMOTES, **PROMOTION).startswith(unknown)
    assert go_on(nobody, force=True).call_update_hook(PROMOTES, **PROMOTION) == ""
    silent = answering()
    silent.unreached = {CONTROL}
    assert go_on(silent).call_update_hook(PROMOTES, **PROMOTION).startswith("nobody can tell whether the primary region still")
    forced = go_on(answering(PROBE), force=True)
    assert forced.call_update_hook(PROMOTES, **PROMOTION) == ""


def test_asks_again_before_the_first_promotion_where_the_pod_waited_for_a_node(clock: Clock) -> None:
    asked = answering()
    asked.pending = 3
    assert go_on(asked).call_update_hook(PROMOTES, **PROMOTION) == ""
    assert clock.naps == [5.0] * 2, "the first question of the same up was asked before"


def test_promotes_the_rest_where_one_database_takes_writes_already() -> None:
    asked = answering(PROBE)
    asked.databases["orders"] = {"spec": {"replica": {"primary": "orders-secondary"}}}
    two = [{"name": name, "namespace": "databases"} for name in ("app-database", "orders")]
    region = go_on(asked, databases=two, databasePasswords={each["name"]: "hush" for each in two})
    assert region.call_update_hook(PROMOTES, **PROMOTION) == ""


def test_the_gate_of_the_same_up_has_asked_for_every_promotion() -> None:
    asked = answering()
    region = run_program("secondary", {"active": "secondary", "peerReady": True}, cluster=asked, run_hooks={"failover-gate"})
    asked.reached = {PROBE: 200}
    assert region.call_update_hook(PROMOTES, **PROMOTION) == ""
