"""How much was lost: acknowledged rows held against the rows that are there, and the counting itself put to the test."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import ledger
from lab.ledger import CountingProof, Entry, LedgerError, Row, count, prove_counting, read_rows
from lab.samples import Sample, Write

DIED = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return DIED + timedelta(seconds=seconds)


def written(sequence: int, acknowledged: float, region: str = "primary") -> Write:
    return Write(time=at(acknowledged), ok=True, region=region, sequence=sequence, sent=at(acknowledged - 0.05))


def refused(sequence: int, gave_up: float) -> Write:
    return Write(time=at(gave_up), ok=False, error="HTTP 503", sequence=sequence, sent=at(gave_up - 0.05))


def row(sequence: int, sent: float = -60) -> Row:
    return Row(sequence=sequence, client_time=at(sent), recorded_at=at(sent))


def read(seconds: float, region: str | None = "primary") -> Sample:
    return Sample(time=at(seconds), ok=region is not None, region=region)


def entry(sequence: int, seconds: float) -> Entry:
    return Entry(sequence=sequence, time=at(seconds), age_seconds=-seconds)


BEFORE = [written(1, -30), written(2, -20), written(3, -10), written(4, -1)]
AFTER = [refused(5, 3), refused(6, 6), written(7, 12, "secondary"), written(8, 13, "secondary")]
LASTING_READS = [read(-1), read(4, None), read(8, "secondary"), read(13, "secondary")]


@pytest.mark.parametrize(
    ("present", "lost", "newest_lost", "newest_surviving", "rpo"),
    [
        ([1, 2, 3, 4, 7, 8], 0, None, entry(4, -1), 0),
        ([1, 2, 3, 7, 8], 1, entry(4, -1), entry(3, -10), 1),
        ([1, 7, 8], 3, entry(4, -1), entry(1, -30), 20),
        ([7, 8], 4, entry(4, -1), None, 30),
        ([1, 3, 4, 7, 8], 1, entry(2, -20), entry(4, -1), 20),
    ],
    ids=["nothing", "the last one", "a tail", "everything", "a hole"],
)
def test_rows_that_were_promised_and_are_not_there_are_lost(present, lost, newest_lost, newest_surviving, rpo):
    found = count([*BEFORE, *AFTER], LASTING_READS, [row(number) for number in present], DIED)
    assert (found.rows_acknowledged, found.rows_acknowledged_before_death, found.rows_lost) == (6, 4, lost)
    assert (found.newest_lost, found.newest_surviving) == (newest_lost, newest_surviving)
    assert (found.rpo_seconds, found.rows_lost_by_survivor, found.rows_unacknowledged_present) == (rpo, 0, 0)


def test_a_row_whose_answer_got_lost_is_there_and_is_no_loss():
    found = count([*BEFORE, refused(5, 0.5)], [], [row(number) for number in (1, 2, 3, 4)] + [row(5, -0.2)], DIED)
    assert (found.rows_acknowledged, found.rows_lost, found.rows_unacknowledged_present) == (4, 0, 1)
    assert found.newest_surviving == entry(5, -0.2), "what it survives with is its client's time"


def test_a_row_that_was_refused_and_is_not_there_is_no_loss():
    assert count([*BEFORE, refused(5, 0.5)], [], [row(number) for number in (1, 2, 3, 4)], DIED).rows_lost == 0


def test_a_row_that_the_survivor_acknowledged_and_lost_is_told_apart():
    found = count([*BEFORE, *AFTER], LASTING_READS, [row(number) for number in (1, 2, 3, 4, 7)], DIED)
    assert (found.rows_lost, found.rows_lost_by_survivor) == (1, 1)
    assert (found.newest_lost, found.rpo_seconds) == (None, 0), "it is younger than the death"


def test_a_region_that_acknowledged_a_moment_longer_died_that_moment_later():
    found = count([written(1, -1), written(2, 0.5), written(3, 9, "secondary")], [], [row(3)], DIED)
    assert (found.rows_lost, found.rows_acknowledged_before_death) == (2, 2)
    assert (found.rpo_seconds, found.newest_lost.age_seconds) == (1.5, 0)


RELAYED = [written(101, -5, "secondary"), written(102, 0.3, "secondary"), refused(103, 2), written(104, 8, "secondary")]
"""A second client's rows, taken by the survivor's application: into the dead region's database until the first failure."""


