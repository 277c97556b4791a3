"""The Automation API as drctl uses it, against a `pulumi` that is a script: arguments, backends, time, and errors."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import yaml
from pulumi.automation.events import EngineEvent

from drctl.project import Project
from drctl.stacks import Heard, NoAnswerError, StackFailedError, StackLockedError, Stacks
from settings.roles import Role
from tests.unit.drctl.fake import SINCE, checkout, outputs

GATE = "urn:pulumi:secondary::k8s-dr::dr:region:Region$dr:failover:Failover::failover"
RESTORE = "urn:pulumi:secondary::k8s-dr::dr:region:Region$dr:failover:Failover$kubernetes:velero.io/v1:Restore::restore"


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stacks:
    """With a `pulumi` that notes how it was called, and does what the file `does` says."""
    script = tmp_path / "bin" / "pulumi"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = version ]; then echo v3.260.0; exit; fi\n'
        f'echo "$PULUMI_BACKEND_URL $*" >> {tmp_path}/asked\n. {tmp_path}/does\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "project").mkdir()
    return Stacks(project=Project(directory=checkout(tmp_path / "project")), read_seconds=20)


def does(stacks: Stacks, script: str) -> None:
    (stacks.project.directory.parent / "does").write_text(script)


def asked(stacks: Stacks) -> list[str]:
    return (stacks.project.directory.parent / "asked").read_text().splitlines()


@pytest.mark.parametrize(("role", "region"), [("primary", "us-east-1"), ("secondary", "us-west-2")])
def test_each_stack_is_asked_in_its_own_backend_and_none_is_selected(stacks: Stacks, role: Role, region: str) -> None:
    answer = json.dumps(outputs(role, serves=True))
    does(stacks, f"cat <<'END'\n{answer}\nEND\n")
    told = stacks.told(role)
    assert (told.active, told.since) == (role, SINCE)
    for line in asked(stacks):
        assert line.startswith(f"s3://acme-pulumi-{region}?region={region} ")
        assert f"--stack {role}" in line
        assert "select" not in line


def test_a_state_that_does_not_answer_in_its_time_is_given_up(stacks: Stacks) -> None:
    does(stacks, "exec sleep 60")
    stacks.read_seconds = 1
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match="the state of stack primary did not answer within 1 s"):
        stacks.outputs("primary")
    assert time.monotonic() - began < 20


def runs(state: Path) -> bool:
    """Whether a process is there, and no zombie that nobody has asked for yet."""
    try:
        return state.read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_what_a_hanging_cli_has_started_is_ended_with_it(stacks: Stacks) -> None:
    """It has the pipes too, so whoever only ends the CLI waits for it."""
    child = stacks.project.directory.parent / "child"
    does(stacks, f"sleep 30 &\necho $! > {child}\nwait\n")
    stacks.read_seconds = 1
    began = time.monotonic()
    with pytest.raises(NoAnswerError):
        stacks.outputs("primary")
    assert time.monotonic() - began < 15
    state = Path(f"/proc/{child.read_text().strip()}/stat")
    while runs(state) and time.monotonic() - began < 20:
        time.sleep(0.05)
    assert not runs(state)


def test_the_calls_of_one_question_have_one_deadline(stacks: Stacks) -> None:
    does(stacks, "sleep 2; echo '{}'")
    stacks.read_seconds = 3
    with pytest.raises(NoAnswerError):
        stacks.outputs("primary")
    assert len(asked(stacks)) == 2


def test_a_value_that_cannot_be_written_in_time_is_given_up(stacks: Stacks) -> None:
    does(stacks, "exec sleep 30")
    stacks.read_seconds = 1
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match="the state of stack secondary did not answer within 1 s"):
        stacks.configure("secondary", "active", "secondary")
    assert time.monotonic() - began < 15


def test_a_stack_that_was_never_brought_up_is_told_with_its_command(stacks: Stacks) -> None:
    does(stacks, "echo '{}'")
    with pytest.raises(StackFailedError, match="was never brought up to its end; run: pulumi up -s primary"):
        stacks.told("primary")


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ("error: the stack is currently locked by 1 lock(s).", StackLockedError, "pulumi cancel -s secondary --yes"),
        (
            "error: the stack is currently locked by 1 lock(s).\n  f:///x: created by ann@laptop (pid 7) at 2026-03-01",
            StackLockedError,
            r"is locked by ann@laptop \(pid 7\) at 2026-03-01: an up of it runs, or one that was killed",
        ),
        ("error: no stack named 'secondary' found", StackFailedError, "there is no stack secondary in its backend"),
        ("error: incorrect passphrase", StackFailedError, "^incorrect passphrase$"),
    ],
)
def test_what_the_cli_refuses_before_the_engine_begins_is_one_line(
    stacks: Stacks, said: str, kind: type[StackFailedError], told: str
) -> None:
    does(stacks, f'echo "{said}" >&2; exit 255')
    with pytest.raises(kind, match=told):
        stacks.up("secondary", lambda _: None)
    assert "up --yes --skip-preview" in asked(stacks)[0]
    assert "--stack secondary" in asked(stacks)[0]


def test_a_value_is_written_as_the_runbook_writes_it(stacks: Stacks) -> None:
    does(stacks, "")
    stacks.configure("secondary", "handover", "handover.abc")
    [line] = asked(stacks)
    assert "config set k8s-dr:handover --plaintext --stack secondary" in line
    assert line.endswith("-- handover.abc")


def test_without_pulumi_on_the_path_there_is_one_line(stacks: Stacks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(StackFailedError, match="pulumi: is not on PATH"):
        stacks.outputs("primary")


@pytest.mark.parametrize(
    ("version", "told"),
    [("v2.1.0", "cannot be used: Minimum version requirement failed"), ("exit 3", "cannot be used: .*exit status 3")],
)
def test_a_pulumi_that_cannot_be_used_is_one_line(stacks: Stacks, version: str, told: str) -> None:
    script = stacks.project.directory.parent / "bin" / "pulumi"
    script.write_text(f"#!/bin/sh\n{version if version.startswith('exit') else f'echo {version}'}\n")
    with pytest.raises(StackFailedError, match=told):
        stacks.outputs("primary")


@pytest.mark.parametrize("written", [True, False])
def test_a_state_that_cannot_be_read_is_told_with_its_place_and_what_to_do_first(
    stacks: Stacks, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where nobody has signed in."""
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    if not written:
        file = stacks.project.directory / "Pulumi.yaml"
        content = yaml.safe_load(file.read_text())
        del content["config"]["topology"]["value"]["backends"]
        file.write_text(yaml.safe_dump(content))
    does(stacks, 'echo "error: PULUMI_ACCESS_TOKEN must be set for login" >&2; exit 255')
    where = "s3://acme-pulumi-us-east-1\\?region=us-east-1" if written else "the backend that pulumi is signed in to"
    told = f"the state of stack primary cannot be read from {where}: PULUMI_ACCESS_TOKEN must be set for login; sign in first"
    with pytest.raises(StackFailedError, match=told):
        stacks.outputs("primary")


