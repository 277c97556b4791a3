"""Serves a plugin of the engine: it prints its port as one line on stdout, and then serves gRPC on loopback."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent import futures
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import grpc
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS

_ORPHAN_CHECK_SECONDS = 0.5


def serve(register: Callable[[Any], None], *, at_the_end: Callable[[], None] = lambda: None) -> None:
    """Serve what `register` adds to the server, until a signal comes or the parent process ends. Then call `at_the_end`."""
    # Read this first: the parent may die while this process is still starting.
    parent = os.getppid()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=_GRPC_CHANNEL_OPTIONS)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # A queue of this kind may be filled by a signal while it is waited for. An Event has a lock that would wait for itself.
    ended: SimpleQueue[int] = SimpleQueue()
    # The engine interrupts its plugins when it ends. A KeyboardInterrupt would print a traceback among its messages.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: ended.put(received))
    print(port, flush=True)
    # A killed engine sends no signal, but its plugins must still end.
    while os.getppid() == parent:
        with suppress(Empty):
            ended.get(timeout=_ORPHAN_CHECK_SECONDS)
            break
    at_the_end()
    os._exit(0)  # a normal exit would wait for calls that are still in progress
