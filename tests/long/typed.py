"""Types `drctl` in the lab, as an operator would beside the running regions, and kills it with its engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lab.console import say
from lab.paths import CHECKOUT
from lab.waiting import until
from lab.world import Lab
from settings.roles import Role
from tests.lab.interruption import Boundary

LONGEST = 800
"""Seconds that a command may take."""

Reached = Callable[[str], Any]
"""A moment of a command that can be seen from outside, by what it has said so far or by the regions. What was seen before the
command counts as not reached."""


def says(text: str) -> Reached:
    """The command has said this."""
    return lambda said: text in said


def first_change(said: str) -> bool:
    """Whether the engine has changed its first resource, as drctl tells it."""
    return any(line.startswith(("  created ", "  updated ", "  deleted ", "  replaced ")) for line in said.splitlines())


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: its exit code, its one JSON object, what it said besides, and how long it took."""

    code: int
    told: dict[str, Any]
    said: str
    seconds: float

    @property
    def steps(self) -> list[str]:
        return [each["step"] for each in self.told["steps"]]


@dataclass(frozen=True, kw_only=True)
class Typed:
    """A command that runs, and the files of what it prints."""

    process: subprocess.Popen[bytes]
    out: Path
    errors: Path

    @property
    def said(self) -> str:
        return self.errors.read_text()

    def kill(self) -> None:
        """Kill it with its engine, which is in its session."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass(frozen=True, kw_only=True)
class Operator:
    """Somebody at a shell of the lab, in the checkout, whose `pulumi` and credentials are the lab's."""

    lab: Lab

    def types(self, *words: str) -> Ended:
        """Run a command to its end. It prints one JSON object and nothing else, and never ends with a stack trace."""
        began = time.monotonic()
        with self._starts(words) as typed:
            code = typed.process.wait(LONGEST)
        said, out = typed.said, typed.out.read_text()
        assert "Traceback" not in said, said
        say(f"  ended with {code} after {time.monotonic() - began:.0f} s")
        return Ended(code=code, told=json.loads(out), said=said, seconds=time.monotonic() - began)

    def is_killed(self, *words: str, where: str, reached: Reached) -> None:
        """Type a command, and kill it there. One that ends before interrupts nothing, which is a failure of the test."""
        before = reached("")
        with self._starts(words) as typed:

            def there() -> bool:
                return typed.process.poll() is not None or reached(typed.said) != before

            until(f"drctl {words[0]} to be where {where}", there, timeout=LONGEST, interval=0.05)
            ended = typed.process.poll()
            if ended is None:
                typed.kill()
        assert ended is None, f"drctl {' '.join(words)} ended with {ended} before it was seen where {where}:\n{typed.said}"
        assert typed.out.read_text() == "", "what was killed has printed no result"
        say(f"    killed where {where}")

    def at(self, boundary: Boundary, role: Role) -> Reached:
        """What the way round is interrupted at, in a region."""
        return lambda _: boundary.reached(self.lab, role)

    @contextmanager
    def _starts(self, words: tuple[str, ...]) -> Iterator[Typed]:
        """Start a command. It does not outlive the block."""
        shown = ["python", "-m", "drctl", *words]
        say(f"\n$ {' '.join(shown)}")
        directory = str(self.lab.paths.project)
        command = [*self.lab.pulumi.prefix, sys.executable, *shown[1:], "--json", "--directory", directory]
        with self._log("out") as out, self._log("err") as errors:
            process = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env=dict(self.lab.pulumi.environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )
        typed = Typed(process=process, out=Path(out.name), errors=Path(errors.name))
        try:
            yield typed
        finally:
            if process.poll() is None:
                typed.kill()

    def _log(self, kind: str) -> IO[bytes]:
        return (self.lab.paths.logs / f"drctl.{kind}").open("wb")
