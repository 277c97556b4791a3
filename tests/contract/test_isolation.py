"""A fixture's own network. Only its test reaches a server in it, and the network is removed however the test ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from lab.processes import start_time
from lab.regions.commands import RegionError
from lab.regions.namespaces import DIRECTORY
from lab.waiting import until
from tests import isolation
from tests.examples import ROOT
from tests.isolation import Place, alone

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own takes root")

SERVER = "import socket, signal; s = socket.create_server(('0.0.0.0', 0)); print(s.getsockname()[1], flush=True); signal.pause()"
OTHER = """
import subprocess, sys
from tests.isolation import alone
with alone("it") as place:
    there = "import signal; print(flush=True); signal.pause()"
    child = subprocess.Popen([*place.prefix, sys.executable, "-c", there], stdout=subprocess.PIPE)
    child.stdout.readline()
    print(place.namespace, child.pid, flush=True)
    sys.stdin.read()
"""
"""The program of a test process that has such a network until its standard input ends."""

PAUSE = (sys.executable, "-c", "import signal; signal.pause()")
LISTENS, LOOPBACK = "0A", "7F"
LOOPBACK_6 = "00000000000000000000000001000000"


def children(pid: int) -> list[int]:
    """Running processes that `pid` has started."""
    parents: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if fields[0] != "Z":
            parents[int(file.parent.name)] = int(fields[1])
    return [child for child, parent in parents.items() if parent == pid]


def open_to_others(pid: int) -> set[str]:
    """Sockets of this process and its children in `pid`'s network that listen on more than loopback."""
    ours = {os.readlink(fd) for each in (os.getpid(), *children(os.getpid())) for fd in _descriptors(each)}
    return {name for name in _listening(pid) if name in ours}


def _descriptors(pid: int) -> Iterator[Path]:
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        if fd.is_symlink():
            yield fd


def _listening(pid: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address = fields[1].partition(":")[0]
            if fields[3] == LISTENS and address != LOOPBACK_6 and not (address[-2:] == LOOPBACK and table == "tcp"):
                yield f"socket:[{fields[9]}]"


@contextmanager
def listening(place: Place) -> Iterator[tuple[int, int]]:
    """A server on every address of `place`. Yields its pid and its port."""
    command = [*place.prefix, sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.pid, int(server.stdout.readline())
        finally:
            server.kill()


@contextmanager
def another() -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """Another test process with a network of its own. Yields the process, the namespace, and the pid of a process in it."""
    command = [sys.executable, "-c", OTHER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name, child = process.stdout.readline().split()
        try:
            yield process, name, int(child)
        finally:
            process.kill()


@needs_root
def test_what_listens_on_every_address_there_is_reached_by_its_test_and_is_on_no_address_of_this_machine() -> None:
    with alone("it") as place, listening(place) as (pid, port):
        assert open_to_others(pid)
        assert not open_to_others(os.getpid())
        with place.entered():
            connected = socket.create_connection(("127.0.0.1", port), timeout=5)
        connected.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_server_on_every_address_of_this_machine_is_seen() -> None:
    with listening(Place()):
        assert open_to_others(os.getpid())


@needs_root
@pytest.mark.parametrize("end", [KeyboardInterrupt, AssertionError, None])
def test_it_is_gone_with_its_block_and_what_runs_there_too(end: type[BaseException] | None) -> None:
    seen: list[tuple[Place, subprocess.Popen[str]]] = []
    with pytest.raises(end) if end else nullcontext(), alone("it") as place, listening(place) as _:
        seen.append((place, subprocess.Popen([*place.prefix, *PAUSE], text=True)))
        until("it to be there", lambda: len(isolation._inhabitants(place.namespace or "")) == 2, timeout=10)
        if end:
            raise end
    ((place, child),) = seen
    assert not (DIRECTORY / str(place.namespace)).exists()
    assert child.wait(timeout=10) == -signal.SIGKILL


@needs_root
def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_living_one_has_is_not() -> None:
    with another() as (_, living, inhabitant), another() as (killed, left, orphan):
        killed.kill()
        killed.wait()
        assert (DIRECTORY / left).exists()
        assert start_time(orphan) is not None
        with alone("it"):
            assert not (DIRECTORY / left).exists()
            assert (DIRECTORY / living).exists()
        until("the orphan to be gone", lambda: start_time(orphan) is None, timeout=10)
        assert start_time(inhabitant) is not None
    for name in isolation.stale():
        isolation._remove(name)


@needs_root
def test_a_later_process_of_the_same_number_does_not_keep_it() -> None:
    name = f"{isolation.PREFIX}{os.getpid()}-1"
    isolation.run(["ip", "netns", "add", name])
    with alone("it"):
        assert not (DIRECTORY / name).exists()


def test_without_root_the_block_is_on_the_machines_own_network_and_a_warning_says_what_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    says = "^the webhook listens on every address of this machine .* takes Linux and root$"
    with pytest.warns(UserWarning, match=says), alone("the webhook") as place, place.entered():
        assert (place.namespace, place.prefix) == (None, [])


def test_where_root_may_make_no_network_the_warning_has_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> str:
        raise RegionError("ip netns add failed: Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(isolation, "run", refuse)
    with pytest.warns(UserWarning, match="Operation not permitted"), alone("the webhook") as place:
        assert place.namespace is None
