"""A region leaves service without a handover only where it does not serve, or the other region is known to serve."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from components.failover.leaving import objection_to_leaving
from components.kube.runner.flag import Flag
from components.traffic.flag_object import FlagUnreadableError
from scripts.moves_nobody import objection as objection_to_deploying
from settings import load
from settings.load import SECRETS
from settings.roles import ROLES, Role, peer_of
from tests.examples import REMOVED, example
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import run_program

Read = Callable[[], Flag | None]

NONE: dict[str, Any] = {"databases": [], "databasePasswords": REMOVED}
DATABASES: list[dict[str, Any]] = [{}, NONE]
STOPPED = {"seen": "2026-03-01T12:00:00Z", "stopped": "2026-03-01T12:00:00Z"}
DENIED = "the traffic flag s3://acme/dr/active.json cannot be read: AccessDenied"


def says(active: Role | None, handover: Role | None = None) -> Read:
    return lambda: Flag(active=active, handover=handover) if active else None


def denied() -> Flag | None:
    raise FlagUnreadableError(DENIED)


def region(*, serves: bool = True, **records: dict[str, str]) -> FakeCluster:
    return FakeCluster(records={**({"serving": {"region": "here"}} if serves else {}), **records})


def ask(stack: Role, flag: Read, cluster: FakeCluster | None = None, **changes: Any) -> str:
    """What stands against it that the stack begins to stand by; nothing if it may."""
    settings = load(stack, example(stack, {"active": peer_of(stack), **changes}), SECRETS)
    return str(objection_to_leaving(cluster or region(), settings, flag) or "")


def gate(stack: Role, flag: Read, *, preview: bool = False, **changes: Any) -> str:
    """What the engine is told of it."""
    asked = {"active": peer_of(stack), **changes}
    return run_program(stack, asked, cluster=region(), flag=flag, preview=preview).call_hook("failover-gate")


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, *_: said.append(message))
    return said


@pytest.mark.parametrize("changes", DATABASES, ids=["with-databases", "without"])
def test_a_stack_file_of_yesterday_sends_nobody_back_to_a_region_that_may_be_dead(changes: dict[str, Any]) -> None:
    told = gate("secondary", says("secondary"), **changes)
    assert told.startswith("k8s-dr:active: primary: this region serves (the traffic flag says secondary), and has not handed")
    assert "Keep it serving: pulumi config set active secondary -s secondary" in told
    assert told.endswith("to go on all the same: pulumi config set force true -s secondary")
    assert "\n" not in told


@pytest.mark.parametrize("changes", DATABASES, ids=["with-databases", "without"])
def test_active_secondary_in_the_wrong_stack_does_not_stop_the_primary_that_serves(changes: dict[str, Any]) -> None:
    told = gate("primary", says("primary"), **changes)
    assert told.startswith("k8s-dr:active: secondary: this region serves (the traffic flag says primary), and has not handed")
    assert "the other stack fails over: pulumi config set active secondary -s secondary && pulumi up -s secondary" in told
    assert told.endswith("to go on all the same: pulumi config set force true -s primary")


@pytest.mark.parametrize(("stack", "flag"), [("primary", denied), ("secondary", says("secondary"))])
def test_force_passes_over_it_and_says_so(stack: Role, flag: Read, warned: list[str]) -> None:
    assert gate(stack, flag, force=True) == ""
    assert [line for line in warned if line.startswith("k8s-dr:force passes over this: k8s-dr:active: ")]


@pytest.mark.parametrize("stack", ROLES)
def test_a_region_stands_by_once_the_flag_names_the_other_one(stack: Role) -> None:
    assert ask(stack, says(peer_of(stack))) == ""


def test_a_primary_to_which_the_secondary_hands_over_is_not_replaced_by_it() -> None:
    told = ask("primary", says("secondary", "primary"))
    assert "(the traffic flag says secondary, and that the primary takes its place)" in told
    assert ask("primary", says("secondary", "primary"), region(serves=False)) == "", "it has not taken over"


@pytest.mark.parametrize("stack", ROLES)
@pytest.mark.parametrize("flag", [says("primary"), says(None), denied], ids=["primary", "none", "denied"])
def test_a_region_that_has_never_served_is_deployed_whatever_the_flag_says(stack: Role, flag: Read) -> None:
    assert ask(stack, flag, region(serves=False)) == ""


def test_a_failover_that_was_killed_between_its_flag_and_its_record_is_not_undone_by_an_old_file() -> None:
    assert "this region serves (the traffic flag says secondary)" in ask("secondary", says("secondary"), region(serves=False))


@pytest.mark.parametrize("stack", ROLES)
@pytest.mark.parametrize(
    ("flag", "why"), [(says(None), "it is not there, or its region does not answer"), (denied, DENIED)], ids=["none", "denied"]
)
def test_where_nobody_can_read_the_flag_a_region_that_serves_stays_unless_its_guard_has_stopped_it(
    stack: Role, flag: Read, why: str
) -> None:
    told = ask(stack, flag)
    assert f"whether the {peer_of(stack)} has taken over is not known, for the traffic flag cannot be read ({why})" in told
    assert ask(stack, flag, region(guard=STOPPED)) == "", "it has read the flag before, and none that is newer"


@pytest.mark.parametrize(
    "guard",
    [{**STOPPED, "seen": "2026-03-02T12:00:00Z"}, {**STOPPED, "overruled": STOPPED["stopped"]}, {"seen": STOPPED["seen"]}],
    ids=["a newer flag was seen", "overruled", "never stopped"],
)
def test_a_stop_of_the_guard_that_is_over_says_nothing_of_who_serves_now(guard: dict[str, str]) -> None:
    assert "is not known" in ask("primary", says(None), region(guard=guard))


def test_a_stop_of_the_guard_does_not_weigh_more_than_a_flag_that_can_be_read() -> None:
    assert "the traffic flag says primary" in ask("primary", says("primary"), region(guard=STOPPED))


def test_the_receipt_of_its_own_token_moves_users_and_one_of_an_earlier_switchover_does_not() -> None:
    told, flag = {"handover": "receipt.0123456789abcdef"}, says("secondary", "primary")
    assert ask("secondary", flag, region(handover={"token": "…"}), **told) == ""
    assert ask("secondary", says("secondary"), **told) != ""


def test_a_preview_shows_the_plan_and_says_that_the_up_would_be_refused(warned: list[str]) -> None:
    assert gate("primary", says("primary"), preview=True) == ""
    assert [line for line in warned if line.startswith("the up would be refused: k8s-dr:active: secondary: ")]


def test_what_the_program_refuses_the_pipeline_does_not_even_plan() -> None:
    """The pipeline compares files with states, and asks no cluster: it refuses no less where something is deployed."""
    flags: list[Read] = [says("primary"), says("secondary"), says("secondary", "primary"), says(None), denied]
    for role, flag, serves in itertools.product(ROLES, flags, (True, False)):
        assert not ask(role, flag, region(serves=serves)) or objection_to_deploying(role, peer_of(role), role)
