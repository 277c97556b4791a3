"""Control groups of a region, in both of the kernel's versions, behind one small interface.

A region has a group named like its network namespace: its daemons are in `<group>/sys`, and kubelet makes `<group>/kubepods`
beside it. The group lies at the top of the hierarchy that this process sees: inside a container that is the delegated one, and
outside the machine's own, because a root user's session is a leaf that systemd owns, where no group may be made.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.regions.commands import RegionError
from lab.waiting import TimedOutError, until

_ROOT = Path("/sys/fs/cgroup")
_DAEMONS = "sys"
_PROBE = "drlab-preflight"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a region takes at this moment. `memory` counts what cannot be dropped, `memory_with_cache` the page cache too."""

    memory: int
    """Bytes."""

    memory_with_cache: int
    """Bytes."""

    cpu_seconds: float
    """Since the region was started."""


class Cgroups(ABC):
    """The groups of regions. `hierarchies` are the directories in which each group has one of its own."""

    version: int

    def __init__(self, hierarchies: Sequence[Path]) -> None:
        self._hierarchies = tuple(hierarchies)

    def create(self, group: str) -> None:
        """Make the group and its place for daemons, with every controller that kubelet asks for. It may exist already."""
        for hierarchy in self._hierarchies:
            self._make(hierarchy, group)

    def join(self, group: str) -> None:
        """Move this process among the group's daemons; its children are born there."""
        for hierarchy in self._hierarchies:
            (hierarchy / group / _DAEMONS / "cgroup.procs").write_text("0")

    def pids(self, group: str) -> set[int]:
        """Every process of the group and of the groups below it."""
        return {int(pid) for directory in self._directories(group) for pid in _read(directory / "cgroup.procs").split()}

    def exists(self, group: str) -> bool:
        return any((hierarchy / group).is_dir() for hierarchy in self._hierarchies)

    def remove(self, group: str, *, timeout: float = 20) -> None:
        """Remove the group and all below it once its processes have ended, which they must be about to do.

        RegionError names the processes that stay.
        """

        def gone() -> bool:
            for directory in self._directories(group):
                with suppress(FileNotFoundError):
                    directory.rmdir()
            return not self.exists(group)

        try:
            until(f"cgroup {group} to be empty", gone, timeout=timeout, interval=0.05)
        except TimedOutError as error:
            raise RegionError(f"cgroup {group} cannot be removed: processes {sorted(self.pids(group))} do not end") from error

    def obstacle(self) -> str | None:
        """Why no group can be made here, None if it can: it is tried."""
        try:
            self.create(_PROBE)
            self.remove(_PROBE, timeout=1)
        except (OSError, RegionError) as error:
            return f"cgroups (version {self.version}) cannot be made: {error}"
        return None

    @abstractmethod
    def usage(self, group: str) -> Usage:
        """What the group uses; RegionError if it does not exist."""

    @abstractmethod
    def _make(self, hierarchy: Path, group: str) -> None: ...

    def _directories(self, group: str) -> Iterator[Path]:
        """The group's directories, the innermost first."""
        for hierarchy in self._hierarchies:
            for directory, _, _ in os.walk(hierarchy / group, topdown=False):
                yield Path(directory)


class CgroupsV1(Cgroups):
    """One hierarchy a controller. Machines that mount the unified one beside them have it in the list too."""

    version = 1
    _NEEDED = ("cpu", "cpuacct", "cpuset", "memory", "devices", "pids")

    def __init__(self, controllers: dict[str, Path], others: Sequence[Path] = ()) -> None:
        super().__init__(sorted({*controllers.values(), *others}))
        self._controllers = controllers

    def obstacle(self) -> str | None:
        if missing := [name for name in self._NEEDED if name not in self._controllers]:
            return f"cgroups (version 1) lack the controllers {', '.join(missing)}"
        return super().obstacle()

    def usage(self, group: str) -> Usage:
        memory = self._controllers["memory"] / group
        return Usage(
            memory=_field(memory / "memory.stat", "total_rss"),
            memory_with_cache=_number(memory / "memory.usage_in_bytes"),
            cpu_seconds=_number(self._controllers["cpuacct"] / group / "cpuacct.usage") / 1e9,
        )

    def _make(self, hierarchy: Path, group: str) -> None:
        for directory in (hierarchy / group, hierarchy / group / _DAEMONS):
            directory.mkdir(exist_ok=True)
            if hierarchy == self._controllers.get("cpuset"):
                for name in ("cpuset.cpus", "cpuset.mems"):  # a new group has none, and a process cannot be put into it
                    (directory / name).write_text((directory.parent / name).read_text())
        if hierarchy == self._controllers.get("memory"):
            with suppress(OSError):  # kernels in which there is no other way refuse the write
                (hierarchy / group / "memory.use_hierarchy").write_text("1")


