"""Values of PostgreSQL parameters that `pg_settings` does not list, or that PostgreSQL takes and a database cannot run with."""

from __future__ import annotations

import re
import zoneinfo
from functools import cache

from settings.mistake import Mistake
from settings.spelling import closest

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_OF_ANY_BUILD = {
    "wal_compression": ("pglz", "lz4", "zstd", "on", "off", "true", "false", "yes", "no", "1", "0"),
    "default_toast_compression": ("pglz", "lz4"),
    "io_method": ("worker", "io_uring", "sync"),
    "file_copy_method": ("copy", "clone"),
}
"""Which of these a server takes depends on how it was built (guc_tables.c, as USE_LZ4); no build takes others."""

_ENDS_REPLICATION = ("wal_sender_timeout", "wal_receiver_timeout", "idle_replication_slot_timeout", "tcp_user_timeout")
_LEAST_SECONDS = 10
"""A standby reports every 10 s (wal_receiver_status_interval): below that healthy replication is cut. 0 is off."""

_ZONES = ("timezone", "log_timezone")
_OFFSET = re.compile(r"[+-]?\d{1,3}(\.\d+)?")
_POSIX = re.compile(r"(<[^<>]+>|[A-Za-z]{3,})[+-]?\d{1,3}(:\d{1,2}){0,2}((<[^<>]+>|[A-Za-z]{3,}).*)?")
"""PostgreSQL, B.5: a POSIX specification, as EST5EDT or <+03>-3. An offset in hours is taken as well (check_timezone)."""

_STYLES, _ORDERS = ("iso", "sql", "postgres", "german"), ("dmy", "mdy", "ymd", "euro", "european", "us", "noneuro", "noneuropean")
"""check_datestyle in variable.c: one of each, in any order, beside default."""


def check(name: str, value: str) -> None:
    """Raise Mistake for a value that PostgreSQL would not start with, or that breaks replication. It has the form of its type."""
    plain = name.lower()
    if _CONTROL.search(value):
        # CloudNativePG writes each parameter into one line of custom.conf; what follows a line break would be a line of its own.
        raise Mistake("sets {} to a text with a line break or another control character; write it in one line", name)
    if plain in _OF_ANY_BUILD and value.strip().lower() not in _OF_ANY_BUILD[plain]:
        raise Mistake(
            f"sets {{}} to {{}}, and PostgreSQL takes one of {', '.join(_OF_ANY_BUILD[plain][:5])}; write one of them",
            name,
            value,
        )
    if plain in _ZONES:
        _check_zone(name, value)
    if plain == "datestyle":
        _check_datestyle(name, value)


def check_connection_timeout(name: str, value: str, seconds: float) -> None:
    """Raise Mistake if a parameter of replication's connections, in seconds, cuts healthy ones."""
    if name.lower() in _ENDS_REPLICATION and 0 < seconds < _LEAST_SECONDS:
        text = f"sets {{}} to {{}}, and that ends replication which is healthy; write {_LEAST_SECONDS}s or more, or take it out"
        raise Mistake(text, name, value)


@cache
def _zones() -> dict[str, str]:
    """The names of time zones by themselves in lower case, for PostgreSQL knows no difference. None on a machine without any."""
    return {zone.lower(): zone for zone in zoneinfo.available_timezones()}


def _check_zone(name: str, value: str) -> None:
    zone = value.strip()
    known = _zones()
    if not known or zone.lower() in known or _OFFSET.fullmatch(zone) or (_POSIX.fullmatch(zone) and "/" not in zone):
        return
    close = closest(zone, [*known.values()])
    fix = "did you mean {}?" if close else "write one as in Europe/Berlin"
    raise Mistake(
        f"sets {{}} to {{}}, which is no time zone, and PostgreSQL would not start; {fix}", name, value, *filter(None, [close])
    )


def _check_datestyle(name: str, value: str) -> None:
    words = [word.strip().lower() for word in value.split(",")]
    styles, orders = ([word for word in words if word in known] for known in (_STYLES, _ORDERS))
    if len(styles) + len(orders) + words.count("default") != len(words) or len(styles) > 1 or len(orders) > 1:
        raise Mistake(
            "sets {} to {}, which is no style of dates, and PostgreSQL would not start; write one as in ISO, MDY", name, value
        )
