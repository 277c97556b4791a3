"""The memory of a command and of all that it starts: the highest resident size of each kind of process, as the kernel has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(kw_only=True)
class Peaks:
    """Bytes of the largest process of each kind, of those that were looked at while they lived."""

    engine: int = 0
    program: int = 0

    def look(self, pid: int) -> None:
        """Look at a process and at all below it."""
        for each in (pid, *below(pid)):
            with suppress(OSError):  # it has ended
                command = (PROC / str(each) / "cmdline").read_bytes().split(b"\0")
                peak = highest((PROC / str(each) / "status").read_text())
                match kind([word.decode(errors="replace") for word in command]):
                    case "engine":
                        self.engine = max(self.engine, peak)
                    case "program":
                        self.program = max(self.program, peak)


def kind(command: Sequence[str]) -> str:
    """What a process is by its command line: the engine, the program, or something else. Both language hosts, the real one and
    the stand-in, give the program the monitor's address."""
    if "--monitor" in command or any(word.startswith("--monitor=") for word in command):
        return "program"
    return "engine" if command and Path(command[0]).name == "pulumi" else "other"


def highest(status: str) -> int:
    """The highest resident size in bytes, from /proc/<pid>/status. 0 for a process that has none any more."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def below(pid: int) -> Iterator[int]:
    """All processes below one, from the kernel's own lists."""
    for task in (PROC / str(pid) / "task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                yield int(child)
                yield from below(int(child))
