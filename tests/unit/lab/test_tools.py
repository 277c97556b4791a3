"""Tools are built once, completely or not at all, and not where the machine has the right one already."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from lab import packages
from lab.packages import Package, PackagesError
from lab.processes import start_time
from lab.tools import go, installed, room, toolbox
from lab.tools.go import ToolError
from lab.tools.groups import Group, Program, SharedFile
from lab.tools.installed import Probe

GO = shutil.which("go")

# Stands for the Go compiler: names two packages, and writes what it is asked to build. SCRIPT is what a test adds before that.
FAKE_GO = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$1" in
env) echo go1.26.8; exit ;;
list) [ "$2" = -m ] && { echo "$MODULES"; exit; }; printf 'runtime\\nlab/hello\\n'; exit ;;
esac
while [ "$1" != -o ]; do shift; done
echo runtime
mkdir -p "$GOCACHE" "$GOMODCACHE" && touch "$GOCACHE/object"
printf half > "$2"
SCRIPT
printf whole > "$2"
"""


@pytest.fixture
def hello(tmp_path: Path) -> Group:
    module = tmp_path / "hello"
    module.mkdir()
    (module / "go.mod").write_text("module lab/hello\n\ngo 1.26\n")
    (module / "main.go").write_text('package main\n\nvar version = "none"\n\nfunc main() { println("hello", version) }\n')
    program = Program(package=".", name="hello", links=("hallo",), variables=("main.version=v1",))
    return Group(name="hello", module=module, programs=(program,), cold_seconds=5)


