"""A SIGTERM ends drctl as Ctrl-C does. That one reaches `pulumi` from the terminal; a SIGTERM has to be handed on."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

_LISTED = "/proc/self/task"
"""Below it Linux lists the processes that each thread has started."""


def end_as_by_ctrl_c() -> None:
    """From now on a SIGTERM interrupts whatever drctl has started, and then drctl."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*_: Any) -> NoReturn:
    for child in _children():
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGINT)
    raise KeyboardInterrupt


def _children() -> list[int]:
    """What drctl has started, of any thread. Elsewhere than on Linux pgrep lists it."""
    if files := [*Path(_LISTED).glob("*/children")]:
        return [int(child) for file in files for child in _read(file).split()]
    try:
        found = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [int(child) for child in found.stdout.split()]


def _read(file: Path) -> str:
    """What it has; nothing of a thread that has ended since it was listed."""
    try:
        return file.read_text()
    except OSError:
        return ""