class CgroupsV2(Cgroups):
    """One hierarchy for all controllers; a group's processes and its subgroups exclude each other."""

    version = 2
    # kubelet refuses a root group that lacks one of the first five, if the top of the hierarchy has it.
    _CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "hugetlb", "io")
    _NEEDED = ("cpu", "cpuset", "memory", "pids")

    def __init__(self, root: Path = _ROOT) -> None:
        super().__init__([root])
        self._root = root

    def obstacle(self) -> str | None:
        available = _read(self._root / "cgroup.controllers").split()
        if missing := [name for name in self._NEEDED if name not in available]:
            return f"cgroups (version 2) lack the controllers {', '.join(missing)}: they are not delegated to this process"
        return super().obstacle()

    def usage(self, group: str) -> Usage:
        directory = self._root / group
        return Usage(
            memory=_field(directory / "memory.stat", "anon"),
            memory_with_cache=_number(directory / "memory.current"),
            cpu_seconds=_field(directory / "cpu.stat", "usage_usec") / 1e6,
        )

    def _make(self, hierarchy: Path, group: str) -> None:
        self._delegate(hierarchy)
        (hierarchy / group).mkdir(exist_ok=True)
        self._delegate(hierarchy / group)
        (hierarchy / group / _DAEMONS).mkdir(exist_ok=True)

    def _delegate(self, directory: Path) -> None:
        """Have the groups below `directory` take part in every controller that it has."""
        available = set(_read(directory / "cgroup.controllers").split())
        enabled = set(_read(directory / "cgroup.subtree_control").split())
        for controller in self._CONTROLLERS:
            if controller in available - enabled:
                self._enable(directory, controller)

    def _enable(self, directory: Path, controller: str) -> None:
        control = directory / "cgroup.subtree_control"
        try:
            control.write_text(f"+{controller}")
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            # The top as a container sees it holds the container's processes; only the machine's own top may hold any.
            self._move_processes(directory, directory / "init")
            control.write_text(f"+{controller}")

    @staticmethod
    def _move_processes(source: Path, target: Path) -> None:
        target.mkdir(exist_ok=True)
        for pid in _read(source / "cgroup.procs").split():
            with suppress(ProcessLookupError):
                (target / "cgroup.procs").write_text(pid)


def current() -> Cgroups:
    """This machine's; RegionError if it has none at the usual place."""
    if (_ROOT / "cgroup.controllers").is_file():
        return CgroupsV2()
    controllers, others = parse_mounts(Path("/proc/self/mountinfo").read_text())
    if not controllers:
        raise RegionError(f"no cgroups are mounted below {_ROOT}")
    return CgroupsV1(controllers, others)


def parse_mounts(mountinfo: str) -> tuple[dict[str, Path], list[Path]]:
    """The version 1 hierarchies of /proc/PID/mountinfo by controller, and those without one (systemd's, the unified)."""
    controllers: dict[str, Path] = {}
    others: list[Path] = []
    for line in mountinfo.splitlines():
        mount, _, kind = line.partition(" - ")
        point = Path(mount.split()[4])
        filesystem, _, options = kind.split(" ", 2)
        if not point.is_relative_to(_ROOT) or filesystem not in ("cgroup", "cgroup2"):
            continue
        names = [name for name in options.split(",") if name not in ("rw", "ro", "xattr", "clone_children")]
        if filesystem == "cgroup2" or any("=" in name for name in names):
            others.append(point)
        else:
            controllers |= dict.fromkeys(names, point)
    return controllers, others


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def _number(file: Path) -> int:
    text = _read(file)
    if not text:
        raise RegionError(f"{file} is not there: the region does not run")
    return int(text)


def _field(file: Path, name: str) -> int:
    for line in _read(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    raise RegionError(f"{file} has no {name}: the region does not run")
