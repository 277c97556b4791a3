"""The disk space that a build needs, and says so before it starts."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from lab.tools.go import ToolError


def check(directory: Path, needed: float) -> None:
    """Raise ToolError unless the disk of `directory` has room for `needed` GB. What the directory holds counts as room."""
    free = shutil.disk_usage(directory.parent).free / 1e9 + gigabytes(directory)
    if free < needed:
        raise ToolError(
            f"building the tools needs about {needed:.0f} GB in {directory.parent} while it runs, and {free:.1f} GB are free "
            "there; make room, or set XDG_CACHE_HOME to a directory on a larger disk"
        )


def gigabytes(directory: Path) -> float:
    """The size of all files below `directory`; 0 if it does not exist. A file that vanishes meanwhile counts as nothing."""
    total = 0
    for parent, _, files in os.walk(directory):
        for name in files:
            with suppress(FileNotFoundError):
                total += (Path(parent) / name).lstat().st_size
    return total / 1e9
