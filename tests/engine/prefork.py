"""`python -m tests.engine.prefork SOCKET`: starts stand-ins and programs as forks of a process that has done their imports.

Each command of the CLI starts three stand-ins and the program, and the imports of each take longer than what it does.
Everything else stays as the engine has it: each process begins with its own arguments, directory, environment and streams,
imports the program's own modules anew, and ends when the one that asked for it is killed.

The engine starts `prefork_client.py` in place of Python. The client connects to SOCKET and sends its streams and one JSON object:

    {"path" or "module": what runs, "arguments": [...], "directory": "...", "environment": {...}}

After that it sends the number of each signal that it gets, a byte each. The answer is how the process ended, as text: its exit
code, or a signal's number with a minus. This server ends with its stdin, so also when the process that started it is killed.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.engine import LANGUAGE_HOST, MARK, MODULES, is_stand_in
from tests.examples import ROOT

CLIENT = Path(__file__).with_name("prefork_client.py")

IMPORTED = (
    "lab.standins.language_host",
    "lab.standins.kubernetes_provider.provider",
    "lab.standins.aws_provider.provider",
    "components.region",
)
OWN = ("settings", "components", "charts")
"""The program's packages. A project of a test has copies of its own, which are imported from there."""


class Prefork:
    """A server in a process of its own. It has a directory with its socket, its log and a virtual environment, until `stop`."""

    def __init__(self) -> None:
        # A path of pytest would be too long for a socket.
        self._directory = directory = Path(tempfile.mkdtemp(prefix="k8s-dr-prefork-"))
        self._socket = directory / "socket"
        self._log = (directory / "log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.prefork", str(self._socket)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n", (directory / "log").read_text()[-2000:]
        self.virtual_environment = directory / "venv"
        """For `runtime.options.virtualenv`: its Python runs a file as a fork."""
        python = self.virtual_environment / "bin" / "python"
        python.parent.mkdir(parents=True)
        # The language host calls `python -u FILE …`. A fork writes without a buffer anyway.
        self._write(python, f'shift\nexec {self._client} path "$@"')

    def start_stand_ins(self, engine: Path) -> None:
        """Have the stand-ins of the engine in `engine` (lab/engine.py) started as forks. Real parts stay as they are."""
        for name, module in MODULES.items():
            place = f"bin/{name}" if name == LANGUAGE_HOST else f"home/plugins/*/pulumi-resource-{name}"
            for file in engine.glob(place):
                if is_stand_in(file):
                    self._write(file, f'{MARK}\nexec {self._client} module {module} "$@"')

    @property
    def _client(self) -> str:
        return shlex.join([sys.executable, "-I", "-S", str(CLIENT), str(self._socket)])

    def _write(self, file: Path, script: str) -> None:
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            assert stream is not None
            stream.close()
        shutil.rmtree(self._directory)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a client asked for."""

    connection: socket.socket
    streams: list[int]
    request: dict[str, Any]


def preload() -> None:
    for module in IMPORTED:
        importlib.import_module(module)
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]
    assert threading.active_count() == 1, "a fork copies only the thread that asks for it"
    gc.freeze()


def serve(path: str) -> Callable[[], None] | None:
    """Serve until stdin ends, and return None. In a fork, return what it has to run."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for keepers
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return None
            connection, _ = listener.accept()
            if os.fork():
                connection.close()
                continue
            # The keeper: the worker's parent, which ends with its client, as a process that the engine has started.
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked = _read(connection)
            worker = os.fork()
            if not worker:
                return lambda: _become(asked)
            for stream in asked.streams:
                os.close(stream)
            _keep(worker, connection)


def _read(connection: socket.socket) -> Asked:
    data, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not data.endswith(b"\n"):
        more = connection.recv(1 << 20)
        if not more:
            os._exit(1)
        data += more
    return Asked(connection=connection, streams=streams, request=json.loads(data))


def _keep(worker: int, connection: socket.socket) -> None:
    """Pass signals on to the worker until it ends, and say how it did. End at once where the client is gone."""
    ended = os.pidfd_open(worker)
    heard: list[int | socket.socket] = [ended, connection]
    while True:
        ready, _, _ = select.select(heard, [], [])
        if ended in ready:
            _, status = os.waitpid(worker, 0)
            with suppress(OSError):
                connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            os._exit(0)
        numbers = connection.recv(16)
        if not numbers:
            os._exit(1)
        for number in numbers:
            os.kill(worker, number)


def _become(asked: Asked) -> None:
    """Run what was asked for, as a new Python would."""
    asked.connection.close()
    for number, stream in enumerate(asked.streams):
        os.dup2(stream, number)
        os.close(stream)
    for output in (sys.stdout, sys.stderr):
        output.reconfigure(line_buffering=True, write_through=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(asked.request["environment"])
    os.chdir(asked.request["directory"])
    random.seed()
    sys.path[:] = [entry for entry in sys.path if entry not in ("", str(ROOT))]
    if module := asked.request.get("module"):
        sys.path.insert(0, str(ROOT))
        if not hasattr(sys.modules.get(module), "__path__"):
            sys.modules.pop(module, None)  # runpy warns of a module that runs twice
        sys.argv = [module, *asked.request["arguments"]]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        path = asked.request["path"]
        sys.path.insert(0, str(Path(path).parent))
        sys.argv = [path, *asked.request["arguments"]]
        runpy.run_path(path, run_name="__main__")


def main() -> None:
    preload()
    if run := serve(sys.argv[1]):
        run()


if __name__ == "__main__":
    main()
