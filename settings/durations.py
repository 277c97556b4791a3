"""Durations and cron lines, as Velero, Kubernetes and CloudNativePG read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise, takewhile

from cronsim import CronSim, CronSimError

from settings.mistake import Mistake

_AMOUNT = re.compile(r"([0-9]+)(h|m|s)")
_UNIT = {"h": "hours", "m": "minutes", "s": "seconds"}
_LONGEST = timedelta(days=36500)
_LONGEST_CYCLE = timedelta(days=9 * 366)
"""After so long every 29th of February has come again."""

# CronSim accepts these, but the cron parser of Velero, Kubernetes and CloudNativePG does not: the last day of a month (L), the
# nearest working day (W), the nth weekday (#), and 7 for Sunday.
_NOT_KUBERNETES = re.compile(r"#|\bLW?\b|[0-9]L|(?<!/)\b7(?=\S*$)")


_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""What Velero, Kubernetes and CloudNativePG read by name (robfig/cron, parseDescriptor)."""


def _in_fields(text: str) -> str:
    """The line in fields, with * for ?, which robfig/cron takes for the same."""
    return _NAMED.get(text.strip(), re.sub(r"(?<!\S)\?(?=\s|/|$)", "*", text))


def parse_duration(text: str) -> timedelta:
    """Read a Go duration of whole hours, minutes and seconds: `720h`, `1h30m`, `90s`. Raise ValueError for any other text."""
    if days := re.fullmatch(r"([0-9]{1,6})(d|w)", text, re.ASCII):
        hours = int(days[1]) * (24 if days[2] == "d" else 7 * 24)
        raise Mistake("is in days or weeks, and a duration has hours, minutes or seconds; write {}", f"{hours}h")
    if not text or _AMOUNT.sub("", text) or not (amounts := _AMOUNT.findall(text)):
        raise ValueError("is not a duration; write hours, minutes or seconds as in 720h, 1h30m or 90s")
    try:
        total = sum((timedelta(**{_UNIT[unit]: int(number)}) for number, unit in amounts), timedelta())
    except (OverflowError, ValueError):
        total = timedelta.max
    if not total:
        raise ValueError("is no time at all; write a duration above zero, as in 720h")
    if total > _LONGEST:
        raise ValueError("is longer than a hundred years; write a shorter duration, as in 720h")
    return total


