"""The Pulumi engine of the lab: which of its parts are real, which are stand-ins, and the environment that the CLI runs in.

The lab prefers real parts. A stand-in replaces a part that is not installed, so that the lab also runs on machines that cannot
install it. The Pulumi program sees no difference; the report names the parts that ran.
"""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import grpc
from google.protobuf import empty_pb2
from packaging.version import InvalidVersion, Version
from pulumi.runtime.proto import language_pb2_grpc, provider_pb2_grpc

from lab.paths import CHECKOUT

MODE_VARIABLE = "LAB_ENGINE"
"""Environment variable. `real` or `standin` forces that kind for every part that has a stand-in. If it is not set, each
installed part is real."""

LANGUAGE_HOST = "pulumi-language-python"
PROVIDERS = {"kubernetes": "pulumi_kubernetes", "aws": "pulumi_aws"}
"""For each provider, the Python SDK whose version says which provider version the lab needs."""

MODULES = {
    LANGUAGE_HOST: "lab.standins.language_host",
    "kubernetes": "lab.standins.kubernetes_provider",
    "aws": "lab.standins.aws_provider",
}
"""The module of each stand-in, by its part."""

MARK = "# a stand-in, see lab/standins/README.md"
_ANSWER_TIMEOUT = 10.0
"""Seconds that a plugin may take to tell its version."""


