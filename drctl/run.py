"""Does the steps: shows each with its plain commands, asks, configures, runs `up`, and asks the stacks anew what comes next."""

from __future__ import annotations

from collections.abc import Collection
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
        """One step. Raises StackFailedError and NotConfirmedError."""
        commands = step.commands(self.project.settings(step.stack).topology)
        self.screen.say(f"{step.name}: {step.says}", "bold")
        self.screen.commands(commands)
        self.screen.confirm("Go on?")
        for key, value in step.sets.items():
            self.stacks.configure(step.stack, key, value)
        heard = self.up(step.stack)
        self.done.append({"step": step.name, "stack": step.stack, "commands": commands, "warnings": heard.warnings})

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
        with self.screen.progress(f"pulumi up -s {role}") as progress:
            heard = self.stacks.up(role, progress)
        for line in heard.warnings:
            self.screen.say(f"  warning: {line}", "yellow")
        return heard

    def finish(self, code: int, text: str, **more: Any) -> int:
        """Print the result. Returns the exit code."""
        self.screen.result(text, {"exit": code, "says": text, "steps": self.done, **more})
        return code
