"""PostgreSQL parameters as a person may set them: what PostgreSQL and CloudNativePG make of a name and a value.

What each parameter takes is what `pg_settings` of PostgreSQL 18 says, and what nobody may set is CloudNativePG's own list
(`scripts/limits.py` has both from there).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from settings import limits, parameter_values
from settings.mistake import Mistake
from settings.spelling import closest

KEYS_OF_THEIR_OWN = {
    "archive_timeout": "archiveTimeout",
    "checkpoint_timeout": "checkpointTimeout",
    "wal_retrieve_retry_interval": "walRetrieveRetryInterval",
}
"""Parameters that this program sets from keys of their own."""

_LOSES_DATA = {
    "fsync": "off",
    "full_page_writes": "off",
    "zero_damaged_pages": "on",
    "ignore_checksum_failure": "on",
    "ignore_invalid_pages": "on",
}
"""PostgreSQL: "unrecoverable data corruption in the event of a power failure or system crash" (fsync), alike of the others."""

_READS_ONLY = {
    "default_transaction_read_only": "on",
    "wal_level": "minimal",
    "max_wal_senders": "off",
    "max_replication_slots": "off",
}
"""What a failover cannot work with: an owner who may not write, WAL that no standby can follow or fetch (0 reads as off)."""

_WOULD_NOT_RUN = {
    # postmaster: "could not map anonymous shared memory"; a Pod has huge pages only where it asks for them.
    ("huge_pages", "on"): "and the database's Pods have no huge pages, without which PostgreSQL would not start; write try",
    # "could not setup io_uring queue: Operation not permitted", by containerd's default profile (cloudnative-pg#9948).
    (
        "io_method",
        "io_uring",
    ): "which the seccomp profile of the database's Pods forbids, so PostgreSQL would not start; write worker",
    # pgarch.c: `both "archive_command" and "archive_library" set`; CloudNativePG sets the first.
    ("archive_library", None): "which PostgreSQL takes in place of archive_command, and CloudNativePG sets that; take it out",
}
"""A parameter and its value, or any value but the empty one."""

# CloudNativePG: postgresParameterNameRegex of its webhook for Clusters.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?", re.ASCII)

# guc.c, memory_unit_conversion_table and time_unit_conversion_table: in bytes, and in milliseconds.
_MEMORY: dict[str, Fraction | int] = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_TIME: dict[str, Fraction | int] = {"us": Fraction(1, 1000), "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*", re.ASCII)
_WHOLE = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]+")
_YES, _NO = ("on", "true", "yes", "1"), ("off", "false", "no", "0")
_DEPENDS_ON_THE_BUILD = {"default_toast_compression", "wal_compression", "io_method", "file_copy_method"}


def check(parameters: Mapping[str, str], major: int) -> None:
    """Raise Mistake for a parameter that nobody may set, or that PostgreSQL `major` would not start with."""
    for name, value in parameters.items():
        if not _NAME.fullmatch(name):
            raise Mistake(
                "has {}, which is no name of a parameter (letters, digits, _ and one dot); write it as in work_mem", name
            )
        plain = name.lower()  # PostgreSQL reads names in any case
        if plain in KEYS_OF_THEIR_OWN:
            raise Mistake(f"sets {{}}, which has a key of its own: {KEYS_OF_THEIR_OWN[plain]}; take it out", name)
        if plain in limits.read("cloudnative_pg")["fixed"]:
            raise Mistake("sets {}, which CloudNativePG sets by itself; take it out", name)
        for (other, broken), why in _WOULD_NOT_RUN.items():
            if plain == other and value.strip() and broken in (None, as_postgresql_reads(value)):
                raise Mistake(f"sets {{}} to {{}}, {why}", name, value)
        parameter_values.check(name, value)
        _check_known(name, value, major)
        for harmful, why in ((_LOSES_DATA, "and a crash then destroys data"), (_READS_ONLY, "and a failover then cannot work")):
            if plain in harmful and as_postgresql_reads(value) == harmful[plain]:
                raise Mistake(f"sets {{}} to {{}}, {why}; take it out", name, value)


def _check_known(name: str, value: str, major: int) -> None:
    data = limits.read("postgresql")
    known: dict[str, dict[str, Any]] = data["parameters"]
    found = next((entry for known_name, entry in known.items() if known_name.lower() == name.lower()), None)
    if found is None:
        if "." not in name and major == data["major"]:
            close = closest(name, known, cutoff=0.7)
            fix = f"did you mean {close}?" if close else "take it out"
            raise Mistake(f"sets {{}}, which PostgreSQL {major} does not know, and it would not start; {fix}", name)
        return
    if found.get("internal"):
        raise Mistake("sets {}, which PostgreSQL only reports, and would not start with; take it out", name)
    complaint = _complaint(found, value, exact=major == data["major"] and name.lower() not in _DEPENDS_ON_THE_BUILD)
    if complaint:
        raise Mistake(f"sets {{}} to {{}}, and PostgreSQL {complaint}", name, value)
    if (seconds := seconds_of(name, value)) is not None:
        parameter_values.check_connection_timeout(name, value, float(seconds))


def _complaint(entry: Mapping[str, Any], value: str, *, exact: bool) -> str | None:
    """Why PostgreSQL would refuse the value. Types and lists of values hold for one major version: `exact`, for that one."""
    kind = entry["type"]
    if kind == "bool" and exact and not any(word.startswith(value.lower()) for word in (*_YES, *_NO) if value):
        return "takes on or off; write one of them"
    if kind == "enum" and exact:
        values = [*entry["values"], *(_YES + _NO if {"on", "off"} & {*entry["values"]} else ()), "debug"]
        if value.lower() not in (each.lower() for each in values):
            return f"takes one of {', '.join(entry['values'])}; write one of them"
    if kind not in ("integer", "real"):
        return None
    amount = in_units_of(value, entry.get("unit", ""))
    unit = f" ({entry['unit']})" if "unit" in entry else ""
    if amount is None:
        example = {"ms": "5s", "s": "30s", "min": "5min"}.get(entry.get("unit", ""), "64MB" if unit else entry["min"])
        return f"takes a number{unit}; write one as in {example}"
    if not Fraction(entry["min"]) <= amount <= Fraction(entry["max"]):
        return f"takes {entry['min']} to {entry['max']}{unit}; write a value between them"
    return None


def in_units_of(value: str, unit: str) -> Fraction | None:
    """The value in `unit`, as `pg_settings` writes units (8kB, MB, ms, …). None if PostgreSQL could not read it."""
    if _WHOLE.fullmatch(value.strip()):
        return Fraction(int(value.strip(), 16 if "x" in value.lower() else 8))
    found = _NUMBER.fullmatch(value)
    if not found:
        return None
    number, written = Fraction(found[1]), found[2]
    if not written:
        return number
    for table in (_MEMORY, _TIME):
        base = re.fullmatch(r"(\d*)([A-Za-z]+)", unit)
        if base and base[2] in table and written in table:
            return number * Fraction(table[written]) / (Fraction(table[base[2]]) * int(base[1] or 1))
    return None


def bytes_of(parameters: Mapping[str, str], name: str, default: str) -> Fraction:
    """The size that a parameter of memory or disk sets, in bytes; it was checked before."""
    entry = limits.read("postgresql")["parameters"][name]
    value = next((text for key, text in parameters.items() if key.lower() == name), default)
    amount = in_units_of(value, entry["unit"])
    one = in_units_of(f"1{entry['unit'].removeprefix('8')}", "B")
    assert amount is not None
    assert one is not None
    return amount * one * (8 if entry["unit"].startswith("8") else 1)


def number_of(parameters: Mapping[str, str], name: str, default: str) -> Fraction:
    """The number that a parameter without a unit has; it was checked before."""
    value = next((text for key, text in parameters.items() if key.lower() == name), default)
    amount = in_units_of(value, "")
    assert amount is not None
    return amount


def seconds_of(name: str, value: str) -> Fraction | None:
    """The seconds that a parameter of time sets. None for any other parameter, and for a value that PostgreSQL could not read."""
    known: dict[str, dict[str, Any]] = limits.read("postgresql")["parameters"]
    unit = next((entry.get("unit", "") for each, entry in known.items() if each.lower() == name.lower()), "")
    amount = in_units_of(value, unit) if unit in _TIME else None
    return None if amount is None else amount * Fraction(_TIME[unit]) / 1000


def seconds_between(name: str) -> tuple[Fraction, Fraction]:
    """The least and the most seconds that a parameter of time takes."""
    entry = limits.read("postgresql")["parameters"][name]
    one = Fraction(_TIME[entry["unit"]]) / 1000
    return Fraction(entry["min"]) * one, Fraction(entry["max"]) * one


def as_postgresql_reads(value: str) -> str:
    """A boolean as on or off, however it is written; any other value in lower case."""
    text = value.strip().lower()
    for answer, words in (("on", _YES), ("off", _NO)):
        if text and any(word.startswith(text) for word in words) and text != "o":
            return answer
    return text
