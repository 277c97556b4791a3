"""The mark that a region keeps beside an archive which it writes: what was archived last, as freshness.sh writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What a region last said of an archive that it writes: what was there at a time."""

    written: datetime
    segment: str | None
    """The last WAL segment, and when it was archived; None if there was none."""

    archived: datetime | None
    bases: Mapping[str, Mapping[str, int]]
    """The last base backups by id, the bytes of each file by its name. The last may not have been done yet."""

    recent: Mapping[str, datetime] = field(default_factory=dict)
    """The last segments, this one among them, and when each was archived. A version before this one wrote none."""


def mark_of(text: str) -> Mark:
    """Raises ValueError, KeyError or TypeError for what is no mark."""
    said = json.loads(text)
    archived = datetime.fromisoformat(said["archived"]) if said["archived"] else None
    return Mark(
        written=datetime.fromisoformat(said["written"]).astimezone(UTC),
        segment=said["segment"] or None,
        archived=archived,
        bases={str(name): dict(files) for name, files in said["bases"].items()},
        recent={str(name): datetime.fromisoformat(time) for name, time in said.get("recent", {}).items()},
    )


def position_of(segment: str) -> int:
    """Position of a segment in the WAL, in segments of 16 MB. A new timeline goes on counting where it left the old one."""
    return int(segment[8:16], 16) * 256 + int(segment[16:], 16)


def oldest_after(before: Mapping[str, datetime], marked: Mapping[str, datetime], timeout: timedelta) -> datetime:
    """When the oldest WAL after the segments `before` was written at the earliest, if the segments `marked` were archived then.

    A database that writes rarely archives rarely: when the last segment was archived says nothing of when the next was written.
    """
    last = max(before)
    first = min((name for name in marked if name > last), key=position_of)
    if position_of(first) > position_of(last) + 1:
        return min(before[last], marked[first])  # more is missing than the mark names
    # A standby that catches up has archived later what it lacks nothing before.
    return min(max(before[last], marked[first] - timeout), marked[first])
