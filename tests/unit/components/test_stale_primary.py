"""A primary asks the traffic flag in every run, before anything is registered: its standby may have taken over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from components import region
from components.kube.runner.flag import Flag
from components.traffic.flag_object import FlagUnreadableError
from settings.roles import Role
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import attempt_program, run_program

SERVES: list[dict[str, Any]] = [{}, {"active": "primary"}]
"""A primary that has heard of no failover, and one that was told to serve."""

UNREADABLE = "the traffic flag s3://acme/dr/active.json cannot be read (AccessDenied); allow s3:GetObject"


def says(active: Role | None) -> Callable[[], Flag | None]:
    return lambda: Flag(active=active) if active else None


def unreadable() -> Flag | None:
    raise FlagUnreadableError(UNREADABLE)


def nobody() -> Flag | None:
    raise AssertionError("the flag is in a region that may be dead")


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("changes", SERVES, ids=["unset", "set"])
def test_a_primary_whose_standby_has_taken_over_registers_nothing(changes: dict[str, Any], preview: bool) -> None:
    reached, error = attempt_program("primary", changes, flag=says("secondary"), preview=preview)
    assert isinstance(error, pulumi.RunError)  # which the engine shows without a traceback
    assert str(error).startswith("k8s-dr:active: primary: the secondary region has taken over")
    assert str(error).endswith("run: pulumi config set active secondary -s primary && pulumi up -s primary")
    assert "\n" not in str(error)
    assert not reached.identities()


@pytest.mark.parametrize("flag", ["primary", None])
@pytest.mark.parametrize("changes", SERVES, ids=["unset", "set"])
def test_a_primary_that_nobody_replaced_serves(changes: dict[str, Any], flag: Role | None) -> None:
    assert "failover-serving" in run_program("primary", changes, flag=says(flag)).names()


STOPPED = {"guard": {"seen": "2026-03-01T12:00:00Z", "stopped": "2026-03-01T12:00:00Z"}}


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("changes", SERVES, ids=["unset", "set"])
def test_a_primary_that_its_guard_has_stopped_does_not_serve_again_because_the_other_region_is_silent(
    changes: dict[str, Any], preview: bool
) -> None:
    reached, error = attempt_program(
        "primary", changes, flag=says(None), cluster=FakeCluster(records=dict(STOPPED)), preview=preview
    )
    assert isinstance(error, pulumi.RunError)
    assert str(error).startswith(
        "k8s-dr:active: primary: the guard has stopped this region, because the secondary region had taken"
    )
    assert "by the traffic flag of 2026-03-01T12:00:00Z" in str(error)
    way_on = "config set --path guard.enabled false -s primary && pulumi config set force true -s primary && pulumi up -s primary"
    assert way_on in str(error), "with the guard on, the region would be stopped again once the flag answers"
    assert "\n" not in str(error)
    assert not reached.identities()


@pytest.mark.parametrize(
    ("flag", "changes", "seen"),
    [
        (None, {"force": "true"}, "2026-03-01T12:00:00Z"),
        (None, {"force": "true", "guard": {"enabled": False}}, "2026-03-01T12:00:00Z"),
        (None, {}, "2026-03-01T12:30:00Z"),  # the guard has seen a newer flag, by which it stopped nothing
        ("primary", {}, "2026-03-01T12:00:00Z"),
    ],
    ids=["force", "force, without a guard", "a newer flag", "the flag names it"],
)
def test_a_primary_that_its_guard_has_stopped_serves_again_when_that_is_certain_or_meant(
    flag: Role | None, changes: dict[str, Any], seen: str
) -> None:
    cluster = FakeCluster(records={"guard": {**STOPPED["guard"], "seen": seen}})
    assert "failover-serving" in run_program("primary", changes, flag=says(flag), cluster=cluster).names()


@pytest.mark.parametrize("changes", SERVES, ids=["unset", "set"])
def test_a_primary_that_may_not_read_the_flag_registers_nothing(changes: dict[str, Any]) -> None:
    reached, error = attempt_program("primary", changes, flag=unreadable)
    assert isinstance(error, pulumi.RunError)
    assert str(error) == f"k8s-dr:active: {UNREADABLE}"
    assert not reached.identities()


def test_a_preview_that_may_not_read_the_flag_warns_and_shows_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    assert "failover-serving" in run_program("primary", flag=unreadable, preview=True).names()
    assert warnings == [f"{UNREADABLE}: whether the other region has taken over was not checked"]


@pytest.mark.parametrize(
    ("stack", "changes"),
    [
        ("primary", {"active": "secondary"}),
        ("secondary", {}),
        ("secondary", {"active": "primary"}),
        ("secondary", {"active": "secondary"}),
    ],
)
def test_nobody_else_asks(stack: str, changes: dict[str, Any]) -> None:
    run_program(stack, changes, flag=nobody)


def test_it_is_the_flag_itself_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def read(names: Any, aws: Any) -> Flag:
        asked.append((names.flag_bucket, aws.endpoint))
        return Flag(active="secondary")

    monkeypatch.setattr(region, "read_flag", read)
    _, error = attempt_program("primary", {"aws": {"endpoint": "http://127.0.0.1:1"}}, flag=None)
    assert "has taken over" in str(error)
    assert asked == [("acme-dr-flag-us-west-2-123456789012", "http://127.0.0.1:1")]
