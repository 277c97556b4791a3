"""What the workflows leave on GitHub: one of each, never too long, and no file overwritten that somebody else has changed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from scripts import github
from tests.fake_github import LIMIT, FakeGitHub

STACK_FILE = "Pulumi.secondary.yaml"
BEFORE, AFTER = b"config:\n  k8s-dr:peerReady: true\n", b"config:\n  k8s-dr:active: secondary\n  k8s-dr:peerReady: true\n"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGitHub:
    hub = FakeGitHub.start(tmp_path / "github", {STACK_FILE: BEFORE})
    for name, value in {**hub.environment, "GH_TOKEN": "token", "PULL_REQUEST": "7"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{hub.directory}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return hub


def test_a_second_push_rewrites_the_comment_of_the_first_and_no_other(hub: FakeGitHub) -> None:
    for title in ("Preview of primary", "Preview of secondary"):
        github.comment(title, "one")
    github.comment("Preview of primary", "two")
    bodies = [comment["body"] for comment in hub.state["comments"]]
    assert ["two" in body for body in bodies] == [True, False]
    assert all("### Preview of" in body and "````diff" in body for body in bodies)


def test_a_comment_of_a_person_that_quotes_ours_is_left_alone(hub: FakeGitHub) -> None:
    github.comment("Preview of primary", "one")
    state = hub.state
    state["comments"].insert(0, {"id": 1, "pull_request": "7", "body": f"> {state['comments'][0]['body']}"})
    state["comments"][1]["id"] = 2
    hub.save(state)
    github.comment("Preview of primary", "two")
    assert "two" not in hub.state["comments"][0]["body"]


@pytest.mark.parametrize("login", ["mallory", "dependabot[bot]", None])
def test_a_marker_that_somebody_else_copied_counts_for_nothing(hub: FakeGitHub, login: str | None) -> None:
    """Its author could write what he likes into it afterwards, or have the workflow close what it never opened."""
    github.comment("Preview of primary", "one")
    github.issue("Drift of secondary", "one")
    stranger = {"user": {"login": login} if login else None}
    state = hub.state
    state["comments"] = [state["comments"][0] | stranger]
    state["issues"] = [state["issues"][0] | stranger]
    hub.save(state)
    github.close("Drift of secondary")
    github.comment("Preview of primary", "two")
    github.issue("Drift of secondary", "two")
    for kind in ("comments", "issues"):
        theirs, ours = hub.state[kind]
        assert "one" in theirs["body"]
        assert "two" in ours["body"]
    assert hub.state["issues"][0]["state"] == "open"


def test_whoever_gives_the_workflow_another_token_is_told_to_name_its_author(
    hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.save({**hub.state, "writes as": "acme-dr[bot]"})
    with pytest.raises(github.RefusedError, match=re.escape("set GH_AUTHOR to acme-dr[bot]")):
        github.issue("Drift of secondary", "one")
    monkeypatch.setenv("GH_AUTHOR", "acme-dr[bot]")
    github.issue("Drift of secondary", "two")
    (only,) = hub.state["issues"]
    assert "two" in only["body"]


def test_what_is_too_long_for_github_is_cut_and_says_so_with_its_end_kept(hub: FakeGitHub) -> None:
    github.comment("Preview of primary", "a" * 100_000 + "\nResources: 3 to create\n")
    (comment,) = hub.state["comments"]
    assert len(comment["body"]) <= LIMIT
    assert "characters are left out here" in comment["body"]
    assert comment["body"].endswith("Resources: 3 to create\n\n````\n")


@pytest.mark.parametrize("length", [0, 1, 65_000, 65_536, 65_537, 1_000_000])
def test_no_report_is_ever_refused_for_its_length(length: int) -> None:
    assert len(github.report("Drift of secondary", "x" * length)) <= LIMIT


def test_drift_of_many_nights_is_one_issue_that_is_closed_once_there_is_none(hub: FakeGitHub) -> None:
    github.issue("Drift of secondary", "one")
    github.issue("Drift of secondary", "two")
    github.close("Drift of primary")
    (only,) = hub.state["issues"]
    assert only["state"] == "open"
    assert "two" in only["body"]
    github.close("Drift of secondary")
    github.close("Drift of secondary")
    assert [issue["state"] for issue in hub.state["issues"]] == ["closed"]
    github.issue("Drift of secondary", "three")
    assert [issue["state"] for issue in hub.state["issues"]] == ["closed", "open"]


def test_the_file_of_a_failover_is_committed_to_the_branch(hub: FakeGitHub, tmp_path: Path) -> None:
    (tmp_path / STACK_FILE).write_bytes(AFTER)
    github.commit(STACK_FILE, "Failover")
    assert hub.content("main", STACK_FILE) == AFTER
    assert not hub.state["pulls"]


def test_where_the_branch_is_protected_there_is_a_pull_request(
    hub: FakeGitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.protect()
    (tmp_path / STACK_FILE).write_bytes(AFTER)
    github.commit(STACK_FILE, "Failover")
    assert hub.content("main", STACK_FILE) == BEFORE
    (pull,) = hub.state["pulls"]
    assert (pull["base"], pull["title"]) == ("main", "Failover")
    assert hub.content(pull["head"], STACK_FILE) == AFTER
    assert "https://github.com/acme/k8s-dr/pull/1" in capsys.readouterr().out


def test_what_somebody_else_has_merged_meanwhile_is_not_overwritten(hub: FakeGitHub, tmp_path: Path) -> None:
    theirs = BEFORE + b"  k8s-dr:force: true\n"
    hub.write(STACK_FILE, theirs)
    (tmp_path / STACK_FILE).write_bytes(AFTER)
    github.commit(STACK_FILE, "Failover")
    assert hub.content("main", STACK_FILE) == theirs
    assert len(hub.state["pulls"]) == 1


def test_a_file_that_is_there_already_is_not_committed_again(hub: FakeGitHub, tmp_path: Path) -> None:
    (tmp_path / STACK_FILE).write_bytes(BEFORE)
    github.commit(STACK_FILE, "Failover")
    assert hub.writes() == []


def test_githubs_refusal_is_told_in_its_own_words(hub: FakeGitHub) -> None:
    with pytest.raises(github.RefusedError, match="Not Found"):
        github.gh("repos/acme/k8s-dr/nonsense")


OUTPUTS = {
    "serving": "us-west-2 since 2026-11-29T03:12:40Z: app.example.com",
    "details": {
        "serving": {"region": "us-west-2", "since": "2026-11-29T03:12:40Z"},
        "failover": {
            "steps": [
                {"name": "promote app-database", "start": "2026-11-29T03:11:00Z", "end": "2026-11-29T03:11:10Z", "seconds": 10.0}
            ],
            "seconds": 41.5,
        },
    },
    "next": "users arrive within 90 s",
}


def test_a_failover_that_ended_leaves_its_steps_and_what_to_do_next_on_the_page() -> None:
    told = github.ending("Failover of secondary", OUTPUTS, succeeded=True)
    assert "Users are sent to us-west-2 since 2026-11-29T03:12:40Z" in told
    assert "| promote app-database | 2026-11-29T03:11:00Z | 10 s |" in told
    assert "| **together** | | **41.5 s** |" in told
    assert "**Next:** users arrive within 90 s" in told


def test_a_failover_that_did_not_end_says_so_and_shows_no_step_of_an_earlier_one() -> None:
    told = github.ending("Failover of secondary", OUTPUTS, succeeded=False)
    assert "**Not done.**" in told
    assert "promote" not in told
    assert "users arrive" not in told


def test_a_stack_that_only_stands_by_has_no_steps_and_is_told_so() -> None:
    details = {"serving": {"region": "us-west-2"}, "failover": {"steps": []}}
    told = github.ending("Failover of primary", {"details": details, "next": "-"}, succeeded=True)
    assert "No step was recorded." in told
