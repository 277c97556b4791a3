"""The program with its hooks called on the way, as in an `up`: what a closed gate keeps, and what an open one reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.failover.report import REPORTS
from report.takeover import takeover
from tests.unit.components.failover.test_gate import READY, cluster
from tests.unit.recorder import Answers, HookRefusedError, attempt_program, run_program

pytestmark = pytest.mark.usefixtures("clock")

STEPS = ["restore hourly-critical", "scale production", "ask endpoint", "traffic"]


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / REPORTS


def test_nothing_is_touched_behind_a_closed_gate(reports: Path) -> None:
    reached, error = attempt_program(
        "secondary", {"active": "secondary"}, cluster=cluster(), run_hooks=True, directory=reports.parent
    )
    assert isinstance(error, HookRefusedError)
    assert "has no Completed backup here" in str(error)
    assert not reached.of("Failover")
    assert not [seen.name for seen in reached.custom() if seen.name.startswith(("failover", "schedules"))]
    assert not reports.exists()


def test_a_restore_that_failed_stops_the_next_restore_too() -> None:
    asked = cluster(*READY)
    failed = Answers({"phase": "Failed", "failureReason": "bucket not found"})
    reached, error = attempt_program("secondary", {"active": "secondary"}, cluster=asked, answers=failed, run_hooks=True)
    assert "ended Failed: bucket not found. Once the cause is gone run pulumi up again" in str(error)
    assert [seen.name for seen in reached.of("Restore")] == ["failover-restores-hourly-critical"]
    assert asked.records["restore-attempts"]["restore-hourly-critical"] == "2"


def test_a_region_that_serves_already_restores_nothing_over_live_data() -> None:
    asked = cluster(*READY)
    asked.records["serving"] = {"region": "us-west-2"}
    reached, error = attempt_program("secondary", {"active": "secondary"}, cluster=asked, run_hooks=True)
    assert "this region serves already" in str(error)
    assert not reached.of("Restore")


def steps_of_a_takeover(reports: Path, *, run_hooks: bool | set[str] = True, preview: bool = False) -> list[str]:
    """The steps of the local report after a takeover. A run with some of the hooks is one that created nothing else."""
    run_program(
        "secondary",
        {"active": "secondary"},
        cluster=cluster(*READY),
        run_hooks=run_hooks,
        preview=preview,
        directory=reports.parent,
    )
    report = json.loads((reports / "secondary.json").read_text())
    assert (report["region"], report["active"]) == ("us-west-2", "secondary")
    assert all(set(step) == {"name", "start", "end", "seconds"} for step in report["steps"])
    return [step["name"] for step in report["steps"]]


def test_the_run_that_passed_the_gate_writes_a_report_that_starts_with_the_preflight(reports: Path) -> None:
    assert steps_of_a_takeover(reports) == ["preflight", *STEPS]


def test_the_report_says_whose_failover_it_was_by_which_commit_and_what_was_promised(reports: Path) -> None:
    steps_of_a_takeover(reports)
    report = json.loads((reports / "secondary.json").read_text())
    assert (report["organization"], report["stack"]) == ("acme", "secondary")
    assert report["regions"] == {"primary": "us-east-1", "secondary": "us-west-2"}
    assert (report["names"], report["ttl"]) == (["app.example.com"], 60)
    assert report["targets"] == {"tier": "pilot-light", "rpoSeconds": 300.0, "rtoSeconds": 1800.0}
    assert takeover(report, source="secondary.json").seconds >= 0
    assert report["commit"] is None, "the directory of the test is no checkout"


def test_the_run_that_ends_an_interrupted_takeover_writes_the_report_without_the_preflight(reports: Path) -> None:
    assert steps_of_a_takeover(reports, run_hooks={"failover-report"}) == STEPS


def test_an_update_that_makes_no_record_of_serving_leaves_the_last_report_alone(reports: Path) -> None:
    steps_of_a_takeover(reports)
    assert steps_of_a_takeover(reports, run_hooks=False) == ["preflight", *STEPS]


def test_a_second_takeover_replaces_the_report_of_the_first(reports: Path) -> None:
    reports.mkdir()
    (reports / "secondary.json").write_text("the first")
    assert steps_of_a_takeover(reports) == ["preflight", *STEPS]


def test_a_region_that_takes_nothing_over_writes_no_report(reports: Path) -> None:
    run_program("secondary", run_hooks=True, directory=reports.parent)
    run_program("primary", run_hooks=True, directory=reports.parent)
    assert not reports.exists()


def test_a_preview_writes_no_report(reports: Path) -> None:
    with pytest.raises(FileNotFoundError):
        steps_of_a_takeover(reports, preview=True)


def test_a_report_that_cannot_be_written_warns_and_fails_nothing(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    reports.write_text("a file where the folder should be")
    region = run_program("secondary", {"active": "secondary"}, cluster=cluster(*READY), run_hooks=True, directory=reports.parent)
    assert [step["name"] for step in region.outputs["details"]["failover"]["steps"]] == STEPS
    (warning,) = warnings
    assert warning.startswith("the local report was not written: ")
    assert warning.endswith("the stack output details has the steps")
