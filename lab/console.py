"""What a person sees while something takes long: one line a step, with the seconds it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    print(text, flush=True)


def warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


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
