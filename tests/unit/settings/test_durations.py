"""Durations and cron lines mean what Velero and Kubernetes take them for."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings.durations import check_cron, check_cron_with_seconds, format_duration, longest_gap, parse_duration, spoken

small = st.integers(0, 9999)


@given(hours=small, minutes=small, seconds=small)
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int) -> None:
    expected = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    text = f"{hours}h{minutes}m{seconds}s"
    if expected:
        assert parse_duration(text) == expected
    else:
        with pytest.raises(ValueError, match="no time at all"):
            parse_duration(text)


@given(seconds=st.integers(1, 10**9))
def test_a_duration_printed_in_any_unit_reads_back(seconds: int) -> None:
    minutes, rest = divmod(seconds, 60)
    assert parse_duration(f"{seconds}s") == parse_duration(f"{minutes}m{rest}s") == timedelta(seconds=seconds)


@given(st.text())
def test_any_text_is_a_duration_above_zero_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse_duration(text) > timedelta()


@pytest.mark.parametrize("text", ["", "30", "1.5h", "-1h", "1h ", "h", "1h30", "1H", "٣h"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write hours, minutes or seconds as in 720h, 1h30m or 90s"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "hours"), [("30d", "720h"), ("2w", "336h")])
def test_days_and_weeks_are_refused_with_the_hours_to_write(text: str, hours: str) -> None:
    with pytest.raises(ValueError, match=f"is in days or weeks, and a duration has hours, minutes or seconds; write {hours}"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["876001h", "9" * 30 + "h", "9" * 5000 + "s"])
def test_a_duration_beyond_any_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than a hundred years"):
        parse_duration(text)


@pytest.mark.parametrize(
    "line", ["0 2 * * *", "*/15 * * * *", "0 0 1,15 * 1-5", "0 2 * JUL MON-WED", "7 7 7 7 *", "0 */7 * * */7"]
)
def test_a_cron_line_that_velero_reads_is_kept_as_it_is(line: str) -> None:
    assert check_cron(line) == line


@pytest.mark.parametrize("line", ["0 2 * * 7", "0 2 * * 1-7", "0 2 L * *", "0 2 LW * *", "0 2 * * 5L", "0 2 * * 5#2"])
def test_a_cron_line_that_only_other_programs_read_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="which Velero does not know"):
        check_cron(line)


@given(st.text())
def test_any_text_is_a_cron_line_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert len(check_cron(text).split()) == 5


@pytest.mark.parametrize("line", ["0 0 3 * * *", "59 0 3 * * MON", "05 */15 * * * *"])
def test_a_cron_line_with_seconds_is_kept_as_it_is(line: str) -> None:
    assert check_cron_with_seconds(line) == line


@given(st.integers(0, 59), st.integers(0, 23))
def test_the_text_that_a_line_of_five_fields_is_told_to_write_is_taken_and_means_the_same(minute: int, hour: int) -> None:
    with pytest.raises(ValueError, match="has 5 fields") as caught:
        check_cron_with_seconds(f"{minute} {hour} * * *")
    advised = str(caught.value).split('"')[1]
    assert check_cron_with_seconds(advised) == f"0 {minute} {hour} * * *"


@given(st.text())
def test_any_text_is_a_cron_line_with_seconds_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert len(check_cron_with_seconds(text).split()) == 6


@given(seconds=st.integers(1, 10**7))
def test_a_duration_that_the_program_prints_reads_back(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("seconds", "text"), [(300, "5m"), (86400, "24h"), (5400, "1h30m"), (30, "30s"), (0, "0s")])
def test_a_duration_is_printed_as_a_person_writes_it(seconds: int, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min 0 s"), (3725.9, "62 min 5 s"), (94200, "26 h 10 min"), (1047600, "12 d 3 h")],
)
def test_a_span_is_spoken_as_a_person_says_it(seconds: float, words: str) -> None:
    assert spoken(timedelta(seconds=seconds)) == words


GAPS = [
    ("0 2 * * *", timedelta(days=1)),
    ("0 0 3 * * *", timedelta(days=1)),
    ("0 * * * *", timedelta(hours=1)),
    ("*/5 8-18 * * 1-5", timedelta(days=2, hours=13, minutes=5)),
    ("* * 1-7 * *", timedelta(days=24, minutes=1)),
    ("30 1,13 * * *", timedelta(hours=12)),
    ("0 0 0 * * 0", timedelta(days=7)),
    ("0 0 29 2 *", timedelta(days=1461)),
]


@pytest.mark.parametrize(("cron", "gap"), GAPS)
def test_the_longest_gap_of_a_cron_line_is_found_over_days_weekends_and_months(cron: str, gap: timedelta) -> None:
    assert longest_gap(cron) == gap
