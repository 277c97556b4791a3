"""A database without a standby as the program registers it: what is there long before, and what a failover makes."""

from __future__ import annotations

from typing import Any

import pytest

from components.database.database import DatabaseLostError
from components.database.specs import LOST
from settings.roles import ROLES, Role
from tests.unit.components.conftest import Clock
from tests.unit.components.database.sides import database
from tests.unit.fakes import FakeArchive, FakeCluster
from tests.unit.recorder import Answers, HookRefusedError, Recorder, attempt_program, deployed, run_program

STEM = "failover-databases-app-database"
NETWORK = "failover-databases-network-databases"
NAMESPACE, CONFIRMED, SCALE = "failover-databases-namespace-databases", f"{STEM}-promoted", "failover-workloads-scale-production"
BEFORE = {NAMESPACE, NETWORK, f"{STEM}-owner", *(f"{STEM}-archive-{role}" for role in ROLES)}
MADE = {STEM, f"{STEM}-backups", f"{STEM}-monitor", CONFIRMED}


def changes(serving: Role, **more: Any) -> dict[str, Any]:
    return {**deployed(serving), "tier": "backup-restore", "peerReady": True, **more}


def objects(recorder: Recorder) -> set[str]:
    return {name for name in recorder.names() if name.startswith("failover-databases")}


def test_while_the_primary_serves_the_secondary_has_what_a_recovery_needs_and_no_database() -> None:
    standby = run_program("secondary", changes("primary"))
    assert objects(standby) == BEFORE
    assert standby.outputs["details"]["databases"] == {"app-database": "absent"}


def test_a_failover_makes_the_database_and_touches_nothing_that_was_there() -> None:
    standby, takeover = (run_program("secondary", changes(active)) for active in ROLES)
    assert objects(takeover) == BEFORE | MADE
    for name in BEFORE:
        assert takeover[name].inputs == standby[name].inputs
    assert takeover.outputs["details"]["databases"] == {"app-database": "recovered"}


def test_it_is_the_database_that_a_promotion_would_have_left_field_by_field() -> None:
    recovered = run_program("secondary", changes("secondary"))
    promoted = run_program("secondary", {"active": "secondary", "peerReady": True})
    for name in BEFORE | MADE - {STEM}:
        assert recovered[name].inputs == promoted[name].inputs
    assert recovered[STEM].spec == promoted[STEM].spec
    assert recovered[STEM].urn == promoted[STEM].urn


def test_scaling_waits_for_the_job_and_the_job_for_the_recovery_which_may_take_hours() -> None:
    takeover = run_program("secondary", changes("secondary"))
    assert {STEM} <= takeover[CONFIRMED].depends_on
    assert CONFIRMED in takeover[SCALE].depends_on
    assert takeover[STEM].timeout == "14400s"
    shorter = run_program("secondary", changes("secondary", failover={"recover": "90m"}))
    assert shorter[STEM].timeout == "5400s"
    assert run_program("secondary", {"active": "secondary", "peerReady": True})[STEM].timeout == "3600s"


def test_the_timeline_has_the_recovery_from_the_clusters_creation_to_the_confirmed_write() -> None:
    steps = run_program("secondary", changes("secondary")).outputs["details"]["failover"]["steps"]
    (recovery,) = [step for step in steps if step["name"] == "recover app-database"]
    assert (recovery["start"], recovery["end"]) == ("2026-01-01T03:00:40Z", "2026-01-01T03:00:25Z"), "as the answers have it"
    assert "promote app-database" not in [step["name"] for step in steps]


@pytest.mark.parametrize("active", ROLES)
def test_the_primarys_half_is_the_same_with_and_without_a_standby(active: Role) -> None:
    without, with_one = (
        run_program("primary", {**deployed(active), "peerReady": True, "tier": tier})
        for tier in ("backup-restore", "pilot-light")
    )
    assert objects(without) == objects(with_one)
    for name in objects(without):
        assert without[name].inputs == with_one[name].inputs


def test_before_the_peer_is_ready_there_is_nothing_and_a_failover_makes_all_of_it_nevertheless() -> None:
    early = run_program("secondary", changes("primary", peerReady=False))
    assert objects(early) == {NAMESPACE, NETWORK}
    assert early.outputs["details"]["databases"] == {"app-database": "none yet: set k8s-dr:peerReady to true"}
    assert objects(run_program("secondary", changes("secondary", peerReady=False))) == BEFORE | MADE


def test_what_a_recovery_needs_is_there_though_the_primary_has_no_backup_yet() -> None:
    lacking = FakeArchive(lacking="there is none")
    standby = run_program("secondary", changes("primary"), cluster=FakeCluster(), archive=lacking, run_hooks=True)
    assert objects(standby) == BEFORE


def test_a_database_that_cannot_be_recovered_is_not_begun(clock: Clock) -> None:
    archive, added = FakeArchive(lacking="there is none"), database(standby=False)
    reached, error = attempt_program(
        "secondary", changes("secondary", **added), cluster=FakeCluster(), archive=archive, run_hooks=True
    )
    assert isinstance(error, HookRefusedError)
    assert not objects(reached)


@pytest.mark.parametrize("phase", LOST)
def test_a_recovery_that_fails_fails_the_program_at_once_with_the_operators_reason_and_moves_no_traffic(phase: str) -> None:
    reached, error = attempt_program("secondary", changes("secondary"), answers=Answers(database_phase=phase))
    assert isinstance(error, DatabaseLostError)
    assert f"database app-database: {phase}: the reason of the operator. Once the cause is gone: " in str(error)
    assert not {CONFIRMED, SCALE, "failover-serving"} & reached.names()


def test_of_two_databases_each_has_its_own_way() -> None:
    entries = [*database(standby=False)["databases"], *database(name="orders", standby=False, podMonitor=False)["databases"]]
    both = changes("primary", databases=entries, databasePasswords={"app-database": "one password", "orders": "another one"})
    assert run_program("secondary", both).outputs["details"]["databases"] == {"app-database": "absent", "orders": "absent"}
