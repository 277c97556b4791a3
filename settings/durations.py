"""Durations and cron lines, as Velero, Kubernetes and CloudNativePG read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from settings.mistake import Mistake

_AMOUNT = re.compile(r"([0-9]+)(h|m|s)")
_UNIT = {"h": "hours", "m": "minutes", "s": "seconds"}
_LONGEST = timedelta(days=36500)

# CronSim accepts these, but the cron parser of Velero, Kubernetes and CloudNativePG does not: the last day of a month (L), the
# nearest working day (W), the nth weekday (#), and 7 for Sunday.
_NOT_KUBERNETES = re.compile(r"#|\bLW?\b|[0-9]L|(?<!/)\b7(?=\S*$)")


def parse_duration(text: str) -> timedelta:
    """Read a Go duration of whole hours, minutes and seconds: `720h`, `1h30m`, `90s`. Raise ValueError for any other text."""
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


def check_cron(text: str) -> str:
    """Return a cron line of five fields, as Velero and Kubernetes read it. Raise ValueError for any other text."""
    fields = len(text.split())
    if fields != 5:
        raise ValueError(f'has {fields} fields, a schedule has five (minute hour day month weekday); as in "0 2 * * *"')
    _check_fields(text, reader="Velero", seconds="")
    return text


def check_cron_with_seconds(text: str) -> str:
    """Return a cron line of six fields, seconds first, as CloudNativePG reads it. Raise ValueError for any other text.

    CloudNativePG accepts five fields too, but reads the first as seconds: `0 2 * * *` runs in the second minute of every hour.
    """
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


def _check_fields(text: str, *, reader: str, seconds: str) -> None:
    """Check the five fields from minute to weekday. `seconds` stands before them in the examples of the messages."""
    try:
        CronSim(text, datetime.now(UTC))
    except CronSimError as error:
        raise ValueError(f'is not a cron line ({error}); write one as in "{seconds}0 2 * * *"') from None
    if _NOT_KUBERNETES.search(text.upper()):
        raise ValueError(f'uses L, W, # or 7 for Sunday, which {reader} does not know; write one as in "{seconds}0 2 * * 0"')