class Machine:
    """A PATH of its own, a cache of its own, and what was called and said."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin, self.calls, self.said = root / "bin", root / "calls", list[str]()
        self.cache = root / "cache" / "k8s-dr" / "tools"
        self.bin.mkdir()
        monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")
        monkeypatch.setenv("CALLS", str(self.calls))
        monkeypatch.setenv("MODULES", str(root / "modules"))
        for name in ("GOCACHE", "GOMODCACHE"):
            monkeypatch.delenv(name, raising=False)

    def put(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(script)
        path.chmod(0o755)

    def put_go(self, script: str = "") -> None:
        self.put("go", FAKE_GO.replace("SCRIPT", script))

    def builds(self) -> int:
        return sum(line.startswith("build ") for line in self.calls.read_text().splitlines())

    def ensure(self, group: Group) -> toolbox.Toolbox:
        return toolbox.ensure([group.name], table={group.name: group}, say=self.said.append)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_real_go_builds_a_group_that_runs_under_its_links_with_its_version(hello: Group, machine: Machine) -> None:
    if GO is None:
        pytest.skip("no Go on this machine")
    (machine.bin / "go").symlink_to(GO)
    path = machine.ensure(hello).path("hallo")
    assert path.is_absolute()
    assert subprocess.run([path], capture_output=True, text=True, check=True).stderr == "hello v1\n"


def test_a_second_request_builds_nothing(hello: Group, machine: Machine) -> None:
    machine.put_go()
    first = machine.ensure(hello)
    second = machine.ensure(hello)
    assert first == second
    assert first.path("hallo").read_text() == "whole"
    assert machine.builds() == 1


def test_the_key_follows_everything_that_changes_the_programs(hello: Group) -> None:
    program = hello.programs[0]
    keys = {hello.key}
    keys.add(dataclasses.replace(hello, programs=(dataclasses.replace(program, variables=("main.version=v2",)),)).key)
    keys.add(dataclasses.replace(hello, programs=(dataclasses.replace(program, links=("bonjour",)),)).key)
    for name in ("go.sum", "more.go", "below/deeper.go"):
        (hello.module / name).parent.mkdir(exist_ok=True)
        (hello.module / name).write_text("// new\n")
        keys.add(hello.key)
    assert len(keys) == 6


def test_the_key_does_not_follow_other_files(hello: Group) -> None:
    before = hello.key
    (hello.module / "README.md").write_text("words")
    assert hello.key == before


@pytest.fixture
def with_file(hello: Group, tmp_path: Path) -> Group:
    """The group, with a file kept of a module that the stand-in for Go finds in `modules`."""
    (tmp_path / "modules" / "config").mkdir(parents=True)
    (tmp_path / "modules" / "config" / "manifest.yaml").write_text("kind: Example\n")
    (tmp_path / "modules" / "config" / "manifest.yaml").chmod(0o444)
    file = SharedFile(module="example.org/it", path="config/manifest.yaml", name="it.yaml")
    return dataclasses.replace(hello, files=(file,))


def test_files_of_modules_are_kept_when_the_modules_are_dropped(with_file: Group, machine: Machine, tmp_path: Path) -> None:
    machine.put_go()
    found = machine.ensure(with_file)
    shutil.rmtree(tmp_path / "modules")
    assert found.files["it.yaml"].read_text() == "kind: Example\n"
    assert os.access(found.files["it.yaml"], os.W_OK)
    assert found.files["it.yaml"].parent == toolbox.directory(with_file).parent / "share"
    assert "list -m -f {{.Dir}} example.org/it" in machine.calls.read_text()


def test_files_of_modules_are_kept_even_if_every_tool_is_on_path(with_file: Group, machine: Machine, echo: Path) -> None:
    machine.put_go()
    found = machine.ensure(with_file)
    assert found.path("hallo") == echo
    assert found.files["it.yaml"].is_file()


def test_a_file_that_a_module_does_not_have_is_named(with_file: Group, machine: Machine) -> None:
    machine.put_go()
    (file,) = with_file.files
    group = dataclasses.replace(with_file, files=(dataclasses.replace(file, path="moved.yaml"),))
    with pytest.raises(ToolError, match=r"building hello failed: no moved\.yaml in example\.org/it: there is no such file"):
        machine.ensure(group)
    assert not toolbox.directory(group).exists()


def test_the_key_follows_the_files_kept_of_modules(with_file: Group, hello: Group) -> None:
    (file,) = with_file.files
    renamed = dataclasses.replace(with_file, files=(dataclasses.replace(file, name="other.yaml"),))
    assert len({hello.key, with_file.key, renamed.key}) == 3


def test_a_new_version_is_built_beside_the_old_one(hello: Group, machine: Machine) -> None:
    machine.put_go()
    old = machine.ensure(hello).path("hallo")
    (hello.module / "go.sum").write_text("new")
    new = machine.ensure(hello).path("hallo")
    assert old != new
    assert old.exists()


def test_a_build_that_fails_half_way_leaves_no_tool_and_says_why(hello: Group, machine: Machine) -> None:
    machine.put_go("echo 'main.go:3:1: no such thing' >&2; exit 1")
    with pytest.raises(ToolError, match=r"building hello failed while compiling hello: main.go:3:1: no such thing; .*hello.log"):
        machine.ensure(hello)
    assert not toolbox.directory(hello).exists()
    assert not (machine.cache / ".building").exists()
    machine.put_go()
    assert machine.ensure(hello).path("hallo").read_text() == "whole"


def test_what_a_killed_build_left_is_never_taken_for_a_tool(hello: Group, machine: Machine) -> None:
    left = machine.cache / ".building" / "hello" / "bin"
    left.mkdir(parents=True)
    (left / "hallo").write_text("half")
    machine.put_go()
    assert machine.ensure(hello).path("hallo").read_text() == "whole"
    assert not (machine.cache / ".building").exists()


def test_an_interrupt_ends_the_compiler_and_leaves_nothing_half_made(
    hello: Group, machine: Machine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    machine.put_go(f"echo $$ > {tmp_path}/pid; kill -INT {os.getpid()}; exec sleep 60")
    # A shell that starts the tests in the background has them ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with pytest.raises(KeyboardInterrupt):
        machine.ensure(hello)
    assert start_time(int((tmp_path / "pid").read_text())) is None
    assert not toolbox.directory(hello).exists()
    assert not (machine.cache / ".building").exists()
    goes_on_from_what_is_compiled(hello, machine)


def goes_on_from_what_is_compiled(hello: Group, machine: Machine) -> None:
    """The next build finds what Go has compiled. After that build, Go's caches are gone."""
    machine.put_go('test -f "$GOCACHE/compiled-before" || { echo "began anew" >&2; exit 1; }')
    (machine.cache / toolbox.CACHES / "build" / "object").rename(machine.cache / toolbox.CACHES / "build" / "compiled-before")
    assert machine.ensure(hello).path("hallo").read_text() == "whole"
    assert not (machine.cache / toolbox.CACHES).exists()


@pytest.mark.parametrize(
    "complaint",
    [
        "go: example.org/it@v1.0.0: reading https://proxy.example.org/it/@v/v1.0.0.zip: 403 Forbidden",
        "go: example.org/it@v1.0.0: dial tcp: lookup proxy.example.org: Temporary failure in name resolution",
        "write $WORK/b001/_pkg_.a: no space left on device",
    ],
    ids=["a registry that refuses", "no network", "a full disk"],
)
def test_a_build_that_the_world_stops_says_why_and_the_next_one_goes_on(complaint: str, hello: Group, machine: Machine) -> None:
    machine.put_go(f"echo '{complaint}' >&2; exit 1")
    with pytest.raises(ToolError) as stopped:
        machine.ensure(hello)
    assert complaint in str(stopped.value)
    assert str(machine.cache / toolbox.CACHES) in machine.said[-1]
    assert "the next run goes on from there" in machine.said[-1]
    goes_on_from_what_is_compiled(hello, machine)


