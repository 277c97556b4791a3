"""What the lab types on the way round (lab/circle.py) is what the runbook has its reader type, command by command.

The stacks, their order and every value are the page's. Two things differ: the lab answers yes to an `up` by `--yes`, and both of
its stacks have one backend.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab import circle
from lab.failover import Record
from lab.pulumi import Ran
from lab.world import Lab
from tests.documented import blocks
from tests.examples import ROOT

PAGE = ROOT / "docs" / "runbook.md"
TEXT = PAGE.read_text()
TOKEN = f"handover.{base64.b64encode(b'x' * 300).decode()}"

Leg = Callable[[Lab, Record], None]


@dataclass
class Pulumi:
    """Runs nothing, and keeps what was typed. Each stack prints the same token."""

    typed: list[str] = field(default_factory=list)

    def run(self, *args: str, **_: Any) -> Ran:
        self.typed.append(as_the_page_writes_it(args))
        output = f"{TOKEN}\n" if args[:3] == ("stack", "output", "handover") else ""
        return Ran(command="", start=datetime.now(UTC), seconds=1.0, exit_code=0, output=output)

    def details(self, _: str) -> dict[str, Any]:
        return {"failover": {"steps": []}}


def as_the_page_writes_it(args: tuple[str, ...]) -> str:
    if args[:3] == ("stack", "output", "handover"):
        return f"handover=$({shlex.join(['pulumi', *args])})"
    words = ['"$handover"' if each == TOKEN else shlex.quote(each) for each in args if each != "--yes"]
    return " ".join(["pulumi", *words])


def section(title: str) -> str:
    """From a heading to the next one."""
    return re.split(r"^##+ ", TEXT.split(f"# {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def commands(text: str, start: int = 0, end: int | None = None) -> list[str]:
    """The Pulumi commands of the blocks of a section from `start` to `end`, without comments and backends."""
    found = [block.commands for block in blocks(PAGE) if block.commands in text] or re.findall(
        r"(?:^    .*\n)+", text, re.MULTILINE
    )
    lines = [line.strip() for block in found[start:end] for line in block.splitlines()]
    return [line.split("#")[0].rstrip() for line in lines if re.match(r"pulumi |handover=", line)]


def give_up_and_make_anew(lab: Lab, record: Record) -> None:
    circle.give_up(lab, record)
    circle.make_anew(lab, record)


LEGS: dict[str, tuple[Leg, list[str]]] = {
    "a region that comes back stands by": (circle.stand_by, commands(section("When region A comes back"))),
    "rejoin": (give_up_and_make_anew, commands(section("Rejoin"), 0, 1)),
    "from A to B": (lambda lab, record: circle.switch(lab, "secondary", record), commands(section("From A to B"))),
    "from B to A": (lambda lab, record: circle.switch(lab, "primary", record), commands(section("From B to A"))),
    "from A to B, with users held": (
        lambda lab, record: circle.switch(lab, "secondary", record, hold=True),
        [*commands(section("Hold users back"), 0, 1), *commands(section("From A to B"))],
    ),
    "users are let in": (circle.release, commands(section("Hold users back"), 1)),
    "A takes back": (
        lambda lab, record: circle.take_back(lab, record, "primary"),
        commands(section("Take back what was given"), 0, 1),
    ),
    "B takes back": (
        lambda lab, record: circle.take_back(lab, record, "secondary"),
        commands(section("Take back what was given"), 1),
    ),
}


@pytest.mark.parametrize("leg", LEGS)
def test_the_lab_types_what_the_page_says(leg: str) -> None:
    goes, written = LEGS[leg]
    pulumi, record = Pulumi(), Record()
    lab: Any = SimpleNamespace(pulumi=pulumi, kubectl=lambda *_, **__: "", heal=lambda _: None)
    goes(cast("Lab", lab), record)
    assert written, "the page has lost its commands"
    assert pulumi.typed == written


@pytest.mark.parametrize("leg", LEGS)
def test_a_report_shows_no_token(leg: str) -> None:
    goes, _ = LEGS[leg]
    record = Record()
    lab: Any = SimpleNamespace(pulumi=Pulumi(), kubectl=lambda *_, **__: "")
    goes(cast("Lab", lab), record)
    assert not [command.command for command in record.commands if TOKEN in command.command]


def test_a_block_that_the_lab_runs_command_by_command_is_one_of_these() -> None:
    typed = [written for _, written in LEGS.values()]
    for block in blocks(PAGE):
        if "# run in the lab, command by command" in block.commands:
            assert block.excuse
            assert (ROOT / block.excuse).exists()
            here = commands(block.commands)
            assert any(here == each[: len(here)] for each in typed), block
