"""A timeline is read from the objects' own timestamps, so that it says the same whenever it is read."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_kubernetes.batch.v1.outputs import JobStatus

from components.failover.timeline import job_step, restore_step, step, summary

T = "2026-01-01T03:{:02d}:{:02d}Z".format
SCALE = {"name": "scale production", "start": T(0, 10), "end": T(0, 25), "seconds": 15.0}
RESTORE = {"name": "restore daily-full", "start": T(0, 0), "end": T(0, 8), "seconds": 8.0}


def test_a_step_has_its_start_its_end_and_the_seconds_between() -> None:
    assert step("preflight", "2026-01-01T03:00:00.250000+00:00", T(0, 2)) == {
        "name": "preflight",
        "start": "2026-01-01T03:00:00.250000+00:00",
        "end": T(0, 2),
        "seconds": 1.75,
    }


@pytest.mark.parametrize(("start", "end"), [(None, None), (T(0, 0), None), (None, T(0, 0)), ("", "")])
def test_what_has_not_ended_is_no_step_yet(start: str | None, end: str | None) -> None:
    assert step("restore", start, end) is None


def test_a_restore_is_read_from_veleros_timestamps() -> None:
    status = {"phase": "Completed", "startTimestamp": T(0, 0), "completionTimestamp": T(0, 8)}
    assert restore_step("daily-full", status) == RESTORE
    assert restore_step("daily-full", {}) is None


@pytest.mark.parametrize(
    "status",
    [
        {"startTime": T(0, 10), "completionTime": T(0, 25)},
        {"start_time": T(0, 10), "completion_time": T(0, 25)},
        JobStatus(start_time=T(0, 10), completion_time=T(0, 25)),
    ],
    ids=["kubernetes", "python", "typed"],
)
def test_a_job_is_read_in_whichever_form_the_provider_gives_it(status: Any) -> None:
    assert job_step("scale production", status) == SCALE


def test_a_job_that_failed_is_no_step() -> None:
    assert job_step("scale production", {"startTime": T(0, 10), "failed": 6}) is None
    assert job_step("scale production", {"startTime": T(0, 10), "failed": 6}, since=T(0, 0)) is None


def test_what_a_job_only_ends_may_have_begun_before_it() -> None:
    recovered = job_step("recover app-database", {"startTime": T(0, 10), "completionTime": T(0, 25)}, since=T(0, 5))
    assert recovered == {"name": "recover app-database", "start": T(0, 5), "end": T(0, 25), "seconds": 20.0}


def test_steps_are_in_the_order_they_began_and_the_traffic_is_last() -> None:
    assert summary([SCALE, RESTORE], T(0, 40)) == {
        "steps": [RESTORE, SCALE, {"name": "traffic", "start": T(0, 25), "end": T(0, 40), "seconds": 15.0}],
        "seconds": 40.0,
    }


def test_a_traffic_that_has_not_moved_is_not_in_it() -> None:
    assert summary([RESTORE], None) == {"steps": [RESTORE], "seconds": 8.0}


def test_nothing_has_no_length() -> None:
    assert summary([], T(0, 40)) == {"steps": [], "seconds": None}


def test_the_total_spans_steps_that_ran_side_by_side() -> None:
    long = {"name": "restore a", "start": T(0, 0), "end": T(2, 0), "seconds": 120.0}
    short = {"name": "restore b", "start": T(0, 1), "end": T(0, 30), "seconds": 29.0}
    assert summary([long, short], None)["seconds"] == 120.0


@pytest.mark.parametrize("odd", ["yesterday", "2026-01-01T03:00:00", "25:61", 7], ids=str)
def test_a_time_that_cannot_be_read_is_no_step_and_stops_nothing(odd: Any) -> None:
    assert step("restore", odd, T(0, 8)) is None
    assert step("restore", T(0, 0), odd) is None
    assert summary([RESTORE], odd)["seconds"] == 8.0
