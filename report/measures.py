"""What a client outside of the program measured of one failover. The lab measures; the report shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Consecutive requests with the same result: one region answered all of them, or all failed (`region` is None)."""

    start: datetime
    end: datetime
    ok: bool
    region: str | None
    requests: int


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row with its age when the region died. `time` is when the application acknowledged it, or else when it was sent."""

    sequence: int
    time: datetime
    age_seconds: float


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What became of the client's rows in one failover. `count` computes it. Ages and durations are in seconds."""

    rows_acknowledged: int
    """All rows that either region acknowledged."""

    rows_acknowledged_before_death: int
    rows_lost: int
    """Acknowledged rows that are not in the survivor's database."""

    rows_lost_by_survivor: int
    """Lost rows that the survivor itself acknowledged. A failover must never lose one of these."""

    rows_unacknowledged_present: int
    """Rows in the database whose acknowledgement never reached the client, or came too late. This is not an error."""

    newest_lost: Entry | None
    """The newest lost row from before the region died."""

    newest_surviving: Entry | None
    """The newest row from before the region died that is in the survivor's database."""

    rpo_seconds: float
    """The measured RPO: the age of the oldest lost row when the region died. 0 if no row was lost."""

    rto_seconds: float | None
    """The measured RTO: from the region's death until the survivor served this client's reads and writes without a further
    failure. None if it never did."""

    seconds_without_writes: float | None
    """Measured as `lab.samples.outage` defines it, like the outage of the service itself."""

    seconds_without_reads: float | None


@dataclass(frozen=True, kw_only=True)
class Files:
    """What became of the files that the client's documents were kept in, on a volume that came back from a backup."""

    acknowledged_before_death: int
    lost: int
    """Acknowledged before the death, and not on the survivor's volume."""

    lost_by_survivor: int
    """Acknowledged by the survivor itself, and not on its volume. A failover must never lose one of these."""

    newest_surviving: Entry | None
    """The newest file from before the region died that is on the survivor's volume."""

    rpo_seconds: float
    """The age of the oldest lost file when the region died: what the volume lost. 0 if no file was lost."""


@dataclass(frozen=True, kw_only=True)
class SplitBrain:
    """What the old primary's database took after its region had come back, while the survivor's took writes too."""

    seconds: float
    """From the first acknowledged row to the last one; 0 if there was none, or one alone."""

    rows: int
    """Acknowledged rows: they are in no other region."""

    first_after: float | None
    """Seconds from the moment when the region was switched on to the first of these rows; None if there was none."""


@dataclass(frozen=True, kw_only=True)
class CountingProof:
    """Whether the counting notices one row that was added to the table, and one that was removed from it."""

    phantom_rows_seen: int
    """By how much `rows_unacknowledged_present` grew after the lab added a row that nobody had acknowledged."""

    removed_rows_seen: int
    """By how much `rows_lost` grew after the lab removed an acknowledged row."""

    @property
    def holds(self) -> bool:
        return (self.phantom_rows_seen, self.removed_rows_seen) == (1, 1)
