"""How every plugin of the engine is served: one line with the port on stdout, then gRPC on loopback until the engine is gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent import futures
from threading import Event
from typing import Any

import grpc
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS

_ORPHAN_CHECK_SECONDS = 0.5


def serve(register: Callable[[Any], None], *, at_the_end: Callable[[], None] = lambda: None) -> None:
    """Serve what `register` adds to the server, until a signal comes or the process that started this one has ended; then
    `at_the_end` is called."""
    # Taken before anything else, so that a parent that dies while we start is noticed too.
    parent = os.getppid()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=_GRPC_CHANNEL_OPTIONS)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ended = Event()
    # The engine interrupts its plugins when it ends; a KeyboardInterrupt's traceback would land among its messages.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    print(port, flush=True)
    # An engine that was killed sends no signal: its plugins must not outlive it.
    while not ended.wait(_ORPHAN_CHECK_SECONDS) and os.getppid() == parent:
        pass
    at_the_end()
    os._exit(0)  # calls still under way would keep the process for as long as they wait
