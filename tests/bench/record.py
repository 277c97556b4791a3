"""What `make bench` has measured: a row for each size of each part, in `.lab/bench.json` and docs/bench.json, and the page made
from it.

A row is written after each repetition, so an interrupt keeps what was finished. A row of an earlier run that had all its
repetitions stays until the new one has all of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from report.machine import Machine
from tests.bench import measures, page, plot
from tests.bench.rows import COPY, PAGE, PICTURES, RECORD, ROOT, Row


class BenchRecordError(Exception):
    """The record cannot be read; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """The record below `root`."""

    root: Path = ROOT

    def rows(self) -> list[Row]:
        """All rows, in the order in which their sizes came first. Raises BenchRecordError."""
        file = self.root / RECORD
        if not file.exists():
            return []
        try:
            return [Row(**{**row, "machine": Machine(**row["machine"])}) for row in json.loads(file.read_text())["rows"]]
        except (ValueError, TypeError, KeyError) as error:
            why = f"{file} is no record of make bench ({error!r})"
            raise BenchRecordError(f"{why}; bring it back with: git checkout {RECORD}") from None

    def add(self, row: Row) -> None:
        """Put a row in the place of the earlier one of that size, and write the page."""
        rows = {(each.part, each.size): each for each in self.rows()}
        earlier = rows.get((row.part, row.size))
        if earlier is None or row.whole or not earlier.whole:
            rows[row.part, row.size] = row
        self._write(list(rows.values()))

    def write_page(self) -> None:
        """Make the pictures and the section of docs/performance.md anew, from the record."""
        self._write(self.rows())

    def _write(self, rows: Sequence[Row]) -> None:
        written = {"measures": measures.of(rows), "rows": [asdict(each) for each in rows]}
        text = json.dumps(written, indent=1, ensure_ascii=False) + "\n"
        for name in (RECORD, COPY):
            write(self.root / name, text)
        for name, picture in plot.pictures(rows).items():
            write(self.root / PICTURES / name, picture)
        performance = self.root / PAGE
        write(performance, page.with_section(performance.read_text(), page.section(rows)))


def write(file: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(f"{file.suffix}.half")
    half.write_text(text)
    half.replace(file)
