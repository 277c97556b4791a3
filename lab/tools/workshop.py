"""A temporary directory for builds. Only one process of a user has it at a time, and unfinished builds are deleted."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.deletion import delete_tree


@contextmanager
def workshop(root: Path, what: str, say: Callable[[str], None]) -> Iterator[Path]:
    """A temporary directory for building `what`. If another checkout is building, this says so and waits.

    The directory is in `root`, beside the finished builds, so that a rename can move a finished build there.
    """
    root.mkdir(parents=True, exist_ok=True)
    directory = root / ".building"
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  … another checkout is building {what}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        delete_tree(directory, ignore_errors=True)  # a killed build may have left it
        directory.mkdir()
        try:
            yield directory
        finally:
            delete_tree(directory, ignore_errors=True)