def test_a_lock_whose_state_does_not_answer_is_given_up_in_time(stacks: Stacks) -> None:
    does(stacks, "exec sleep 30")
    stacks.read_seconds = 1
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match="the state of stack secondary did not answer within 1 s"):
        stacks.unlock("secondary")
    assert time.monotonic() - began < 15


def diagnosed(severity: str, message: str, urn: str = "") -> EngineEvent:
    said = {"severity": severity, "message": message, "color": "never", "urn": urn}
    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, "diagnosticEvent": said})


def test_what_the_engine_says_is_heard_once_and_without_its_markup() -> None:
    heard = Heard()
    for _ in range(2):
        heard.hear(diagnosed("warning", "<{%reset%}>the mark is\n 20 min old<{%reset%}>\n"))
    heard.hear(diagnosed("info", "nothing of note"))
    assert (heard.warnings, heard.errors, heard.refused) == (["the mark is 20 min old"], [], False)


@pytest.mark.parametrize(("urn", "refused"), [(GATE, True), (RESTORE, False), ("", False)])
def test_only_what_the_gate_refuses_is_a_refusal(urn: str, refused: bool) -> None:
    heard = Heard()
    heard.hear(diagnosed("error", "no", urn))
    assert heard.refused is refused


def test_what_would_change_is_counted_and_what_stays_is_not() -> None:
    heard = Heard()
    summary = {"resourceChanges": {"same": 90, "update": 2, "create": 1}}
    heard.hear(EngineEvent.from_json({"sequence": 1, "timestamp": 1, "summaryEvent": summary}))
    assert heard.changes == {"update": 2, "create": 1}


def stepped(op: str, urn: str, *, logical: bool = True) -> EngineEvent:
    """As the CLI writes it: what is false is left out."""
    metadata = {"op": op, "urn": urn, "type": "", "provider": "", **({"logical": True} if logical else {})}
    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, "resourcePreEvent": {"metadata": metadata, "planning": True}})


def test_what_would_change_is_named_as_often_as_it_is_counted() -> None:
    heard = Heard()
    for event in (
        stepped("same", GATE),
        stepped("update", GATE),
        stepped("create-replacement", RESTORE, logical=False),
        stepped("replace", RESTORE),
        stepped("delete-replaced", RESTORE, logical=False),
    ):
        heard.hear(event)
    assert heard.changed == {"update": ["Failover failover"], "replace": ["Restore restore"]}
