"""Writes calendars as RFC 5545 has them, and no more than drills need: events that are expanded, in UTC or of whole days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_OCTETS = 75
"""Longest line, without its end (RFC 5545, 3.1)."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event. `begin` is a moment, or the first day of whole ones. `uid` is the same in every file that has the event."""

    uid: str
    begin: datetime | date
    lasts: timedelta
    summary: str
    description: str = ""


def calendar(name: str, events: Sequence[Event], *, stamp: datetime) -> str:
    """The calendar's text. `stamp` is when it was made."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//k8s-dr//drills//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{escaped(name)}",
        *(line for event in events for line in _event(event, stamp)),
        "END:VCALENDAR",
    ]
    return "".join(f"{part}\r\n" for line in lines for part in folded(line))


def _event(event: Event, stamp: datetime) -> Iterator[str]:
    yield from ("BEGIN:VEVENT", f"UID:{escaped(event.uid)}", f"DTSTAMP:{_moment(stamp)}")
    if isinstance(event.begin, datetime):
        yield from (f"DTSTART:{_moment(event.begin)}", f"DTEND:{_moment(event.begin + event.lasts)}")
    else:
        yield from (f"DTSTART;VALUE=DATE:{event.begin:%Y%m%d}", f"DTEND;VALUE=DATE:{event.begin + event.lasts:%Y%m%d}")
    yield f"SUMMARY:{escaped(event.summary)}"
    if event.description:
        yield f"DESCRIPTION:{escaped(event.description)}"
    # Nobody is busy because a machine tries a restore.
    yield from ("TRANSP:TRANSPARENT", "END:VEVENT")


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def escaped(text: str) -> str:
    """A text as the value of a property: one line, whatever it holds (RFC 5545, 3.3.11)."""
    plain = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return "\\n".join("".join(each for each in line if each.isprintable()) for line in plain.splitlines())


def folded(line: str) -> Iterator[str]:
    """The line in parts of 75 octets at the most, cut between characters. All but the first begin with a space."""
    part = ""
    for character in line:
        if len((part + character).encode()) > _OCTETS:
            yield part
            part = " "
        part += character
    yield part
