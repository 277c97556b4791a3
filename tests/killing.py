"""Ends a command and all that it has started in one moment, as when a machine loses its power."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its descendants. Each is stopped before its children are looked for, so that nobody starts another."""
    found, waiting = list[int](), [process.pid]
    while waiting:
        pid = waiting.pop()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            found.append(pid)
        waiting += _children(pid)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended
            found += map(int, thread.read_text().split())
    return found
