"""Regions that do not answer. Their requests hang and are never refused, as if the network lost every packet."""

from __future__ import annotations

import io
import select
import socket
import threading
from collections.abc import Callable, Collection
from typing import Any

_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
_POLL_INTERVAL = 0.2
"""Seconds between two checks whether the region is back."""


class SilenceError(ConnectionError):
    """The request gets no answer: the server closes the connection without one."""


class BlackHoles:
    """The regions that are silent now. Safe for threads."""

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
        """The region answers again. Held requests are lost: the server closes their connections, and callers have to retry."""
        with self._lock:
            self._silent -= {region}

    def covers(self, regions: Collection[str]) -> bool:
        return not self._silent.isdisjoint(regions)

    def hold(self, connection: socket.socket, regions: Collection[str]) -> None:
        """Wait until the caller gives up or all `regions` are back."""
        poller = select.poll()
        poller.register(connection, _HUNG_UP)
        while self.covers(regions) and not poller.poll(_POLL_INTERVAL * 1000):
            pass


class Upload(io.RawIOBase):
    """A request's body. It calls `check` after each part that arrives; `check` does not return while the region is silent."""

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
