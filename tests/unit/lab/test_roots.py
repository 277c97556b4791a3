"""Root file systems of images are made once, completely or not at all, from the machine's own mirror."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import re
import shutil
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from lab.tools import debian, pypi, roots
from lab.tools.go import ToolError
from lab.tools.roots import CLOUD_TOOLS, POSTGRESQL, Layer, Root

MIRROR = "http://mirror.example.org/debian/"
TARGETS = f"Shop|Shop|main|http://shop.example.org/\nDebian|Debian|contrib|http://no.example.org\nDebian|Debian|main|{MIRROR}\n"

# Stands for mmdebstrap: notes how it was called, and makes a tree. SCRIPT is what a test adds before that.
MMDEBSTRAP = """#!/bin/sh
echo "mmdebstrap $@" >> "$CALLS"
for argument; do case "$argument" in /*) tree=$argument ;; esac; done
mkdir -p "$tree/bin" "$tree/usr/share/doc/it" "$tree/etc/apt" "$tree/var/cache/apt"
SCRIPT
echo program > "$tree/bin/program" && chown 26:26 "$tree/bin/program" && chmod 4755 "$tree/bin/program"
ln "$tree/bin/program" "$tree/bin/twin" && ln -s program "$tree/bin/link"
echo words > "$tree/usr/share/doc/it/README"
echo "names the mirror" > "$tree/etc/apt/sources.list"
"""
HELLO = Root(name="hello", packages=("base-files", "hello"), proof=("/bin/program", "--version"))


class Machine:
    """Stand-ins for apt, mmdebstrap and chroot on PATH, and a cache of its own."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin, self.calls, self.said = root / "bin", root / "calls", list[str]()
        self.store = root / "cache" / "k8s-dr" / "images" / "roots"
        self.targets = root / "targets"
        self.bin.mkdir()
        self.targets.write_text(TARGETS)
        monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")
        monkeypatch.setenv("CALLS", str(self.calls))
        self.put("apt-get", f'#!/bin/sh\necho "apt-get $1" >> "$CALLS"\n[ "$1" != indextargets ] || cat {self.targets}\n')
        self.put("chroot", "#!/bin/sh\necho 'Program (of Debian) 1.2.3 (Debian 1.2.3-0+deb12u1)'\n")
        self.put_mmdebstrap()

    def put(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(script)
        path.chmod(0o755)

    def put_mmdebstrap(self, script: str = "") -> None:
        self.put("mmdebstrap", MMDEBSTRAP.replace("SCRIPT", script))

    def called(self, program: str) -> list[str]:
        return [line for line in self.calls.read_text().splitlines() if line.startswith(program)]

    def ensure(self, root: Root) -> Layer:
        return roots.ensure([root], say=self.said.append)[root.name]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    if os.geteuid() != 0:
        pytest.skip("owners of files can only be set by root")
    return Machine(tmp_path, monkeypatch)


def test_a_root_file_system_keeps_owners_modes_and_links_and_drops_documentation(machine: Machine) -> None:
    layer = machine.ensure(HELLO)
    assert layer.version == "1.2.3"
    with tarfile.open(layer.tar) as tar:
        files = {member.name.removeprefix("./"): member for member in tar.getmembers()}
    program = files["bin/program"]
    assert (program.mode, program.uid, program.gid, program.mtime) == (0o4755, 26, 26, 0)
    assert (files["bin/twin"].islnk(), files["bin/twin"].linkname.removeprefix("./")) == (True, "bin/program")
    assert (files["bin/link"].issym(), files["bin/link"].linkname) == (True, "program")
    assert not [name for name in files if name.startswith(("usr/share/doc", "etc/apt", "var/cache/apt"))]


def test_packages_come_from_the_mirror_that_apt_uses(machine: Machine) -> None:
    machine.ensure(HELLO)
    (call,) = machine.called("mmdebstrap")
    assert "--variant=extract --include=base-files,hello bookworm /" in call
    assert call.endswith(f"/hello {MIRROR}")
    assert machine.called("apt-get") == ["apt-get indextargets"]


def test_an_index_that_was_never_read_is_read_first(machine: Machine) -> None:
    machine.targets.write_text("")
    machine.put(
        "apt-get",
        f'#!/bin/sh\necho "apt-get $1" >> "$CALLS"\n'
        f"case $1 in update) echo 'Debian|Debian|main|{MIRROR}' > {machine.targets} ;; *) cat {machine.targets} ;; esac\n",
    )
    assert debian.mirror() == MIRROR
    assert machine.called("apt-get") == ["apt-get indextargets", "apt-get update", "apt-get indextargets"]


def test_a_relative_of_debian_leaves_the_choice_of_the_mirror_to_mmdebstrap(machine: Machine) -> None:
    machine.targets.write_text("Ubuntu|Ubuntu|main|http://ubuntu.example.org\n")
    machine.ensure(HELLO)
    (call,) = machine.called("mmdebstrap")
    assert call.endswith("/hello"), "no mirror is named: mmdebstrap knows Debian's own"


def test_a_machine_without_apt_is_told_so(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ToolError, match="made from Debian packages, and this machine has no apt-get"):
        machine.ensure(HELLO)


def test_a_second_request_makes_nothing(machine: Machine) -> None:
    assert machine.ensure(HELLO) == machine.ensure(HELLO)
    assert len(machine.called("mmdebstrap")) == 1


def test_a_root_file_system_that_fails_half_way_leaves_nothing_and_says_why(machine: Machine) -> None:
    machine.put_mmdebstrap("echo 'E: Unable to locate package hello' >&2; exit 1")
    with pytest.raises(
        ToolError, match=r"unpacking Debian packages for hello failed: E: Unable to locate package hello; .*command"
    ):
        machine.ensure(HELLO)
    assert list(machine.store.iterdir()) == [machine.store / ".lock"]
    machine.put_mmdebstrap()
    assert machine.ensure(HELLO).tar.is_file()


def test_a_root_file_system_whose_program_does_not_run_is_not_kept(machine: Machine) -> None:
    machine.put("chroot", "#!/bin/sh\necho 'libpq.so.5: cannot open shared object file' >&2; exit 127\n")
    with pytest.raises(ToolError, match=r"trying the root file system hello failed: libpq\.so\.5: cannot open"):
        machine.ensure(HELLO)
    assert list(machine.store.iterdir()) == [machine.store / ".lock"]


def test_a_missing_program_is_named_with_what_installs_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine.bin / "mmdebstrap").unlink()
    monkeypatch.setenv("PATH", str(machine.bin))
    with pytest.raises(ToolError, match=r"failed: .*'mmdebstrap'; `python -m lab\.tools` installs what is missing"):
        debian.run(["mmdebstrap"], "unpacking")


def test_a_program_that_is_there_and_does_not_start_is_not_called_missing(machine: Machine) -> None:
    (machine.bin / "mmdebstrap").chmod(0o644)
    with pytest.raises(ToolError, match=r"failed: .*Permission denied") as told:
        debian.run([str(machine.bin / "mmdebstrap")], "unpacking")
    assert "missing" not in str(told.value)


def test_of_two_checkouts_the_second_waits_and_takes_what_the_first_made(machine: Machine) -> None:
    machine.store.mkdir(parents=True)
    made = machine.store / f"{HELLO.name}-{HELLO.key}"
    with (machine.store / ".lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)

        def say(text: str) -> None:
            assert "another checkout is building root file systems of images" in text
            made.mkdir()
            (made / "version").write_text("9.9")
            fcntl.flock(first, fcntl.LOCK_UN)

        assert roots.ensure([HELLO], say=say)["hello"] == Layer(tar=made / "layer.tar", version="9.9")
    assert not machine.calls.exists()


def test_directories_that_are_not_named_go_but_files_beside_them_stay(machine: Machine) -> None:
    machine.put_mmdebstrap('mkdir -p "$tree/data/s3" "$tree/data/ec2" && touch "$tree/data/endpoints.json"')
    layer = machine.ensure(dataclasses.replace(HELLO, only={"data": ("s3",)}, unwanted=("bin/twi*",)))
    with tarfile.open(layer.tar) as tar:
        names = {name.removeprefix("./") for name in tar.getnames()}
    assert {"data/s3", "data/endpoints.json", "bin/program"} <= names
    assert names.isdisjoint({"data/ec2", "bin/twin"})


def test_the_key_follows_the_recipe_and_the_pinned_python_packages(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("it==1\n")
    first = dataclasses.replace(HELLO, requirements=requirements)
    keys = {HELLO.key, first.key}
    for changed in ({"packages": ("hello",)}, {"programs": {"it": "it:main"}}, {"unwanted": ("a",)}, {"only": {"a": ("b",)}}):
        keys.add(dataclasses.replace(first, **changed).key)
    requirements.write_text("it==2\n")
    keys.add(first.key)
    assert len(keys) == 7


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of a package called greeting, where pip looks and nowhere else."""
    path = tmp_path / "wheels" / "greeting-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("greeting.py", "def main():\n    return 7\n")
        archive.writestr("greeting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        archive.writestr("greeting-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("greeting-1.0.dist-info/entry_points.txt", "[console_scripts]\npips-own = greeting:main\n")
        archive.writestr("greeting-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


def test_python_packages_are_installed_with_programs_that_name_the_images_interpreter(wheel: Path, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"greeting==1.0 --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}\n")
    pypi.install(requirements, tmp_path / "root", {"greet": "greeting:main"})
    assert (tmp_path / "root/usr/local/lib/python3.11/dist-packages/greeting.py").is_file()
    (script,) = (tmp_path / "root/usr/local").glob("**/bin/*")
    assert script == tmp_path / "root/usr/local/bin/greet"
    assert script.read_text().splitlines() == [
        "#!/usr/bin/python3",
        "import sys",
        "from greeting import main",
        "sys.exit(main())",
    ]
    assert os.access(script, os.X_OK)


def test_a_python_package_of_another_hash_is_refused(wheel: Path, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"greeting==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ToolError, match="installing Python packages for root failed"):
        pypi.install(requirements, tmp_path / "root", {})


def test_every_python_package_of_an_image_is_pinned_by_hash_and_no_program_names_one_that_is_not() -> None:
    assert CLOUD_TOOLS.requirements is not None
    lines = CLOUD_TOOLS.requirements.read_text().splitlines()
    pinned = [match[1] for line in lines if (match := re.match(r"([a-z0-9-]+)==[\w.]+ \\$", line))]
    assert {"awscli", "barman", "boto3"} <= set(pinned)
    assert all(lines[number + 1].startswith("    --hash=sha256:") for number, line in enumerate(lines) if "==" in line)
    assert {module.partition(".")[0] for module in CLOUD_TOOLS.programs.values()} <= {"awscli", *pinned}
    assert POSTGRESQL.requirements is None
