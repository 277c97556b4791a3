"""Stops the lab's regions and removes its network, whatever state they are in, and checks that nothing is left."""

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
    """Kill both regions and remove the network; disks stay. Safe after an interruption, and if nothing is up.

    Raises RegionError with a list of what could not be removed. Does nothing to another checkout's lab.
    """
    if not _possible() or ownership.is_anothers(paths.root):
        return
    ends: list[Callable[[], None]] = [*(Region(paths, spec, {}).kill for spec in REGIONS), partial(network.down, paths)]
    failures = []
    for end in ends:
        try:
            end()
        except (RegionError, TimedOutError) as error:  # continue with the other steps
            failures.append(str(error))
    if problems := [*failures, *leftovers(paths)]:
        raise RegionError("the lab could not be removed completely: " + "; ".join(problems))


def leftovers(paths: LabPaths) -> list[str]:
    """What the lab has on this machine besides files: namespaces, processes, control groups and mounts."""
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
    """Whether this user could have started a region here. A user who only ran rehearsals has nothing to stop."""
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
