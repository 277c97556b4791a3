"""What a tired person sees: on 80 columns, in a log, beside another drctl, and where drctl itself is wrong."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.kube.cluster_api import ClusterUnreachableError
from drctl import signals
from drctl.__main__ import main
from drctl.alone import NotAloneError, alone
from drctl.commands import status
from drctl.project import Project
from tests.examples import ROOT
from tests.unit.drctl.fake import FakeRegions, FakeStacks, checkout, drctl, outputs
from tests.unit.fakes import mark

COMMANDS = ("check", "status", "failover", "rejoin", "switchover", "hold", "release", "drill", "calendar", "report", "drift")
"""In the order of the runbook."""

CHANGE = {"failover", "rejoin", "switchover", "hold", "release", "drill", "report"}


@pytest.fixture
def stacks(tmp_path: Path) -> FakeStacks:
    return FakeStacks(
        project=Project(directory=checkout(tmp_path)),
        said={"primary": outputs("primary", serves=True), "secondary": outputs("secondary", serves=False)},
    )


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_fits_into_a_narrow_terminal_and_is_never_cut_off(command: str) -> None:
    shown = CliRunner().invoke(main, [*command.split(), "--help"], prog_name="python -m drctl", terminal_width=80).output
    assert [line for line in shown.splitlines() if len(line) > 80 or (line.endswith("...") and "[ARGS]" not in line)] == []


def test_the_help_has_the_commands_in_their_order_and_the_exit_codes() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    assert (
        tuple(re.findall(r"^  (\w+)  +\w", shown.partition("Commands:")[2].partition("Exit codes:")[0], re.MULTILINE)) == COMMANDS
    )
    listed = re.findall(r"^    (\d)  \w", shown, re.MULTILINE)
    in_the_docs = re.findall(r"^\| (\d) \|", (ROOT / "docs" / "drctl.md").read_text(), re.MULTILINE)
    assert listed == in_the_docs == [*"012345"]


def test_each_command_can_answer_a_program_and_each_that_changes_something_asks() -> None:
    taken = {name: {option for each in command.params for option in each.opts} for name, command in main.commands.items()}
    assert [name for name, options in taken.items() if "--json" not in options] == []
    assert {name for name, options in taken.items() if "--yes" in options} == CHANGE


def test_a_command_in_a_warning_can_be_copied_from_a_narrow_terminal(stacks: FakeStacks) -> None:
    far = " and ".join(["it is far away"] * 9)
    regions = FakeRegions()
    regions.archive.marked = mark(timedelta(hours=2))
    regions.clusters["primary"].error = ClusterUnreachableError("cluster prod-use1 does not answer: " + far)
    shown = drctl(stacks, "status", "--seconds", "5", regions=regions).stdout
    assert "kubectl logs -n k8s-dr -l app.kubernetes.io/name=freshness" in shown
    assert far in shown
    boxes = [line for line in shown.splitlines() if line[:1] in "┏┃┡│└"]
    assert boxes
    assert max(map(len, boxes)) <= 80


def test_a_log_says_what_is_waited_for_when_the_waiting_begins(stacks: FakeStacks) -> None:
    said = drctl(stacks, "status", "--seconds", "5", regions=FakeRegions()).stderr.splitlines()
    assert said == ["  both regions …", said[-1]]
    assert re.fullmatch(r"  both regions took \d+ s", said[-1])


def test_watching_ends_by_ctrl_c_with_the_code_of_the_last_look(stacks: FakeStacks, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(status, "time", type("Clock", (), {"sleep": staticmethod(sleep)}))
    ran = drctl(stacks, "status", "--watch", "--interval", "3", "--seconds", "5", regions=FakeRegions())
    assert (ran.exit_code, looks, ran.stdout.count("traffic flag")) == (4, [3, 3], 2)
    assert "Aborted" not in ran.output


def test_what_nobody_foresaw_is_a_line_and_its_trace_is_kept(
    stacks: FakeStacks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stacks.ups = [lambda _: {}["no such key"]]  # type: ignore[misc]
    ran = drctl(stacks, "failover", "--yes", "--json")
    assert ran.exit_code == 1
    says = json.loads(ran.stdout)["says"]
    assert says.startswith("drctl itself has failed (KeyError: 'no such key'); type the commands of docs/runbook.md")
    assert "Traceback" not in ran.output
    (kept,) = tmp_path.glob("drctl-*.txt")
    assert says.endswith(str(kept))
    assert "Traceback" in kept.read_text()


def test_it_is_a_line_on_a_full_disk_too(stacks: FakeStacks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    stacks.ups = [lambda _: {}["no such key"]]  # type: ignore[misc]
    ran = drctl(stacks, "failover", "--yes", "--json")
    says = json.loads(ran.stdout)["says"]
    assert (ran.exit_code, says.partition("; ")[0]) == (1, "drctl itself has failed (KeyError: 'no such key')")
    assert says.endswith("its trace could not be kept: No such file or directory")


def test_a_second_drctl_in_the_same_checkout_touches_nothing(stacks: FakeStacks) -> None:
    with alone(stacks.project.directory):
        ran = drctl(stacks, "switchover", "--to", "secondary", "--yes", "--json")
        assert drctl(stacks, "status", "--seconds", "5", regions=FakeRegions()).exit_code == 4, "whoever only looks may"
    assert ran.exit_code == 1
    assert json.loads(ran.stdout)["says"].startswith("another drctl that changes something runs in ")
    assert stacks.ran == []
    with alone(stacks.project.directory):
        pass


def test_a_drctl_that_was_killed_leaves_the_checkout_to_the_next(tmp_path: Path) -> None:
    program = f"import time; from pathlib import Path; from drctl.alone import alone\nwith alone(Path({str(tmp_path)!r})):\n"
    program += "    print('held', flush=True)\n    time.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(NotAloneError), alone(tmp_path):
            pass
        other.kill()
        other.wait()
        with alone(tmp_path):
            pass


def test_a_file_system_that_keeps_no_locks_keeps_nobody_from_a_failover(
    stacks: FakeStacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("drctl.alone.fcntl.flock", refuse)
    stacks.ups = [lambda stacks: stacks.said.update(secondary=outputs("secondary", serves=True))]
    assert drctl(stacks, "failover", "--yes").exit_code == 0
    assert stacks.ran[-1] == "up -s secondary"


PULUMI = """#!{python}
import signal, sys, time
from pathlib import Path
here = Path({here!r})
if sys.argv[1:] == ["version"]:
    print("v3.260.0")
    sys.exit()
