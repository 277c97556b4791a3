"""Wait for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TimedOutError(Exception):
    """The condition did not come true in time; the message says which and what was last seen."""


def until(what: str, probe: Callable[[], T], *, timeout: float, interval: float = 0.2) -> T:
    """Call `probe` until it answers something true and return that answer.

    `timeout` and `interval` are seconds. An exception that `probe` raises counts as "not yet" and is named when time is up.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            last = answer = probe()
            if answer:
                return answer
        except Exception as error:  # noqa: BLE001 - what is not up yet may fail in any way
            last = error
        if time.monotonic() > deadline:
            raise TimedOutError(f"waited {timeout:g} s for {what}; last seen: {last!r}")
        time.sleep(interval)
