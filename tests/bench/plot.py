"""The pictures of `make bench`: bars with their spread, in the colours of the recovery report, a file for each colour scheme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from report.picture import SCHEMES, colours
from tests.bench.figures import Spread, short
from tests.bench.measures import IN_A_SECOND
from tests.bench.rows import Row

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
WIDTH, NAMES, FIGURES, MARGIN, LINE = 900, 300, 180, 20, 26
"""Widths in pixels: of the picture, of the names before the bars, of the figures behind them, of its margin; a bar's height."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    name: str
    spread: Spread
    kind: str = "served"
    """The name of its colour in the report's style sheet."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    title: str
    unit: str
    bars: Sequence[Bar]
    line: float | None = None
    """Where a line goes through all bars: what they are compared with."""


def pictures(rows: Sequence[Row]) -> dict[str, str]:
    """Every picture that there is something to draw for, by its file's name."""
    return {f"{name}-{scheme}.svg": draw(chart, scheme) for name, chart in charts(rows).items() for scheme in SCHEMES}


def charts(rows: Sequence[Row]) -> Mapping[str, Chart]:
    found = {"preview": _previews(rows), "ready": _ready(rows), "velero": _restores(rows)}
    return {name: chart for name, chart in found.items() if chart.bars}


def _previews(rows: Sequence[Row]) -> Chart:
    kinds = {"preview": ("preview", "empty preview"), "up without a change": ("up", "empty up")}
    bars = [
        Bar(name=f"{row.size}: {words}", spread=ratio, kind="served" if words == "preview" else "step")
        for row in rows
        if row.part == "preview"
        for words, (name, other) in kinds.items()
        if (ratio := row.ratio(name, other))
    ]
    return Chart(title="By the empty program's, which has the same imports and no resource", unit="×", bars=bars, line=1.0)


def _ready(rows: Sequence[Row]) -> Chart:
    kinds = {
        "the guide": ("guide ready", "command"),
        "the program": ("program ready", "served"),
        "the world alone": ("program floor", "step"),
    }
    bars = [
        Bar(name=f"{row.size}: {words}", spread=found, kind=kind)
        for row in rows
        if row.part == "ready"
        for words, (name, kind) in kinds.items()
        if (found := row.spread(name))
    ]
    return Chart(title="From the first command to a region that is ready", unit="s", bars=bars)


def _restores(rows: Sequence[Row]) -> Chart:
    found = [(row.size, row.spread(IN_A_SECOND)) for row in rows if row.part == "velero"]
    bars = [Bar(name=size, spread=seen, kind="step" if " objects, " in size else "served") for size, seen in found if seen]
    return Chart(title="Objects that Velero restores in a second", unit="/s", bars=bars)


def draw(chart: Chart, scheme: str) -> str:
    highest = max([bar.spread.most for bar in chart.bars] + ([chart.line] if chart.line else []))
    axis = WIDTH - 2 * MARGIN - NAMES - FIGURES
    scale = axis / highest if highest > 0 else 0
    return TEMPLATES.get_template("chart.svg.jinja").render(
        chart=chart,
        colour=colours(scheme),  # type: ignore[arg-type]
        width=WIDTH,
        height=56 + LINE * len(chart.bars) + MARGIN,
        margin=MARGIN,
        begin=MARGIN + NAMES,
        step=LINE,
        top=56,
        scale=scale,
        short=short,
    )
