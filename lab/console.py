"""Progress output: one line for each step, with the seconds that it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


def say(text: str) -> None:
    _print(text, sys.stdout)


def warn(text: str) -> None:
    _print(text, sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    """Print, and ignore a closed output: `head` may have ended, or the terminal may be gone. The lab must still clean up."""
    with suppress(OSError):
        print(text, file=stream, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Announce a step, and print at its end how long it took, or that it failed."""
    started = time.monotonic()
    say(f"  … {text}")
    try:
        yield
    except BaseException:
        say(f"  ✗ {text} (after {time.monotonic() - started:.1f} s)")
        raise
    say(f"  ✓ {text} ({time.monotonic() - started:.1f} s)")
