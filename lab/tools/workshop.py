"""A place to make things in that are wanted complete or not at all, for one process of this user at a time."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workshop(root: Path, what: str, say: Callable[[str], None]) -> Iterator[Path]:
    """A directory that is gone afterwards; `what` is made in it, for people who wait while another checkout does the same.

    It lies in `root`, beside what is finished, so that moving a thing there is a rename.
    """
    root.mkdir(parents=True, exist_ok=True)
    directory = root / ".building"
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  … another checkout is building {what}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(directory, ignore_errors=True)  # of a build that was killed before it could tidy up
        directory.mkdir()
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
