"""What every command takes, and how each ends: one exit code and one line, never a stack trace."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import click.exceptions

from components.kube.cluster_api import ClusterUnreachableError
from drctl.alone import NotAloneError, alone
from drctl.project import NoProjectError, Project
from drctl.run import Operator
from drctl.show import FAILED, INTERRUPTED, NOT_DONE, REFUSED, NotConfirmedError, Screen
from drctl.stacks import StackFailedError, Stacks
from settings import ConfigurationError

Command = Callable[..., int]
"""A command returns its exit code."""

DIRECTORY = click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The checkout with both stack files; by default the current directory.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object to standard output.")
YES = click.option("--yes", is_flag=True, help="Ask nobody before each step that changes something.")
UNLOCK = click.option(
    "--unlock", is_flag=True, help="Take away the lock that a killed up has left. Make sure that no up of that stack runs."
)


def reads(command: Command) -> Callable[..., None]:
    """A command that changes nothing in a stack."""
    return DIRECTORY(AS_JSON(_ends(command)))


def changes(command: Command) -> Callable[..., None]:
    """A command that runs `up` or writes a stack file. One at a time does in a checkout."""

    @wraps(command)
    def changes_alone(operator: Operator, **given: Any) -> int:
        with alone(operator.project.directory):
            return command(operator, **given)

    return DIRECTORY(AS_JSON(YES(UNLOCK(_ends(changes_alone)))))


def _ends(command: Command) -> Callable[..., None]:
    @wraps(command)
    @click.pass_context
    def ends(
        context: click.Context, /, directory: Path, as_json: bool, yes: bool = False, unlock: bool = False, **given: Any
    ) -> None:
        project = Project(directory=directory.resolve())
        screen = Screen(as_json=as_json, yes=yes)
        operator = (context.obj or _operator)(project, screen)
        operator.unlock = unlock
        try:
            project.check()
            code = command(operator, **given)
        except StackFailedError as error:
            code = _ended(operator, REFUSED if error.refused else FAILED, str(error))
        except (NoProjectError, NotAloneError, ConfigurationError, ClusterUnreachableError) as error:
            code = _ended(operator, FAILED, str(error))
        except NotConfirmedError as error:
            code = _ended(operator, NOT_DONE, str(error) if operator.done else f"{error}, and nothing was touched")
        except KeyboardInterrupt:
            code = _ended(operator, INTERRUPTED, _interrupted(operator))
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - whoever is on call gets a line and what to do, and no stack trace
            code = _ended(operator, FAILED, _unforeseen(error))
        context.exit(code)

    return ends


def _operator(project: Project, screen: Screen) -> Operator:
    return Operator(project=project, stacks=Stacks(project=project), screen=screen)


def _ended(operator: Operator, code: int, said: str) -> int:
    said = "; ".join([said, *_done_before(operator)])
    if operator.screen.as_json:
        return operator.finish(code, said)
    operator.screen.say(said, "red")
    return code


def _unforeseen(error: Exception) -> str:
    """A mistake of drctl itself, in one line. Its trace is kept for whoever mends it."""
    said = (
        f"drctl itself has failed ({type(error).__name__}: {' '.join(str(error).split())}); type the commands of "
        "docs/runbook.md in its place"
    )
    try:
        with tempfile.NamedTemporaryFile("w", prefix="drctl-", suffix=".txt", delete=False) as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError as unwritten:  # a full disk may be what has failed
        return f"{said}; its trace could not be kept: {unwritten.strerror}"
    return f"{said}; the trace for whoever mends drctl is in {file.name}"


def _done_before(operator: Operator) -> list[str]:
    """What stays as it is though the command has ended early: above all a region that has given up, so that nobody can write."""
    again = "type the same command again"
    if operator.interrupted > 1:
        again += " with --unlock, once no pulumi runs any more"
    if not operator.done:
        return [again] if operator.interrupted else []
    names = [f"{each['step']} (stack {each['stack']})" for each in operator.done]
    if operator.done[-1]["step"] != "give up":
        return [f"done before: {', '.join(names)}: {again}"]
    return [f"done before: {', '.join(names)}; nobody can write: {again}, or docs/runbook.md, Take back what was given"]


def _interrupted(operator: Operator) -> str:
    if operator.begun:
        return f"interrupted: {operator.begun}"
    return "interrupted" if operator.done else "interrupted, and nothing was touched"
