"""`python -m tests.engine.moto_server`: a moto that goes back to an earlier state when it is told to.

It prints its port on stdout and serves until its stdin ends, so it also ends when the process that started it is killed. A
checkpoint is a fork: the process that served keeps its state and waits (the holder), and its child goes on. Each return to the
checkpoint is another child of the holder. All of them serve on the same socket, so the address never changes. One process
serves at a time, one request after the other.

Four requests are not for AWS:

    POST /_lab/checkpoint   answers with the port of a holder of the present state
    POST /_lab/end          the process that serves ends, and requests wait until a holder is told to go on
    POST /_lab/refuse       refuses from now on what the refusals in the body cover, a list in JSON, and nothing else
    POST /_lab/refused      answers with the method and path of each request that was refused, a list in JSON

A connection to a holder's port makes it go on from its state. The holder closes the connection once requests are served.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import S3Backend
from werkzeug.serving import make_server

from tests.engine.refusals import Refusal

_CONTROL = "/_lab/"
_PATIENCE = 20
"""Seconds that a caller may take to send the rest of a request that it has begun."""


class _Handler(MotoRequestHandler):
    timeout = _PATIENCE

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log only errors."""


class Server:
    """The server with its forks. It has no thread: a fork copies only the thread that asks for it."""

    def __init__(self) -> None:
        self._aws = DomainDispatcherApplication(create_backend_app)
        self._wsgi = make_server("127.0.0.1", 0, self._answer, request_handler=_Handler)
        self._silent: dict[socket.socket, Any] = {}
        """Connections whose callers have not sent anything yet, with their addresses."""
        self._holder: socket.socket | None = None
        self._ends = False
        self._refusals: list[Refusal] = []
        self._refused: list[str] = []
        self.port = self._wsgi.server_port

    def serve(self) -> None:
        """Serve until stdin ends. A connection is served once its caller sends something, so nobody waits for a silent one."""
        while True:
            for ready in _readable([self._wsgi.socket, *self._silent]):
                if ready is self._wsgi.socket:
                    connection, caller = self._wsgi.get_request()
                    self._silent[connection] = caller
                else:
                    self._wsgi.process_request(ready, self._silent.pop(ready))
                    self._do_as_told()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith(_CONTROL):
            refusal = next((each for each in self._refusals if each.covers(environ)), None)
            return self._refuse(refusal, environ, start_response) if refusal else self._aws(environ, start_response)  # type: ignore[no-any-return]
        told = ""
        if path == f"{_CONTROL}checkpoint":
            self._holder = socket.create_server(("127.0.0.1", 0))
            told = str(self._holder.getsockname()[1])
        elif path == f"{_CONTROL}refuse":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            self._refusals, self._refused = [Refusal(**each) for each in json.loads(body)], []
        elif path == f"{_CONTROL}refused":
            told = json.dumps(self._refused)
        else:
            self._ends = True
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [told.encode()]

    def _refuse(self, refusal: Refusal, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self._refused.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        error = f"<Code>{refusal.code}</Code><Message>the lab refuses this</Message>"
        body = (
            f"<Error>{error}</Error>"
            if refusal.service.startswith("s3")
            else f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
        )
        start_response(f"{refusal.status} Refused", [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))])
        return [body.encode()]

    def _do_as_told(self) -> None:
        """Do what the last request told the server. Its caller has the answer by now."""
        if self._ends:
            os._exit(0)
        if holder := self._holder:
            self._holder = None
            if os.fork():
                self._hold(holder)
            holder.close()

    def _hold(self, holder: socket.socket) -> None:
        """Keep the state. Return in each child that goes on from here."""
        for connection in self._silent:
            connection.close()
        self._silent.clear()
        while True:
            _readable([holder])
            with holder.accept()[0]:
                if not os.fork():
                    return


def lock_buckets_in_use() -> None:
    """Have moto take Object Lock for a bucket that holds objects, as S3 does since November 2023. moto wants an empty one."""
    put = S3Backend.put_object_lock_configuration

    def put_whatever_it_holds(backend: S3Backend, bucket_name: str, *args: Any, **options: Any) -> None:
        bucket = backend.get_bucket(bucket_name)
        held, bucket.keys = bucket.keys, type(bucket.keys)()
        try:
            put(backend, bucket_name, *args, **options)
        finally:
            bucket.keys = held

    S3Backend.put_object_lock_configuration = put_whatever_it_holds  # type: ignore[method-assign]


def _readable(sockets: list[socket.socket]) -> list[socket.socket]:
    """Wait for the sockets that have something to read. End the process when stdin ends."""
    ready = select.select([sys.stdin, *sockets], [], [])[0]
    if sys.stdin in ready:
        os._exit(0)
    return ready


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no child is waited for
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt at the keyboard is for the tests; these then end stdin
    lock_buckets_in_use()
    server = Server()
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
