"""Does the steps: shows each with its plain commands, asks, configures, runs `up`, and asks the stacks anew what comes next."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from drctl.project import Project
from drctl.regions import Regions
from drctl.show import NOT_DONE, OK, Screen
from drctl.stacks import Heard, StackFailedError, StackLockedError, Stacks
from drctl.steps import Decide, End, Step, StepName
from settings.roles import Role


@dataclass(kw_only=True)
class Operator:
    """What each command has: the checkout, its stacks, and the terminal."""

    project: Project
    stacks: Stacks
    screen: Screen
    unlock: bool = False
    regions: Regions = field(default_factory=Regions)
    done: list[dict[str, Any]] = field(default_factory=list)
    """The steps that this run has done, for --json."""

    begun: str = ""
    """What was begun and has not ended, and what becomes of it: for whoever interrupts."""

    interrupted: int = 0
    """How often Ctrl-C was typed during an `up`. After the second one the lock may be left behind."""

    def carry_out(self, roles: Collection[Role], decide: Decide) -> tuple[int, End]:
        """Do what `decide` says until it says that there is nothing more. Returns the exit code. Raises StackFailedError."""
        done: list[StepName] = []
        while True:
            following = decide({role: self.stacks.told(role) for role in roles}, done)
            if isinstance(following, End):
                return (OK if following.done else NOT_DONE), following
            if following.name in done:
                raise StackFailedError(
                    f"the up of stack {following.stack} has ended, and its outputs still say that it should {following.name}; "
                    f"see: pulumi stack output next -s {following.stack}"
                )
            self.do(following)
            done.append(following.name)

    def do(self, step: Step) -> None:
        """One step. Raises StackFailedError, NotConfirmedError, and KeyboardInterrupt where the last one was interrupted."""
        if self.interrupted:
            raise KeyboardInterrupt
        commands = step.commands(self.project.settings(step.stack).topology)
        self.screen.say(f"{step.name}: {step.says}", "bold")
        self.screen.commands(commands)
        self.screen.confirm("Go on?")
        self.begun = f"{step.name} (stack {step.stack}) was begun, and what it has done stays"
        for key, value in step.sets.items():
            self.stacks.configure(step.stack, key, value)
        heard = self.up(step.stack)
        self.done.append({"step": step.name, "stack": step.stack, "commands": commands, "warnings": heard.warnings})
        self.begun = ""

    def up(self, role: Role) -> Heard:
        """`pulumi up`. With `unlock` the lock of a killed one is taken away first, once. Raises StackFailedError."""
        try:
            return self._up(role)
        except StackLockedError:
            if not self.unlock:
                raise
            self.screen.say(f"  stack {role} is locked, and --unlock says that no up of it runs: pulumi cancel -s {role} --yes")
            self.stacks.unlock(role)
            return self._up(role)

    def _up(self, role: Role) -> Heard:
        with self.screen.progress(f"pulumi up -s {role}") as progress, self._patience():
            heard = self.stacks.up(role, progress)
        for line in heard.warnings:
            self.screen.say(f"  warning: {line}", "yellow")
        return heard

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Ctrl-C reaches the CLI as well, which ends what it has begun and gives its lock back. So the first one waits for that,
        and only the second one interrupts this program too. Raises KeyboardInterrupt if the `up` did not end well after one."""

        def hear(*_: object) -> None:
            self.interrupted += 1
            if self.interrupted > 1:
                raise KeyboardInterrupt
            meaning = "pulumi ends what it has begun, and begins nothing more; another one ends it at once, and leaves its lock"
            self.screen.say(f"  Ctrl-C: {meaning}", "yellow")

        before = signal.signal(signal.SIGINT, hear)
        try:
            yield
        except StackFailedError:
            if self.interrupted:
                raise KeyboardInterrupt from None
            raise
        finally:
            signal.signal(signal.SIGINT, before)

    def finish(self, code: int, text: str, **more: Any) -> int:
        """Print the result. Returns the exit code."""
        self.screen.result(text, {"exit": code, "says": text, "steps": self.done, **more})
        return code
