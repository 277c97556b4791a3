"""Regions that do not answer: requests for them are held, as by a network that loses every packet, and never refused."""

from __future__ import annotations

import io
import select
import socket
import threading
from collections.abc import Callable, Collection
from typing import Any

_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
_GLANCE = 0.2
"""Seconds between two looks at whether the region is back."""


class SilenceError(ConnectionError):
    """The request gets no answer; whoever serves it closes the connection without a word."""


class BlackHoles:
    """The regions that are silent now; safe for threads."""

    def __init__(self) -> None:
        self._silent: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    @property
    def silent(self) -> frozenset[str]:
        return self._silent

    def swallow(self, region: str) -> None:
        with self._lock:
            self._silent |= {region}

    def restore(self, region: str) -> None:
        """The region answers again. What was held is lost: its connections are closed, so that callers try again."""
        with self._lock:
            self._silent -= {region}

    def covers(self, regions: Collection[str]) -> bool:
        return not self._silent.isdisjoint(regions)

    def hold(self, connection: socket.socket, regions: Collection[str]) -> None:
        """Return when the caller has given up, or all `regions` are back."""
        poller = select.poll()
        poller.register(connection, _HUNG_UP)
        while self.covers(regions) and not poller.poll(_GLANCE * 1000):
            pass


class Upload(io.RawIOBase):
    """A request's body. `check` is called after each piece that arrives, and does not return while the region is silent."""

    def __init__(self, body: Any, check: Callable[[], None]) -> None:
        super().__init__()
        self._body, self._check = body, check

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data: bytes = self._body.read(len(buffer))
        self._check()
        buffer[: len(data)] = data
        return len(data)
