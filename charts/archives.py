"""Which chart archives the program installs, and whether those on disk are the pinned ones."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).parent
LOCK = DIRECTORY / "charts.lock"


class LockError(Exception):
    """charts.lock cannot be read, or one of its entries is not valid."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One entry of charts.lock. `sha256` has 64 hexadecimal digits, or is empty while nobody has pinned the version yet."""

    name: str
    version: str
    app_version: str
    url: str
    sha256: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}|", self.sha256):
            raise ValueError(f"{self.name}: sha256 is not 64 hexadecimal digits")

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}.tgz"


def read_lock(lock: Path = LOCK) -> dict[str, Chart]:
    """Every chart of the lock file, by its name. Raises LockError."""
    try:
        charts = [Chart(**entry) for entry in tomllib.loads(lock.read_text())["chart"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LockError(f"{lock}: {' '.join(str(error).split())}") from None
    return {chart.name: chart for chart in charts}


def digest(archive: bytes) -> str:
    return hashlib.sha256(archive).hexdigest()


def fault(chart: Chart, directory: Path) -> str | None:
    """Why the archive in `directory` cannot be used; None if it is the pinned one."""
    if not chart.sha256:
        return "has no sha256 in charts.lock"
    try:
        found = digest((directory / chart.file).read_bytes())
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if found == chart.sha256 else f"has the sha256 {found[:12]}…, not the {chart.sha256[:12]}… of charts.lock"
