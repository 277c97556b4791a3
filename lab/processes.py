"""Background processes of the lab. The lab finds and stops them only by their process id."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lab.paths import LabPaths
from lab.waiting import TimedOutError, until


def start_time(pid: int) -> str | None:
    """When process `pid` started, as the kernel reports it. It tells a process from a later one with the same id.

    None if the process is gone, or has ended and its parent has not collected it yet.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        return None


class Daemon:
    """One background process. `start` starts it at most once; its output goes to `logs/<name>.log`."""

    def __init__(self, paths: LabPaths, name: str) -> None:
        self.name = name
        self.log = paths.logs / f"{name}.log"
        self._file = paths.run / f"{name}.pid"

    @property
    def pid(self) -> int | None:
        """The process id, or None if the process that was started no longer runs."""
        try:
            written, started = self._file.read_text().split()
            pid = int(written)
        except (OSError, ValueError):  # a full disk or a kill can leave half a file
            return None
        if Path("/proc").is_dir():
            return pid if start_time(pid) == started else None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        return pid

    def start(self, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> int:
        if (pid := self.pid) is not None:
            return pid
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._file.write_text(f"{child.pid} {start_time(child.pid) or '-'}")
        return child.pid

    def stop(self, *, timeout: float = 10) -> None:
        """Ask the process to end, and kill it if it has not ended after `timeout` seconds."""
        if (pid := self.pid) is not None:
            for number, patience in ((signal.SIGTERM, timeout), (signal.SIGKILL, timeout)):
                try:
                    os.kill(pid, number)
                    until(f"{self.name} to end", lambda: self._ended(pid), timeout=patience, interval=0.05)
                    break
                except ProcessLookupError:
                    break
                except PermissionError as error:
                    raise PermissionError(error.errno, f"process {pid}: {error.strerror}", str(self._file)) from None
                except TimedOutError:
                    continue
        self._file.unlink(missing_ok=True)

    def _ended(self, pid: int) -> bool:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # our own child stays a zombie until we wait for it
        return self.pid is None
