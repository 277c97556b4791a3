"""A report as one self-contained HTML page, for a platform team and its auditors.

The templates escape all values. `timeline` computes the positions of bars and marks.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from report import takeover, wording
from report.model import Report, allowed, held, verdict
from report.moments import Course
from report.takeover import Takeover
from report.timeline import draw

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(report: Report | Takeover) -> str:
    """The whole page."""
    if isinstance(report, Takeover):
        return TEMPLATES.get_template("takeover.html.jinja").render(
            report=report,
            timeline=draw(report.course),
            legend=_legend(report.course),
            takeover=takeover,
            wording=wording,
        )
    return TEMPLATES.get_template("page.html.jinja").render(
        report=report,
        reasons=verdict(report),
        held=held(report),
        timeline=draw(report.course),
        legend=_legend(report.course),
        round=draw(report.legs.course) if report.legs else None,
        round_legend=[(kind, "leg" if kind == "step" else text) for kind, text in _legend(report.legs.course)]
        if report.legs
        else [],
        recovery=[*wording.recovery(report)],
        wording=wording,
        allowed=allowed,
        facts=[*wording.engine(report), *wording.machine(report)],
        stand_ins=[part.name for part in wording.engine(report) if part.value == "stand-in"],
    )


def _legend(course: Course) -> list[tuple[str, str]]:
    """The colours that the drawing has, each with its meaning."""
    requests = [("served", "answered"), ("lost", "failed")] if course.logs else []
    return [*requests, *([("command", "command")] if course.commands else []), *([("step", "step")] if course.steps else [])]


def write(report: Report | Takeover, path: Path) -> None:
    """Write the page. Raises OSError if the disk refuses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(report), encoding="utf-8")
