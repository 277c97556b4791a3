"""What is printed: progress and questions to standard error, the result to standard output, as a table or as one JSON object."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click
from pulumi.automation.events import EngineEvent, OpType
from rich.console import Console
from rich.markup import escape
from rich.table import Table

OK, FAILED, USAGE, REFUSED, WARNED, NOT_DONE = range(6)
"""Exit codes. 2 is click's own, for a command line that it does not understand."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the number of the signal."""

_CHANGES = {
    OpType.CREATE: "created",
    OpType.UPDATE: "updated",
    OpType.DELETE: "deleted",
    OpType.REPLACE: "replaced",
    OpType.IMPORT: "imported",
}


class NotConfirmedError(Exception):
    """Whoever was asked did not agree. Nothing was touched since the last step that was done."""


@dataclass(kw_only=True)
class Screen:
    """The terminal of one command."""

    as_json: bool = False
    yes: bool = False
    out: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))

    def say(self, text: str, style: str = "") -> None:
        """A line for whoever watches."""
        self.err.print(escape(text), style=style or None)

    def commands(self, lines: Sequence[str]) -> None:
        """What a person would type in place of this command."""
        for line in lines:
            self.say(f"  $ {line}", "dim")

    def confirm(self, question: str) -> None:
        """Raises NotConfirmedError without a yes, and UsageError where nobody can be asked."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here, for standard input is no terminal; nothing was touched; add --yes")
        try:
            agreed = click.confirm(question, err=True)
        except click.Abort:
            agreed = False
        if not agreed:
            raise NotConfirmedError("not confirmed")

    @contextmanager
    def progress(self, text: str) -> Iterator[Progress]:
        """What is done meanwhile, and how long it took. A log shows no spinner, so it has a line when it begins."""
        began = time.monotonic()
        if not self.err.is_terminal:
            self.say(f"  {text} …")
        with self.err.status(escape(text)) as status:
            yield Progress(screen=self, say=lambda line: status.update(escape(f"{text}: {line}")))
        self.say(f"  {text} took {time.monotonic() - began:.0f} s")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if self.as_json:
            return
        table = Table(title=title or None, title_justify="left")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self.out.print(table)

    def lines(self, title: str, lines: Sequence[str]) -> None:
        """Sentences below a title. No box breaks them, so a command in one can be copied."""
        if self.as_json or not lines:
            return
        self.out.print(escape(title), style="bold")
        for line in lines:
            self.out.print(f"  - {escape(line)}")

    def result(self, text: str, data: Mapping[str, Any]) -> None:
        """The end of a command: its one line, or all of it as JSON."""
        if self.as_json:
            self.out.print_json(json.dumps(data, default=str))
        elif text:
            self.out.print(escape(text))


@dataclass(kw_only=True)
class Progress:
    """Says what the engine does, by its events."""

    screen: Screen
    say: Any

    def __call__(self, event: EngineEvent) -> None:
        if event.resource_pre_event and not event.resource_pre_event.planning:
            self.say(_name(event.resource_pre_event.metadata.urn))
        done = event.res_outputs_event
        if done and not done.planning and done.metadata.op in _CHANGES:
            self.screen.say(f"  {_CHANGES[done.metadata.op]} {_name(done.metadata.urn)}")


def _name(urn: str) -> str:
    """Type and name of a resource: the ends of its URN."""
    *_, kind, name = urn.split("::")
    return f"{kind.rpartition('$')[2]} {name}"
