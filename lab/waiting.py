"""Wait for a condition instead of sleeping for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TimedOutError(Exception):
    """The condition did not become true in time; the message names it and the last answer of its probe."""


def until(what: str, probe: Callable[[], T], *, timeout: float, interval: float = 0.2) -> T:
    """Call `probe` until it returns something true, and return that.

    `timeout` and `interval` are seconds. An exception of `probe` counts as "not yet"; TimedOutError shows the last one.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            last = answer = probe()
            if answer:
                return answer
        except Exception as error:  # noqa: BLE001 - something that is still starting can fail in any way
            last = error
        if time.monotonic() > deadline:
            raise TimedOutError(f"waited {timeout:g} s for {what}; last seen: {last!r}")
        time.sleep(interval)
