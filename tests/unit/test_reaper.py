"""A server that a test has started is gone once the test's process is, whatever way that ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.processes import start_time
from lab.waiting import until
from tests import reaper
from tests.api_server import process

ROOT = Path(__file__).parent.parent.parent

OWNER = """
import pathlib, signal, sys
from tests.api_server import process

# As the servers of a test: one that has ended before, and two that run.
directory = pathlib.Path(sys.argv[1])
with process(["sleep", "300"], directory / "ended.log"):
    pass
with process(["sleep", "300"], directory / "etcd.log") as etcd, process(["sleep", "300"], directory / "server.log") as server:
    print(etcd.pid, server.pid, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_whatever_ends_the_owner_ends_its_servers(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        try:
            assert owner.stdout is not None
            pids = [int(word) for word in owner.stdout.readline().split()]
            assert len(pids) == 2
            assert all(start_time(pid) for pid in pids)
            owner.send_signal(number)
            owner.wait(timeout=30)
            until("its servers to be gone", lambda: not any(start_time(pid) for pid in pids), timeout=30)
        finally:
            owner.kill()


def test_an_interrupt_of_the_whole_session_leaves_the_reaper_to_its_work(tmp_path: Path) -> None:
    """As Ctrl-C at a keyboard, or a kill of all that the owner's group has."""
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        os.killpg(owner.pid, signal.SIGSTOP)  # the servers cannot hear a gentle signal now
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait(timeout=30)
        until("its servers to be gone", lambda: not any(start_time(pid) for pid in pids), timeout=30)


def test_what_has_ended_or_is_another_process_by_now_is_left_alone(tmp_path: Path) -> None:
    with process(["sleep", "300"], tmp_path / "log") as running:
        started = start_time(running.pid)
        reaper.kill_left([f"+ {running.pid} 1\n", f"+ {running.pid} {started}\n", f"- {running.pid} {started}\n"])
        assert running.poll() is None
        reaper.kill_left([f"+ {running.pid} {started}\n"])
        assert running.wait(timeout=30) == -signal.SIGKILL
