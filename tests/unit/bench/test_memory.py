"""Which process is the engine, and which the program, and what its memory was at most."""

from __future__ import annotations

import os
import subprocess
import sys

from lab.waiting import until
from tests.bench.memory import below, highest, kind


def test_the_engine_and_the_program_are_told_by_their_command_lines() -> None:
    assert kind(["/cache/bin/pulumi", "up", "-s", "secondary", ""]) == "engine"
    assert kind(["/venv/bin/python", "-u", "/host/pulumi-language-python-exec", "--monitor", "127.0.0.1:1", "."]) == "program"
    assert kind(["/cache/bin/pulumi-language-python", "127.0.0.1:1"]) == "other"
    assert kind([]) == "other"


def test_the_highest_size_is_the_kernels() -> None:
    assert highest("Name:\tpulumi\nVmHWM:\t  204800 kB\nVmRSS:\t 1024 kB\n") == 200 << 20
    assert highest("Name:\tkthreadd\n") == 0


def test_a_grandchild_is_found() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as child:
        try:
            until("the grandchild to be there", lambda: [*below(child.pid)], timeout=30)
            (grandchild,) = below(child.pid)
            assert grandchild in {*below(os.getpid())}
        finally:
            os.killpg(child.pid, 9)
