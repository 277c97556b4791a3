"""The recovery report as text for a terminal: 100 columns and no colours, so that it is also readable in a log."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from report import takeover, wording
from report.legs import Legs
from report.model import Report, held, verdict
from report.moments import Step
from report.takeover import Takeover
from report.wording import Figure

WIDTH = 100
BAR = 38


def render(report: Report | Takeover) -> str:
    """The whole report. Its lines have at most WIDTH characters, and it ends with a newline."""
    lines = _takeover(report) if isinstance(report, Takeover) else _lines(report)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _takeover(found: Takeover) -> Iterator[str]:
    yield "═" * WIDTH
    yield f"  {takeover.headline(found)}"
    yield "═" * WIDTH
    yield from _paragraph(takeover.summary(found))
    yield from _verdict(takeover.reasons(found), takeover.held(found))
    for figure in takeover.figures(found):
        yield from _figure(figure)
    yield from _heading("steps")
    yield from _steps(found.steps)
    yield from _heading("what ran, and where")
    yield from _figures(takeover.facts(found))
    yield from _heading("what nobody measured")
    for sentence in takeover.not_measured(found):
        yield from _paragraph(sentence, bullet="·")
    yield "═" * WIDTH


def _verdict(reasons: list[str], kept: list[str]) -> Iterator[str]:
    """Why a failover failed, or else what held."""
    if reasons:
        for reason in reasons:
            yield from _paragraph(reason, bullet="✗")
        return
    for sentence in kept:
        yield from _paragraph(sentence, bullet="✓")


def _figure(figure: Figure) -> Iterator[str]:
    share = f" ({figure.share:.0%} of the target)" if figure.share is not None else ""
    text = f"{figure.name + ':':<24} {figure.value:>11}   {figure.note}{share}"
    yield from _paragraph(text, bullet="✗" if figure.bad else "·")


def _lines(report: Report) -> Iterator[str]:
    yield "═" * WIDTH
    yield f"  {wording.headline(report)}"
    yield "═" * WIDTH
    if report.kind == "rehearsal":
        yield from _paragraph(wording.REHEARSAL.upper())
    yield from _paragraph(wording.summary(report))
    flip = report.flip
    yield from _paragraph(
        f"The flip touched {wording.counted(len(flip.resources), 'resource')} of {wording.counted(len(flip.types), 'type')}; "
        f"{_failed(report)}DNS TTL {report.dns_ttl} s; {wording.day(report.generated)}."
    )
    yield from _verdict(verdict(report), held(report))
    for figure in wording.recovery(report):
        yield from _figure(figure)
    if report.has_ledger:
        yield from _heading("rows of the database")
        yield from _figures(wording.ledger(report))
    if report.files:
        yield from _heading("files of the volume")
        yield from _figures(wording.files(report))
    if report.legs:
        yield from _legs(report.legs)
    yield from _heading("steps")
    yield from _steps(report.steps)
    yield from _heading("what happened")
    for event in report.events:
        after = (event.time - report.events[0].time).total_seconds()
        yield from _row(wording.clock(event.time), f"{after:+9.1f} s", event.name)
    yield from _heading("commands")
    for command in report.commands:
        failed = f"  (exit code {command.exit_code})" if command.exit_code else ""
        yield from _row(wording.clock(command.start), f"{wording.duration(command.seconds):>11}", command.command + failed)
    yield from _heading("types that the flip touched")
    for token in flip.types:
        yield from _row(str(sum(change.type == token for change in flip.resources)).rjust(6), "", token)
    yield from _heading("witnesses outside the engine")
    yield from _figures(wording.witnesses(report))
    yield from _heading("engine")
    yield from _figures(wording.engine(report))
    yield from _heading("machine")
    yield from _figures(wording.machine(report))
    if report.not_proven:
        yield from _heading("what this does not prove")
    for sentence in report.not_proven:
        yield from _paragraph(sentence, bullet="·")
    yield "═" * WIDTH


def _legs(legs: Legs) -> Iterator[str]:
    """The way round: a line for each leg, with its commands and events below, in order."""
    yield from _heading("the way round, leg by leg")
    yield f"  {'':32}" + "".join(name.rjust(11) for name in wording.LEG).rstrip()
    for leg in legs.each:
        name = textwrap.wrap(leg.name, 32)
        yield f"  {name[0]:<32}" + "".join(cell.rjust(11) for cell in wording.leg(leg))
        yield from (f"  {rest}" for rest in name[1:])
    yield from _figures(wording.legs(legs))
    zero = legs.each[0].start
    for leg in legs.each:
        yield from _heading(leg.name)
        rows = [(up.start, wording.duration(up.seconds), up.command) for up in leg.ups]
        rows += [(event.time, f"{(event.time - zero).total_seconds():+.1f} s", event.name) for event in leg.events]
        for time, middle, text in sorted(rows):
            yield from _row(wording.clock(time), f"{middle:>11}", text)


def _failed(report: Report) -> str:
    """How many requests failed, where a client asked at all."""
    return f"{wording.counted(wording.lost_requests(report), 'request')} of the client failed; " if report.client_requests else ""


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield f"── {text} ".ljust(WIDTH, "─")


def _paragraph(text: str, *, bullet: str = "") -> Iterator[str]:
    first = f"  {bullet} " if bullet else "  "
    yield from textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first))


def _row(left: str, middle: str, text: str) -> Iterator[str]:
    """Two short columns, and a text whose further lines are indented below its first."""
    indent = f"  {left}  {middle}  " if middle else f"  {left}  "
    yield from textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent)) or [indent]


def _figures(figures: Iterable[Figure]) -> Iterator[str]:
    for figure in figures:
        name = textwrap.wrap(figure.name, 56) or [""]
        value = textwrap.wrap(figure.value, WIDTH - 60) or [""]
        for index in range(max(len(name), len(value))):
            left, right = (part[index] if index < len(part) else "" for part in (name, value))
            yield f"  {left.ljust(56)}  {right}"


def _steps(steps: Iterable[Step]) -> Iterator[str]:
    """One line for each step: its start, its duration, and a bar for its time between the first start and the last end."""
    ordered = sorted(steps, key=lambda step: step.start)
    if not ordered:
        yield "  none was recorded"
        return
    begin = ordered[0].start
    span = max((step.end - begin).total_seconds() for step in ordered) or 1.0
    for step in ordered:
        first = min(round((step.start - begin).total_seconds() / span * BAR), BAR - 1)
        last = max(round((step.end - begin).total_seconds() / span * BAR), first + 1)
        bar = "·" * first + "█" * (last - first) + "·" * (BAR - last)
        name = textwrap.wrap(step.name, 30) or [""]
        yield f"  {wording.clock(step.start)}  {name[0].ljust(30)}  {bar}  {wording.duration(step.seconds):>11}"
        yield from (f"{'':16}{rest}" for rest in name[1:])
