"""What has a time of its own: steps of the program, commands of a person, events that somebody saw, and clients' requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from report.measures import Interval


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the failover, recorded by the Pulumi program: preflight, each restore, scale, verify, traffic."""

    name: str
    start: datetime
    end: datetime
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command, in the form that a person would type."""

    command: str
    start: datetime
    seconds: float
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened at one moment."""

    time: datetime
    name: str


@dataclass(frozen=True, kw_only=True)
class Log:
    """The requests of one client. `what` says what its user is without while they fail: service, writes or reads."""

    name: str
    what: str
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, kw_only=True)
class Course:
    """Everything of a failover, or of more legs, that has a time, for the drawing. `events` are in order."""

    events: tuple[Event, ...] = ()
    steps: tuple[Step, ...] = ()
    commands: tuple[Command, ...] = ()
    logs: tuple[Log, ...] = ()
