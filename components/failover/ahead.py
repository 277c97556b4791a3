"""Questions of the gate that are asked ahead: while the program registers what it has, which takes as long as the answers do.

That the primary is silent takes longest to find out, for silence has to last. Nothing is decided here: the gate asks when the
engine tells it to, and finds the answers there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

FRESH = 60.0
"""Seconds for which an answer may wait for whoever takes it. A program of many resources registers for minutes, and a gate that
waits for something else asks later still: by then a primary may have come back."""


class Ahead(Generic[Answer]):
    """One question, asked in a thread of its own where `own` says that the cluster is the stack's.

    The engine compares the cluster only once the program has registered something, and a Pod that asks is an object in it.
    """

    began: datetime
    """When it was asked."""

    def __init__(self, ask: Callable[[], Answer], *, own: Callable[[], bool]) -> None:
        self.began, self._began = datetime.now(UTC), time.monotonic()
        left: Future[Answer | None] = Future()
        self._left: Future[Answer | None] | None = left

        def answer() -> None:
            try:
                left.set_result(ask() if own() else None)
            except BaseException as error:  # noqa: BLE001 - it is whoever takes the answer who gets it
                left.set_exception(error)

        # An `up` that is refused meanwhile must not wait for this answer. At its end Python waits for every thread that is no
        # daemon, and for those of a pool in any case.
        threading.Thread(target=answer, name="asked-ahead", daemon=True).start()

    def take(self) -> Answer | None:
        """The answer, waited for, and only once: whoever asks again wants to know what has changed. None where nobody asked,
        where that is long ago, or where it went wrong, for which the one who asks then has the words."""
        left, self._left = self._left, None
        if left is not None:
            with suppress(Exception):
                answer = left.result()
                return answer if time.monotonic() - self._began <= FRESH else None
        return None
