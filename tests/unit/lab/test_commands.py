"""A command of the lab asks for what it needs and for nothing else; what is missing is one line with the fix."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import __main__ as command_line
from lab import engine, packages, rehearsal, world
from lab.cloud.cloud import Cloud
from lab.engine import Engine
from lab.paths import LabPaths
from lab.processes import Daemon
from lab.regions import cgroups, commands, namespaces, network, ownership, preflight
from lab.regions.commands import RegionError
from lab.regions.region import Region
from lab.tools import __main__ as tools_command
from lab.tools import toolbox
from lab.world import Lab
from tests.examples import ROOT

DAEMONS = ("aws-endpoint", "s3-replicator", "name-server")
NOT_UP = "✗ the lab of this checkout is not up; start it with: make lab\n"
OF_ROOT = '✗ the lab of this checkout was started by root: run it with sudo env PATH="$PATH"\n'
WITHOUT_GO = "Go is not on PATH, and these tools are still to be built with it: pulumi"


class Machine:
    """A machine without Go, built tools or a lab; `root` is the state of its one checkout."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self._patch = directory / ".lab", monkeypatch
        self.paths = LabPaths(root=self.root)
        (directory / "bin").mkdir()
        monkeypatch.setenv("PATH", str(directory / "bin"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(directory / "cache"))
        monkeypatch.delenv("LAB_ENGINE", raising=False)
        monkeypatch.setattr(command_line, "Lab", partial(Lab, paths=self.paths))
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        monkeypatch.setattr(cgroups, "current", lambda: cgroups.CgroupsV2(directory / "cgroups"))
        monkeypatch.setattr(preflight, "obstacles", lambda: ["something that the lab needs is not here"])
        self.be(0)
        self.has_lab(up=False)

    def be(self, user: int) -> None:
        self._patch.setattr(os, "geteuid", lambda: user)

    def has_lab(self, *, up: bool) -> None:
        for module in (namespaces, network):
            self._patch.setattr(module, "present", lambda: list(namespaces.NAMESPACES) if up else [])
        self._patch.setattr(network, "processes", dict)
        self._patch.setattr(ownership, "owner", lambda *_: self.root if up else None)

    def has_cloud(self) -> None:
        self._patch.setattr(Cloud, "running", True)

    def has_engine(self) -> Engine:
        """As a lab that was started has it; its CLI is no program."""
        self.paths.make()
        pulumi = self.root / "engine" / "bin" / "pulumi"
        pulumi.parent.mkdir(parents=True)
        pulumi.touch()
        made = Engine(pulumi=pulumi, cli="real v1", language_host="stand-in", kubernetes="x", aws="y", home=self.root / "home")
        record = {**vars(made), "pulumi": str(pulumi), "home": str(made.home)}
        engine.record(self.root / "engine").write_text(json.dumps(record))
        return made

    def run(self, *arguments: str) -> int:
        self._patch.setattr(sys, "argv", ["lab", *arguments])
        return command_line.main()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


as_anybody = pytest.mark.parametrize("user", [0, 1000], ids=["root", "user"])


@as_anybody
@pytest.mark.parametrize("command", ["status", "down", "logs"])
def test_what_only_looks_or_stops_needs_neither_go_nor_tools_nor_root(
    command: str, user: int, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.be(user)
    assert machine.run(command) == 0
    assert capsys.readouterr().err == ""


def test_the_status_says_what_is_there_and_what_is_not(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine.run("status") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["engine"] == {"cli": "not built: make tools"}
    assert said["regions"] == {"primary": "down", "secondary": "down"}
    assert said["aws"] == "down"
    groups = {"pulumi", "region", "storage", "velero", "velero-restore-helper", "images", "application", "cnpg"}
    assert set(said["tools"]) == groups
    assert all(place.startswith("to be built (make tools)") for place in said["tools"].values())
    built = toolbox.directory(toolbox.GROUPS["region"])
    built.mkdir(parents=True)
    assert machine.run("status") == 0
    assert json.loads(capsys.readouterr().out)["tools"]["region"] == str(built)


def test_the_status_of_an_engine_that_cannot_be_had_says_why(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_ENGINE", "unreal")
    pulumi = toolbox.directory(toolbox.GROUPS["pulumi"]) / "pulumi"
    pulumi.parent.mkdir(parents=True)
    pulumi.write_text("#!/bin/sh\necho v3.260.0\n")
    pulumi.chmod(0o755)
    assert machine.run("status") == 0
    assert "set it to real or standin" in json.loads(capsys.readouterr().out)["engine"]["error"]


@as_anybody
@pytest.mark.parametrize("command", [["kill", "primary"], ["heal", "primary"], ["dig"], ["env"]], ids=lambda command: command[0])
def test_what_needs_a_running_lab_says_that_there_is_none_and_builds_nothing(
    command: list[str], user: int, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.be(user)
    assert machine.run(*command) == 1
    assert capsys.readouterr() == ("", NOT_UP)


@pytest.mark.parametrize("command", [["kill", "primary"], ["heal", "primary"], ["dig"], ["down"]], ids=lambda command: command[0])
def test_what_a_running_lab_needs_root_for_says_so_to_another_user(
    command: list[str], machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.has_lab(up=True)
    machine.be(1000)
    assert machine.run(*command) == 1
    assert capsys.readouterr() == ("", OF_ROOT)


def test_a_region_is_killed_without_tools(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has_lab(up=True)
    killed: list[str] = []
    monkeypatch.setattr(Cloud, "black_hole", lambda _, region: killed.append(region))
    monkeypatch.setattr(Region, "kill", lambda region: killed.append(region.spec.name))
    assert machine.run("kill", "primary") == 0
    assert killed == ["us-east-1", "primary"]


def test_a_region_that_comes_back_needs_its_own_tools_and_no_others(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def ensure(groups: Any) -> toolbox.Toolbox:
        asked.append(groups)
        return toolbox.Toolbox(built={tool: Path("/", tool) for tool in world.layout.TOOLS}, on_path={})

    monkeypatch.setattr(toolbox, "ensure", ensure)
    region = Lab(paths=machine.paths).region("primary")
    assert not region.alive
    assert asked == []
    assert region._boot().tools["etcd"] == "/etcd"
    assert asked == [["region"]]


@as_anybody
def test_down_ends_what_a_rehearsal_left_on_a_machine_that_cannot_hold_the_lab(user: int, machine: Machine) -> None:
    machine.be(user)
    daemons = [Daemon(machine.paths, name) for name in DAEMONS]
    for daemon in daemons:
        daemon.start([sys.executable, "-c", "import signal; signal.pause()"])
    assert machine.run("down") == 0
    assert [daemon.pid for daemon in daemons] == [None, None, None]


def test_down_needs_no_cgroups_where_nothing_runs(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> cgroups.Cgroups:
        raise cgroups.RegionError("no cgroups are mounted")

    monkeypatch.setattr(cgroups, "current", none)
    assert machine.run("down") == 0


def test_down_leaves_another_checkouts_lab_alone_and_says_whose_it_is(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.has_lab(up=True)
    (tmp_path / "other" / ".lab").mkdir(parents=True)
    monkeypatch.setattr(ownership, "owner", lambda *_: tmp_path / "other" / ".lab")
    assert machine.run("down") == 0
    assert f"belongs to {tmp_path / 'other'}: make down there stops it" in capsys.readouterr().out


def test_where_no_lab_ever_ran_its_end_writes_nothing(tmp_path: Path) -> None:
    ownership.release(tmp_path, tmp_path / "record")
    assert list(tmp_path.iterdir()) == []


def test_env_prints_exports_and_nothing_else_for_a_shell_evaluates_it(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.has_lab(up=True)
    machine.has_cloud()
    machine.has_engine()
    assert machine.run("env") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert {line.partition(" ")[0] for line in out.splitlines()} == {"export"}
    assert f"export PULUMI_HOME={machine.root / 'home'}" in out.splitlines()


def test_the_engine_of_a_running_lab_is_not_laid_out_again(machine: Machine) -> None:
    """A `pulumi` may be running from there."""
    made = machine.has_engine()
    machine.has_cloud()
    assert Lab(paths=machine.paths).engine == made


@pytest.mark.parametrize(
    ("name", "why"), [("app.example.com", "timed out|unreachable|refused"), ("a" * 64 + ".com", "DNSLabelError|label")]
)
def test_a_name_server_that_does_not_answer_is_one_line(
    name: str, why: str, machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has_lab(up=True)
    monkeypatch.setattr(network, "inside", lambda _: [])
    monkeypatch.setattr(network, "WAN_ADDRESS", "127.0.0.1")
    assert machine.run("dig", name) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"✗ the name server does not answer for {name}: ")
    assert line.endswith("; see: python -m lab logs name-server")
    assert subprocess.run(["/bin/grep", "-qE", why], input=line, text=True, check=False).returncode == 0, line


def of_user(machine: Machine) -> None:
    machine.be(1000)


def capable(machine: Machine) -> None:
    """All is there that is not a tool."""
    machine._patch.setattr(preflight, "obstacles", list)
    machine._patch.setattr(packages, "ensure", lambda: None)


@pytest.mark.parametrize(
    ("command", "prepare"),
    [("rehearsal", of_user), ("demo", of_user), ("demo", capable), ("up", capable)],
    ids=["rehearsal", "demo-that-rehearses", "demo", "up"],
)
def test_what_needs_tools_names_them_and_the_go_that_builds_them_in_one_line(
    command: str, prepare: Callable[[Machine], None], machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(machine)
    assert machine.run(command) == 1
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith(f"✗ {WITHOUT_GO}")
    assert line.endswith("install Go 1.26.6 or newer (https://go.dev/dl) and put its bin directory on PATH")
    assert "everything stopped" not in out, "nothing was started"


def test_a_rehearsal_does_not_take_a_running_labs_aws_away(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.has_cloud()
    assert machine.run("rehearsal") == 1
    assert capsys.readouterr().err.endswith("is running, and a new one would stop its AWS; run: make down\n")


def test_a_file_of_another_user_is_one_line_with_what_to_do(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = machine.root / "run" / "name-server.pid"

    def refuse(_: object) -> int:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(rehearsal, "run", refuse)
    assert machine.run("rehearsal") == 1
    assert capsys.readouterr().err == (
        f"✗ {file}: Permission denied; another user ran the lab here: run this command as that user\n"
    )


def test_a_process_of_another_user_is_one_line_with_what_to_do(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = Daemon(machine.paths, DAEMONS[0])
    pid = daemon.start([sys.executable, "-c", "import signal; signal.pause()"])

    def refuse(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", refuse)
        assert machine.run("down") == 1
    daemon.stop()
    assert capsys.readouterr().err == (
        f"✗ {machine.root}/run/{DAEMONS[0]}.pid: process {pid}: Operation not permitted; another user ran the lab here: "
        "run this command as that user\n"
    )


def test_a_question_to_the_labs_aws_that_takes_too_long_is_one_line(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object) -> None:
        raise subprocess.TimeoutExpired("control", 30)

    machine.has_lab(up=True)
    monkeypatch.setattr(Cloud, "black_hole", hang)
    assert machine.run("kill", "primary") == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_a_rehearsal_left_running_is_not_taken_for_a_lab(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    machine.has_cloud()
    for name in ("set_up", "down", "forget", "deploy", "wait_backed_up", "say_how_to_use"):
        monkeypatch.setattr(Lab, name, lambda _, name=name: done.append(name))
    monkeypatch.setattr(Lab, "up", lambda _, fresh: done.append("up fresh" if fresh else "up"))
    assert machine.run("up") == 0
    assert done == ["set_up", "down", "forget", "up fresh", "deploy", "wait_backed_up", "say_how_to_use"]
    done.clear()
    machine.has_lab(up=True)
    assert machine.run("up") == 0
    assert done == ["set_up", "up", "say_how_to_use"]


def test_a_reader_who_has_gone_is_no_fault_and_what_was_begun_is_ended(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys\n"
        "from lab.console import say, step\n"
        "with step('a step'):\n"
        "    for number in range(10_000): say(str(number))\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
    )
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", program, str(tmp_path / "end")]
    ended = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "end").exists()


@pytest.mark.parametrize(("program", "advice"), [("nft", "nftables (make tools does, as root)"), ("nosuch", "that contains it")])
def test_a_missing_program_of_the_system_is_named_with_its_package(
    program: str, advice: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(commands, "environment", lambda: {"PATH": str(tmp_path)})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RegionError) as told:
        commands.attempt([program])
    assert str(told.value).startswith(f"the program {program} is not on this machine: ")
    assert str(told.value).endswith(advice)


def test_a_group_of_tools_that_does_not_exist_is_named_even_if_nothing_is_to_be_built(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        tools_command.main(["--check", "regoin"])
    assert "no such group of tools: regoin; there are pulumi, region" in capsys.readouterr().err


@pytest.mark.parametrize("left", ["", "abc def", "12"])
def test_half_a_file_that_a_kill_left_behind_stops_no_command(machine: Machine, left: str) -> None:
    file = machine.root / "run" / f"{DAEMONS[0]}.pid"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(left)
    assert Daemon(machine.paths, DAEMONS[0]).pid is None
    assert machine.run("down") == 0
