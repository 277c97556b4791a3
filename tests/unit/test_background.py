"""What may wait gets a control group with little weight, where this machine has them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.background import background


def first(root: Path) -> Path:
    (root / "cpu").mkdir()
    (root / "cpu" / "cpu.shares").write_text("1024")
    return root / "cpu"


def second(root: Path) -> Path:
    (root / "cgroup.subtree_control").write_text("memory cpu")
    return root


@pytest.mark.parametrize(("version", "file", "weight"), [(first, "cpu.shares", 256), (second, "cpu.weight", 25)])
def test_a_group_of_its_own_has_little_weight_whichever_version_the_machine_has(
    version: Callable[[Path], Path], file: str, weight: int, tmp_path: Path
) -> None:
    group = version(tmp_path) / f"k8s-dr-tests-{os.getpid()}"
    with background(123, tmp_path) as possible:
        assert possible
        assert int((group / file).read_text()) == weight
        assert (group / "cgroup.procs").read_text() == "123"
        for each in group.iterdir():
            each.unlink()  # the kernel's directories are empty for rmdir
    assert not group.exists()


def test_without_control_groups_or_their_cpu_nothing_is_done(tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").write_text("memory")
    with background(123, tmp_path) as possible:
        assert not possible
    assert [each.name for each in tmp_path.iterdir()] == ["cgroup.subtree_control"]


def test_a_process_is_moved_where_this_machine_lets_it() -> None:
    with background(os.getpid()) as possible:
        groups = Path("/proc/self/cgroup").read_text()
        assert (f"k8s-dr-tests-{os.getpid()}" in groups) == possible
        for root in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")):
            if possible and (root / f"k8s-dr-tests-{os.getpid()}").exists():
                (root / "cgroup.procs").write_text(str(os.getpid()))
    assert not Path(f"/sys/fs/cgroup/cpu/k8s-dr-tests-{os.getpid()}").exists()
