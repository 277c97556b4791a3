"""Both stacks by Pulumi's Automation API, each with its own backend, as the commands of the runbook name it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pulumi.automation import (
    CommandError,
    CommandResult,
    ConcurrentUpdateError,
    ConfigValue,
    InvalidVersionError,
    LocalWorkspace,
    PulumiCommand,
    Stack,
    StackNotFoundError,
)
from pulumi.automation.errors import create_command_error
from pulumi.automation.events import EngineEvent

from drctl.project import Project
from drctl.steps import Told, told
from settings.explain import PROJECT
from settings.load import TRIES_IN_PREVIEWS
from settings.roles import Role

GATE = "dr:failover:Failover"
"""Type of the component that asks the gate: what the engine refuses of it, the gate has refused."""

READ_SECONDS = 45
"""How long a stack's state may take to be read. A region that is dead answers after this with nothing."""

_BEFORE_IT = "sign in first, and export the passphrase where the state has no key (docs/drctl.md)"

_NO_CHANGE = ("same", "read", "discard")

_MARKUP = re.compile(r"<\{%.*?%\}>")
"""The engine's own markup for colours, in the messages of its events."""


class StackFailedError(Exception):
    """What a stack refused or failed at. `refused` says whether it was the gate, which touches nothing; `warnings` has what was
    said besides."""

    def __init__(self, message: str, *, refused: bool = False, warnings: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.refused, self.warnings = refused, tuple(warnings)


class StackLockedError(StackFailedError):
    """Another `up` runs, or one that was killed has left its lock."""


class NoAnswerError(StackFailedError):
    """The stack's backend has not answered within its time."""


@dataclass(kw_only=True)
class Heard:
    """What the engine said in one run."""

    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    refused: bool = False
    changes: dict[str, int] = field(default_factory=dict)
    """How many resources it changes or would change, by what happens to them."""

    changed: dict[str, list[str]] = field(default_factory=dict)
    """Which ones, alike: kind and name of each."""

    def hear(self, event: EngineEvent) -> None:
        if event.summary_event:
            counted = {_operation(what): number for what, number in event.summary_event.resource_changes.items()}
            self.changes = {what: number for what, number in counted.items() if what not in _NO_CHANGE}
        step = event.resource_pre_event.metadata if event.resource_pre_event else None
        # A replacement has more steps, of which the summary counts the one that is logical.
        if step and step.logical and (what := _operation(step.op)) not in _NO_CHANGE:
            self.changed.setdefault(what, []).append(_kind_and_name(step.urn))
        said = event.diagnostic_event
        if said is None or said.severity not in ("warning", "error"):
            return
        text = " ".join(_MARKUP.sub("", said.message).split())
        told_before = self.warnings if said.severity == "warning" else self.errors
        if text and text not in told_before:
            told_before.append(text)
        if said.severity == "error" and said.urn:
            self.refused = self.refused or said.urn.split("::")[2].rpartition("$")[2] == GATE


def _operation(what: object) -> str:
    return str(getattr(what, "value", what))


def _kind_and_name(urn: str) -> str:
    """As in `CronJob drills-namespace-job`, of the URN of a resource."""
    *_, kind, name = urn.split("::")
    return f"{kind.rpartition(':')[2]} {name}"


OnEvent = Callable[[EngineEvent], None]


class _Workspace(LocalWorkspace):
    """The checkout. Each command names its stack, so none is selected: the shell of whoever runs this keeps its own choice."""

    def select_stack(self, stack_name: str) -> None:
        pass


class _Bounded(PulumiCommand):
    """A CLI that is given up at a deadline, for all calls of one question together: an SDK that meets a dead region tries for
    minutes."""

    def __init__(self, command: PulumiCommand, seconds: float) -> None:
        self.command, self.version, self._seconds = command.command, command.version, seconds
        self._deadline = time.monotonic() + seconds

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Any = None,  # noqa: ARG002 - the library's own signature
        on_error: Any = None,  # noqa: ARG002
    ) -> CommandResult:
        # A session of its own: what the CLI has started is ended with it, and else would keep the pipes open.
        with subprocess.Popen(
            [self.command, "--non-interactive", *args],
            cwd=cwd,
            env={**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                said, errors = process.communicate(timeout=max(self._deadline - time.monotonic(), 0))
            except BaseException:  # Ctrl-C too: it does not reach another session
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        result = CommandResult(stdout=said, stderr=errors, code=process.returncode)
        if process.returncode:
            raise create_command_error(result)
        return result


@dataclass(kw_only=True)
class Stacks:
    """The stacks of a checkout."""

    project: Project
    read_seconds: float = READ_SECONDS

    @cached_property
    def _pulumi(self) -> PulumiCommand:
        try:
            return PulumiCommand()
        except FileNotFoundError:
            raise StackFailedError("pulumi: is not on PATH; docs/first-deployment.md says how to install it") from None
        except (InvalidVersionError, subprocess.CalledProcessError, OSError) as error:
            said = " ".join(str(error).split())
            raise StackFailedError(f"pulumi: the one on PATH cannot be used: {said}; see docs/first-deployment.md") from None

    def _workspace(self, role: Role, environment: Mapping[str, str] | None = None, *, bounded: bool = False) -> LocalWorkspace:
        backend = self._backend(role)
        own = {"PULUMI_BACKEND_URL": backend} if backend else {}
        return _Workspace(
            work_dir=str(self.project.directory),
            env_vars={**own, "PULUMI_SKIP_UPDATE_CHECK": "true", **(environment or {})},
            pulumi_command=_Bounded(self._pulumi, self.read_seconds) if bounded else self._pulumi,
        )

    def _backend(self, role: Role) -> str | None:
        """The stack's backend, where it is written down."""
        backends = self.project.settings(role).topology.backends
        return getattr(backends, role) if backends else None

    def _stack(self, role: Role, environment: Mapping[str, str] | None = None) -> Stack:
        return Stack.select(role, self._workspace(role, environment))

    def _no_answer(self, role: Role) -> NoAnswerError:
        return NoAnswerError(
            f"the state of stack {role} did not answer within {self.read_seconds:g} s; docs/state.md says where it is"
        )

    def outputs(self, role: Role) -> dict[str, Any]:
        """The stack's outputs. Raises StackFailedError; NoAnswerError after `read_seconds`."""
        try:
            found = self._workspace(role, bounded=True).stack_outputs(role)
        except subprocess.TimeoutExpired:
            raise self._no_answer(role) from None
        except StackNotFoundError as error:
            raise _failed(role, error, Heard()) from None
        except CommandError as error:
            where = self._backend(role) or os.environ.get("PULUMI_BACKEND_URL") or "the backend that pulumi is signed in to"
            raise StackFailedError(
                f"the state of stack {role} cannot be read from {where}: {_last_words(error)}; {_BEFORE_IT}"
            ) from None
        return {key: output.value for key, output in found.items()}

    def told(self, role: Role) -> Told:
        """What a stack says. Raises StackFailedError."""
        if found := told(self.outputs(role), self.project.configured(role)):
            return found
        raise StackFailedError(f"stack {role} has no outputs: it was never brought up to its end; run: pulumi up -s {role}")

    def configure(self, role: Role, key: str, value: str) -> None:
        """Write one key into the stack's file. Raises StackFailedError; NoAnswerError after `read_seconds`."""
        try:
            self._workspace(role, bounded=True).set_config(role, f"{PROJECT}:{key}", ConfigValue(value=value))
        except subprocess.TimeoutExpired:
            raise self._no_answer(role) from None
        except CommandError as error:
            raise _failed(role, error, Heard()) from None

    def up(self, role: Role, on_event: OnEvent) -> Heard:
        """`pulumi up`. Raises StackFailedError with what the program or the gate said."""
        return self._run(role, on_event, lambda stack, hear: stack.up(on_event=hear, color="never"))

    def preview(self, role: Role, on_event: OnEvent, *, config_file: Path | None = None, by_day: bool = False) -> Heard:
        """`pulumi preview`, with another stack file if one is given. `by_day` asks what otherwise an `up` asks."""
        environment = {TRIES_IN_PREVIEWS: "true"} if by_day else {}
        file = str(config_file) if config_file else None
        return self._run(
            role, on_event, lambda stack, hear: stack.preview(on_event=hear, color="never", config_file=file), environment
        )

    def unlock(self, role: Role) -> None:
        """`pulumi cancel`: takes away the lock that a killed `up` has left. Raises StackFailedError; NoAnswerError after
        `read_seconds`."""
        try:
            Stack.select(role, self._workspace(role, bounded=True)).cancel()
        except subprocess.TimeoutExpired:
            raise self._no_answer(role) from None
        except CommandError as error:
            raise _failed(role, error, Heard()) from None

    def _run(
        self,
        role: Role,
        on_event: OnEvent,
        do: Callable[[Stack, OnEvent], Any],
        environment: Mapping[str, str] | None = None,
    ) -> Heard:
        heard = Heard()

        def hear(event: EngineEvent) -> None:
            heard.hear(event)
            on_event(event)

        try:
            do(self._stack(role, environment), hear)
        except CommandError as error:
            raise _failed(role, error, heard) from None
        return heard


def _failed(role: Role, error: CommandError, heard: Heard) -> StackFailedError:
    """What a person reads: what the engine said by its events, else the last words of the CLI."""
    if isinstance(error, ConcurrentUpdateError):
        return StackLockedError(
            f"stack {role} is locked{_who(error)}: an up of it runs, or one that was killed has left its lock; if none runs: "
            f"pulumi cancel -s {role} --yes, or the same command with --unlock"
        )
    if isinstance(error, StackNotFoundError):
        return StackFailedError(
            f"there is no stack {role} in its backend; write the backends to topology.backends, or set PULUMI_BACKEND_URL "
            "(docs/state.md)"
        )
    said = "\n".join(heard.errors) or _last_words(error)
    return StackFailedError(said, refused=heard.refused, warnings=heard.warnings)


def _who(error: CommandError) -> str:
    """Who has locked the stack and since when, as the CLI quotes the lock. A person decides by it whether that one still runs."""
    locks = [line.rpartition(": created ")[2].strip() for line in str(error).splitlines() if ": created by " in line]
    return f" {'; '.join(locks)}" if locks else ""


def _last_words(error: CommandError) -> str:
    """The end of what the CLI printed, where the engine has said nothing by its events: it refused before it began."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line.rpartition("error: ")[2] for line in lines if "error: " in line]
    return (said or lines or ["pulumi failed, and said nothing"])[-1]
