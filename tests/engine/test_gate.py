"""A closed gate touches nothing. A mistake in the configuration gets one line, which has the right command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lab.pulumi import touched
from lab.rehearsal import backup
from tests.engine.conftest import SCHEDULES, Pair, each_command, told_plainly

SCREEN = 24
"""Lines of the smallest terminal that people use."""


def test_a_gate_that_does_not_open_touches_nothing_and_opens_once_the_cause_is_gone(pair: Pair) -> None:
    pair.pulumi.run("config", "set", "--path", "failover.preflight", "1s", "-s", "secondary")
    pair.have_backups(phase="PartiallyFailed")
    before, calls = pair.pulumi.resources("secondary"), len(pair.calls())
    failed = pair.flip(check=False)
    said = "schedule hourly-critical-us-east-1 has no Completed backup here (only PartiallyFailed;"
    assert told_plainly(failed, 'hook "failover-gate" failed: ', said), failed.output
    assert touched(before, pair.pulumi.resources("secondary")) == []
    assert not [call for call in pair.calls(calls) if call["method"] in ("Create", "Update", "Delete")]
    assert pair.flag() == "primary"
    pair.have_backups()
    pair.pulumi.up("secondary")
    assert pair.flag() == "secondary"


@each_command
def test_the_reason_of_a_refusal_is_on_the_screen_when_the_command_has_ended(pair: Pair, command: tuple[str, ...]) -> None:
    """The CLI prints the stack's outputs, and what it counted, below it."""
    pair.pulumi.run("config", "set", "--path", "failover.preflight", "1s", "-s", "secondary")
    pair.have_backups(phase="PartiallyFailed")
    pair.pulumi.configure("secondary", "active", "secondary")
    refused = pair.pulumi.run(*command, "-s", "secondary", check=False)
    assert refused.exit_code
    screen = refused.output.rstrip().splitlines()[-SCREEN:]
    assert any('hook "failover-gate" failed: ' in line and "has no Completed backup here" in line for line in screen), screen


def test_a_backup_after_which_newer_ones_should_be_here_closes_the_gate_and_force_opens_it(pair: Pair) -> None:
    pair.pulumi.run("config", "set", "--path", "failover.preflight", "1s", "-s", "secondary")
    began = (datetime.now(UTC) - timedelta(days=25)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for schedule in SCHEDULES:
        old = backup(schedule)
        old["status"] |= {"startTimestamp": began, "completionTimestamp": began}
        pair.secondary.put(old)
    before = pair.pulumi.resources("secondary")
    failed = pair.flip(check=False)
    said = "of schedule hourly-critical-us-east-1 is hourly-critical-us-east-1-20260101020000, 25 d 0 h old"
    way_on = "to go on all the same: pulumi config set force true -s secondary"
    assert told_plainly(failed, 'hook "failover-gate" failed: ', said, way_on), failed.output
    assert touched(before, pair.pulumi.resources("secondary")) == []
    assert pair.flag() == "primary"
    pair.pulumi.run("config", "set", "force", "true", "-s", "secondary")
    forced = pair.pulumi.up("secondary")
    assert said in forced.output, "what is restored is said all the same"
    assert pair.flag() == "secondary"


@pytest.mark.long
def test_the_gate_is_asked_in_a_preview_too(pair: Pair) -> None:
    pair.have_backups(phase="Failed")
    pair.pulumi.configure("secondary", "active", "secondary")
    preview = pair.pulumi.run("preview", "-s", "secondary", check=False)
    assert told_plainly(preview, 'hook "failover-gate" failed: ', "has no Completed backup here (only Failed)"), preview.output


def test_a_primary_does_not_serve_while_the_flag_says_secondary(serving_secondary: Pair) -> None:
    """The primary was down during the failover. Nothing in its own configuration has changed."""
    pulumi = serving_secondary.pulumi
    before = pulumi.resources("primary")
    refused = pulumi.up("primary", check=False)
    way_on = "pulumi config set active secondary -s primary && pulumi up -s primary"
    assert told_plainly(refused, "error: k8s-dr:active: primary: ", "the secondary region has taken over", way_on), refused.output
    assert touched(before, pulumi.resources("primary")) == []
    serving_secondary.leave()
    pulumi.up("primary", "--expect-no-changes")


def test_the_literal_assignment_is_caught_with_the_right_command(pair: Pair) -> None:
    stored = pair.pulumi.run("config", "set", "active=secondary", "-s", "secondary")
    assert stored.exit_code == 0, "the CLI itself does not mind; that is the trap"
    before = pair.pulumi.resources("secondary")
    refused = pair.pulumi.up("secondary", check=False)
    assert told_plainly(refused, "pulumi config set active secondary -s secondary"), refused.output
    assert touched(before, pair.pulumi.resources("secondary")) == []
    pair.pulumi.run("config", "rm", "active=secondary", "-s", "secondary")
    pair.pulumi.up("secondary", "--expect-no-changes")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("activ", "secondary", "k8s-dr:activ: unknown key, did you mean active?"),
        ("active", "third", "k8s-dr:active: third is not one of 'primary', 'secondary'"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_applied(pair: Pair, key: str, value: str, message: str) -> None:
    before = pair.pulumi.resources("secondary")
    pair.pulumi.configure("secondary", key, value)
    refused = pair.pulumi.up("secondary", check=False)
    assert told_plainly(refused, message), refused.output
    assert touched(before, pair.pulumi.resources("secondary")) == []


@pytest.mark.long
def test_setting_a_part_of_a_shared_object_is_one_clear_error(pair: Pair) -> None:
    pair.pulumi.run("config", "set", "--path", "topology.organization", "other", "-s", "secondary")
    refused = pair.pulumi.up("secondary", check=False)
    assert told_plainly(refused, "k8s-dr:topology:", "run: pulumi config rm topology -s secondary"), refused.output


def test_an_up_without_its_cluster_touches_nothing(pair: Pair) -> None:
    before = pair.pulumi.resources("secondary")
    kubeconfig = pair.files.kubeconfig
    kubeconfig.write_text(kubeconfig.read_text().replace(pair.secondary.url, "http://127.0.0.1:9"))
    failed = pair.flip(check=False)
    assert told_plainly(failed, "cluster lab-secondary does not answer"), failed.output
    assert touched(before, pair.pulumi.resources("secondary")) == []
    assert pair.flag() == "primary"
