"""The legs of the way round after a failover, each with what it cost its user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from report.moments import Command, Event


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One leg: a failover, a rejoin or a planned switchover. Durations are in seconds, as lab.samples.outage defines them; None
    if the user was not served again."""

    name: str
    start: datetime
    end: datetime
    seconds_without_service: float | None
    seconds_without_writes: float | None
    seconds_without_reads: float | None
    rows_acknowledged: int
    """Rows that either region acknowledged during the leg."""

    commands: tuple[Command, ...] = ()
    events: tuple[Event, ...] = ()
    """In order."""

    rows_missing: int | None = None
    """Of those rows, how many are in neither region's database, or in one of them alone, at the end of all legs; None if nobody
    has counted."""
