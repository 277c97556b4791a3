"""What operators do in clusters in which none runs: a thread that looks again and again, while the engine works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOKS = 0.1


@contextmanager
def acting(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` again and again until the block ends. What it raises is raised at the end: a thread's error fails no test."""
    ended, errors = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            while not ended.wait(_LOOKS):
                look()
        except BaseException as error:  # noqa: BLE001 - see above
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if errors:
        raise errors[0]
