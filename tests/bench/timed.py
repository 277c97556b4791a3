"""Runs one command of the CLI, and sees its seconds, its events and its memory."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lab.pulumi import CommandFailedError, Pulumi
from tests.bench import events
from tests.bench.events import Heard
from tests.bench.memory import Peaks

LOOK = 0.02
"""Seconds between two looks at the event log."""

LOOK_AT_MEMORY = 0.25


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One command that has ended. `began` and `ended` are in seconds since the epoch."""

    began: float
    ended: float
    events: Sequence[Heard]
    peaks: Peaks
    output: str

    @property
    def seconds(self) -> float:
        return round(self.ended - self.began, 3)

    @property
    def phases(self) -> dict[str, float]:
        return events.phases(self.began, self.events, self.ended)


def run(pulumi: Pulumi, *args: str) -> Timed:
    """Run a command to its end. Raises CommandFailedError with the end of its output if it fails."""
    with tempfile.TemporaryDirectory(prefix="k8s-dr-bench-") as made:
        log, output = Path(made) / "events", Path(made) / "output"
        log.touch()
        with log.open("r") as lines, output.open("wb") as said:
            began = time.time()
            child = subprocess.Popen(
                [*pulumi.prefix, "pulumi", *args, events.FLAG, str(log)],
                cwd=pulumi.directory,
                env={**pulumi.environment, **events.ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            heard, peaks = list[Heard](), Peaks()
            try:
                _watch(child, lines, heard, peaks)
            except BaseException:
                child.terminate()
                child.wait()
                raise
            ended = time.time()
        told = output.read_text(errors="replace")
    if child.returncode:
        raise CommandFailedError(f"pulumi {' '.join(args)} ended with {child.returncode}:\n{told[-4000:]}")
    return Timed(began=began, ended=ended, events=heard, peaks=peaks, output=told)


def _watch(child: subprocess.Popen[bytes], lines: IO[str], heard: list[Heard], peaks: Peaks) -> None:
    half, looked = "", 0.0
    while True:
        over = child.poll() is not None
        now = time.time()
        for line in lines.readlines():
            half += line
            if half.endswith("\n"):
                if event := events.read(half, now):
                    heard.append(event)
                half = ""
        if over:
            return
        if now - looked >= LOOK_AT_MEMORY:
            peaks.look(child.pid)
            looked = now
        time.sleep(LOOK)
