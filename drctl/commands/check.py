"""`drctl check`: could region B take over now? It asks what the gate asks, and what each `up` tries by day."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import yaml

from drctl.commands.options import reads
from drctl.regions import ask_all
from drctl.run import Operator
from drctl.show import FAILED, OK, REFUSED, WARNED
from drctl.stacks import Heard, StackFailedError
from drctl.steps import backend
from settings.explain import named
from settings.load import TRIES_IN_PREVIEWS
from settings.roles import Role

STACK: Role = "secondary"
SECONDS = 30
"""For Route 53. The previews have the program's own."""

_NAMED = 8
"""Resources that a line names."""


@click.command(short_help="Could the secondary take over now?")
@reads
def check(operator: Operator) -> int:
    """Could the secondary take over now? Ends with 0 if it could, with 4 if it could with warnings, with 3 if the gate refuses.

    It previews the failover with a copy of the stack file, and asks by day what the night will ask, and whether users would
    follow the traffic flag. The other region's state and cluster are left alone.
    """
    now = operator.stacks.told(STACK)
    if now.active == STACK and now.since:
        return operator.finish(OK, f"the secondary serves since {now.since}: there is nothing to take over", warnings=[])
    operator.screen.commands([*backend(operator.project.settings(STACK).topology, STACK), *_commands()])
    by_day = _by_day(operator)
    warnings = [*by_day.warnings, *_not_deployed(by_day), *_flag_unseen(operator)]
    try:
        with flipped(operator.project.file(STACK)) as file, operator.screen.progress("what the gate says") as progress:
            warnings += operator.stacks.preview(STACK, progress, config_file=file).warnings
    except StackFailedError as error:
        told = _once([*warnings, *error.warnings])
        _show(operator, told, str(error))
        code = REFUSED if error.refused else FAILED
        return operator.finish(code, f"the secondary could not take over now: {error}", warnings=told)
    told = _once(warnings)
    _show(operator, told)
    if told:
        return operator.finish(WARNED, f"the secondary could take over now, with warnings: {len(told)}", warnings=told)
    return operator.finish(OK, "the secondary could take over now", warnings=[])


def _commands() -> list[str]:
    """What a person would type. The copy keeps the stack file as it is, whatever the gate says: `-c` writes into the file."""
    return [
        f"{TRIES_IN_PREVIEWS}=true pulumi preview -s {STACK}",
        f'copy="$(mktemp -d)/tonight.yaml"; cp Pulumi.{STACK}.yaml "$copy"',
        f'pulumi preview -s {STACK} --config-file "$copy" -c active={STACK}; rm "$copy"',
    ]


def _by_day(operator: Operator) -> Heard:
    with operator.screen.progress("what each up tries by day") as progress:
        return operator.stacks.preview(STACK, progress, by_day=True)


def _not_deployed(heard: Heard) -> list[str]:
    """What is merged and not deployed is not what runs on the night; and what depends on it could not be asked."""
    if not heard.changes:
        return []
    counted = "; ".join(
        f"{number} to {what}{_named(heard.changed.get(what, ()))}" for what, number in sorted(heard.changes.items())
    )
    return [
        f"stack {STACK} is not deployed as its files say ({counted}), and what depends on that was not asked; see: "
        f"pulumi preview --diff -s {STACK}; run: pulumi up -s {STACK}"
    ]


def _named(resources: Sequence[str]) -> str:
    """The first of them, for a stack that was never deployed has hundreds."""
    shown, more = resources[:_NAMED], len(resources) - _NAMED
    return f": {', '.join(shown)}{f' and {more} more' if more > 0 else ''}" if shown else ""


def _flag_unseen(operator: Operator) -> list[str]:
    """Whether users would follow the flag. By day the primary's own `up` asks it as a rule, and that stack is not asked here."""
    ask = partial(operator.regions.flag_unseen, operator.project.settings(STACK))
    with operator.screen.progress("what Route 53's checkers see"):
        answer = ask_all({"checkers": ask}, SECONDS)["checkers"]
    return [f"what Route 53's checkers see is not known: {answer}"] if isinstance(answer, Exception) else [*answer]


@contextmanager
def flipped(file: Path) -> Iterator[Path]:
    """A copy of the stack file for one run, in which the secondary is to serve. Nobody but the caller may read it."""
    directory = Path(tempfile.mkdtemp(prefix="drctl-"))
    try:
        content = yaml.safe_load(file.read_text()) or {}
        content["config"] = {**(content.get("config") or {}), named("active"): STACK}
        copy = directory / file.name
        copy.write_text(yaml.safe_dump(content, sort_keys=False))
        yield copy
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _once(lines: list[str]) -> list[str]:
    return list(dict.fromkeys(lines))


def _show(operator: Operator, warnings: list[str], refusal: str = "") -> None:
    operator.screen.lines("failure", refusal.splitlines())
    operator.screen.lines("warning", warnings)
