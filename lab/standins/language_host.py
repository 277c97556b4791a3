"""A Pulumi language host for Python, written in Python: it runs the program that Pulumi.yaml names under the real engine.

The engine starts `pulumi-language-python [flags] <engine-address>` and speaks pulumirpc.LanguageRuntime to it. The program
itself runs in a process of its own each time: one `up` asks twice, for the preview and for the update, and a module that
stays loaded would carry state from the first to the second.
"""

from __future__ import annotations

import json
import logging
import os
import re
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

# Run as a file, by the program's interpreter, it must not find this directory's modules in place of others.
if sys.argv[1:2] == ["--program"]:
    sys.path.pop(0)

from google.protobuf import empty_pb2, json_format
from pulumi import log
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

_INLINE = re.compile(r"^python inline source runtime error: .*?\n(?=Traceback )", re.DOTALL)
"""What the SDK's server puts before a traceback; the real host has no such words."""


def interpreter(info: Any) -> str:
    """The interpreter of the virtual environment that Pulumi.yaml's `runtime.options.virtualenv` names, else this one."""
    environment = json_format.MessageToDict(info.options).get("virtualenv")
    if not environment:
        return sys.executable
    return str(Path(info.root_directory, environment, "bin", "python"))


def provider_packages() -> Iterator[Any]:
    """The providers that the installed SDKs are made for: each of those packages brings a pulumi-plugin.json."""
    for distribution in metadata.distributions():
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
    """About comes from the SDK's server of inline programs; the rest is here."""

    def __init__(self, engine_address: str) -> None:
        super().__init__(program=lambda: None)
        self._engine_address = engine_address

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
        """The real host makes the virtual environment; this one runs in it, so it is there."""
        yield language_pb2.InstallDependenciesResponse(stdout=b"the stand-in installs nothing: the environment is there\n")

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return language_pb2.GetRequiredPackagesResponse(packages=list(provider_packages()))

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        installed = [
            language_pb2.DependencyInfo(name=distribution.metadata["Name"], version=distribution.version)
            for distribution in metadata.distributions()
        ]
        return language_pb2.GetProgramDependenciesResponse(dependencies=installed)

    def Run(self, request: Any, context: Any) -> Any:
        del request.args[:]
        request.args.append(self._engine_address)  # where the SDK's server looks for it
        answer_end, child_end = os.pipe()
        child = subprocess.Popen(
            [interpreter(request.info), __file__, "--program", str(child_end)],
            cwd=request.info.program_directory or request.pwd,
            stdin=subprocess.PIPE,
            pass_fds=(child_end,),
        )
        os.close(child_end)
        context.add_callback(child.terminate)
        assert child.stdin is not None
        child.stdin.write(request.SerializeToString())
        child.stdin.close()
        with os.fdopen(answer_end, "rb") as pipe:
            answer = pipe.read()
        if code := child.wait():
            return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {code}")
        return language_pb2.RunResponse.FromString(answer)

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
    """What the child writes to stdout and stderr, as it writes it."""
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


def run_program(answer_to: int) -> None:
    """In the program's own process: read the RunRequest from stdin, run, write the RunResponse to the open file `answer_to`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the host, which ends this process in its own way
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    request = language_pb2.RunRequest.FromString(sys.stdin.buffer.read())
    os.environ["PULUMI_CONFIG"] = json.dumps(dict(request.config))
    os.environ["PULUMI_CONFIG_SECRET_KEYS"] = json.dumps(list(request.configSecretKeys))
    directory = os.path.normpath(os.path.join(request.info.program_directory, request.info.entry_point))
    _report_as_the_real_host()

    def program() -> None:
        runpy.run_path(directory, run_name="__main__")

    server: Any = LanguageServer(program)
    response = server.Run(request, None)
    if response.error:
        # The engine has the message by now; without this it would print it a second time.
        response = language_pb2.RunResponse(error=response.error, bail=True)
    with os.fdopen(answer_to, "wb") as pipe:
        pipe.write(response.SerializeToString())


def _end_with(parent: int) -> None:
    """A program must not go on when its host is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _report_as_the_real_host() -> None:
    """Other words than the SDK's server of inline programs has for a program that failed."""
    say = log.error

    def error(message: str, *args: Any, **options: Any) -> None:
        say(_INLINE.sub("Program failed with an unhandled exception:\n", message), *args, **options)

    log.error = error  # type: ignore[assignment] # the same call, with fewer words about it
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def main() -> None:
    if sys.argv[1:2] == ["--program"]:
        run_program(int(sys.argv[2]))
        return
    from lab.standins.serving import serve  # the program's interpreter need not know the lab

    host = LanguageHost(sys.argv[-1])
    serve(lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server))


if __name__ == "__main__":
    main()
