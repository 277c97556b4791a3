"""The way round after a failover, leg by leg: what each leg cost its user, and what became of the rows in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from report.measures import Interval
from report.moments import Command, Course, Event, Log, Step


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One leg: the failover, the return of the old primary, or a planned switchover.

    Durations are in seconds, as lab.samples.outage defines them; None if the user was not served again.
    """

    name: str
    start: datetime
    end: datetime
    """When the user had been served for some seconds by the region in which the leg ends."""

    seconds_without_service: float | None
    seconds_without_writes: float | None
    seconds_without_reads: float | None
    rows_acknowledged: int
    """Rows that either region acknowledged during the leg."""

    rows_missing: int = 0
    """Those of them that one of the two databases does not have in the end. The failover's are those of the survivor."""

    commands: tuple[Command, ...] = ()
    events: tuple[Event, ...] = ()
    """In order."""

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()

    @property
    def ups(self) -> tuple[Command, ...]:
        """The commands that change a region."""
        return tuple(command for command in self.commands if command.command.startswith("pulumi up "))


@dataclass(frozen=True, kw_only=True)
class Legs:
    """All legs, and what the client saw from a few seconds before the first one until the end of the last."""

    each: tuple[Leg, ...]
    """In order. The first one is the failover."""

    rows: int
    """Rows that must be in both databases in the end: those that the survivor of the failover had when the old primary came back,
    and all that either region has acknowledged since."""

    rows_missing: Mapping[str, int]
    """How many of them each region's database lacks."""

    documents: int | None = None
    """The same for documents, on the volume of the region that serves in the end; None if the application kept none."""

    documents_missing: int | None = None
    rows_kept_apart: int | None = None
    """Rows that the old primary took alone after its return, and that are on its kept volume; None if nobody looked."""

    client_requests: tuple[Interval, ...] = ()
    client_writes: tuple[Interval, ...] = ()
    client_reads: tuple[Interval, ...] = ()

    @property
    def course(self) -> Course:
        """What is drawn: a bar for each leg, and each `pulumi up`."""
        started = [Event(time=leg.start, name=leg.name) for leg in self.each]
        happened = [event for leg in self.each for event in leg.events if (event.time, event.name) != (leg.start, leg.name)]
        logs = (
            Log(name="a user's requests", what="service", intervals=self.client_requests),
            Log(name="rows written", what="writes", intervals=self.client_writes),
            Log(name="rows read", what="reads", intervals=self.client_reads),
        )
        return Course(
            events=tuple(sorted([*started, *happened], key=lambda event: event.time)),
            steps=tuple(Step(name=leg.name, start=leg.start, end=leg.end, seconds=leg.seconds) for leg in self.each),
            commands=tuple(command for leg in self.each for command in leg.ups),
            logs=tuple(log for log in logs if log.intervals),
        )


def problems(legs: Legs) -> Iterator[str]:
    """Why the way round failed, as sentences; nothing if it did not."""
    for leg in legs.each:
        if None in (leg.seconds_without_service, leg.seconds_without_writes, leg.seconds_without_reads):
            yield f"After this leg the user was not served again: {leg.name}."
    if not legs.rows:
        yield "No row was acknowledged on the way round, so none could be lost, and nothing was measured."
    for region, missing in sorted(legs.rows_missing.items()):
        if missing:
            yield f"{missing} rows that were acknowledged on the way round are missing from the database of the {region}."
    if legs.documents_missing:
        yield f"{legs.documents_missing} files that were acknowledged on the way round are missing in the end."


def kept(legs: Legs) -> Iterator[str]:
    """What the way round kept, as sentences, if it did not fail."""
    yield f"The way round went {len(legs.each)} legs, and each of {legs.rows} acknowledged rows is in both databases in the end."
    if legs.documents:
        yield f"So is each of {legs.documents} acknowledged files, on the volume of the region that serves."
