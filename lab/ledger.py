"""How much data a failover lost: compares the rows that the application acknowledged with those in the survivor's database.

The survivor is the region that takes over. Counting is a pure function. Functions that read or change the table take a `query`,
which takes SQL and returns psql's unaligned output (`psql -At`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from lab.samples import Sample, Write, outage, served_since
from report.measures import CountingProof, Entry, Ledger

Query = Callable[[str], str]

ROWS = "select row_to_json(ledger) from ledger order by sequence"


class LedgerError(Exception):
    """The table could not be read; the message shows what the database answered instead."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row in the database."""

    sequence: int
    client_time: datetime
    recorded_at: datetime


def read_rows(query: Query) -> list[Row]:
    """All rows of the table. Raises LedgerError if the database answers with anything else."""
    lines = query(ROWS).splitlines()
    try:
        return [_row(json.loads(line)) for line in lines if line]
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"the ledger's rows must come as JSON, one row a line, but the answer was {lines[0]!r}: {error!r}"
        ) from error


def _row(fields: dict[str, str]) -> Row:
    return Row(
        sequence=int(fields["sequence"]),
        client_time=datetime.fromisoformat(fields["client_time"]),
        recorded_at=datetime.fromisoformat(fields["recorded_at"]),
    )


def count(
    writes: Sequence[Write],
    reads: Sequence[Sample],
    rows: Sequence[Row],
    died: datetime,
    *,
    survivor: str = "secondary",
    relayed: Sequence[Write] = (),
) -> Ledger:
    """Compare the rows that the application acknowledged with the rows that the survivor's database has.

    `writes` and `reads` are the client's complete logs. `rows` are the rows of the survivor's database after the client ended.
    `died` is when the other region began to die. That region may acknowledge rows a moment longer. Ages then count from its last
    acknowledgement, so that the loss never looks smaller than it is.

    `relayed` is the log of a second client, which the survivor's application served from the start. That application relayed the
    client's writes to the dead region's database until the first write failed after `died`: rows up to then count as
    acknowledged by the dead region. Durations are those of the first client only.
    """
    acknowledged = {write.sequence: write for write in (*writes, *relayed) if write.ok}
    present = {row.sequence: row for row in rows}
    relay_ended = min((write.time for write in relayed if not write.ok and write.time >= died), default=died)
    by_dead = {write.sequence for write in writes if write.region != survivor} | {
        write.sequence for write in relayed if write.time <= relay_ended
    }
    death = max([died, *(write.time for write in acknowledged.values() if write.sequence in by_dead)])

    def entry(sequence: int, time: datetime) -> Entry:
        return Entry(sequence=sequence, time=time, age_seconds=round((death - time).total_seconds(), 3))

    def newest(times: dict[int, datetime]) -> Entry | None:
        before = [entry(sequence, time) for sequence, time in times.items() if time <= death]
        return max(before, key=lambda found: (found.time, found.sequence), default=None)

    lost = {sequence: write.time for sequence, write in acknowledged.items() if sequence not in present}
    surviving = {
        sequence: acknowledged[sequence].time if sequence in acknowledged else row.client_time
        for sequence, row in present.items()
    }
    return Ledger(
        rows_acknowledged=len(acknowledged),
        rows_acknowledged_before_death=sum(write.time <= death for write in acknowledged.values()),
        rows_lost=len(lost),
        rows_lost_by_survivor=len(lost.keys() - by_dead),
        rows_unacknowledged_present=len(present.keys() - acknowledged.keys()),
        newest_lost=newest(lost),
        newest_surviving=newest(surviving),
        rpo_seconds=max([0.0, *(entry(sequence, time).age_seconds for sequence, time in lost.items())]),
        rto_seconds=_rto(writes, reads, died, survivor),
        seconds_without_writes=outage(writes, died).seconds,
        seconds_without_reads=outage(reads, died).seconds,
    )


def _rto(writes: Sequence[Write], reads: Sequence[Sample], died: datetime, survivor: str) -> float | None:
    moments = [served_since(samples, survivor, died) for samples in (writes, reads)]
    served = [moment for moment in moments if moment is not None]
    return round((max(served) - died).total_seconds(), 3) if len(served) == len(moments) else None


def prove_counting(
    query: Query,
    writes: Sequence[Write],
    reads: Sequence[Sample],
    died: datetime,
    *,
    survivor: str = "secondary",
    relayed: Sequence[Write] = (),
) -> CountingProof:
    """Falsify the survivor's real table, count again, and restore the table.

    `query` must reach a database that accepts writes, and the client must have ended. If no acknowledged row survived, there is
    none to remove, and the proof does not hold.
    """

    def counted() -> Ledger:
        return count(writes, reads, read_rows(query), died, survivor=survivor, relayed=relayed)

    present = {row.sequence for row in read_rows(query)}
    phantom = max([*present, *(write.sequence for write in (*writes, *relayed))], default=0) + 1
    removable = max((write.sequence for write in writes if write.ok and write.sequence in present), default=None)
    before = counted()
    with _falsified(query, phantom, removable):
        after = counted()
    return CountingProof(
        phantom_rows_seen=after.rows_unacknowledged_present - before.rows_unacknowledged_present,
        removed_rows_seen=after.rows_lost - before.rows_lost,
    )


@contextmanager
def _falsified(query: Query, phantom: int, removable: int | None) -> Iterator[None]:
    """Add row `phantom` to the table and remove row `removable`, if there is one. Both changes are undone at the end."""
    saved = query(f"select row_to_json(ledger) from ledger where sequence = {removable}").strip() if removable else ""  # noqa: S608
    try:
        query(f"insert into ledger (sequence, client_time, region, pod) values ({phantom}, now(), 'nowhere', 'nobody')")  # noqa: S608
        if saved:
            query(f"delete from ledger where sequence = {removable}")  # noqa: S608 - a number
        yield
    finally:
        query(f"delete from ledger where sequence = {phantom}")  # noqa: S608 - a number
        if saved:
            row = saved.replace("'", "''")
            back = f"json_populate_record(null::ledger, '{row}')"
            query(f"insert into ledger select * from {back} on conflict (sequence) do nothing")  # noqa: S608 - quoted above