class EngineError(Exception):
    """A requested part of the engine is missing; the message names the part and says what to do."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A real part: its executable and its version, as text for the report."""

    executable: Path
    version: str


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The parts that a Pulumi command runs with. Each is `real VERSION` or `stand-in`; `pulumi` is the CLI to call."""

    pulumi: Path
    cli: str
    language_host: str
    kubernetes: str
    aws: str
    home: Path | None
    """The lab's own PULUMI_HOME. None if every part is real: then the user's own home has them."""

    def describe(self) -> dict[str, str]:
        """The kind of each part, for `lab status` and the report."""
        return {"cli": self.cli, "language_host": self.language_host, "kubernetes": self.kubernetes, "aws": self.aws}

    def environment(
        self,
        *,
        backend: str,
        passphrase: str,
        provider_log: Path | None = None,
        base: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """The whole environment of a `pulumi` command.

        It is `base` (default: this process's environment) without the variables that point to another backend, AWS account,
        cluster or collector of traces. `backend` is a URL (`file:///…`). A stand-in writes one JSON line for each call that it
        answers to `provider_log`.
        """
        outside = os.environ if base is None else base
        foreign, others = ("PULUMI_", "AWS_", "OTEL_"), ("KUBECONFIG", "TRACEPARENT")
        kept = {key: value for key, value in outside.items() if not key.startswith(foreign) and key not in others}
        answer = {
            **kept,
            "PATH": os.pathsep.join([str(self.pulumi.parent), kept.get("PATH", os.defpath)]),
            "PULUMI_BACKEND_URL": backend,
            "PULUMI_CONFIG_PASSPHRASE": passphrase,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "NO_COLOR": "1",
        }
        if provider_log is not None:
            answer["LAB_PROVIDER_LOG"] = str(provider_log)
        if self.home is not None:
            answer |= {
                "PULUMI_HOME": str(self.home),
                # That home has the chosen plugins. A plugin that happens to be on PATH must not take precedence.
                "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            }
        elif "PULUMI_HOME" in outside:
            answer["PULUMI_HOME"] = outside["PULUMI_HOME"]
        return answer


def prepare(directory: Path, pulumi: Path, *, environ: Mapping[str, str] | None = None) -> Engine:
    """Choose the parts, and put them into `directory`. `pulumi` is the CLI to use.

    This function deletes what `directory` had before, so no `pulumi` may be running from there. Raises EngineError if LAB_ENGINE
    asks for a part that is not installed, or is neither `real` nor `standin`.
    """
    environ = os.environ if environ is None else environ
    cli, parts = f"real {_cli_version(pulumi)}", choose(pulumi, environ)
    if all(parts.values()):
        chosen = Engine(pulumi=pulumi, cli=cli, home=None, **_described(parts))
    else:
        _lay_out(directory, pulumi, parts)
        chosen = Engine(pulumi=directory / "bin" / "pulumi", cli=cli, home=directory / "home", **_described(parts))
    record(directory).write_text(json.dumps(asdict(chosen), default=str))
    return chosen


def record(directory: Path) -> Path:
    """The file in which `prepare` records its choice. It is beside `directory`, which does not exist if every part is real."""
    return directory.with_name(f"{directory.name}.json")


def prepared(directory: Path) -> Engine | None:
    """The last choice of `prepare` for `directory`, as recorded. None if there is no whole record or its CLI no longer exists."""
    try:
        chosen = json.loads(record(directory).read_text())
    except (FileNotFoundError, ValueError):  # a full disk or a kill can leave half a record
        return None
    pulumi, home = Path(chosen["pulumi"]), chosen["home"]
    return Engine(**{**chosen, "pulumi": pulumi, "home": Path(home) if home else None}) if pulumi.exists() else None


def would_be(pulumi: Path | None, *, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What `prepare` would choose, in the form of `Engine.describe`. `pulumi` is None if no CLI has been built yet."""
    environ = os.environ if environ is None else environ
    if pulumi is None:
        return {"cli": "not built: make tools"}
    return {"cli": f"real {_cli_version(pulumi)}", **_described(choose(pulumi, environ))}


def _described(parts: Mapping[str, Part | None]) -> dict[str, str]:
    return {name: f"real {part.version}" if part else "stand-in" for name, part in parts.items()}


def choose(pulumi: Path, environ: Mapping[str, str]) -> dict[str, Part | None]:
    """The real parts by name (`language_host`, `kubernetes`, `aws`). The value is None if a stand-in replaces the part."""
    mode = _mode(environ)
    if mode == "standin":
        return dict.fromkeys(("language_host", *PROVIDERS))
    found = {name: find_provider(name, pulumi, environ) for name in PROVIDERS}
    parts = {"language_host": find_language_host(pulumi, environ), **found}
    if mode == "real" and (missing := [name for name, part in parts.items() if part is None]):
        raise EngineError(_missing(missing))
    return parts


def _mode(environ: Mapping[str, str]) -> Literal["real", "standin"] | None:
    match environ.get(MODE_VARIABLE, ""):
        case "":
            return None
        case "real":
            return "real"
        case "standin" | "stand-in":
            return "standin"
        case other:
            raise EngineError(f"{MODE_VARIABLE}={other}: set it to real or standin, or leave it out")


def _missing(parts: list[str]) -> str:
    names = {"language_host": f"{LANGUAGE_HOST} (it comes with the Pulumi CLI)"}
    wanted = [names.get(part) or f"pulumi-resource-{part} ({plugin_command(part)})" for part in parts]
    return f"{MODE_VARIABLE}=real, but not installed: {', '.join(wanted)}; install them, or leave {MODE_VARIABLE} out"


def plugin_command(provider: str) -> str:
    """The command that installs the provider which fits its SDK here."""
    return f"pulumi plugin install resource {provider} v{sdk_version(provider)}"


def sdk_version(provider: str) -> str:
    """The version of a provider that its SDK here is of."""
    return metadata.version(PROVIDERS[provider])


def _cli_version(pulumi: Path) -> str:
    try:
        asked = subprocess.run([pulumi, "version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(f"{pulumi} is not a Pulumi CLI that runs: {error}") from None
    return asked.stdout.strip()


# Real parts


def find_language_host(pulumi: Path, environ: Mapping[str, str]) -> Part | None:
    """The real language host, if it is beside the CLI or on PATH."""
    for executable in _executables(LANGUAGE_HOST, pulumi, environ):
        if found := version_of(executable, language_pb2_grpc.LanguageRuntimeStub):
            return Part(executable=executable, version=found)
    return None


def find_provider(name: str, pulumi: Path, environ: Mapping[str, str]) -> Part | None:
    """A real provider that works with the SDK: same major version, and not older.

    It may be in the plugin cache, beside the CLI or on PATH.
    """
    wanted = Version(sdk_version(name))
    program = f"pulumi-resource-{name}"
    home = Path(environ.get("PULUMI_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".pulumi")
    cached = [
        Part(executable=plugin / program, version=plugin.name.rpartition("-v")[2])
        for plugin in home.glob(f"plugins/resource-{name}-v*")
        if os.access(plugin / program, os.X_OK) and not is_stand_in(plugin / program)
    ]
    fitting = [part for part in cached if compatible(part.version, wanted)]
    if fitting:
        return max(fitting, key=lambda part: Version(part.version))
    for executable in _executables(program, pulumi, environ):
        found = version_of(executable, provider_pb2_grpc.ResourceProviderStub)
        if found and compatible(found, wanted):
            return Part(executable=executable, version=found.removeprefix("v"))
    return None


def compatible(found: str, wanted: Version) -> bool:
    try:
        version = Version(found)
    except InvalidVersion:
        return False
    return version.major == wanted.major and version >= wanted


def _executables(program: str, pulumi: Path, environ: Mapping[str, str]) -> list[Path]:
    """The programs of that name beside the CLI and on PATH, without the stand-ins."""
    path = os.pathsep.join([str(pulumi.resolve().parent), environ.get("PATH", "")])
    places = [Path(place) / program for place in dict.fromkeys(path.split(os.pathsep)) if place]
    return [file for file in places if file.is_file() and os.access(file, os.X_OK) and not is_stand_in(file)]


def is_stand_in(file: Path) -> bool:
    with file.open("rb") as content:
        return MARK.encode() in content.read(200)


def version_of(executable: Path, stub: Callable[[Any], Any]) -> str | None:
    """Start a plugin as the engine would, and ask for its version. None if it does not answer."""
    try:
        child = subprocess.Popen([executable, "127.0.0.1:1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return None
    try:
        assert child.stdout is not None
        if not select.select([child.stdout], [], [], _ANSWER_TIMEOUT)[0]:
            return None
        line = child.stdout.readline()
        if version := re.fullmatch(r"v?(\d+\.\d+\.\d+\S*)", line.strip()):
            return version[1]
        with grpc.insecure_channel(f"127.0.0.1:{int(line)}") as channel:
            return str(stub(channel).GetPluginInfo(empty_pb2.Empty(), timeout=_ANSWER_TIMEOUT).version).removeprefix("v") or None
    except (ValueError, grpc.RpcError):
        return None
    finally:
        child.kill()
        child.wait()


# The layout: `bin` holds the CLI and beside it, where the CLI looks first, the language host. `home` holds the providers as if
# Pulumi had installed them.


def _lay_out(directory: Path, pulumi: Path, parts: Mapping[str, Part | None]) -> None:
    binaries, plugins = directory / "bin", directory / "home" / "plugins"
    for place in (binaries, plugins):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    cli = binaries / "pulumi"
    try:
        cli.hardlink_to(pulumi.resolve())
    except OSError:  # another file system
        shutil.copy2(pulumi, cli)
    if (host := parts["language_host"]) is None:
        _write_stand_in(binaries / LANGUAGE_HOST, MODULES[LANGUAGE_HOST])
    else:
        for file in host.executable.parent.glob(f"{LANGUAGE_HOST}*"):
            (binaries / file.name).symlink_to(file)
    for name in PROVIDERS:
        part = parts[name]
        plugin = plugins / f"resource-{name}-v{part.version if part else sdk_version(name)}"
        plugin.mkdir()
        program = plugin / f"pulumi-resource-{name}"
        if part is None:
            _write_stand_in(program, MODULES[name])
        else:
            program.symlink_to(part.executable)


def _write_stand_in(file: Path, module: str) -> None:
    """Write a program that runs one of the lab's modules with this Python interpreter.

    It sets no environment variable, because the Pulumi program would inherit it.
    """
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(CHECKOUT)!r}); "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    file.write_text(f'#!/bin/sh\n{MARK}\nexec {shlex.quote(sys.executable)} -P -c {shlex.quote(code)} "$@"\n')
    file.chmod(0o755)
