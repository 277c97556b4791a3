"""A report as a picture, for pages that show no HTML: an SVG that needs nothing else, in the colours of the page.

The picture has the headline, RPO and RTO as bars of their targets, and the timeline. The template escapes all values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from report import wording
from report.model import Report
from report.page import TEMPLATES
from report.timeline import Lane, draw

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

WIDTH = 1000
NAMES = 385
"""Width of the column with the lanes' names and durations, in pixels; the axis has the rest."""

LETTER = 6.6
"""Width of a letter in a bar, in pixels."""

_VARIABLES = re.compile(r"--([\w-]+): ([^;]+);")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A lane with its place: `top` is in pixels."""

    lane: Lane
    top: int
    height: int

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


def colours(scheme: Scheme) -> dict[str, str]:
    """The colours of the page, which its style sheet names: light first, and dark in a media query."""
    light, _, rest = (Path(__file__).parent / "page.css").read_text().partition("@media (prefers-color-scheme: dark)")
    dark, _, _ = rest.partition("}")
    return {
        name.replace("-", "_"): value
        for name, value in _VARIABLES.findall(light.partition("}")[0] if scheme == "light" else dark)
    }


def render(report: Report, scheme: Scheme) -> str:
    """The whole picture. Raises ValueError for a report in which nothing has a time."""
    timeline = draw(report.course)
    if not timeline:
        raise ValueError("nothing in this report has a time, so there is nothing to draw")
    rows: list[Row] = []
    top = 0
    for lane in timeline.lanes:
        if rows and rows[-1].lane.kind != lane.kind:
            top += 8
        height = 32 if lane.kind == "client" else 21
        rows.append(Row(lane=lane, top=top, height=height))
        top += height
    return TEMPLATES.get_template("picture.svg.jinja").render(
        report=report,
        wording=wording,
        figures=[figure for figure in wording.recovery(report) if figure.share is not None],
        timeline=timeline,
        rows=rows,
        lanes_height=top,
        width=WIDTH,
        names=NAMES,
        letter=LETTER,
        colour=colours(scheme),
    )


def write(report: Report, folder: Path) -> list[Path]:
    """Write the picture in each colour scheme, and return the files. Raises OSError if the disk refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{scheme}.svg" for scheme in SCHEMES]
    for scheme, file in zip(SCHEMES, files, strict=True):
        file.write_text(render(report, scheme), encoding="utf-8")
    return files
