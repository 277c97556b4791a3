"""Runs the Pulumi CLI in the lab's copy of the project, with the commands that a person would type."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab import console


class CommandFailedError(Exception):
    """A command failed; the message has the command and the end of its output."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One command that ran: when it started, how long it took, and what it printed."""

    command: str
    start: datetime
    seconds: float
    exit_code: int
    output: str


@dataclass(frozen=True, kw_only=True)
class Pulumi:
    """`pulumi` in `directory`. `prefix` is a command that runs it elsewhere (the lab's operations network namespace)."""

    directory: Path
    environment: Mapping[str, str]
    prefix: Sequence[str] = ()
    history: list[Ran] = field(default_factory=list)

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        """Start a command without waiting, and discard its output. Tests use this to kill a command while it runs."""
        return subprocess.Popen(
            [*self.prefix, "pulumi", *args],
            cwd=self.directory,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, *args: str, check: bool = True, show: bool = False, stdin: str | None = None) -> Ran:
        """Run a command to its end. `show` prints its output meanwhile. With `check`, a failure raises CommandFailedError."""
        command, start, began = shlex.join(["pulumi", *args]), datetime.now(UTC), time.monotonic()
        child = subprocess.Popen(
            [*self.prefix, "pulumi", *args],
            cwd=self.directory,
            env=dict(self.environment),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert child.stdout is not None
        if stdin is not None and child.stdin is not None:
            child.stdin.write(stdin)
            child.stdin.close()
        lines: list[str] = []
        try:
            for line in child.stdout:
                lines.append(line)
                if show:
                    console.say(f"    {line.rstrip()}")
            exit_code = child.wait()
        except BaseException:
            child.terminate()
            child.wait()
            raise
        ran = Ran(command=command, start=start, seconds=time.monotonic() - began, exit_code=exit_code, output="".join(lines))
        self.history.append(ran)
        if check and ran.exit_code:
            raise CommandFailedError(f"{command} ended with {ran.exit_code}:\n{ran.output[-4000:]}")
        return ran

    def up(self, stack: str, *args: str, check: bool = True, show: bool = False) -> Ran:
        return self.run("up", "-s", stack, "--yes", "--skip-preview", *args, check=check, show=show)

    def configure(self, stack: str, key: str, value: str) -> Ran:
        return self.run("config", "set", key, value, "-s", stack)

    def secret(self, stack: str, key: str, value: str) -> None:
        """Set a secret. The value goes through standard input, so that no process list shows it."""
        self.run("config", "set", "--secret", key, "-s", stack, stdin=value)

    def outputs(self, stack: str) -> dict[str, Any]:
        """What `pulumi up` prints, a line each."""
        return dict(json.loads(self.run("stack", "output", "--json", "-s", stack).output))

    def details(self, stack: str) -> dict[str, Any]:
        """The same as objects and lists: the output `details`."""
        return dict(json.loads(self.run("stack", "output", "details", "--json", "--show-secrets", "-s", stack).output))

    def resources(self, stack: str) -> list[dict[str, Any]]:
        """All resources of the stack's state. Secrets are decrypted, because each `up` encrypts the same value differently."""
        exported = json.loads(self.run("stack", "export", "--show-secrets", "-s", stack).output)
        return list(exported["deployment"].get("resources") or [])


def touched(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The resources that differ between two states of a stack: type, name and operation of each.

    It compares the engine's own states, so it works with real providers and stand-ins. Outputs of the stack and of components
    are results, not changes, and do not count.
    """
    old = {str(resource["urn"]): resource for resource in before}
    new = {str(resource["urn"]): resource for resource in after}
    found: list[dict[str, str]] = []
    for urn in sorted({*old, *new}):
        was, now = old.get(urn), new.get(urn)
        if was is None or now is None:
            operation = "create" if was is None else "delete"
        elif was.get("id") != now.get("id"):
            operation = "replace"
        elif was.get("inputs") != now.get("inputs"):
            operation = "update"
        else:
            continue
        kind, name = urn.rsplit("::", 2)[-2:]
        found.append({"type": kind.rsplit("$", 1)[-1], "name": name, "operation": operation})
    return [entry for entry in found if entry["type"] != "pulumi:pulumi:Stack"]
