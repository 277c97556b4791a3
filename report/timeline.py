"""The failover on one time axis: the positions of bars and marks, in per cent of the axis. The page decides how they look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from report import wording
from report.moments import Course, Log

TICK_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
TICKS = 8
MARGIN = 0.13
"""How much of the span the drawing adds before and after it, so that it shows service before and after the outage."""

LETTER = 6.3
"""Width of a letter in a bar, in pixels; a bar has 14 more around its label."""

NARROW, ROOMY = 340, 610
"""Width of the axis in pixels, at least: beside the names on any screen that is not a phone, and on one of 1024 pixels."""

MARK_WIDTH = 4.5
"""Width of an event's number on a narrow screen, in per cent of the axis. If two events are closer, one goes to the next row."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar. `left` and `width` are in per cent. `label` is shown in the bar if it fits; `title` is the full text."""

    left: float
    width: float
    kind: str
    label: str
    title: str

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def fits(self) -> str:
        """Where the label fits in: `always`, `roomy` on wide screens alone, or nowhere (empty). On a phone it stands above."""
        needed = (len(self.label) * LETTER + 14) / self.width if self.width else float("inf")  # pixels for each per cent
        return "always" if needed <= NARROW / 100 else "roomy" if needed <= ROOMY / 100 else ""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One line of the drawing. `kind` is client, step or command. `detail` is its duration or outcome. `label` has the labels of
    the failures among its bars, for a screen on which they do not fit into them."""

    kind: str
    name: str
    detail: str
    bars: tuple[Bar, ...]
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One event. Its number is on the axis, in `row` 0, 1, …, and in the list below the drawing."""

    number: int
    left: float
    row: int
    name: str
    offset: str
    clock: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    left: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The drawing. The zero of its axis is the event `zero_name`, at `zero_clock`."""

    zero_name: str
    zero_clock: str
    ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    lanes: tuple[Lane, ...]

    @property
    def rows(self) -> int:
        return 1 + max((mark.row for mark in self.marks), default=0)


@dataclass(frozen=True, kw_only=True)
class _Axis:
    begin: datetime
    end: datetime
    zero: datetime

    def at(self, time: datetime) -> float:
        share = (time - self.begin) / (self.end - self.begin) * 100
        return round(min(max(share, 0.0), 100.0), 3)

    def offset(self, time: datetime) -> str:
        return f"{(time - self.zero).total_seconds():+.1f} s"

    def bar(self, start: datetime, end: datetime, *, kind: str, label: str, title: str) -> Bar:
        left, right = self.at(start), self.at(end)
        return Bar(left=left, width=round(right - left, 3), kind=kind, label=label, title=title)


def draw(course: Course) -> Timeline | None:
    """The drawing; None if nothing has a time.

    The axis begins with the first event (in the lab the death of the region), and ends after the last command, step or failed
    request. Earlier commands, which set up the lab, are not drawn. The clients' requests are drawn as far as the axis reaches.
    """
    if not (axis := _axis(course)):
        return None
    return Timeline(
        zero_name=course.events[0].name if course.events else "the first step began",
        zero_clock=wording.clock(axis.zero),
        ticks=tuple(_ticks(axis)),
        marks=tuple(_marks(course, axis)),
        lanes=(*(_client(log, axis) for log in course.logs), *_commands(course, axis), *_steps(course, axis)),
    )


def _axis(course: Course) -> _Axis | None:
    moments = [event.time for event in course.events] or [step.start for step in course.steps]
    if not moments:
        return None
    zero = moments[0] if course.events else min(moments)
    commands = [(command.start, command.start + timedelta(seconds=command.seconds)) for command in course.commands]
    lost = [(found.start, found.end) for log in course.logs for found in log.intervals if not found.ok]
    spans = [(start, end) for start, end in [*commands, *lost] if end >= zero]
    spans += [(step.start, step.end) for step in course.steps] + [(time, time) for time in moments]
    begin, end = min(start for start, _ in spans), max(end for _, end in spans)
    margin = max((end - begin) * MARGIN, timedelta(seconds=0.5))
    return _Axis(begin=begin - margin, end=end + margin, zero=zero)


def _ticks(axis: _Axis) -> Iterator[Tick]:
    span = (axis.end - axis.begin).total_seconds()
    distance = next((size for size in TICK_SECONDS if span / size <= TICKS), TICK_SECONDS[-1])
    before = int((axis.zero - axis.begin).total_seconds() // distance)
    for number in range(-before, int((axis.end - axis.zero).total_seconds() // distance) + 1):
        seconds = number * distance
        label = f"{seconds} s" if distance < 60 else f"{seconds // 60} min"
        yield Tick(left=axis.at(axis.zero + timedelta(seconds=seconds)), label=label)


def _marks(course: Course, axis: _Axis) -> Iterator[Mark]:
    taken: list[float] = []
    for number, event in enumerate(course.events, start=1):
        left = axis.at(event.time)
        row = next((row for row, last in enumerate(taken) if abs(left - last) >= MARK_WIDTH), len(taken))
        taken[row : row + 1] = [left]
        clock = wording.clock(event.time)
        yield Mark(number=number, left=left, row=row, name=event.name, offset=axis.offset(event.time), clock=clock)


def _client(log: Log, axis: _Axis) -> Lane:
    def bars() -> Iterable[Bar]:
        for found in log.intervals:
            seconds = wording.duration((found.end - found.start).total_seconds())
            requests = wording.counted(found.requests, "request")
            label = found.region or "served" if found.ok else f"no {log.what} {seconds}"
            fate = f"answered by {found.region}" if found.ok else "failed"
            title = f"{requests} {fate}, {wording.clock(found.start)} to {wording.clock(found.end)}"
            kind = "served" if found.ok else "lost"
            bar = axis.bar(found.start, found.end, kind=kind, label=label, title=title)
            if bar.width:
                yield bar

    drawn = tuple(bars())
    without = ", ".join(bar.label for bar in drawn if bar.kind == "lost")
    failed = f"{wording.failed_requests(log.intervals)} failed"
    return Lane(kind="client", name=log.name, detail=failed, label=without, bars=drawn)


def _steps(course: Course, axis: _Axis) -> Iterator[Lane]:
    for step in sorted(course.steps, key=lambda step: step.start):
        seconds = wording.duration(step.seconds)
        title = f"{step.name}: {wording.clock(step.start)} to {wording.clock(step.end)}, {seconds}"
        bar = axis.bar(step.start, step.end, kind="step", label="", title=title)
        yield Lane(kind="step", name=step.name, detail=seconds, bars=(bar,))


def _commands(course: Course, axis: _Axis) -> Iterator[Lane]:
    for command in course.commands:
        end = command.start + timedelta(seconds=command.seconds)
        if end < axis.begin:
            continue
        seconds = wording.duration(command.seconds)
        kind = "failed" if command.exit_code else "command"
        title = f"{command.command}: {wording.clock(command.start)}, {seconds}, exit code {command.exit_code}"
        bar = axis.bar(command.start, end, kind=kind, label="", title=title)
        yield Lane(kind="command", name=command.command, detail=seconds, bars=(bar,))
