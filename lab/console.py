"""What a person sees while something takes long: one line a step, with the seconds it took."""

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
    """A reader who has gone, as `head` does or a terminal that was closed, is no fault: what was begun has to be ended."""
    with suppress(OSError):
        print(text, file=stream, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Announce a step, and say how long it took or that it failed."""
    started = time.monotonic()
    say(f"  … {text}")
    try:
        yield
    except BaseException:
        say(f"  ✗ {text} (after {time.monotonic() - started:.1f} s)")
        raise
    say(f"  ✓ {text} ({time.monotonic() - started:.1f} s)")
