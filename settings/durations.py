"""Durations and cron lines, written as Kubernetes and Velero write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

_PART = re.compile(r"([0-9]+)(h|m|s)")
_UNIT = {"h": "hours", "m": "minutes", "s": "seconds"}
_LONGEST = timedelta(days=36500)

# What some cron programs know and Velero's and Kubernetes' parser refuses: last days, nth weekdays, Sunday as 7.
_FOREIGN = re.compile(r"#|\bLW?\b|[0-9]L|(?<!/)\b7(?=\S*$)")


def parse_duration(text: str) -> timedelta:
    """A Go duration of whole hours, minutes and seconds: `720h`, `1h30m`, `90s`. Raises ValueError otherwise."""
    if not text or _PART.sub("", text) or not (parts := _PART.findall(text)):
        raise ValueError("is not a duration; write hours, minutes or seconds as in 720h, 1h30m or 90s")
    try:
        total = sum((timedelta(**{_UNIT[unit]: int(number)}) for number, unit in parts), timedelta())
    except (OverflowError, ValueError):
        total = timedelta.max
    if not total:
        raise ValueError("is no time at all; write a duration above zero, as in 720h")
    if total > _LONGEST:
        raise ValueError("is longer than a hundred years; write a shorter duration, as in 720h")
    return total


def check_cron(text: str) -> str:
    """A cron line of five fields, as Velero and Kubernetes read it. Raises ValueError with an example otherwise."""
    fields = len(text.split())
    if fields != 5:
        raise ValueError(f'has {fields} fields, a schedule has five (minute hour day month weekday); as in "0 2 * * *"')
    _check_fields(text, reader="Velero", seconds="")
    return text


def check_cron_with_seconds(text: str) -> str:
    """A cron line of six fields, seconds first, as CloudNativePG reads it. Raises ValueError with the right text otherwise.

    Five fields would be taken, and mean something else: `0 2 * * *` runs at the second minute of every hour.
    """
    fields = text.split()
    if len(fields) == 5:
        raise ValueError(
            f'has 5 fields, and CloudNativePG reads the first as seconds: it would run at other times; write "0 {text}"'
        )
    if len(fields) != 6:
        raise ValueError(f'has {len(fields)} fields, a base backup has six (second minute hour …); as in "0 0 3 * * *"')
    if not re.fullmatch(r"[0-5]?[0-9]", fields[0]):
        raise ValueError(f'begins with the second {fields[0]} and not one from 0 to 59; write 0 as in "0 0 3 * * *"')
    _check_fields(" ".join(fields[1:]), reader="CloudNativePG", seconds="0 ")
    return text


def _check_fields(text: str, *, reader: str, seconds: str) -> None:
    """The five fields from minute to weekday. `seconds` is what stands before them in an example."""
    try:
        CronSim(text, datetime.now(UTC))
    except CronSimError as error:
        raise ValueError(f'is not a cron line ({error}); write one as in "{seconds}0 2 * * *"') from None
    if _FOREIGN.search(text.upper()):
        raise ValueError(f'uses L, W, # or 7 for Sunday, which {reader} does not know; write one as in "{seconds}0 2 * * 0"')