def test_a_build_that_was_killed_goes_on_from_what_is_compiled(hello: Group, machine: Machine) -> None:
    compiled = machine.cache / toolbox.CACHES / "build" / "object"
    compiled.parent.mkdir(parents=True)
    compiled.touch()
    goes_on_from_what_is_compiled(hello, machine)


def test_a_disk_without_room_is_named_before_anything_is_built(
    hello: Group, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.put_go()
    group = dataclasses.replace(hello, build_gigabytes=3)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, 2 * 10**9))  # type: ignore[attr-defined]
    with pytest.raises(ToolError, match=rf"needs about 3 GB in {machine.cache} .* 2\.0 GB are free .* set XDG_CACHE_HOME"):
        machine.ensure(group)
    assert machine.builds() == 0
    machine.ensure(dataclasses.replace(hello, build_gigabytes=1.5))
    assert machine.builds() == 1


def test_what_an_earlier_build_left_counts_as_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, 0))  # type: ignore[attr-defined]
    left = tmp_path / "left"
    left.mkdir()
    (left / "object").write_bytes(bytes(2_000_000))
    room.check(left, 0.002)
    with pytest.raises(ToolError, match="0 GB in"):
        room.check(left, 0.003)


def test_caches_of_go_are_dropped_after_the_build(hello: Group, machine: Machine) -> None:
    machine.put_go(f'echo "$GOCACHE" > {machine.bin}/used; test -f "$GOCACHE/object" || exit 1')
    machine.ensure(hello)
    used = Path((machine.bin / "used").read_text().strip())
    assert used.is_relative_to(machine.cache)
    assert not used.exists()


