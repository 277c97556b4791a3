"""What the faults of tests/faults.py have last done: docs/reliability.json, and the table of docs/reliability.md made from it.

    .venv/bin/python -m tests.reliability          # makes the table anew, from the record

A run of pytest writes both as its tests end, if FAULT_RECORD is set: `make test-long` sets it, and
`FAULT_RECORD=1 make test` records what that runs of them. The first entry of a test replaces
those of its last run, so an interrupted run leaves what it has finished.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from report.machine import Machine, machine_facts
from tests import record
from tests.faults import FAULTS, PROPERTY, SEED, Fault, Seen, of_test

VARIABLE = "FAULT_RECORD"
ROOT = Path(__file__).parent.parent
RECORD, PAGE = ROOT / "docs" / "reliability.json", ROOT / "docs" / "reliability.md"
MAKE = ".venv/bin/python -m tests.reliability"
BEGIN, END = f"<!-- recorded: {MAKE} -->", "<!-- end of what was recorded -->"

_CASE = re.compile(r"\[(.*)\]$")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One injection: the test by its node id, whether what must come of it came, and what was seen."""

    test: str
    held: bool
    seconds: float
    seed: int
    day: str
    commit: str
    machine: Machine
    seen: Seen | None = None

    @property
    def function(self) -> str:
        return self.test.partition("[")[0]

    @property
    def case(self) -> str:
        found = _CASE.search(self.test)
        return found[1] if found else ""


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """The record, and its page. Entries of tests that no fault names any more are left out."""

    file: Path = RECORD
    page: Path = PAGE

    def entries(self) -> list[Entry]:
        if not self.file.exists():
            return []
        found = [_entry(each) for each in json.loads(self.file.read_text())]
        return [each for each in found if of_test(each.test)]

    def add(self, entry: Entry, *, first: bool) -> None:
        """Add an entry. The `first` of a test in a run takes the place of all that its last run left."""
        with alone(self.file.parent):
            kept = [
                each for each in self.entries() if each.test != entry.test and not (first and each.function == entry.function)
            ]
            entries = sorted([*kept, entry], key=lambda each: _place(each.function))
            _whole(self.file, json.dumps([asdict(each) for each in entries], indent=1, ensure_ascii=False) + "\n")
            self.write_page()

    def write_page(self) -> None:
        text = self.page.read_text()
        start, end = text.index(BEGIN), text.index(END) + len(END)
        _whole(self.page, text[:start] + table(self.entries()) + text[end:])


def _entry(found: dict[str, Any]) -> Entry:
    seen = Seen(**found["seen"]) if found["seen"] else None
    return Entry(**{**found, "machine": Machine(**found["machine"]), "seen": seen})


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """One process at a time writes there: the tests of the lab and those of the engine run side by side."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _whole(file: Path, text: str) -> None:
    half = file.with_suffix(f"{file.suffix}.half")
    half.write_text(text)
    half.replace(file)


def _place(function: str) -> int:
    order = [test for fault in FAULTS for test in fault.tests]
    return order.index(function) if function in order else len(order)


def table(entries: Sequence[Entry], faults: Sequence[Fault] = FAULTS) -> str:
    """The table: a row for each injection, and one for each test that has never run. Its machines are below it."""
    machines = list(dict.fromkeys(each.machine for each in entries))
    lines = [
        BEGIN,
        "",
        "| fault, what must come of it | when | what happened | rows lost | files lost | seconds down | typed again | last run |",
        "|---|---|---|---:|---:|---:|---:|---|",
    ]
    for fault in faults:
        lines.append(f"| **{fault.words}**: {fault.must} | | | | | | | |")
        for test in fault.tests:
            ran = [each for each in entries if each.function == test]
            lines += [_row(each, machines) for each in ran] or [f"| {_name(test)} | | | | | | | never run |"]
    lines += (
        ["", *(f"Machine {number}: {record.described(each)}." for number, each in enumerate(machines, 1))] if machines else []
    )
    lines += ["", END]
    return "\n".join(lines)


def _row(entry: Entry, machines: Sequence[Machine]) -> str:
    seen = entry.seen
    case = f" ({entry.case})" if entry.case else ""
    counted = (seen.rows_lost, seen.files_lost, seen.seconds_down, seen.again) if seen else (None,) * 4
    cells = (
        f"{_name(entry.test)}{case}",
        seen.when if seen else "",
        (seen.happened if seen else "as its name says") if entry.held else "**what must come of it did not**",
        *("" if each is None else f"{each:g}" for each in counted),
        f"{'held' if entry.held else '**FAILED**'}, {entry.day}, {entry.commit}, machine {machines.index(entry.machine) + 1}",
    )
    return f"| {' | '.join(cells)} |"


def _name(test: str) -> str:
    """The test's sentence, with the file that has it."""
    function = test.partition("[")[0]
    return f"{function.rpartition('::test_')[2].replace('_', ' ')} (`{function.partition('::')[0]}`)"


@dataclass(kw_only=True, eq=False)  # pytest keeps plugins in sets
class Recorder:
    """The plugin. A test that was skipped injected nothing, so it leaves the record as it is."""

    reliability: Reliability
    commit: str
    machine: Machine
    _begun: set[str] = field(default_factory=set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if of_test(report.nodeid) is None or report.outcome == "skipped" or not (report.when == "call" or report.failed):
            return
        told = dict(report.user_properties).get(PROPERTY)
        entry = Entry(
            test=report.nodeid,
            held=bool(report.passed),
            seconds=round(report.duration, 1),
            seed=SEED,
            day=f"{datetime.now(UTC):%Y-%m-%d}",
            commit=self.commit,
            machine=self.machine,
            seen=Seen(**told) if isinstance(told, dict) else None,
        )
        self.reliability.add(entry, first=entry.function not in self._begun)
        self._begun.add(entry.function)


def register(config: pytest.Config) -> None:
    """Register the plugin if FAULT_RECORD is set, in the process that has all reports."""
    if os.environ.get(VARIABLE) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(reliability=Reliability(), commit=record.commit(), machine=machine_facts()))


def named_tests() -> Iterator[str]:
    """Every test that a fault names."""
    for fault in FAULTS:
        yield from fault.tests


if __name__ == "__main__":
    Reliability().write_page()
