"""Small servers on loopback that the runner asks: over HTTP, over TLS, and some that behave badly."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lab.regions import pki
from lab.regions.spec import PRIMARY


class Server:
    """What a test says of a server, and what the server saw. It answers `statuses` in their order, and the last one for ever."""

    def __init__(self, port: int, statuses: list[int]) -> None:
        self.port, self.statuses = port, statuses
        self.hosts: list[str | None] = []
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        """What was posted."""

        self.names: list[str | None] = []
        """Names that clients asked for over TLS (SNI)."""


@contextmanager
def http_server(*statuses: int, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server that answers each GET and POST with a status."""
    seen = Server(0, list(statuses or (200,)))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.hosts.append(self.headers["Host"])
            seen.paths.append(self.path)
            status = seen.statuses.pop(0) if len(seen.statuses) > 1 else seen.statuses[0]
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            seen.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: seen.names.append(name)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    seen.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificate_of_somebody_else(directory: Path) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate that no client here trusts or expects."""
    pki.ensure(directory, PRIMARY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "api.crt", directory / "api.key")
    return context


@contextmanager
def raw_server(behave: Callable[[Any], None]) -> Iterator[int]:
    """A listener that does `behave` with each connection. Yields its port. Connections are closed at the end of the block."""
    connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return  # the listener is closed
            connections.append(connection)
            behave(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in connections:
                connection.close()
    thread.join(timeout=5)
