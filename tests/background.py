"""A share of the processors for what may wait: `nice` alone does not do it between sessions.

Linux gives each session its share first, where the kernel groups by session (sched_autogroup), and looks at `nice` within one.
The parts of the tests and the lab's servers have sessions of their own. A control group has a weight of its own, and takes the
processes of all sessions that are begun in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
WEIGHTS = {"cpu/cpu.shares": 256, "cpu.weight": 25}
"""A file that tells the version of control groups, and the weight that the group gets: a quarter of what others have. With a
sixteenth, requests of the contract tests took longer than their users wait."""


@contextmanager
def background(process: int, root: Path = ROOT) -> Iterator[bool]:
    """Give `process` and what it starts little of the processors while others want them. Yields whether that was possible: it
    needs root, and a CPU controller whose groups this process may make."""
    group = _made(root)
    if group:
        with suppress(OSError):
            (group / "cgroup.procs").write_text(str(process))
    try:
        yield group is not None
    finally:
        if group:
            with suppress(OSError):  # what was started and has not ended keeps it
                group.rmdir()


def _made(root: Path) -> Path | None:
    for file, weight in WEIGHTS.items():
        place, name = (root / file).parent, Path(file).name
        group = place / f"k8s-dr-tests-{os.getpid()}"
        with suppress(OSError):
            if name == "cpu.weight" and "cpu" not in (place / "cgroup.subtree_control").read_text().split():
                continue
            if name == "cpu.shares" and not (place / name).exists():
                continue
            group.mkdir(exist_ok=True)
            (group / name).write_text(str(weight))
            return group
    return None
