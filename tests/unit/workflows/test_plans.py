"""Whether two plans do the same, and what a pull request changes about a failover."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.plans import PlanError, compare, digest, main, read

JOB = "urn:pulumi:secondary::k8s-dr::dr:region:Region$dr:failover:Failover$kubernetes:batch/v1:Job::failover-scale"
SCHEDULE = "urn:pulumi:secondary::k8s-dr::dr:region:Region$kubernetes:velero.io/v1:Schedule::schedules-daily-full"


def step(urn: str, op: str = "create", **inputs: Any) -> dict[str, Any]:
    return {"urn": urn, "op": op, "newState": {"inputs": inputs}} if op != "delete" else {"urn": urn, "op": op, "oldState": {}}


def plan(*steps: dict[str, Any], error: str = "") -> str:
    diagnostics = [{"severity": "error", "message": error}] if error else [{"severity": "warning", "message": "mind"}]
    return json.dumps({"steps": list(steps), "diagnostics": diagnostics})


def test_plans_that_do_the_same_in_another_order_are_the_same() -> None:
    one, two = step(JOB, replicas=3), step(SCHEDULE, "update", ttl="168h")
    assert digest(read(plan(one, two))) == digest(read(plan(two, one)))


@pytest.mark.parametrize(
    "other",
    [(), (step(JOB, replicas=4),), (step(JOB, "replace", replicas=3),), (step(JOB, replicas=3), step(SCHEDULE, "delete"))],
)
def test_a_plan_that_does_anything_else_is_another_one(other: tuple[dict[str, Any], ...]) -> None:
    assert digest(read(plan(*other))) != digest(read(plan(step(JOB, replicas=3))))


def test_a_plan_without_changes_says_so_in_a_word_that_a_workflow_can_ask_for() -> None:
    assert digest(read(plan(step(JOB, "same", replicas=3)))) == "none"


def test_a_plan_that_is_not_the_one_that_was_shown_is_refused_with_what_it_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.json").write_text(plan(step(JOB, replicas=3)))
    main("same", str(tmp_path / "plan.json"), digest(read(plan(step(JOB, replicas=3)))))
    with pytest.raises(PlanError, match="no longer the plan that was shown"):
        main("same", str(tmp_path / "plan.json"), "none")
    assert capsys.readouterr().out == "create: kubernetes:batch/v1:Job failover-scale\n"


def test_a_preview_that_failed_is_no_plan() -> None:
    with pytest.raises(PlanError, match=r"active: is not a region$"):
        read(plan(error="active: is not a region\nand more"))
    with pytest.raises(PlanError, match="nothing at all"):
        read("")


def compared(tmp_path: Path, **plans: str) -> str:
    names = ("here", "here-failed-over", "base", "base-failed-over")
    for name in names:
        (tmp_path / f"{name}.json").write_text(plans.get(name.replace("-", "_"), plan()))
    return compare(tmp_path)


def test_a_failover_that_stays_the_same_is_nothing_to_read_whatever_else_the_pull_request_changes(tmp_path: Path) -> None:
    job, schedule = step(JOB, replicas=3), step(SCHEDULE, "update", ttl="169h")
    told = compared(tmp_path, here=plan(schedule), here_failed_over=plan(schedule, job), base_failed_over=plan(job))
    assert told == "Nothing: a failover would change 1 resource, in the same way as on the base branch.\n"


def test_what_a_failover_does_otherwise_is_told_with_the_values(tmp_path: Path) -> None:
    told = compared(
        tmp_path,
        here_failed_over=plan(step(JOB, spec={"replicas": [3, 5]}), step(SCHEDULE, "update", paused=False)),
        base_failed_over=plan(step(JOB, spec={"replicas": [3, 4]})),
    )
    assert "A failover would change 2 resources; on the base branch 1." in told
    assert "! create: kubernetes:batch/v1:Job failover-scale\n!     spec.replicas[1]: 4 → 5\n" in told
    assert "+ update: kubernetes:velero.io/v1:Schedule schedules-daily-full\n" in told


def test_what_a_failover_would_no_longer_do_is_told(tmp_path: Path) -> None:
    told = compared(tmp_path, base_failed_over=plan(step(JOB)))
    assert "- create: kubernetes:batch/v1:Job failover-scale\n" in told


def test_a_base_branch_without_a_plan_is_told_and_the_pull_requests_own_failure_is_an_error(tmp_path: Path) -> None:
    assert "the base branch itself cannot be previewed" in compared(tmp_path, base=plan(error="no such key")).lower()
    with pytest.raises(PlanError, match="no such key"):
        compared(tmp_path, here_failed_over=plan(error="no such key"))
