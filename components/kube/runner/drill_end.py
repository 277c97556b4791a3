"""How a drill ends before its time: it deletes what it has made, leaves its record, and shows until then that it lives.

The first process of a container gets no signal that it does not ask for. Kubernetes sends SIGTERM where a Job is deleted or over
its deadline, and where a node is drained, and kills the container after the Pod's grace. What has begun to clean up goes on.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ALIVE = "alive"
"""The file whose age says whether the step that judges lives."""

BEAT_SECONDS = 5.0
SILENCE_SECONDS = 90
"""After this time without a sign the step is taken for dead: a node that is busy may keep it waiting."""

GRACE_SECONDS = 90
"""For what is left to do beside cleaning up: one request that is tried for its minute, the record and its upload."""


class ToldToEndError(BaseException):
    """SIGTERM has come. It is no Exception, so that nothing takes it for a fault of what is drilled, and goes on."""


@dataclass(kw_only=True)
class _State:
    told: bool = False
    open: bool = False
    """Whether what runs now may be broken off."""


_STATE = _State()


@contextmanager
def ends_when_told() -> Iterator[None]:
    """Raise ToldToEndError in what runs inside of it when SIGTERM comes, once, wherever it is but in `undisturbed`."""

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        _STATE.told = True
        if _STATE.open:
            _STATE.open = False
            raise ToldToEndError

    _STATE.told, before = False, signal.signal(signal.SIGTERM, handle)
    try:
        _STATE.open = True
        yield
    finally:
        _STATE.open = False
        signal.signal(signal.SIGTERM, before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """What runs inside of it is done to its end. A signal that has come meanwhile counts after it."""
    open_before, _STATE.open = _STATE.open, False
    try:
        yield
    finally:
        if open_before and _STATE.told:
            raise ToldToEndError
        _STATE.open = open_before


@contextmanager
def shows_that_it_lives(directory: Path, seconds: float = BEAT_SECONDS) -> Iterator[None]:
    """Touch a file while what is inside of it runs. With the process the thread ends, however it is killed."""
    done = threading.Event()

    def beat() -> None:
        while True:
            with suppress(OSError):
                (directory / ALIVE).touch()
            if done.wait(seconds):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
