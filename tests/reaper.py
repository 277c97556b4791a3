"""`python -m tests.reaper`: kills what a process has started and left behind, once that process is gone, whatever way it went.

pytest ends fixtures at an interrupt, but not always: pytest-xdist kills its workers ten seconds after it was interrupted itself,
and execnet interrupts them only after five of these. Two clusters and a command that runs take longer to end. Nothing ends
fixtures at a kill. So each process that starts servers has a reaper, which reads its stdin: `+ PID START` for a process to kill
then, `- PID START` for one that has ended. START is the process's start time, because pids are reused.

The reaper has a session of its own, so what interrupts or kills the tests does not reach it.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from lab.processes import start_time

ROOT = Path(__file__).parent.parent


@contextmanager
def watched(pid: int) -> Iterator[None]:
    """While the block runs, process `pid` is killed if this one ends. The block itself ends the process before it is over."""
    what, tell = f"{pid} {start_time(pid)}", _reaper(os.getpid())
    _write(tell, f"+ {what}\n")
    try:
        yield
    finally:
        _write(tell, f"- {what}\n")


@cache
def _reaper(_: int) -> int:
    """Starts the reaper of this process, once, and returns the pipe that leads to it. No child inherits the pipe."""
    command = [sys.executable, "-m", "tests.reaper"]
    reaper = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)
    assert reaper.stdin is not None

    def end() -> None:
        with suppress(OSError):
            reaper.communicate(timeout=10)

    atexit.register(end)
    return reaper.stdin.fileno()


def _write(pipe: int, line: str) -> None:
    os.write(pipe, line.encode())  # a short line is written whole, whichever thread writes


def kill_left(lines: Iterable[str]) -> None:
    """Read until the owner is gone, and kill what it has not ended."""
    left: set[tuple[int, str]] = set()
    for line in lines:
        sign, pid, started = line.split()
        (left.add if sign == "+" else left.discard)((int(pid), started))
    for number, started in left:
        if str(start_time(number)) == started:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    kill_left(sys.stdin)
