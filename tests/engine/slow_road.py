"""A road to a server on which every answer is late, as to an API server that has too much to do."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit


class SlowRoad:
    """Forwards to the server at `url`, TLS or not. What the server sends comes `seconds` later. `url` is the road's own address,
    on the same host, so that the server's certificate holds."""

    def __init__(self, url: str, seconds: float) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._server, self._seconds = (parts.hostname, parts.port), seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{parts.scheme}://{parts.hostname}:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []

    def __enter__(self) -> SlowRoad:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._open += [caller, server]
                threading.Thread(target=self._forward, args=(caller, server, 0.0), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, caller, self._seconds), daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, target: socket.socket, seconds: float) -> None:
        """Forward until either side ends. Several parts of one answer come late once: they wait beside each other."""
        with suppress(OSError):
            late = 0.0
            while data := source.recv(1 << 16):
                if seconds and time.monotonic() - late > seconds / 2:
                    time.sleep(seconds)
                late = time.monotonic()
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
