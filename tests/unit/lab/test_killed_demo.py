"""`make demo` is killed without a chance to clean up. The next one ends what it left, keeps what took long, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from lab import __main__ as command_line
from lab import first_look
from lab.paths import LabPaths
from lab.processes import Daemon, start_time
from lab.regions import cgroups, layout, namespaces, ownership, preflight
from lab.regions.spec import PRIMARY, SECONDARY
from lab.waiting import until
from lab.world import Lab, LabError
from tests.examples import ROOT

DAEMONS = ("aws-endpoint", "s3-replicator", "name-server", "region-primary", "region-secondary")

# Stands for a demo whose regions are up: it claims the machine, and starts what the lab's own code starts, by the same code.
DEMO = """
import sys, time
from pathlib import Path
from lab.paths import LabPaths
from lab.processes import Daemon
from lab.regions import ownership

root, record = map(Path, sys.argv[1:3])
ownership.claim(root, record)
pids = [Daemon(LabPaths(root=root), name).start([sys.executable, "-c", "import signal; signal.pause()"]) for name in sys.argv[3:]]
print(*pids, flush=True)
time.sleep(600)
"""
# Stand for the kernel's network namespaces: a file each, and the processes in it beside that.
IP = """#!/bin/sh
[ "$1" = netns ] || exit 0
case "$2" in
  pids) while read -r pid; do ! grep -q '^State:[^Z]*$' "/proc/$pid/status" || echo "$pid"; done < "$NETNS/$3" ;;
  del) rm "$NETNS/$3" ;;
esac
"""
NSENTER = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


def runs(pid: int) -> bool:
    return start_time(pid) is not None


class Groups:
    """Stand for the kernel's control groups: the region's processes, by its group."""

    def __init__(self) -> None:
        self.groups = dict[str, list[int]]()

    def pids(self, name: str) -> list[int]:
        return [pid for pid in self.groups.get(name, []) if runs(pid)]

    def exists(self, name: str) -> bool:
        return name in self.groups

    def remove(self, name: str) -> None:
        until(f"{name} to be empty", lambda: not self.pids(name), timeout=10)
        self.groups.pop(name, None)


class Machine:
    """A machine on which a demo has run and was killed, with all that it had started."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths, self.record, self.netns = LabPaths(root=directory / ".lab"), directory / "record", directory / "netns"
        self.groups, self.left, self._patch = Groups(), dict[str, int](), monkeypatch
        self.netns.mkdir()
        (directory / "bin").mkdir()
        for name, script in (("ip", IP), ("nsenter", NSENTER)):
            (directory / "bin" / name).write_text(script)
            (directory / "bin" / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setenv("XDG_CACHE_HOME", str(directory / "cache"))
        monkeypatch.setenv("NETNS", str(self.netns))
        monkeypatch.setattr(namespaces, "DIRECTORY", self.netns)
        for function in (ownership.owner, ownership.claim, ownership.release, ownership.is_anothers):
            monkeypatch.setattr(function, "__defaults__", (self.record,))
        monkeypatch.setattr(cgroups, "current", lambda: self.groups)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        monkeypatch.setattr(preflight, "obstacles", list)
        monkeypatch.setattr(first_look, "show", lambda _: None)
        monkeypatch.setattr(command_line, "Lab", partial(Lab, paths=self.paths))
        monkeypatch.setattr(Lab, "set_up", lambda _: None)

    def demo_is_killed(self) -> None:
        command = [sys.executable, "-c", DEMO, str(self.paths.root), str(self.record), *DAEMONS]
        self.paths.make()
        demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert demo.stdout is not None
        self.left = dict(zip(DAEMONS, map(int, demo.stdout.readline().split()), strict=True))
        for name in namespaces.NAMESPACES:
            (self.netns / name).write_text("")
        for spec in (PRIMARY, SECONDARY):
            pid = self.left[f"region-{spec.name}"]
            (self.netns / spec.namespace).write_text(f"{pid}\n")
            self.groups.groups[spec.namespace] = [pid]
        (self.netns / namespaces.WAN).write_text("".join(f"{self.left[name]}\n" for name in DAEMONS[:3]))
        for path in (self.paths.project, self.on_disk(layout.ETCD), self.on_disk(layout.CONTAINERD)):
            path.mkdir(parents=True, exist_ok=True)
            (path / "of the last demo").touch()
        demo.kill()
        demo.wait()
        demo.stdout.close()
        assert all(map(runs, self.left.values())), "the lab outlives its demo"

    def on_disk(self, path: Path) -> Path:
        return layout.on_disk(self.paths.regions / PRIMARY.name, path)

    def next_demo(self) -> list[str]:
        """Run `python -m lab demo` up to the start of the regions, and return what of the last one is there then."""
        found: list[str] = []

        def up(lab: Lab, *, fresh: bool) -> None:
            assert fresh
            found.extend(name for name, pid in self.left.items() if runs(pid))
            found.extend(namespaces.present())
            found.extend(self.groups.groups)
            found.extend(str(path.parent.name) for path in self.paths.root.rglob("of the last demo"))
            ownership.claim(lab.paths.root)
            raise LabError("the regions would start now")

        self._patch.setattr(Lab, "up", up)
        self._patch.setattr(sys, "argv", ["lab", "demo"])
        assert command_line.main() == 1
        return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    if sys.platform != "linux":
        pytest.skip("the lab runs on Linux alone")
    machine = Machine(tmp_path, monkeypatch)
    yield machine
    for pid in machine.left.values():
        if runs(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_the_next_demo_ends_all_of_it_and_keeps_the_images_that_the_regions_have(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.demo_is_killed()
    assert machine.next_demo() == [layout.CONTAINERD.name]
    told = capsys.readouterr()
    assert "A lab of this checkout is running; it is taken down first." in told.out
    assert told.err == "✗ the regions would start now\n", "nothing else is in its way"
    assert ownership.owner() is None


@pytest.mark.parametrize("written", [None, "", "12"], ids=["never written", "empty", "half a line"])
def test_a_process_whose_id_was_not_written_down_when_the_kill_came_is_found_too(written: str | None, machine: Machine) -> None:
    machine.demo_is_killed()
    for name in ("s3-replicator", "region-secondary"):
        file = machine.paths.run / f"{name}.pid"
        assert Daemon(machine.paths, name).pid == machine.left[name]
        file.unlink() if written is None else file.write_text(written)
    assert machine.next_demo() == [layout.CONTAINERD.name]


def test_a_demo_that_was_killed_while_it_took_down_the_last_one_is_no_obstacle_either(machine: Machine) -> None:
    machine.demo_is_killed()
    (machine.netns / namespaces.OPS).unlink()
    (machine.netns / SECONDARY.namespace).unlink()
    os.kill(machine.left["aws-endpoint"], signal.SIGKILL)
    assert machine.next_demo() == [layout.CONTAINERD.name]


def test_the_demo_of_another_checkout_is_told_where_to_stop_it_and_ends_nothing(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.demo_is_killed()
    other = LabPaths(root=tmp_path / "other" / ".lab")
    other.make()
    monkeypatch.setattr(command_line, "Lab", partial(Lab, paths=other))
    assert set(machine.left) <= set(machine.next_demo())
    assert f"another lab is up on this machine, in {machine.paths.root}: stop it first" in capsys.readouterr().err
    assert all(map(runs, machine.left.values()))
