"""How the time without service, and the time until it is back for good, are told from a client's log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.samples import (
    Interval,
    Sample,
    Write,
    intervals,
    outage,
    read_log,
    read_writes,
    reads_log,
    served_since,
    writes_log,
)

DIED = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return DIED + timedelta(seconds=seconds)


def answered(seconds: float, region: str = "primary") -> Sample:
    return Sample(time=at(seconds), ok=True, status=200, region=region, address="172.30.0.11")


def failed(seconds: float) -> Sample:
    return Sample(time=at(seconds), ok=False, address="172.30.0.11", error="no answer within 1 s")


def test_an_outage_lasts_from_the_last_success_to_the_first_success_that_stays():
    samples = [
        answered(-0.4),
        answered(-0.2),
        answered(0.1),
        failed(0.3),
        failed(1.3),
        answered(2.6, "secondary"),
        answered(2.8, "secondary"),
    ]
    found = outage(samples, DIED)
    assert (found.start, found.end) == (at(0.1), at(2.6))
    assert (found.seconds, found.failed_requests, found.served_by) == (2.5, 2, "secondary")


def test_the_last_success_may_be_older_than_the_death_of_the_region():
    found = outage([answered(-0.5), failed(0.5), answered(1.5, "secondary")], DIED)
    assert (found.start, found.seconds) == (at(-0.5), 2.0)


def test_where_nothing_failed_the_outage_is_zero_seconds():
    found = outage([answered(-1), answered(1), answered(2, "secondary")], DIED)
    assert (found.start, found.end, found.seconds, found.failed_requests, found.served_by) == (None, None, 0.0, 0, "secondary")


def test_a_failure_before_the_region_died_does_not_count():
    found = outage([failed(-5), answered(-4), answered(1)], DIED)
    assert (found.seconds, found.failed_requests) == (0.0, 0)


def test_service_that_never_came_back_has_no_seconds():
    found = outage([answered(-0.2), failed(0.5), failed(1.5)], DIED)
    assert (found.start, found.end, found.seconds, found.failed_requests, found.served_by) == (at(-0.2), None, None, 2, None)


def test_a_success_between_failures_is_flapping_and_ends_nothing():
    samples = [answered(0), failed(1), answered(2, "secondary"), failed(3), answered(4, "secondary"), answered(5, "secondary")]
    found = outage(samples, DIED)
    assert (found.start, found.end, found.seconds, found.failed_requests) == (at(0), at(4), 4.0, 2)


def test_flapping_whose_last_request_failed_has_not_recovered():
    found = outage([answered(0), failed(1), answered(2, "secondary"), failed(3)], DIED)
    assert (found.seconds, found.failed_requests, found.served_by) == (None, 2, None)


def test_where_nobody_was_ever_served_the_outage_begins_with_the_death():
    found = outage([failed(0.5), answered(3, "secondary")], DIED)
    assert (found.start, found.seconds, found.failed_requests) == (DIED, 3.0, 1)


@pytest.mark.parametrize("samples", [[], [answered(-2), answered(-1)]])
def test_silence_does_not_read_as_service(samples):
    assert outage(samples, DIED).seconds is None
    assert outage(samples, DIED).served_by is None


def test_the_region_that_serves_is_the_one_that_answered_last():
    samples = [answered(0), failed(1), answered(2, "primary"), answered(3, "secondary")]
    assert outage(samples, DIED).served_by == "secondary"


def test_a_drawn_stretch_of_failure_is_as_long_as_the_outage():
    samples = [answered(-0.2), answered(0), failed(1), failed(2), answered(3, "secondary"), answered(4, "secondary")]
    assert intervals(samples) == [
        Interval(start=at(-0.2), end=at(0), ok=True, region="primary", requests=2),
        Interval(start=at(0), end=at(3), ok=False, region=None, requests=2),
        Interval(start=at(3), end=at(4), ok=True, region="secondary", requests=2),
    ]


def test_stretches_of_two_regions_meet_without_a_gap():
    first, second = intervals([answered(0), answered(1), answered(2, "secondary"), answered(3, "secondary")])
    assert (first.end, second.start) == (at(2), at(2))


def test_a_log_line_has_the_promised_fields_and_reads_back(tmp_path):
    sample = Sample(time=at(0.1234), ok=False, status=503, address="172.30.0.11", error="HTTP 503")
    assert json.loads(sample.to_json()) == {
        "time": "2026-11-24T12:00:00.123Z",
        "ok": False,
        "status": 503,
        "region": None,
        "address": "172.30.0.11",
        "error": "HTTP 503",
    }
    log = tmp_path / "client.log"
    log.write_text(answered(0).to_json() + "\n" + answered(1).to_json() + "\n" + answered(2).to_json()[:20])
    assert read_log(log) == [answered(0), answered(1)], "the line that is still being written is left for later"


def test_a_log_that_does_not_exist_yet_is_empty(tmp_path):
    assert read_log(tmp_path / "none") == []


def test_a_write_is_logged_with_its_number_and_both_times_and_reads_back(tmp_path):
    write = Write(time=at(0.25), ok=True, status=201, region="primary", address="172.30.0.11", sequence=7, sent=at(0.2))
    assert json.loads(write.to_json())["sequence"] == 7
    assert json.loads(write.to_json())["sent"] == "2026-11-24T12:00:00.200Z"
    log = tmp_path / "writes.log"
    log.write_text(write.to_json() + "\n" + write.to_json()[:9])
    assert read_writes(log) == [write]


def test_writes_are_judged_by_the_same_definition_of_outage():
    writes = [
        Write(time=at(0), ok=True, region="primary", sequence=1, sent=at(-0.1)),
        Write(time=at(3), ok=False, error="HTTP 503", sequence=2, sent=at(0.2)),
        Write(time=at(4), ok=True, region="secondary", sequence=3, sent=at(3.9)),
    ]
    assert (outage(writes, DIED).seconds, outage(writes, DIED).served_by) == (4.0, "secondary")


def test_logs_of_the_ledger_lie_beside_the_log_of_the_service():
    log = Path("logs/client.jsonl")
    assert (writes_log(log), reads_log(log)) == (Path("logs/client-writes.jsonl"), Path("logs/client-reads.jsonl"))


@pytest.mark.parametrize(
    ("samples", "moment"),
    [
        ([answered(-1), failed(1), answered(5, "secondary"), answered(6, "secondary")], 5),
        ([answered(-1), failed(1), answered(5, "secondary"), failed(6), answered(7, "secondary")], 7),
        ([answered(-1), answered(2), answered(3, "secondary")], 3),
        ([answered(-2, "secondary"), answered(3, "secondary")], 0),
        ([answered(-1), failed(1)], None),
        ([answered(5, "secondary"), answered(6, "primary")], None),
        ([answered(-3, "secondary"), answered(-2, "secondary")], None),
        ([], None),
    ],
    ids=["back", "flapping", "no failure", "all along", "never", "the dead region answered last", "silence", "no log"],
)
def test_a_region_serves_from_its_first_answer_that_nothing_but_its_own_answers_follow(samples, moment):
    assert served_since(samples, "secondary", DIED) == (None if moment is None else at(moment))
