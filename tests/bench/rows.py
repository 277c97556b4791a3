"""A row of what `make bench` has measured: one size of one part, with a value of each figure for each repetition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from report.machine import Machine, machine_facts
from tests import record
from tests.bench.figures import Spread, ratios, spread

ROOT = Path(__file__).resolve().parents[2]
RECORD, COPY = "docs/bench.json", ".lab/bench.json"
"""The record that is committed with the page, and the same for whoever reads what the command has left."""

PAGE, PICTURES = "docs/performance.md", "docs/bench"
"""The page with the section made from the record, and the folder of its pictures."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One size of one part. `figures` has a value for each repetition; `facts` what is the same in all of them."""

    part: str
    size: str
    asked: int
    """How many repetitions were asked for."""

    figures: Mapping[str, Sequence[float]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, str] = field(default_factory=dict)
    day: str
    commit: str
    machine: Machine

    @property
    def repetitions(self) -> int:
        return max((len(values) for values in self.figures.values()), default=0)

    def values(self, name: str) -> Sequence[float]:
        return self.figures.get(name, ())

    def spread(self, name: str) -> Spread | None:
        return spread(self.values(name))

    def ratio(self, name: str, other: str) -> Spread | None:
        """Of one figure to another, repetition by repetition."""
        return spread(ratios(self.values(name), self.values(other)))

    @property
    def whole(self) -> bool:
        return self.repetitions >= self.asked

    def having(self, repetition: Mapping[str, float], **facts: Any) -> Row:
        """The same row with one more repetition."""
        names = dict.fromkeys((*self.figures, *repetition))
        figures = {
            name: [*self.figures.get(name, ()), *([round(repetition[name], 3)] if name in repetition else [])] for name in names
        }
        return replace(self, figures=figures, facts={**self.facts, **facts})


def new(part: str, size: str, asked: int, engine: Mapping[str, str], root: Path = ROOT) -> Row:
    """A row of today, of this checkout and this machine, without a repetition."""
    return Row(
        part=part,
        size=size,
        asked=asked,
        engine=engine,
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=record.commit(root, besides=(RECORD, COPY, PAGE, PICTURES)),
        machine=machine_facts(),
    )
