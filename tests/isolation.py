"""Gives a fixture a network namespace of its own. A server that listens on every address in it is not reachable from outside.

Only root can make one. Without root the fixture runs in the machine's own network, and a warning names the server.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lab.processes import start_time
from lab.regions.commands import RegionError, attempt, run
from lab.regions.namespaces import DIRECTORY, inside
from lab.waiting import until

PREFIX = "k8s-dr-test-"
"""Each namespace's name starts with this. The pid of its process and the process's start time follow: pids are reused."""

_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a command runs: in the network `namespace`, or in this process's own network if that is None."""

    namespace: str | None = None

    @property
    def prefix(self) -> list[str]:
        """The words before a command that make it run in this network."""
        return inside(self.namespace) if self.namespace else []

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Moves this thread into the network until the block ends. A socket stays in it, so only `connect` needs this."""
        if not self.namespace:
            yield
            return
        with (DIRECTORY / self.namespace).open() as there, Path("/proc/thread-self/ns/net").open() as here:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())


def _enter(namespace: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)  # Python has os.setns from 3.12 on
    if library.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def alone(what: str) -> Iterator[Place]:
    """Makes a network that has only loopback. At the end of the block it is removed, and every process in it is killed.

    If this process may not make one, the block runs in the machine's own network, and a warning says that `what` listens there.
    """
    try:
        namespace = _made()
    except (RegionError, OSError) as error:
        warnings.warn(f"{what} listens on every address of this machine while these tests run: {error}", stacklevel=3)
        yield Place()
        return
    try:
        yield Place(namespace=namespace)
    finally:
        _remove(namespace)


def _made() -> str:
    if platform.system() != "Linux" or os.geteuid() != 0:
        raise RegionError("a network of its own takes Linux and root")
    for name in stale():
        _remove(name)
    name = f"{PREFIX}{os.getpid()}-{start_time(os.getpid())}"
    if (DIRECTORY / name).exists():
        raise RegionError(f"this process has its network {name} already")
    run(["ip", "netns", "add", name])
    try:
        run([*inside(name), "ip", "link", "set", "lo", "up"])
    except BaseException:
        _remove(name)
        raise
    return name


def stale() -> list[str]:
    """Namespaces that are left over: their processes ended without removing them."""
    return [path.name for path in DIRECTORY.glob(f"{PREFIX}*") if not _lives(path.name)]


def _lives(name: str) -> bool:
    pid, _, started = name.removeprefix(PREFIX).partition("-")
    return pid.isdigit() and start_time(int(pid)) == started


def _remove(name: str) -> None:
    """Kills every process in the namespace and removes it. Another process may do the same at the same time."""

    def empty() -> bool:
        found = _inhabitants(name)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found

    until(f"the processes in {name} to end", empty, timeout=20, interval=0.05)
    attempt(["ip", "netns", "del", name])


def _inhabitants(name: str) -> set[int]:
    """Pids of the processes that run in the namespace, without zombies and without this process."""
    pids = {int(pid) for pid in attempt(["ip", "netns", "pids", name]).stdout.split()}
    return {pid for pid in pids if start_time(pid) is not None} - {os.getpid()}
