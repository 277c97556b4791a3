"""The recovery report as one self-contained HTML page, for a platform team and its auditors.

The template escapes all values. `timeline` computes the positions of bars and marks.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lab.report import wording
from lab.report.model import Report, allowed, verdict
from lab.report.timeline import draw

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(report: Report) -> str:
    """The whole page."""
    return _TEMPLATES.get_template("page.html.jinja").render(
        report=report,
        reasons=verdict(report),
        timeline=draw(report),
        recovery=[*wording.recovery(report)],
        wording=wording,
        allowed=allowed,
        facts=[*wording.engine(report), *wording.machine(report)],
        stand_ins=[part.name for part in wording.engine(report) if part.value == "stand-in"],
    )


def write(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(report), encoding="utf-8")
