"""Runs the runbook's break-glass commands exactly as they are printed there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.conftest import Pair, told_plainly
from tests.examples import ROOT

TARGETS = ["--target", "**dr:failover:Failover$**", "--target", "**dr:failover:Failover::**"]


def test_the_runbook_says_what_is_tested_here() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    assert "pulumi up -s secondary " + " ".join(re.sub(r"(\*\*.*)", r"'\1'", part) for part in TARGETS) in runbook


def test_break_glass_fails_over_and_touches_nothing_else(pair: Pair) -> None:
    since = len(pair.calls())
    pair.pulumi.configure("secondary", "active", "secondary")
    pair.pulumi.run("up", "-s", "secondary", "--yes", *TARGETS)
    assert pair.flag() == "secondary"
    written = {call["urn"].rpartition("::")[2] for call in pair.calls(since) if call["method"] in ("Create", "Update", "Delete")}
    assert {name.partition("-")[0] for name in written} == {"failover"}


def test_a_lock_left_by_a_killed_job_is_named_and_cancel_frees_it(pair: Pair) -> None:
    locks = pair.root / "state" / ".pulumi" / "locks" / "organization" / "k8s-dr" / "secondary"
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "11111111-1111-1111-1111-111111111111.json").write_text(
        '{"pid":1,"username":"ci","hostname":"runner","timestamp":"2026-01-01T00:00:00Z"}'
    )
    locked = pair.pulumi.up("secondary", check=False)
    assert told_plainly(locked, "the stack is currently locked"), locked.output
    pair.pulumi.run("cancel", "-s", "secondary", "--yes")
    pair.pulumi.up("secondary", "--expect-no-changes")


@pytest.mark.long
def test_the_cli_says_that_the_backend_of_this_shell_has_no_such_stack(pair: Pair, tmp_path: Path) -> None:
    elsewhere = replace(pair.pulumi, environment={**pair.pulumi.environment, "PULUMI_BACKEND_URL": f"file://{tmp_path}"})
    refused = elsewhere.up("primary", check=False)
    assert told_plainly(refused, "no stack named 'primary' found"), refused.output
