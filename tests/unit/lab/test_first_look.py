"""On a machine without tools, the rehearsal runs as soon as the Pulumi CLI is there, beside the build of the other tools."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import first_look, packages, rehearsal
from lab.paths import LabPaths
from lab.processes import start_time
from lab.tools import go, toolbox
from lab.tools.groups import GROUPS, LAB
from lab.waiting import until
from lab.world import Lab, LabError

Rehearsal = Callable[[], int]


class Machine:
    """A cache without tools, and a build and a rehearsal that a test scripts."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
        monkeypatch.setattr(Lab, "down", lambda _: None)
        monkeypatch.setattr(packages, "ensure", lambda: None)
        monkeypatch.setattr(go, "check", lambda _: None)
        self.lab, self.root, self._patch = Lab(paths=LabPaths(root=root / ".lab")), root, monkeypatch
        self.rehearsals = 0

    def build(self, script: str) -> None:
        """The build is this shell script. In it, `built NAME` makes a group."""
        named = "\n".join(f"{name}) mkdir -p {toolbox.directory(GROUPS[name])} ;;" for name in LAB)
        pulumi = toolbox.directory(GROUPS["pulumi"]) / "pulumi"
        function = f"built() {{ case $1 in\n{named}\nesac; [ $1 != pulumi ] || touch {pulumi}; }}\necho $$ > {self.root}/pid\n"
        self._patch.setattr(first_look, "BUILD", ("/bin/sh", "-c", function + script))

    def rehearse(self, what: Rehearsal) -> None:
        def run(_: LabPaths, **__: Any) -> int:
            self.rehearsals += 1
            return what()

        self._patch.setattr(rehearsal, "run", run)

    @property
    def build_runs(self) -> bool:
        return start_time(int((self.root / "pid").read_text())) is not None

    def show(self) -> None:
        first_look.show(self.lab)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(tmp_path, monkeypatch)
    found.rehearse(lambda: 0)
    return found


REST = "; ".join(f"built {name}" for name in LAB if name != "pulumi")


def test_the_rehearsal_runs_while_the_other_tools_are_being_built(machine: Machine) -> None:
    machine.build(f"built pulumi; while [ ! -e {machine.root}/rehearsed ]; do sleep 0.02; done; {REST}")

    def rehearse() -> int:
        assert machine.build_runs
        (machine.root / "rehearsed").touch()
        return 0

    machine.rehearse(rehearse)
    machine.show()
    assert machine.rehearsals == 1
    assert toolbox.missing(LAB) == [], "it returns when everything is there"
    assert machine.lab.setup_seconds > 0


def test_where_the_tools_are_there_nothing_is_built_and_nothing_is_rehearsed(machine: Machine) -> None:
    machine.build("built pulumi; " + REST)
    machine.show()
    machine.build("exit 1")
    machine.show()
    assert machine.rehearsals == 1


def test_where_little_is_missing_the_demo_does_not_wait_for_a_rehearsal(machine: Machine) -> None:
    machine.build("built pulumi; " + REST)
    machine.show()
    toolbox.directory(GROUPS["application"]).rmdir()
    machine.show()
    assert machine.rehearsals == 1


@pytest.mark.parametrize(("script", "rehearsals"), [("exit 1", 0), ("built pulumi; exit 1", 1)], ids=["the CLI", "another tool"])
def test_a_build_that_fails_is_an_error(script: str, rehearsals: int, machine: Machine) -> None:
    machine.build(script)
    with pytest.raises(LabError, match="could not be built; the reason is above"):
        machine.show()
    assert machine.rehearsals == rehearsals


def test_a_rehearsal_that_fails_ends_the_build_and_is_an_error(machine: Machine) -> None:
    machine.build("built pulumi; exec sleep 60")
    machine.rehearse(lambda: 1)
    with pytest.raises(LabError, match="the rehearsal failed"):
        machine.show()
    assert not machine.build_runs


def test_an_interrupt_ends_the_build_too(machine: Machine) -> None:
    machine.build("built pulumi; exec sleep 60")

    def interrupted() -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    machine.rehearse(interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            machine.show()
    finally:
        signal.signal(signal.SIGINT, before)
    until("the build to end", lambda: not machine.build_runs, timeout=10)
