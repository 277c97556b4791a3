"""The operator's command with the real CLI: by events and outputs of the Automation API, killed on the way, and a region dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
import yaml

from lab.pulumi import touched
from lab.waiting import until
from tests.engine.conftest import Pair
from tests.examples import ROOT


def command(pair: Pair, *args: str) -> list[str]:
    return [sys.executable, "-m", "drctl", *args, "--directory", str(pair.pulumi.directory)]


def drctl(pair: Pair, *args: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON object, and what was said besides. No command of drctl ends with a stack trace."""
    ran = subprocess.run(
        command(pair, *args, "--json"),
        cwd=ROOT,
        env=dict(pair.pulumi.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, json.loads(ran.stdout) if ran.stdout.strip() else {}, ran.stderr


def test_a_check_says_whether_the_gate_would_open_and_touches_nothing(pair: Pair) -> None:
    file = pair.pulumi.directory / "Pulumi.secondary.yaml"
    before, written, calls = pair.pulumi.resources("secondary"), file.read_text(), len(pair.calls())
    code, told, said = drctl(pair, "check")
    assert code in (0, 4), (told, said)
    assert told["says"].startswith("the secondary could take over now")
    pair.have_backups(phase="PartiallyFailed")
    code, told, said = drctl(pair, "check")
    assert code == 3, (told, said)
    assert "has no Completed backup here (only PartiallyFailed;" in told["says"]
    assert touched(before, pair.pulumi.resources("secondary")) == []
    assert not [call for call in pair.calls(calls) if call["method"] in ("Create", "Update", "Delete") and not call["preview"]]
    assert (file.read_text(), pair.flag()) == (written, "primary")


def test_a_failover_moves_the_flag_and_is_not_done_twice(pair: Pair) -> None:
    code, told, said = drctl(pair, "failover", "--yes")
    assert code == 0, (told, said)
    assert pair.flag() == "secondary"
    assert told["steps"][0]["commands"][-2:] == ["pulumi config set active secondary -s secondary", "pulumi up -s secondary"]
    assert "created kubernetes:velero.io/v1:Restore failover-restores-hourly-critical" in said
    calls = len(pair.calls())
    code, told, said = drctl(pair, "failover", "--yes")
    assert (code, told["steps"]) == (0, []), said
    assert not [call for call in pair.calls(calls) if call["method"] in ("Create", "Update", "Delete") and not call["preview"]]


def test_a_refusal_of_the_gate_has_its_own_exit_code_and_its_reason(pair: Pair) -> None:
    pair.pulumi.run("config", "set", "--path", "failover.preflight", "1s", "-s", "secondary")
    pair.have_backups(phase="PartiallyFailed")
    code, told, said = drctl(pair, "failover", "--yes")
    assert code == 3, (told, said)
    assert "has no Completed backup here (only PartiallyFailed;" in told["says"]
    assert pair.flag() == "primary"
    pair.have_backups()
    assert drctl(pair, "failover", "--yes")[0] == 0
    assert pair.flag() == "secondary"


def _began_to_change(pair: Pair, calls: int) -> bool:
    return bool([call for call in pair.calls(calls) if call["method"] in ("Create", "Update")])


def test_a_failover_that_is_killed_and_typed_again_goes_on(pair: Pair) -> None:
    """Killed with its `pulumi`, which leaves its lock."""
    calls = len(pair.calls())
    child = subprocess.Popen(
        command(pair, "failover", "--yes"),
        cwd=ROOT,
        env=dict(pair.pulumi.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until("a change", lambda: _began_to_change(pair, calls) or child.poll() is not None, timeout=120, interval=0.05)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    code, told, said = drctl(pair, "failover", "--yes", "--unlock")
    assert code == 0, (told, said)
    assert pair.flag() == "secondary"


def test_without_unlock_a_lock_is_a_line_with_the_command_that_takes_it_away(pair: Pair) -> None:
    locks = pair.root / "state" / ".pulumi" / "locks" / "organization" / "k8s-dr" / "secondary"
    locks.mkdir(parents=True, exist_ok=True)
    lock = {"pid": 1, "username": "somebody", "hostname": "elsewhere", "timestamp": "2026-01-01T00:00:00Z"}
    (locks / "11111111-1111-4111-8111-111111111111.json").write_text(json.dumps(lock))
    code, told, _ = drctl(pair, "failover", "--yes")
    assert code == 1
    assert "pulumi cancel -s secondary --yes" in told["says"]
    assert drctl(pair, "failover", "--yes", "--unlock")[0] == 0
    assert pair.flag() == "secondary"


def test_nobody_is_asked_where_there_is_no_terminal_and_nothing_is_touched(pair: Pair) -> None:
    before = (pair.pulumi.directory / "Pulumi.secondary.yaml").read_text()
    code, _, said = drctl(pair, "failover")
    assert code == 2
    assert "add --yes" in said
    assert (pair.pulumi.directory / "Pulumi.secondary.yaml").read_text() == before


@pytest.mark.parametrize("dead", ["primary", "secondary"])
def test_the_status_of_a_region_whose_cluster_is_dead_is_a_line(pair: Pair, dead: str) -> None:
    written = yaml.safe_load(pair.files.kubeconfig.read_text())
    for cluster in written["clusters"]:
        if cluster["name"].endswith(dead):
            cluster["cluster"]["server"] = "http://127.0.0.1:9"  # nothing listens there
    pair.files.kubeconfig.write_text(yaml.safe_dump(written))
    code, told, said = drctl(pair, "status", "--seconds", "60")
    assert code == 4, said
    assert [line for line in told["regions"][dead]["silent"] if line.startswith("cluster: cluster lab-")], told
    other = "secondary" if dead == "primary" else "primary"
    assert not [line for line in told["regions"][other]["silent"] if line.startswith("cluster")], told
    assert told["flag"].startswith("primary")


@pytest.mark.long
def test_a_state_that_does_not_answer_is_a_line_after_its_time(pair: Pair) -> None:
    """A backend that takes connections and says nothing: the address is of no network (RFC 5737)."""
    environment = {**pair.pulumi.environment, "PULUMI_BACKEND_URL": "s3://gone?region=us-west-2&endpoint=192.0.2.1"}
    ran = subprocess.run(
        command(pair, "status", "--seconds", "5", "--json"),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 4, ran.stderr
    silent = json.loads(ran.stdout)["regions"]["secondary"]["silent"]
    assert [line for line in silent if line.startswith("state: ")], silent


def test_the_calendar_of_drills_needs_no_region(pair: Pair) -> None:
    code, told, said = drctl(pair, "calendar")
    assert (code, told["says"], told["events"]) == (0, "0 events", []), said  # drills are switched off here


@pytest.mark.long
def test_the_regions_of_a_pair_that_was_deployed_alike_do_not_differ(pair: Pair) -> None:
    code, told, said = drctl(pair, "drift")
    assert code in (0, 4), (told, said)
    assert not [each for each in told["differences"] if each["what"].startswith(("schedule", "setting"))], told


@pytest.mark.long
def test_reports_are_collected_and_a_copy_goes_to_the_region_that_serves(serving_secondary: Pair) -> None:
    code, told, said = drctl(serving_secondary, "report", "--yes")
    assert code == 0, (told, said)
    assert told["report"]["takeovers"][-1]["region"]
    bucket = "acme-velero-us-west-2-123456789012"
    assert told["copy"].startswith(f"s3://{bucket}/reports/")
    key = told["copy"].removeprefix(f"s3://{bucket}/")
    kept = serving_secondary.s3().get_object(Bucket=bucket, Key=key)["Body"].read()
    assert json.loads(kept)["takeovers"] == told["report"]["takeovers"]
