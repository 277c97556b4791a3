"""`python3 -m runner STEP`: runs one step in a Pod, and leaves its last message where the Pod's status shows it.

The environment variable TASK is a JSON object, which the step's `run` takes. What `run` returns is the last message of a Pod that
succeeded; if it raises StepFailedError, that error's message is the last one of a Pod that failed.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from .failure import StepFailedError

STEPS = (
    "ask",
    "credentials",
    "drill_ask",
    "drill_choose",
    "drill_database",
    "drill_integrity",
    "drill_namespace",
    "drill_sweep",
    "endpoint",
    "guard",
    "heartbeat",
    "rights",
    "scale",
    "stand_by",
    "verify",
)
"""The modules of this package that have a function `run`, which takes a task and returns a message."""

_TERMINATION_LOG = Path("/dev/termination-log")
_ROOM = 4096
"""Bytes of a termination message that Kubernetes keeps."""


def main(arguments: Sequence[str], environment: Mapping[str, str], termination_log: Path = _TERMINATION_LOG) -> int:
    """Run the step that the arguments name. Returns the exit status: 0 if the step succeeded, 1 if not.

    The last message goes to stdout and to `termination_log`, if that exists.
    """
    try:
        message, status = _run(arguments, environment), 0
    except StepFailedError as failure:
        message, status = str(failure), 1
    except Exception as error:  # noqa: BLE001 - whatever it is, the Pod's status must say it in one line
        traceback.print_exc()
        message, status = f"the runner itself failed: {type(error).__name__}: {' '.join(str(error).split())}", 1
    print(message, flush=True)
    # Only a kubelet makes this file. Elsewhere there is none, and none shall be made.
    with suppress(OSError), termination_log.open("r+b") as file:
        file.write(_fitting(message))
    return status


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    if len(arguments) != 1 or arguments[0] not in STEPS:
        given = " ".join(arguments) or "nothing"
        raise StepFailedError(f"{given} is not a step of this version of the runner: {', '.join(STEPS)}")
    try:
        task = json.loads(environment["TASK"])
    except KeyError:
        raise StepFailedError("TASK is not set; it is the task of the step, a JSON object") from None
    except ValueError as error:
        raise StepFailedError(f"TASK is not JSON: {error}") from None
    message: str = import_module(f".{arguments[0]}", __package__).run(task)
    return message


def _fitting(message: str) -> bytes:
    """The message, cut to what Kubernetes keeps of it: a longer one would be cut in its middle, where its end says what to do."""
    whole = message.encode()
    if len(whole) <= _ROOM:
        return whole
    mark = " … ".encode()
    half = (_ROOM - len(mark)) // 2
    # A cut may go through a character; what is left of it is dropped.
    first, last = (part.decode(errors="ignore").encode() for part in (whole[:half], whole[-half:]))
    return first + mark + last


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