@pytest.mark.parametrize(
    ("present", "lost", "by_survivor", "rpo"),
    [([101, 102, 104], 0, 0, 0), ([101, 104], 1, 0, 0), ([104], 2, 0, 5.3), ([101, 102], 1, 1, 0)],
    ids=["nothing", "the last one before", "both before", "one after"],
)
def test_rows_that_the_survivors_application_put_into_the_dead_database_are_that_ones(present, lost, by_survivor, rpo):
    rows = [row(number) for number in (1, 2, 3, 4, 7, 8, *present)]
    found = count([*BEFORE, *AFTER], LASTING_READS, rows, DIED, relayed=RELAYED)
    assert (found.rows_acknowledged, found.rows_acknowledged_before_death) == (9, 6)
    assert (found.rows_lost, found.rows_lost_by_survivor, found.rpo_seconds) == (lost, by_survivor, rpo)
    assert (found.seconds_without_writes, found.rto_seconds) == (13, 12), "durations are the first client's"


def test_a_second_clients_rows_need_no_failure_to_be_told_apart():
    found = count(BEFORE, [], [row(number) for number in (1, 2, 3, 4)], DIED, relayed=[RELAYED[0], RELAYED[3]])
    assert (found.rows_lost, found.rows_lost_by_survivor) == (2, 1)


@pytest.mark.parametrize(
    ("writes", "reads", "rto"),
    [
        (AFTER, LASTING_READS, 12),
        (AFTER, [*LASTING_READS, read(14, None), read(16, "secondary")], 16),
        ([*AFTER, refused(9, 15), written(10, 17, "secondary")], LASTING_READS, 17),
        ([*AFTER, refused(9, 15)], LASTING_READS, None),
        (AFTER, [read(4, None)], None),
        (AFTER, [*LASTING_READS, read(14, "primary")], None),
        (AFTER, [], None),
    ],
    ids=["both", "reads flap", "writes flap", "no writes", "no reads", "the dead region reads", "nobody read"],
)
def test_recovery_takes_until_reads_and_writes_are_both_served_for_good(writes, reads, rto):
    assert count(writes, reads, [], DIED).rto_seconds == rto


def test_time_without_writes_and_without_reads_is_an_outage_as_of_the_service():
    found = count([*BEFORE, *AFTER], LASTING_READS, [], DIED)
    assert (found.seconds_without_writes, found.seconds_without_reads) == (13, 9)


def test_a_client_that_wrote_nothing_lost_nothing():
    found = count([], [], [], DIED)
    assert (found.rows_acknowledged, found.rows_lost, found.rpo_seconds, found.rto_seconds) == (0, 0, 0, None)
    assert found.newest_surviving is None


FATES = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30)
"""Of each row in order: was it acknowledged, and is it there?"""


@given(FATES)
def test_every_row_is_counted_once_and_in_one_place(fates):
    writes = [
        written(number, number - 100) if acknowledged else refused(number, number - 100)
        for number, (acknowledged, _) in enumerate(fates, 1)
    ]
    rows = [row(number, number - 100) for number, (_, there) in enumerate(fates, 1) if there]
    found = count(writes, [], rows, DIED)
    assert found.rows_acknowledged == sum(acknowledged for acknowledged, _ in fates)
    assert found.rows_acknowledged - found.rows_lost + found.rows_unacknowledged_present == len(rows)
    assert (found.rpo_seconds > 0) == (found.rows_lost > 0) == (found.newest_lost is not None)
    if found.newest_lost:
        assert found.rpo_seconds >= found.newest_lost.age_seconds


@given(FATES.filter(lambda fates: any(acknowledged and there for acknowledged, there in fates)), st.data())
def test_one_row_more_or_less_moves_one_count_by_one(fates, data):
    writes = [
        written(number, number - 100) if acknowledged else refused(number, number - 100)
        for number, (acknowledged, _) in enumerate(fates, 1)
    ]
    there = [number for number, (_, present) in enumerate(fates, 1) if present]
    promised = data.draw(st.sampled_from([number for number in there if fates[number - 1][0]]))
    before = count(writes, [], [row(number) for number in there], DIED)
    without = count(writes, [], [row(number) for number in there if number != promised], DIED)
    phantom = count(writes, [], [row(number) for number in [*there, len(fates) + 1]], DIED)
    assert (without.rows_lost, without.rows_unacknowledged_present) == (before.rows_lost + 1, before.rows_unacknowledged_present)
    assert (phantom.rows_lost, phantom.rows_unacknowledged_present) == (before.rows_lost, before.rows_unacknowledged_present + 1)


