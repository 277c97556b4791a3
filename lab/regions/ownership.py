"""Which lab this machine belongs to: namespaces and cgroups have machine-wide names, so two checkouts cannot both have theirs."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.regions.commands import RegionError

RECORD = Path("/run/k8s-dr-lab")
_BOOT = Path("/proc/sys/kernel/random/boot_id")  # a reboot ends all namespaces, and not every machine empties /run


def owner(record: Path = RECORD) -> Path | None:
    """The state directory of the lab that this machine's namespaces belong to, None if nobody claimed them."""
    try:
        root, boot = record.read_text().splitlines()
    except (OSError, ValueError):
        return None
    return Path(root) if boot == _BOOT.read_text().strip() else None


def claim(root: Path, record: Path = RECORD) -> None:
    """Make the machine's namespaces this lab's; RegionError names the other lab if they are taken.

    A lab whose directory was deleted owns nothing any more: what it left behind passes to whoever asks next.
    """
    with _locked(record):
        if is_anothers(root, record):
            other = owner(record)
            raise RegionError(f"another lab is up on this machine, in {other}: stop that one first (`make down` in its checkout)")
        record.write_text(f"{root}\n{_BOOT.read_text()}")


def release(root: Path, record: Path = RECORD) -> None:
    if owner(record) != root:  # nobody else makes it this lab's, so where none ever ran nothing is written
        return
    with _locked(record):
        if owner(record) == root:
            record.write_text("")


def is_anothers(root: Path, record: Path = RECORD) -> bool:
    """Whether a lab other than the one at `root` is up on this machine."""
    other = owner(record)
    return other is not None and other != root and other.is_dir()


@contextmanager
def _locked(record: Path) -> Iterator[None]:
    """One at a time. The file stays: removing a locked file would let two processes lock two files of the same name."""
    with record.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
