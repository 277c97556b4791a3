"""Ports of loopback that no other process of the tests takes meanwhile.

A port that the kernel has just given and taken back goes to the next who asks, and there are several processes of tests.
"""

import random
import socket

_held: list[socket.socket] = []


def refusing_port() -> int:
    """A port that refuses connections as long as this process lives: it is bound, so nobody else gets it, and nobody listens."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    _held.append(held)
    return int(held.getsockname()[1])


def free_port() -> int:
    """A port for a server that is about to start: below those that kernels give out by themselves (from 32768 on)."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randrange(15_000, 32_000)))
            except OSError:
                continue
            return int(probe.getsockname()[1])