class Table:
    """The ledger's table as psql shows it, for the few statements that are put to it."""

    def __init__(self, *sequences: int) -> None:
        self.rows = {number: self.row(number) for number in sequences}
        self.deaf = False

    @staticmethod
    def row(number: int) -> str:
        times = {"client_time": "2026-11-24T11:59:00.123+00:00", "recorded_at": "2026-11-24T11:59:00.12345+00:00"}
        return json.dumps({"sequence": number, **times, "region": "primary", "pod": "o'hara"})

    def query(self, sql: str) -> str:
        if found := re.search(r"json_populate_record\(null::ledger, '(.*)'\)", sql):
            text = found[1].replace("''", "'")
            self.rows[json.loads(text)["sequence"]] = text
            return "INSERT 0 1\n"
        number = int(found[1]) if (found := re.search(r"sequence = (\d+)|values \((\d+)", sql)) and found[1] else None
        if sql.startswith("select"):
            return "".join(f"{self.rows[key]}\n" for key in sorted(self.rows) if number in (None, key))
        if self.deaf:
            return ""
        if sql.startswith("delete"):
            return f"DELETE {len([self.rows.pop(number, None)])}\n"
        inserted = int(re.search(r"values \((\d+)", sql)[1])
        self.rows[inserted] = self.row(inserted)
        return "INSERT 0 1\n"


def test_rows_are_read_as_the_database_writes_them():
    (found,) = read_rows(Table(7).query)
    assert found == Row(
        sequence=7,
        client_time=datetime(2026, 11, 24, 11, 59, 0, 123000, tzinfo=UTC),
        recorded_at=datetime(2026, 11, 24, 11, 59, 0, 123450, tzinfo=UTC),
    )
    assert read_rows(Table().query) == []


@pytest.mark.parametrize("answer", ["ERROR: no such table", '{"sequence": 1}', "[1]"])
def test_an_answer_that_is_no_row_is_one_clear_error(answer):
    with pytest.raises(LedgerError, match="rows must come as JSON"):
        read_rows(lambda _: answer)


def test_the_counter_sees_the_row_slipped_in_and_the_one_taken_out_and_leaves_the_table_as_it_was():
    table = Table(1, 2, 3)
    before = dict(table.rows)
    proof = prove_counting(table.query, [*BEFORE, *AFTER], [], DIED)
    assert proof == CountingProof(phantom_rows_seen=1, removed_rows_seen=1)
    assert proof.holds
    assert table.rows == before


def test_the_table_is_put_back_although_the_second_count_fails(monkeypatch):
    table = Table(1, 2, 3)
    before = dict(table.rows)

    def fails_on_what_is_falsified(writes, reads, rows, died, **others):
        assert len(rows) == 3
        assert rows[-1].sequence == 3
        return count(writes, reads, rows, died, **others)

    monkeypatch.setattr(ledger, "count", fails_on_what_is_falsified)
    with pytest.raises(AssertionError):
        prove_counting(table.query, BEFORE, [], DIED)
    assert table.rows == before


def test_a_counter_that_sees_nothing_is_found_out(monkeypatch):
    blind = count(BEFORE, [], [row(number) for number in (1, 2, 3)], DIED)
    monkeypatch.setattr(ledger, "count", lambda *args, **kwargs: blind)
    proof = prove_counting(Table(1, 2, 3).query, BEFORE, [], DIED)
    assert proof == CountingProof(phantom_rows_seen=0, removed_rows_seen=0)
    assert not proof.holds


def test_a_table_that_does_not_change_proves_nothing():
    table = Table(1, 2, 3)
    table.deaf = True
    assert not prove_counting(table.query, BEFORE, [], DIED).holds


def test_where_no_promised_row_survived_there_is_none_to_take_out():
    assert prove_counting(Table().query, BEFORE, [], DIED) == CountingProof(phantom_rows_seen=1, removed_rows_seen=0)
