"""Records which checkout's lab uses this machine. Only one can: the names of namespaces and cgroups are machine-wide."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.regions.commands import RegionError

RECORD = Path("/run/k8s-dr-lab")
_BOOT = Path("/proc/sys/kernel/random/boot_id")  # a reboot removes all namespaces, but some machines keep /run


def owner(record: Path = RECORD) -> Path | None:
    """The state directory of the lab that uses this machine; None if there is none."""
    try:
        root, boot = record.read_text().splitlines()
    except (OSError, ValueError):
        return None
    return Path(root) if boot == _BOOT.read_text().strip() else None


def claim(root: Path, record: Path = RECORD) -> None:
    """Claim this machine for the lab at `root`. Raises RegionError with the other lab if another one has claimed it.

    A lab whose directory was deleted has lost its claim. The next lab takes over what it left behind.
    """
    with _locked(record):
        if is_anothers(root, record):
            other = owner(record)
            raise RegionError(f"another lab is up on this machine, in {other}: stop it first (`make down` in its checkout)")
        record.write_text(f"{root}\n{_BOOT.read_text()}")


def release(root: Path, record: Path = RECORD) -> None:
    if owner(record) != root:  # checked without the lock, so that nothing is written if no lab ever ran
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
    """Lock the record. Nobody may delete the file: two processes could then lock two files of the same name."""
    with record.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