def test_caches_that_the_user_names_are_used_and_kept(
    hello: Group, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOCACHE", str(tmp_path / "users"))
    machine.put_go()
    machine.ensure(hello)
    assert (tmp_path / "users" / "object").exists()


def test_of_two_checkouts_the_second_waits_and_takes_what_the_first_built(hello: Group, machine: Machine) -> None:
    machine.put_go()
    machine.cache.mkdir(parents=True)
    with (machine.cache / ".lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)

        def say(text: str) -> None:
            assert "another checkout" in text
            toolbox.directory(hello).mkdir(parents=True)
            fcntl.flock(first, fcntl.LOCK_UN)

        toolbox.ensure(["hello"], table={"hello": hello}, say=say)
    assert machine.builds() == 0


def test_a_long_build_says_what_it_does_and_how_long_it_will_take(
    hello: Group, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(go, "HEARTBEAT", 0.02)
    machine.put_go(f"while [ ! -e {tmp_path}/heard ]; do sleep 0.02; done")

    def say(text: str) -> None:
        machine.said.append(text)
        if "compiling hello, 1 of 2 packages" in text:
            (tmp_path / "heard").touch()

    toolbox.ensure(["hello"], table={"hello": hello}, say=say)
    assert any(
        re.fullmatch(r" +hello: compiling hello, 1 of 2 packages, \d+ s so far, about \d+ s left", text) for text in machine.said
    )


@pytest.mark.parametrize(
    ("elapsed", "done", "total", "left"),
    [
        (0, 0, 0, 180),  # nothing is known yet: the measured figure
        (30, 5, 100, 150),
        (60, 25, 100, 180),  # a slower machine than the one measured
        (500, 5, 100, 0),
        (100, 100, 100, 0),
    ],
)
def test_the_time_left_follows_the_machine_once_it_has_shown_its_pace(elapsed: float, done: int, total: int, left: float) -> None:
    assert go.seconds_left(180, elapsed, done, total) == left


@pytest.mark.parametrize("version", ["1.19.8", "1.26", "1.26.5"])
def test_a_go_that_is_too_old_is_named_with_what_to_do(hello: Group, machine: Machine, version: str) -> None:
    machine.put("go", f"#!/bin/sh\necho go{version}\n")
    with pytest.raises(ToolError, match=rf"go is go{re.escape(version)}, too old .*install Go 1\.26\.6 or newer"):
        machine.ensure(hello)


def test_a_go_that_does_not_run_is_not_called_too_old(hello: Group, machine: Machine) -> None:
    machine.put("go", "#!/bin/sh\necho 'go: cannot find GOROOT directory' >&2; exit 2\n")
    with pytest.raises(ToolError, match=r"go does not say its version: go: cannot find GOROOT directory; install Go 1\.26\.6"):
        machine.ensure(hello)


def test_a_missing_go_is_named_with_what_to_do(hello: Group, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine.bin))
    with pytest.raises(ToolError, match=r"Go is not on PATH, .* still to be built with it: hello; install Go 1\.26\.6 or newer"):
        machine.ensure(hello)


def test_a_group_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ToolError, match="no such group of tools: regoin; there are pulumi, region"):
        toolbox.ensure(["regoin"])


@pytest.fixture
def echo(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program on PATH called hallo, which says the version it is asked with."""
    shutil.copy("/bin/echo", machine.bin / "hallo")
    monkeypatch.setattr(installed, "PROBES", {"hallo": Probe(arguments=("v1.2.3",), answer=r"v1\.2\.3")})
    return machine.bin / "hallo"


def test_a_tool_of_the_right_version_on_path_is_used_and_nothing_is_built(hello: Group, machine: Machine, echo: Path) -> None:
    found = machine.ensure(hello)
    assert found.path("hallo") == echo
    assert found.search_path.split(":")[0] == str(machine.bin)
    assert not toolbox.directory(hello).exists()


def test_a_tool_of_another_version_on_path_is_not_used(
    hello: Group, machine: Machine, echo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "PROBES", {"hallo": Probe(arguments=("v1.2.3",), answer=r"v1\.2\.4")})
    machine.put_go()
    found = machine.ensure(hello)
    assert found.path("hallo") == toolbox.directory(hello) / "hallo"
    assert found.search_path.split(":") == [str(toolbox.directory(hello))]


@pytest.mark.parametrize(
    ("said", "right"),
    [("v1.2.3", True), ("v1.10.0", True), ("v1.2.2", False), ("v2.0.0", False), ("v1.2.4-dev", False), ("none", False)],
)
def test_a_tool_of_a_newer_minor_version_is_used_if_its_probe_says_so(said: str, right: bool) -> None:
    probe = Probe(arguments=(), answer=installed.PROBES["pulumi"].answer, at_least="v1.2.3")
    assert probe.accepts(f"{said}\n") is right


def test_a_script_on_path_is_not_used_since_it_may_be_the_labs_own_wrapper(hello: Group, machine: Machine, echo: Path) -> None:
    echo.unlink()
    machine.put("hallo", "#!/bin/sh\necho v1.2.3\n")
    assert installed.find("hallo") is None


@pytest.fixture
def one_package(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Package:
    package = Package(name="containerd", programs=("a-container-runtime",))
    monkeypatch.setattr(packages, "PACKAGES", (package,))
    monkeypatch.setattr(packages, "SYSTEMD", machine.bin / "no-systemd")
    return package


def put_apt(machine: Machine, script: str) -> None:
    note = f'echo "apt-get $1" >> "$CALLS"\necho "$@" >> {machine.bin}/options'
    machine.put("apt-get", f'#!/bin/sh\n{note}\n[ "$1" = update ] || {{ {script}; }}\n')


INSTALL = 'printf "#!/bin/sh\\n" > {bin}/a-container-runtime; chmod +x {bin}/a-container-runtime'


def test_a_missing_package_is_named_with_its_command_where_it_cannot_be_installed(
    one_package: Package, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(
        PackagesError, match=r"not installed: containerd; run `sudo apt-get update && sudo apt-get install .*containerd`"
    ):
        packages.ensure()


def test_a_missing_package_is_installed_as_root(one_package: Package, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    put_apt(machine, INSTALL.format(bin=machine.bin))
    packages.ensure()
    assert packages.missing() == []
    assert "--no-remove" in (machine.bin / "options").read_text()
    assert machine.calls.read_text().split("\n")[:-1] == ["apt-get update", "apt-get install"]
    packages.ensure()
    assert len(machine.calls.read_text().splitlines()) == 2


def test_an_installation_that_fails_says_why(one_package: Package, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    put_apt(machine, "echo 'E: Unable to locate package containerd' >&2; exit 100")
    with pytest.raises(PackagesError, match="E: Unable to locate package containerd; repair apt-get on this machine"):
        packages.ensure()


def test_an_installation_after_which_a_program_is_still_missing_does_not_advise_the_same_again(
    one_package: Package, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    put_apt(machine, "true")
    with pytest.raises(PackagesError, match=r"packages are missing: containerd$"):
        packages.ensure()


def test_the_systems_own_containerd_is_not_started_by_its_installation(
    one_package: Package, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages, "SYSTEMD", machine.bin)
    machine.put("systemctl", '#!/bin/sh\necho "systemctl $@" >> "$CALLS"\n')
    put_apt(machine, INSTALL.format(bin=machine.bin))
    packages.ensure()
    assert machine.calls.read_text().splitlines() == [
        "systemctl mask --runtime containerd.service",
        "apt-get update",
        "apt-get install",
        "systemctl unmask --runtime containerd.service",
        "systemctl disable containerd.service",
    ]
