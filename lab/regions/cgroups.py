"""Control groups of regions: one small interface for both versions of cgroups.

A region's group has the name of its network namespace. The region's daemons are in `<group>/sys`, and kubelet creates
`<group>/kubepods` beside it. The group is at the top of the hierarchy that this process sees. In a container, this is the
delegated hierarchy. Outside, it is the machine's own: systemd allows no new groups below a root user's session.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from lab.regions.commands import RegionError
from lab.waiting import TimedOutError, until

_ROOT = Path("/sys/fs/cgroup")
_DAEMONS = "sys"
_PROBE = "drlab-preflight"


class Cgroups(ABC):
    """The groups of regions. Each group has one directory in each of the `hierarchies`."""

    version: int

    def __init__(self, hierarchies: Sequence[Path]) -> None:
        self._hierarchies = tuple(hierarchies)

    def create(self, group: str) -> None:
        """Create the group and its subgroup for daemons, with all controllers that kubelet needs. The group may exist."""
        for hierarchy in self._hierarchies:
            self._make(hierarchy, group)

    def join(self, group: str) -> None:
        """Move this process into the group's subgroup for daemons. Its children start there too."""
        for hierarchy in self._hierarchies:
            (hierarchy / group / _DAEMONS / "cgroup.procs").write_text("0")

    def pids(self, group: str, container: str = "") -> set[int]:
        """All processes of the group and its subgroups; with the id of a container, those of the subgroup of that name."""
        return {
            int(pid)
            for directory in self._directories(group)
            if container in str(directory)
            for pid in _read(directory / "cgroup.procs").split()
        }

    def exists(self, group: str) -> bool:
        return any((hierarchy / group).is_dir() for hierarchy in self._hierarchies)

    def remove(self, group: str, *, timeout: float = 20) -> None:
        """Wait until the group's processes have ended, and remove the group with its subgroups.

        The caller must have told the processes to end. Raises RegionError with the processes that do not.
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
        """Try to create a group. Returns the reason if this fails, else None."""
        try:
            self.create(_PROBE)
            self.remove(_PROBE, timeout=1)
        except (OSError, RegionError) as error:
            return f"cgroups (version {self.version}) cannot be created: {error}"
        return None

    @abstractmethod
    def _make(self, hierarchy: Path, group: str) -> None: ...

    def _directories(self, group: str) -> Iterator[Path]:
        """The group's directories, innermost first."""
        for hierarchy in self._hierarchies:
            for directory, _, _ in os.walk(hierarchy / group, topdown=False):
                yield Path(directory)


class CgroupsV1(Cgroups):
    """Version 1: one hierarchy for each controller. `others` are hierarchies without one, such as the unified hierarchy."""

    version = 1
    _NEEDED = ("cpu", "cpuacct", "cpuset", "memory", "devices", "pids")

    def __init__(self, controllers: dict[str, Path], others: Sequence[Path] = ()) -> None:
        super().__init__(sorted({*controllers.values(), *others}))
        self._controllers = controllers

    def obstacle(self) -> str | None:
        if missing := [name for name in self._NEEDED if name not in self._controllers]:
            return f"cgroups (version 1) lack the controllers {', '.join(missing)}"
        return super().obstacle()

    def _make(self, hierarchy: Path, group: str) -> None:
        for directory in (hierarchy / group, hierarchy / group / _DAEMONS):
            directory.mkdir(exist_ok=True)
            if hierarchy == self._controllers.get("cpuset"):
                for name in ("cpuset.cpus", "cpuset.mems"):  # a new group has no CPUs and memory, and accepts no process before
                    (directory / name).write_text((directory.parent / name).read_text())
        if hierarchy == self._controllers.get("memory"):
            with suppress(OSError):  # kernels that always use the hierarchy refuse the write
                (hierarchy / group / "memory.use_hierarchy").write_text("1")


class CgroupsV2(Cgroups):
    """Version 2: one hierarchy for all controllers. A group can have either processes or subgroups with controllers."""

    version = 2
    # If the top of the hierarchy has one of the first five, kubelet requires it in its root group too.
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

    def _make(self, hierarchy: Path, group: str) -> None:
        self._delegate(hierarchy)
        (hierarchy / group).mkdir(exist_ok=True)
        self._delegate(hierarchy / group)
        (hierarchy / group / _DAEMONS).mkdir(exist_ok=True)

    def _delegate(self, directory: Path) -> None:
        """Enable all controllers of `directory` in the groups below it."""
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
            # In a container, the top of the hierarchy has processes, which only the machine's real top may have.
            self._move_processes(directory, directory / "init")
            control.write_text(f"+{controller}")

    @staticmethod
    def _move_processes(source: Path, target: Path) -> None:
        target.mkdir(exist_ok=True)
        for pid in _read(source / "cgroup.procs").split():
            with suppress(ProcessLookupError):
                (target / "cgroup.procs").write_text(pid)


def current() -> Cgroups:
    """This machine's cgroups. Raises RegionError if none are mounted at the usual place."""
    if (_ROOT / "cgroup.controllers").is_file():
        return CgroupsV2()
    controllers, others = parse_mounts(Path("/proc/self/mountinfo").read_text())
    if not controllers:
        raise RegionError(f"no cgroups are mounted below {_ROOT}")
    return CgroupsV1(controllers, others)


def parse_mounts(mountinfo: str) -> tuple[dict[str, Path], list[Path]]:
    """The version 1 hierarchies in /proc/PID/mountinfo by controller, and those without a controller (systemd's, the unified)."""
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