def format_duration(duration: timedelta) -> str:
    """The duration as `parse_duration` reads it, in whole seconds: `24h`, `1h30m`. No time at all is `0s`."""
    minutes, seconds = divmod(round(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{amount}{unit}" for amount, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if amount) or "0s"


def spoken(span: timedelta) -> str:
    """A time span in words, in its two largest units: 90 s, 5 min 0 s, 26 h 10 min, 12 d 3 h."""
    seconds = int(span.total_seconds())
    minutes, hours = seconds // 60, seconds // 3600
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours >= 2:
        return f"{hours} h {minutes % 60} min"
    return f"{seconds} s" if seconds < 120 else f"{minutes} min {seconds % 60} s"


def _refuse_other_clocks(text: str, seconds: str) -> None:
    """What robfig/cron takes beside fields and names: another time zone, and a time that counts from the controller's start."""
    if zone := re.match(r"(?:CRON_)?TZ=\S+\s*", text.strip()):
        raise Mistake(
            "has a time zone, and schedules here are in UTC alone; write {}", f'"{text.strip()[zone.end() :]}", moved to UTC'
        )
    if text.strip().startswith("@every"):
        every = re.fullmatch(r"@every\s+(?:([1-9]|1[0-9]|2[0-3])h|([1-9]|[1-5][0-9])m)", text.strip())
        days = {"24h": "0 0 * * *", "1d": "0 0 * * *", "168h": "0 0 * * 0", "7d": "0 0 * * 0"}
        other = days.get(text.strip().removeprefix("@every").strip(), "0 */6 * * *")
        fields = f"0 */{every[1]} * * *" if every and every[1] else f"*/{every[2]} * * * *" if every else other
        what = "counts from when its controller started, which nobody can foresee; write"
        raise Mistake(f"{what} {{}}", f'"{seconds}{fields}"')


def check_cron(text: str) -> str:
    """Return a cron line of five fields, as Velero and Kubernetes read it. Raise ValueError for any other text."""
    _refuse_other_clocks(text, "")
    text = _in_fields(text)
    fields = len(text.split())
    if fields != 5:
        raise ValueError(f'has {fields} fields, a schedule has five (minute hour day month weekday); as in "0 2 * * *"')
    _check_fields(text, reader="Velero", seconds="")
    return text


def check_cron_with_seconds(text: str) -> str:
    """Return a cron line of six fields, seconds first, as CloudNativePG reads it. Raise ValueError for any other text.

    CloudNativePG accepts five fields too, but reads the first as seconds: `0 2 * * *` runs in the second minute of every hour.
    """
    _refuse_other_clocks(text, "0 ")
    text = f"0 {_in_fields(text)}" if text.strip() in _NAMED else _in_fields(text)
    fields = text.split()
    if len(fields) == 5:
        raise Mistake(
            'has 5 fields, and CloudNativePG reads the first as seconds: it would run at other times; write "0 {}"', text
        )
    if len(fields) != 6:
        raise ValueError(f'has {len(fields)} fields, a base backup has six (second minute hour …); as in "0 0 3 * * *"')
    if not re.fullmatch(r"[0-5]?[0-9]", fields[0]):
        raise Mistake('begins with the second {} and not one from 0 to 59; write 0 as in "0 0 3 * * *"', fields[0])
    _check_fields(" ".join(fields[1:]), reader="CloudNativePG", seconds="0 ")
    return text


@cache
def longest_gap(cron: str) -> timedelta:
    """The longest time between two moments that a checked cron line names, in UTC. A line of six fields begins with seconds.

    Days and times of day repeat apart from each other, so each is looked at by itself: minutes may be many, and years long.
    """
    minute, hour, *days = cron.split()[-5:]
    midnight = datetime(2024, 1, 1, tzinfo=UTC)
    times = _moments(f"{minute} {hour} * * *", midnight, midnight + timedelta(days=1))
    dates = _moments(f"0 0 {' '.join(days)}", midnight, midnight + _LONGEST_CYCLE)
    if not times or len(dates) < 2:
        return timedelta.max
    within = max((later - earlier for earlier, later in pairwise(times)), default=timedelta())
    between = max(later - earlier for earlier, later in pairwise(dates))
    return max(within, between - (times[-1] - times[0]))


@cache
def shortest_gap(cron: str) -> timedelta:
    """The shortest time within a day between two moments that a checked cron line names; a day where it names one."""
    minute, hour, *_ = cron.split()[-5:]
    midnight = datetime(2024, 1, 1, tzinfo=UTC)
    times = _moments(f"{minute} {hour} * * *", midnight, midnight + timedelta(days=1))
    return min((later - earlier for earlier, later in pairwise(times)), default=timedelta(days=1))


def _moments(cron: str, first: datetime, end: datetime) -> list[datetime]:
    """The moments from `first` on and before `end`, at most as many as there are minutes in a day."""
    each = CronSim(cron, first - timedelta(minutes=1))
    return list(islice(takewhile(lambda moment: moment < end, each), 24 * 60))


def _check_fields(text: str, *, reader: str, seconds: str) -> None:
    """Check the five fields from minute to weekday. `seconds` stands before them in the examples of the messages."""
    try:
        next(CronSim(text, datetime.now(UTC)))
    except StopIteration:
        raise ValueError(f'never comes, for no month has such a day; write one as in "{seconds}0 2 * * *"') from None
    except CronSimError as error:
        raise ValueError(f'is not a cron line ({error}); write one as in "{seconds}0 2 * * *"') from None
    if _NOT_KUBERNETES.search(text.upper()):
        raise ValueError(f'uses L, W, # or 7 for Sunday, which {reader} does not know; write one as in "{seconds}0 2 * * 0"')
