"""Sends traces from a process of its own, which goes on when this one ends: then nobody waits for a collector at all."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from components.telemetry import sending
from components.telemetry.trace import Trace

_PROGRAM = Path(__file__).parents[2]
_CODE = f"import sys; sys.path.insert(0, {str(_PROGRAM)!r}); from components.telemetry import aside; aside.main()"
"""The program may be loaded from a directory that is not the current one."""

_NOT_ITS_OWN = ("AWS_", "PULUMI_")
"""How variables begin that it does not get: in PULUMI_CONFIG Pulumi gives its program every secret of the stack in plain text."""

_TRACES = TypeAdapter(list[Trace])
_STARTED: list[subprocess.Popen[bytes]] = []
"""Kept, so that Python does not complain of a child that still runs."""


def start(traces: Sequence[Trace]) -> subprocess.Popen[bytes]:
    """Begin to send these. Its output, once it has ended, is a line for each signal that was not taken."""
    command = [sys.executable, "-c", _CODE]
    # It must not hold what this process writes to: whoever reads that waits for its end. A session of its own has no terminal
    # whose Ctrl-C would reach it.
    with tempfile.TemporaryFile() as told:
        # A pipe takes 64 KiB and then waits for a reader, which may hang before it reads.
        told.write(_TRACES.dump_json(list(traces)))
        told.seek(0)
        child = subprocess.Popen(
            command,
            stdin=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if not name.startswith(_NOT_ITS_OWN)},
            start_new_session=True,
        )
    _STARTED.append(child)
    return child


def lines(child: subprocess.Popen[bytes], patience: float) -> list[str]:
    """What was not taken, as far as it is known within `patience` seconds."""
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        return [f"the collector did not answer within {patience:g} s"]
    assert child.stdout is not None
    said = child.stdout.read().decode(errors="replace").splitlines()
    return said if said or child.returncode == 0 else [f"the process that sends it ended with {child.returncode}"]


def main() -> None:
    for line in sending.send(_TRACES.validate_json(sys.stdin.buffer.read()), patience=sending.UNHURRIED):
        print(line)
