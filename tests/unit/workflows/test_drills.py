"""What people practise by the calendar: one issue for each drill and date, by the workflow's own steps, whatever else fails."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts import drill_issues, github
from scripts.drill_checklists import PARTS, checklist
from scripts.drill_issues import Due
from settings import load
from settings.explain import SECRETS
from settings.model import Settings
from settings.people import PEOPLES_KINDS, PeoplesKind
from settings.roles import ROLES, Role
from tests.examples import ROOT, example
from tests.fake_github import LIMIT, FakeGitHub
from tests.unit.scripts.test_drill_calendar import project
from tests.workflows import Job, run, workflow

TODAY = date(2026, 6, 15)
WEEKLY = {
    "people": {"full": {"cron": "0 8 * * 1"}, **{key: {"enabled": False} for key in ("tabletop", "partial", "runbookReview")}}
}
"""Whatever day it is, one date of it is not over for a week."""

OUTPUTS = {
    "serving": "us-east-1: app.example.com",
    "details": {
        "targets": {"tier": "pilot-light", "rpoSeconds": 300, "rtoSeconds": 1800},
        "failover": {"seconds": 41.5, "steps": [{"name": "traffic", "start": "2026-03-15T03:11:00Z", "seconds": 21.0}]},
        "drills": {
            "integrity": {"passed": True, "ended": "2026-06-08T05:31:00+00:00", "reasons": [], "rpo": 120.0, "rto": None},
            "namespace": {"passed": False, "ended": "2026-06-01T04:31:00+00:00", "reasons": ["backup a is stale"], "rpo": None},
            "database": None,
        },
        "protected": "not taken",
    },
    "handover": "a token that nobody needs there",
}


def stacks(**changes: Any) -> dict[Role, Settings]:
    return {role: load(role, example(role, {"peerReady": True, **changes}), SECRETS) for role in ROLES}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGitHub:
    hub = FakeGitHub.start(tmp_path / "github")
    for name, value in {**hub.environment, "GH_TOKEN": "token"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{hub.directory}{os.pathsep}{os.environ['PATH']}")
    return hub


def opened(hub: FakeGitHub) -> list[str]:
    return [each["body"].partition("\n")[0] for each in hub.state["issues"]]


def body(kind: PeoplesKind = "full", found: Mapping[str, Any] | None = None) -> str:
    told = drill_issues.figures(OUTPUTS) if found is None else found
    return drill_issues.body(Due(kind=kind, day=TODAY), stacks(), dict.fromkeys(ROLES, told))


@pytest.mark.parametrize("kind", PEOPLES_KINDS)
def test_an_issue_has_its_checklist_with_the_names_of_the_deployment(hub: FakeGitHub, kind: PeoplesKind) -> None:
    clusters = {role: {"context": f"shop-{role}", "name": "shop", "distribution": "eks"} for role in ROLES}
    shop = {role: load(role, example(role, {"peerReady": True, "cluster": clusters[role]}), SECRETS) for role in ROLES}
    text = drill_issues.body(Due(kind=kind, day=TODAY), shop, dict.fromkeys(ROLES))
    assert text.startswith(f"<!-- k8s-dr: drill {kind} 2026-06-15 -->")
    assert text.count("- [ ]") > 7
    assert all(f"\n## {name}\n" in text for name in PARTS[kind])
    assert "`shop-primary`" in text
    assert not re.search("prod-use1|prod-usw2", text)
    assert f"scripts.file_drill {kind} " in text
    assert len(text) <= LIMIT
    del hub


def test_a_backup_of_each_schedule_is_taken_by_its_name(hub: FakeGitHub) -> None:
    text = body()
    for schedule in ("daily-full-us-east-1", "hourly-critical-us-east-1"):
        assert f"`velero --kubecontext prod-use1 backup create --from-schedule {schedule} --wait`" in text
    del hub


def test_every_link_of_an_issue_leads_to_the_page_of_its_commit(hub: FakeGitHub) -> None:
    for kind in PEOPLES_KINDS:
        for target in re.findall(r"\]\(([^)]+)\)", body(kind)):
            assert target.startswith("https://github.com/acme/k8s-dr/blob/start/docs/"), target
            assert (ROOT / "docs" / re.sub("#.*", "", target.rpartition("/docs/")[2])).is_file(), target
    del hub


def test_a_section_that_the_page_has_no_more_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no section Around a table"):
        checklist("tabletop", stacks(), page="# Practise it\n")


def test_the_last_figures_are_told(hub: FakeGitHub) -> None:
    text = body()
    for said in (
        "| users are served by | `us-east-1: app.example.com` |",
        "| RPO and RTO of the tier | 5 min 0 s, 30 min 0 s (`pilot-light`) |",
        "| its last takeover | 41 s in 1 step, `2026-03-15T03:11:00Z` |",
        "| last drill `integrity` | passed, `2026-06-08T05:31:00+00:00`, RPO 2 min 0 s |",
        "| last drill `namespace` | **failed**, `2026-06-01T04:31:00+00:00`, `backup a is stale` |",
        "| last drill `database` | none yet |",
    ):
        assert said in text, said
    assert "token that nobody needs" not in json.dumps(drill_issues.figures(OUTPUTS))
    del hub


@pytest.mark.parametrize(
    "found",
    [{}, {"drills": 3, "failover": {"steps": 7}, "targets": []}, {"drills": {"integrity": "x", "namespace": {"ended": 1}}},
     {"failover": {"steps": [3], "seconds": "x"}, "targets": {"rpoSeconds": 1e400, "rtoSeconds": True}}],
)  # fmt: skip
def test_what_cannot_be_read_is_not_known_and_stops_no_issue(hub: FakeGitHub, found: dict[str, Any]) -> None:
    assert "not known" in body(found=found)
    del hub


def test_a_reason_of_a_record_is_no_markdown(hub: FakeGitHub) -> None:
    evil = "a`|</code><img src=x>\n\n## [x](https://evil.example) @everyone"
    last = {"integrity": {"passed": False, "ended": evil, "reasons": [evil]}}
    (line,) = [line for line in body(found={"drills": last}).splitlines() if line.startswith("| last drill `integrity`")]
    cells = line.split("|")
    assert len(cells) == 5
    assert "evil" in line
    # Outside of code there is nothing of it.
    assert "evil" not in re.sub(r"`[^`]*`", "", line)
    del hub


def test_by_the_calendar_an_issue_is_due_on_its_date_and_a_week_on_for_a_run_that_was_dropped() -> None:
    settings = stacks()["secondary"]

    def of(day: date) -> list[str]:
        return [f"{each.kind} {each.day}" for each in drill_issues.due(settings, day, "")]

    assert of(TODAY - timedelta(days=1)) == []
    assert of(TODAY) == ["full 2026-06-15"]
    assert of(TODAY + timedelta(days=5)) == ["full 2026-06-15", "runbook-review 2026-06-20"]
    assert of(TODAY + timedelta(days=7)) == ["runbook-review 2026-06-20"]
    assert drill_issues.due(settings, TODAY, "tabletop") == [Due(kind="tabletop", day=TODAY)]
    with pytest.raises(github.RefusedError, match="DRILL: all is none of tabletop"):
        drill_issues.due(settings, TODAY, "all")


@pytest.mark.parametrize("author", ["mallory", "dependabot[bot]"])
def test_a_strangers_issue_with_our_marker_does_not_stand_in_for_ours(hub: FakeGitHub, author: str) -> None:
    state, wanted = hub.state, Due(kind="full", day=TODAY)
    state["issues"] = [{"number": 1, "state": "open", "user": {"login": author, "type": "Bot"}, "body": wanted.marker}]
    hub.save(state)
    assert drill_issues.without_issue([wanted], TODAY) == [wanted]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    project(folder, {"k8s-dr:peerReady": True}, drills=WEEKLY)
    for name in ("scripts", "settings", "docs"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def steps_of(job: str, hub: FakeGitHub, checkout: Path, **knows: str) -> Job:
    """One job of the workflow, without what installs and what GitHub itself does."""
    found = workflow("drills")["jobs"][job]
    steps = [step for step in found["steps"] if "pip install" not in step.get("run", "")]
    base = {
        **{key: value for key, value in os.environ.items() if key != "DRILL"},
        **hub.environment,
        "PATH": os.pathsep.join([str(hub.directory), str(Path(sys.prefix) / "bin"), os.environ["PATH"]]),
    }
    known = {"github.token": "token", "inputs.drill": "", **knows}
    return run(steps, env=found["env"], knows=known, base=base, cwd=checkout, temp=checkout.parent / f"temp-{job}")


def figures_of(hub: FakeGitHub, checkout: Path, stack: str, pulumi: str) -> Job:
    program = hub.directory / "pulumi"
    program.write_text(pulumi)
    program.chmod(0o755)
    knows = {
        "matrix.stack": stack,
        "vars[format('PULUMI_BACKEND_URL_{0}', matrix.stack)]": "file://x",
        "secrets.PULUMI_CONFIG_PASSPHRASE": "x",
    }
    return steps_of("figures", hub, checkout, **knows)


def test_the_workflow_opens_one_issue_and_never_a_second(hub: FakeGitHub, checkout: Path) -> None:
    monday = datetime.now(UTC).date()
    monday -= timedelta(days=monday.weekday())
    asked = steps_of("due", hub, checkout)
    assert not asked.failed, asked.log
    assert json.loads(asked.outputs["steps.due.outputs.due"]) == [f"full {monday}"]
    (checkout.parent / "outputs.json").write_text(json.dumps(OUTPUTS))
    pulumi = f'#!/bin/sh\n[ "$5" = --json ] || exit 9\ncat {checkout.parent / "outputs.json"}\n'
    read = figures_of(hub, checkout, "secondary", pulumi)
    assert not read.failed, read.log
    figures = {
        "needs.figures.outputs.primary": "",  # its region did not answer
        "needs.figures.outputs.secondary": read.outputs["steps.read.outputs.secondary"],
    }
    wrote = steps_of("open", hub, checkout, **figures)
    assert not wrote.failed, wrote.log
    (issue,) = hub.state["issues"]
    assert issue["title"] == f"Full failover drill of acme, {monday}"
    assert "| users are served by | not known | `us-east-1: app.example.com` |" in issue["body"]
    state = hub.state
    state["issues"][0] |= {"state": "closed", "title": "done", "body": issue["body"].replace("- [ ]", "- [x]")}
    hub.save(state)
    assert not steps_of("open", hub, checkout, **figures).failed
    again = steps_of("due", hub, checkout)
    assert json.loads(again.outputs["steps.due.outputs.due"]) == []
    assert opened(hub) == [f"<!-- k8s-dr: drill full {monday} -->"]
    assert [method for method, _ in hub.writes()] == ["POST"], "no issue is rewritten"


def test_a_stack_that_does_not_answer_fails_its_job_and_no_issue(hub: FakeGitHub, checkout: Path) -> None:
    read = figures_of(hub, checkout, "primary", "#!/bin/sh\necho 'error: no such stack' >&2\nexit 1\n")
    assert read.failed
    assert workflow("drills")["jobs"]["figures"]["continue-on-error"] is True
    assert "!cancelled()" in workflow("drills")["jobs"]["open"]["if"]
    nothing = {f"needs.figures.outputs.{role}": "" for role in ROLES}
    assert not steps_of("open", hub, checkout, **nothing).failed
    assert "| users are served by | not known | not known |" in hub.state["issues"][0]["body"]


def test_a_person_may_have_one_today(hub: FakeGitHub, checkout: Path) -> None:
    asked = steps_of("due", hub, checkout, **{"inputs.drill": "tabletop"})
    assert json.loads(asked.outputs["steps.due.outputs.due"]) == [f"tabletop {datetime.now(UTC).date()}"]


def test_the_choices_of_the_button_are_what_there_is() -> None:
    given = workflow("drills")[True]["workflow_dispatch"]["inputs"]["drill"]
    assert given["options"] == ["by the calendar", *PEOPLES_KINDS]
    assert given["default"] in drill_issues.BY_CALENDAR
