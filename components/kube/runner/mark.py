"""The mark that a region keeps beside an archive which it writes: what was archived last, as freshness.sh writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

MARK_BYTES = 64 * 1024
"""A mark has some KB."""

_SEGMENT = re.compile(r"[0-9A-F]{24}")
SEGMENT_KEY = re.compile(r"/([0-9A-F]{24})(\.(?!partial)[a-z]\w*)?$")
"""The key of a WAL segment, compressed or not. A `.partial` segment or the label of a backup that began in one does not match."""

_SEGMENTS = 100
"""More than a mark names: freshness.sh writes 32."""


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

    @property
    def segments(self) -> dict[str, datetime]:
        """Every segment that it names, and when each was archived."""
        last = {self.segment: self.archived} if self.segment and self.archived else {}
        return {**last, **self.recent}


def mark_of(text: str) -> Mark:
    """Raises any error for what is no mark: who may write to the peer's bucket may have written anything."""
    said = json.loads(text)
    found = Mark(
        written=_time(said["written"]),
        segment=said["segment"] or None,
        archived=_time(said["archived"]) if said["archived"] else None,
        bases={str(name): dict(files) for name, files in said["bases"].items()},
        recent={str(name): _time(time) for name, time in said.get("recent", {}).items()},
    )
    if len(found.segments) > _SEGMENTS or not all(map(is_segment, found.segments)):
        raise ValueError("it names what is no WAL segment, or too many")
    return found


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def is_segment(name: str) -> bool:
    """Whether this is the name of a WAL segment."""
    return bool(_SEGMENT.fullmatch(name))


def position_of(segment: str) -> int:
    """Position of a segment in the WAL, in segments of 16 MB. A new timeline goes on counting where it left the old one."""
    return int(segment[8:16], 16) * 256 + int(segment[16:], 16)


def first_gap(begin: str, names: Collection[str]) -> int | None:
    """Position of the first segment from `begin` on that is not among `names` although a later one is; None if all are there."""
    positions = {position_of(name) for name in names}
    return next((each for each in range(position_of(begin), max(positions, default=0)) if each not in positions), None)


def oldest_after(before: Mapping[str, datetime], after: Mapping[str, datetime], timeout: timedelta = timedelta(0)) -> datetime:
    """When the oldest WAL after the segments `before` was written at the earliest, by when those `after` them were archived.

    A database that writes rarely archives rarely: when the last segment was archived says nothing of when the next was written.
    """
    first = min(after, key=lambda name: (position_of(name), name))
    if not before:
        return after[first] - timeout
    last = max(before, key=lambda name: (position_of(name), name))
    if position_of(first) > position_of(last) + 1:
        return min(before[last], after[first])  # more is missing than anybody names
    # A standby that catches up has archived later what it lacks nothing before.
    return min(max(before[last], after[first] - timeout), after[first])
