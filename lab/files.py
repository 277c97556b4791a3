"""How many files a failover lost: the documents that the application acknowledged, and those on the survivor's volume."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from lab.samples import Write, rfc3339
from report.measures import Entry, Files


def whole(directory: Path, writes: Sequence[Write]) -> set[int]:
    """The sequence numbers of documents in `directory` that hold what was acknowledged: the client's number and
    time, and the region.

    A document of another name's content, an empty one and one that is cut off are not whole.
    """
    sent = {write.sequence: write for write in writes if write.ok}
    return {sequence for sequence, write in sent.items() if _holds(directory / f"{sequence:08}.json", write)}


def _holds(file: Path, write: Write) -> bool:
    try:
        found = json.loads(file.read_bytes())
        told = (found["sequence"], rfc3339(datetime.fromisoformat(found["client_time"])), found["written_in"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False
    return told == (write.sequence, rfc3339(write.sent), write.region)


def lost(writes: Sequence[Write], present: Collection[int]) -> list[Write]:
    """The documents that were acknowledged, by whichever region, and are not among those that are `present`."""
    return [write for write in writes if write.ok and write.sequence not in present]


def count(writes: Sequence[Write], present: Collection[int], died: datetime, *, survivor: str = "secondary") -> Files:
    """Compare what was acknowledged with the sequence numbers that are `present` on the survivor's volume.

    `died` is when the other region began to die. It may acknowledge documents a moment longer. Ages then count from its last
    acknowledgement, so that the loss never looks smaller than it is.
    """
    acknowledged = [write for write in writes if write.ok]
    there = [write for write in acknowledged if write.region != survivor]
    death = max([died, *(write.time for write in there)])
    gone = lost(acknowledged, present)
    theirs = [write for write in gone if write.region != survivor]
    kept = [write for write in there if write.sequence in present]

    def age(write: Write) -> float:
        return round((death - write.time).total_seconds(), 3)

    newest = max(kept, key=lambda write: write.time, default=None)
    return Files(
        acknowledged_before_death=len(there),
        lost=len(theirs),
        lost_by_survivor=len(gone) - len(theirs),
        newest_surviving=Entry(sequence=newest.sequence, time=newest.time, age_seconds=age(newest)) if newest else None,
        rpo_seconds=max([0.0, *(age(write) for write in theirs)]),
    )
