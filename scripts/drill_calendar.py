"""Prints the calendar of drills, those of the machine and those of people, as a file that calendars read (.ics).

    .venv/bin/python -m scripts.drill_calendar > drills.ics
    .venv/bin/python -m scripts.drill_calendar --days 90 --people > drills.ics

It reads Pulumi.yaml and both stack files, and asks nobody. Each event keeps its UID, so a file that is read again changes what a
calendar has already, and adds nothing twice.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from pathlib import Path

from cronsim import CronSim

from scripts.ics import Event, calendar
from scripts.stack_files import settings_of
from settings.drills import Kind
from settings.durations import parse_duration
from settings.load import ConfigurationError
from settings.model import Settings
from settings.people import PeoplesKind, dates
from settings.roles import ROLES, Role

NAMES: Mapping[PeoplesKind, str] = {
    "tabletop": "Tabletop exercise",
    "partial": "Partial failover drill",
    "full": "Full failover drill",
    "runbook-review": "Runbook review",
}
_OF_MACHINES: Mapping[Kind, str] = {
    "integrity": "backups are verified",
    "namespace": "one namespace is restored where nobody sees it",
    "database": "each database is recovered where nobody sees it",
}
_LASTS: Mapping[PeoplesKind, int] = {"tabletop": 1, "partial": 2, "full": 3, "runbook-review": 2}
"""Days, as the guide's calendar has them."""

_MOST_DAYS = 3 * 366


def events(stacks: Mapping[Role, Settings], first: date, days: int, *, people_only: bool = False) -> list[Event]:
    """What is due from the day `first` on, in its order."""
    found = [*_people(stacks["secondary"], first, days)]
    if not people_only:
        found += [event for settings in stacks.values() for event in _machines(settings, first, days)]
    return sorted(found, key=lambda event: (f"{event.begin:%Y%m%d}", event.uid))


def _people(settings: Settings, first: date, days: int) -> Iterator[Event]:
    last, organization = first + timedelta(days=days - 1), settings.topology.organization
    for kind, cron in settings.practised.items():
        for day in dates(cron, first, last):
            yield Event(
                uid=f"{kind}-{day:%Y%m%d}@{organization}.k8s-dr",
                begin=day,
                lasts=timedelta(days=_LASTS[kind]),
                summary=f"{NAMES[kind]} ({organization})",
                description="The workflow drills opens an issue with the checklist on the first day (docs/drills.md).",
            )


def _machines(settings: Settings, first: date, days: int) -> Iterator[Event]:
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    end, organization = begin + timedelta(days=days), settings.topology.organization
    region = settings.topology.region(settings.role)
    for kind in settings.drilled:
        drill = settings.drills.of(kind)
        for moment in takewhile(lambda moment: moment < end, CronSim(drill.cron, begin - timedelta(minutes=1))):
            yield Event(
                uid=f"{kind}-{settings.role}-{moment:%Y%m%dT%H%M}@{organization}.k8s-dr",
                begin=moment,
                lasts=parse_duration(drill.timeout),
                summary=f"Drill {kind} in {region} ({organization})",
                description=f"By itself, {_OF_MACHINES[kind]}; until then at the latest it has ended (docs/drills.md).",
            )


def main(arguments: Sequence[str] | None = None, now: datetime | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.drill_calendar", description="The calendar of drills as an .ics file."
    )
    parser.add_argument("--days", type=int, default=366, help="how far it goes from today on; a year by default")
    parser.add_argument("--people", action="store_true", help="only what people practise, and not what CronJobs try")
    parser.add_argument("--json", action="store_true", help="the events as a JSON list, for programs")
    parser.add_argument("--directory", type=Path, default=Path(), help="where Pulumi.yaml is")
    given = parser.parse_args(arguments)
    if not 1 <= given.days <= _MOST_DAYS:
        print(f"--days: {given.days} is not from 1 to {_MOST_DAYS}; write one as in 366", file=sys.stderr)
        return 2
    try:
        stacks: dict[Role, Settings] = {role: settings_of(role, given.directory) for role in ROLES}
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    time = now or datetime.now(UTC)
    found = events(stacks, time.date(), given.days, people_only=given.people)
    if given.json:
        print(json.dumps([{**asdict(event), "lasts": event.lasts.total_seconds()} for event in found], indent=1, default=str))
        return 0
    # As bytes: the lines end as the standard has it on every machine.
    name = f"Drills of {stacks['secondary'].topology.organization}"
    sys.stdout.buffer.write(calendar(name, found, stamp=time).encode())
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
