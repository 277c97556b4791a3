"""A primary asks the traffic flag in every run, before anything is registered: its standby may have taken over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import pytest

from components import region
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.runner.flag import Flag
from components.traffic.flag_object import FlagUnreadableError
from settings.roles import Role
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import attempt_program, run_program

SERVES: list[dict[str, Any]] = [{}, {"active": "primary"}]
"""A primary that has heard of no failover, and one that was told to serve."""

UNREADABLE = "the traffic flag s3://acme/dr/active.json cannot be read (AccessDenied); allow s3:GetObject"


T = datetime(2026, 3, 1, 12, tzinfo=UTC)


def says(active: Role | None, written: datetime | None = None) -> Callable[[], Flag | None]:
    return lambda: Flag(active=active, written=written) if active else None


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
    way_on = "no more): pulumi config set force true -s primary && pulumi up -s primary"
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


@pytest.mark.parametrize(
    ("preview", "changes", "overruled"),
    [(False, {"force": "true"}, "2026-03-01T12:00:00Z"), (True, {"force": "true"}, None), (False, {"active": "primary"}, None)],
    ids=["up", "preview", "nobody has set force"],
)
def test_a_flag_that_is_overruled_is_recorded_before_anything_is_woken(
    changes: dict[str, Any], preview: bool, overruled: str | None
) -> None:
    seen = "2026-03-01T12:00:00Z" if "force" in changes else "2026-03-01T12:30:00Z"
    cluster = FakeCluster(records={"guard": {**STOPPED["guard"], "at": "2026-03-01T12:01:00Z", "seen": seen}})
    recorder = run_program("primary", changes, flag=says(None), cluster=cluster, preview=preview)
    (failover,) = recorder.of("Failover")
    assert failover.inputs["stopped"] == "2026-03-01T12:00:00Z, at 2026-03-01T12:01:00Z", "or no hook would be called"
    assert failover.hooks["before_update"] == ["failover-gate"]
    assert "overruled" not in cluster.records["guard"], "not before the engine has compared the cluster"
    before = dict(failover.inputs) | {"stopped": None}
    assert recorder.call_update_hook("failover-gate", old=before, new=failover.inputs) == ""
    assert cluster.records["guard"].get("overruled") == overruled


def test_a_flag_that_cannot_be_overruled_wakes_nothing() -> None:
    cluster = FakeCluster(records=dict(STOPPED))
    recorder = run_program("primary", {"force": "true"}, flag=says(None), cluster=cluster)
    (failover,) = recorder.of("Failover")
    cluster.error = ClusterUnreachableError("the cluster does not answer")
    said = recorder.call_update_hook("failover-gate", old={**failover.inputs, "stopped": None}, new=failover.inputs)
    assert "the cluster does not answer; that the traffic flag is overruled could not be recorded" in said


OVERRULED = {"guard": {**STOPPED["guard"], "overruled": "2026-03-01T12:00:00Z"}}


@pytest.mark.parametrize("flag", [says(None), says("secondary", T)], ids=["silent", "back, and unchanged"])
@pytest.mark.parametrize("changes", SERVES, ids=["unset", "set"])
def test_a_primary_that_a_person_made_serve_goes_on_once_force_is_unset(
    changes: dict[str, Any], flag: Callable[[], Flag | None]
) -> None:
    cluster = FakeCluster(records=dict(OVERRULED))
    assert "failover-serving" in run_program("primary", changes, flag=flag, cluster=cluster).names()


@pytest.mark.parametrize("written", [T + timedelta(seconds=1), None])
def test_a_flag_that_was_written_since_it_was_overruled_counts(written: datetime | None) -> None:
    cluster = FakeCluster(records=dict(OVERRULED))
    _, error = attempt_program("primary", flag=says("secondary", written), cluster=cluster)
    assert "the secondary region has taken over" in str(error)


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
        ("secondary", {}),
        ("secondary", {"active": "primary"}),
        ("secondary", {"active": "secondary"}),
    ],
)
def test_nobody_else_asks(stack: str, changes: dict[str, Any]) -> None:
    run_program(stack, changes, flag=nobody)


def test_a_primary_that_stands_by_asks_for_what_it_says_next_alone() -> None:
    """Nothing that it does depends on the answer."""
    for flag in (unreadable, says(None), says("primary"), says("secondary")):
        assert "failover-serving" not in run_program("primary", {"active": "secondary"}, flag=flag).names()


def test_it_is_the_flag_itself_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def read(names: Any, aws: Any) -> Flag:
        asked.append((names.flag_bucket, aws.endpoint))
        return Flag(active="secondary")

    monkeypatch.setattr(region, "read_flag", read)
    _, error = attempt_program("primary", {"aws": {"endpoint": "http://127.0.0.1:1"}}, flag=None)
    assert "has taken over" in str(error)
    assert asked == [("acme-dr-flag-us-west-2-123456789012", "http://127.0.0.1:1")]
