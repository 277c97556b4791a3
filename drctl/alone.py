"""One drctl at a time changes something in a checkout: a second one would write the stack files beside the first."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotAloneError(Exception):
    """Another drctl is at work here."""


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold the checkout. The kernel lets it go with the process, however that ends. Raises NotAloneError."""
    held = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotAloneError(
                f"another drctl that changes something runs in {directory}; nothing was touched by this one: wait for that one, "
                "end it with Ctrl-C, or type the pulumi commands of docs/runbook.md"
            ) from None
        except OSError:
            pass  # a file system that keeps no such locks must keep nobody from a failover: each state has a lock of its own
        yield
    finally:
        os.close(held)