def interrupted(*_):
    (here / "interrupted").touch()
    sys.exit(1)
signal.signal(signal.SIGINT, interrupted)
if "output" in sys.argv:
    print({said!r})
elif "up" in sys.argv:
    (here / "up").touch()
    time.sleep(60)
"""


@pytest.mark.parametrize("lists_children", [True, False])
def test_a_sigterm_interrupts_the_engine_as_ctrl_c_does(tmp_path: Path, lists_children: bool) -> None:
    """Whoever sends it to drctl alone would else leave an `up` that nobody watches."""
    (tmp_path / "project").mkdir()
    (tmp_path / "bin").mkdir()
    pulumi = tmp_path / "bin" / "pulumi"
    said = json.dumps(outputs("secondary", serves=False))
    pulumi.write_text(PULUMI.format(python=sys.executable, here=str(tmp_path), said=said))
    pulumi.chmod(0o755)
    program = "from drctl import signals\nfrom drctl.__main__ import run\n"
    program += "" if lists_children else "signals._LISTED = '/nowhere'\n"
    process = subprocess.Popen(
        [sys.executable, "-c", program + "run()", "failover", "--yes", "--directory", str(checkout(tmp_path / "project"))],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{pulumi.parent}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "up").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode not in (0, -signal.SIGTERM), said
    while not (tmp_path / "interrupted").exists():
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def test_children_are_found_in_each_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            assert child.pid in signals._children()
            monkeypatch.setattr(signals, "_LISTED", "/nowhere")
            assert child.pid in signals._children()
        finally:
            child.kill()


def test_a_thread_that_has_ended_since_it_was_listed_hides_no_child_of_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A directory cannot be read either."""
    (tmp_path / "1" / "children").mkdir(parents=True)
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "children").write_text("41 42 ")
    monkeypatch.setattr(signals, "_LISTED", str(tmp_path))
    assert signals._children() == [41, 42]
