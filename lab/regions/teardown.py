"""The end of the lab's regions and network, whatever state they are in, and the check that nothing of them is left."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lab.paths import LabPaths
from lab.regions import cgroups, namespaces, network, ownership
from lab.regions.commands import RegionError
from lab.regions.region import Region
from lab.regions.spec import REGIONS
from lab.waiting import TimedOutError


def down(paths: LabPaths) -> None:
    """Kill both regions and remove the network; disks stay. Safe after an interruption, and when nothing is up.

    RegionError lists what could not be removed. A lab that another checkout has up is left alone.
    """
    if not _possible() or ownership.is_anothers(paths.root):
        return
    ends: list[Callable[[], None]] = [*(Region(paths, spec, {}).kill for spec in REGIONS), partial(network.down, paths)]
    failures = []
    for end in ends:
        try:
            end()
        except (RegionError, TimedOutError) as error:  # whatever else can go has to go all the same
            failures.append(str(error))
    if problems := [*failures, *leftovers(paths)]:
        raise RegionError("the lab is not all gone: " + "; ".join(problems))


def leftovers(paths: LabPaths) -> list[str]:
    """What there is of the lab on this machine beside its files: namespaces, processes, control groups, mounts."""
    if not _possible():
        return []
    groups = cgroups.current()
    regions = [spec.namespace for spec in REGIONS]
    return [
        *(f"network namespace {name}" for name in namespaces.present()),
        *(f"process {pid} in {name}" for pid, name in namespaces.processes().items()),
        *(f"cgroup {name} with processes {sorted(groups.pids(name))}" for name in regions if groups.exists(name)),
        *(f"mount {point}" for point in _mounts_below(paths.root)),
    ]


def _possible() -> bool:
    """Whether a region can ever have run here for this user: who has only rehearsed has nothing to end."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        return False
    try:
        cgroups.current()
    except RegionError:
        return False
    return True


def _mounts_below(directory: Path) -> list[str]:
    points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [point for point in points if Path(point).is_relative_to(directory)]
