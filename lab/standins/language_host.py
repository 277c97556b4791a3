"""A Pulumi language host for Python, written in Python. It runs the program of Pulumi.yaml under the real engine.

The engine starts `pulumi-language-python [flags] <engine-address>` and calls pulumirpc.LanguageRuntime. Each run of the program
is a new process (`language_exec.py`). One `up` runs the program twice, for the preview and for the update: in the same process,
modules would keep state from the first run.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from google.protobuf import empty_pb2, json_format
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from lab.standins import language_exec
from lab.standins.serving import serve

EXECUTOR = language_exec.__file__
_INTERRUPT_SECONDS = 0.5
"""Seconds that a program has to end after an interrupt, before the next one."""


def interpreter(info: Any) -> str:
    """The Python of the virtual environment in Pulumi.yaml (`runtime.options.virtualenv`); without one, this Python."""
    environment = json_format.MessageToDict(info.options).get("virtualenv")
    if not environment:
        return sys.executable
    return str(Path(info.root_directory, environment, "bin", "python"))


def provider_packages() -> Iterator[Any]:
    """The providers of the installed SDKs. Each SDK package has a pulumi-plugin.json."""
    for distribution in metadata.distributions():
        # The list of files is only parsed where it names the file: an SDK has thousands, and each command of the CLI asks.
        if "pulumi-plugin.json" not in (distribution.read_text("RECORD") or ""):
            continue
        for file in distribution.files or []:
            if file.name != "pulumi-plugin.json":
                continue
            info = json.loads(Path(str(distribution.locate_file(file))).read_text())
            if info.get("resource"):
                yield plugin_pb2.PackageDependency(
                    name=info.get("name") or re.sub(r"^pulumi[_-]", "", distribution.metadata["Name"]),
                    kind="resource",
                    version=(info.get("version") or distribution.version).removeprefix("v"),
                    server=info.get("server", ""),
                )


class LanguageHost(LanguageServer):
    """The language host. Only `About` comes from its base class, the SDK's server for inline programs."""

    def __init__(self, engine_address: str) -> None:
        super().__init__(program=lambda: None)
        self._engine_address = engine_address
        self._program: subprocess.Popen[bytes] | None = None

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        self._engine_address = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return plugin_pb2.PluginInfo(version="0.0.1")

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return empty_pb2.Empty()

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return language_pb2.RuntimeOptionsResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: ARG002
        """Install nothing. The real host would create the virtual environment, but this one already runs in it."""
        yield language_pb2.InstallDependenciesResponse(stdout=b"the stand-in installs nothing: the environment exists\n")

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return language_pb2.GetRequiredPackagesResponse(packages=list(provider_packages()))

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        installed = [
            language_pb2.DependencyInfo(name=distribution.metadata["Name"], version=distribution.version)
            for distribution in metadata.distributions()
        ]
        return language_pb2.GetProgramDependenciesResponse(dependencies=installed)

    def Run(self, request: Any, context: Any) -> Any:
        """Run the program in a new process. Failures get the same messages as in pulumi-language-python 3.259."""
        environment = os.environ | {
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        self._program = subprocess.Popen(self._command(request), env=environment, stdin=subprocess.DEVNULL)
        context.add_callback(self.end_program)
        match self._program.wait():
            case 0:
                return language_pb2.RunResponse()
            case language_exec.EXPLAINED:
                return language_pb2.RunResponse(bail=True)
            case code:
                return language_pb2.RunResponse(error=f"program exited with non-zero exit code: {max(code, -1)}")

    def _command(self, request: Any) -> list[str]:
        options = {
            "monitor": request.monitor_address,
            "engine": self._engine_address,
            "project": request.project,
            "root_directory": request.info.root_directory,
            "stack": request.stack,
            "pwd": request.pwd,
            "dry_run": str(request.dryRun).lower(),
            "parallel": str(request.parallel),
            "organization": request.organization,
        }
        given = [part for name, value in options.items() if value for part in (f"--{name}", value)]
        return [interpreter(request.info), "-u", EXECUTOR, *given, request.info.entry_point]

    def end_program(self) -> None:
        """Interrupt the program. If it does not end, interrupt it again, and finally kill it.

        The engine also interrupts every process of a plugin that it ends. A program that does not handle interrupts therefore
        ends with a traceback, as it does with the real host.
        """
        child = self._program
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            if child is None or child.poll() is not None:
                return
            child.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                child.wait(_INTERRUPT_SECONDS)

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """Start a plugin written in Python: a policy pack (`kind` is "analyzer"), or a directory with a `__main__.py`."""
        program, python = request.info.program_directory, interpreter(request.info)
        if request.kind == "analyzer":
            command, directory = [python, "-u", "-m", "pulumi.policy", *request.args, program], program
        else:
            command, directory = [python, "-u", program, *request.args], request.pwd
        environment = os.environ | dict(pair.split("=", 1) for pair in request.env)
        child = subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        context.add_callback(child.terminate)
        yield from _output_of(child)
        yield language_pb2.RunPluginResponse(exitcode=child.wait())


def _output_of(child: subprocess.Popen[bytes]) -> Iterator[Any]:
    """Yield the child's output on stdout and stderr as it arrives."""
    pieces: SimpleQueue[Any] = SimpleQueue()

    def pump(stream: IO[bytes], wrap: Callable[[bytes], Any]) -> None:
        while piece := os.read(stream.fileno(), 65536):
            pieces.put(wrap(piece))
        pieces.put(None)

    assert child.stdout is not None
    assert child.stderr is not None
    pumps = (
        (child.stdout, lambda piece: language_pb2.RunPluginResponse(stdout=piece)),
        (child.stderr, lambda piece: language_pb2.RunPluginResponse(stderr=piece)),
    )
    for pair in pumps:
        threading.Thread(target=pump, args=pair, daemon=True).start()
    for _ in pumps:
        while (piece := pieces.get()) is not None:
            yield piece


def main() -> None:
    host = LanguageHost(sys.argv[-1])
    serve(lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server), at_the_end=host.end_program)


if __name__ == "__main__":
    main()
