"""What has a time of its own: steps of the program, commands of a person, and events that somebody saw."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


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
