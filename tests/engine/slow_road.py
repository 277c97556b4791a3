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
                server, asked = socket.create_connection(self._server), threading.Event()
                self._open += [caller, server]
                for work, args in ((self._ask, (caller, server, asked)), (self._answer, (server, caller, asked))):
                    threading.Thread(target=work, args=args, daemon=True).start()

    @staticmethod
    def _ask(caller: socket.socket, server: socket.socket, asked: threading.Event) -> None:
        with suppress(OSError):
            while data := caller.recv(1 << 16):
                asked.set()
                server.sendall(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, caller: socket.socket, asked: threading.Event) -> None:
        """Forward what the server sends, of each answer the first part late. The others follow it."""
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if asked.is_set():
                    asked.clear()
                    time.sleep(self._seconds)
                caller.sendall(data)
        with suppress(OSError):
            caller.shutdown(socket.SHUT_WR)
