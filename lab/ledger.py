"""How much was lost: the rows that the application acknowledged, held against the rows that the survivor's database has.

Counting is pure. What reads and changes the table takes a `query`: SQL in, psql's unaligned output (`psql -At`) out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from lab.samples import Sample, Write, outage, served_since

Query = Callable[[str], str]

ROWS = "select row_to_json(ledger) from ledger order by sequence"


class LedgerError(Exception):
    """The table could not be read; the message has what was read in its place."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row that is in the database."""

    sequence: int
    client_time: datetime
    recorded_at: datetime


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row with its age when the region died. `time`: when it was acknowledged; for a row that never was, when it was sent."""

    sequence: int
    time: datetime
    age_seconds: float


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What became of the rows of one client in one failover; `count` makes it. Ages and durations are seconds."""

    rows_acknowledged: int
    """All of the log, by either region."""

    rows_acknowledged_before_death: int
    rows_lost: int
    """Acknowledged, and not in the survivor's database."""

    rows_lost_by_survivor: int
    """Those of them that the survivor itself acknowledged: no failover excuses one."""

    rows_unacknowledged_present: int
    """In the database, though the client never heard so: the answer was lost on its way, or came too late. No error."""

    newest_lost: Entry | None
    """Like the next one, of the rows from before the death."""

    newest_surviving: Entry | None
    rpo_seconds: float
    """Age of the oldest lost row when the region died: how far back the loss reaches. 0 if none was lost."""

    rto_seconds: float | None
    """From the death until the survivor served this client's reads and writes, both, and went on to do so. None: it never did."""

    seconds_without_writes: float | None
    """By the definition of `lab.samples.outage`, as for the service itself."""

    seconds_without_reads: float | None


def read_rows(query: Query) -> list[Row]:
    """All rows of the database that `query` asks. Raises LedgerError if the answer is something else."""
    lines = query(ROWS).splitlines()
    try:
        return [_row(json.loads(line)) for line in lines if line]
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"the ledger's rows were expected as JSON, one a line, not {lines[0]!r}: {error!r}") from error


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
    """Hold what clients were promised against what is there.

    `writes` and `reads` are the client's logs up to its end, `rows` all that the survivor's database had after that, `died` the
    moment at which the other region began to die. That region may have acknowledged rows for a moment longer: ages are counted
    from its last acknowledgement if that is later, so that the loss never looks smaller than it is.

    `relayed` is the log of a second client, whom the survivor served all along: its rows are counted too, and durations are
    the first client's. Until the first failure after `died` they went to the dead region's database, whoever acknowledged them.
    """
    promised = {write.sequence: write for write in (*writes, *relayed) if write.ok}
    present = {row.sequence: row for row in rows}
    silent = min((write.time for write in relayed if not write.ok and write.time >= died), default=died)
    by_dead = {write.sequence for write in writes if write.region != survivor} | {
        write.sequence for write in relayed if write.time <= silent
    }
    death = max([died, *(write.time for write in promised.values() if write.sequence in by_dead)])

    def entry(sequence: int, time: datetime) -> Entry:
        return Entry(sequence=sequence, time=time, age_seconds=round((death - time).total_seconds(), 3))

    def newest(times: dict[int, datetime]) -> Entry | None:
        before = [entry(sequence, time) for sequence, time in times.items() if time <= death]
        return max(before, key=lambda found: (found.time, found.sequence), default=None)

    lost = {sequence: write.time for sequence, write in promised.items() if sequence not in present}
    surviving = {
        sequence: promised[sequence].time if sequence in promised else row.client_time for sequence, row in present.items()
    }
    return Ledger(
        rows_acknowledged=len(promised),
        rows_acknowledged_before_death=sum(write.time <= death for write in promised.values()),
        rows_lost=len(lost),
        rows_lost_by_survivor=len(lost.keys() - by_dead),
        rows_unacknowledged_present=len(present.keys() - promised.keys()),
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


@dataclass(frozen=True, kw_only=True)
class CountingProof:
    """What the counter saw of one row that was slipped in and one that was taken out."""

    phantom_rows_seen: int
    """By how much `rows_unacknowledged_present` grew when a row was added that nobody had acknowledged."""

    removed_rows_seen: int
    """By how much `rows_lost` grew when an acknowledged row was removed."""

    @property
    def holds(self) -> bool:
        return (self.phantom_rows_seen, self.removed_rows_seen) == (1, 1)


def prove_counting(
    query: Query,
    writes: Sequence[Write],
    reads: Sequence[Sample],
    died: datetime,
    *,
    survivor: str = "secondary",
    relayed: Sequence[Write] = (),
) -> CountingProof:
    """Falsify the survivor's real table, count again as before, and put the table back as it was.

    `query` must reach a database that takes writes, and the client must have ended. Where no acknowledged row survived there is
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
    """The table with one row more and, unless there is none to spare, another one less."""
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
