"""What a recovered database is asked, and what its answers mean.

Each question is one statement, which answers with `ok` or with what is wrong: so no contents of a row leave the database but the
one value that is not as it should be, and of that its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .drill_record import text

_VALUE = 80
"""Characters of a value that are told."""

_RECOVERED = "SELECT CASE WHEN pg_is_in_recovery() THEN 'is still in recovery' ELSE 'ok' END"
_REACHED = "SELECT pg_walfile_name(pg_current_wal_lsn())"
_TABLES = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') "
    "AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'"
)
_ALWAYS = (_RECOVERED, _REACHED, _TABLES)


@dataclass(kw_only=True)
class Told:
    """The answers: what is wrong, how many questions were answered as they should be, and how much is there."""

    failures: list[str] = field(default_factory=list)
    right: int = 0
    tables: int = 0
    reached: str | None = None
    """The WAL segment in which the recovered database goes on."""


def statements(checks: Sequence[Mapping[str, Any]], point: datetime) -> list[str]:
    """The statements, in order: those of every database, and a person's. `point` is the time that the recovery ends at."""
    return [*_ALWAYS, *(_statement(check, point) for check in checks)]


def _statement(check: Mapping[str, Any], point: datetime) -> str:
    """As a value of another statement, a question can be nothing but one SELECT that gives one value."""
    sql, within = check["sql"], check["within"]
    if within is None:
        fine, value = f"v IS NOT DISTINCT FROM {_quoted(check['expect'])}", f"({sql})::text"
        told = f"'is ' || left(v, {_VALUE})"
    else:
        moment = f"timestamptz {_quoted(text(point))}"
        fine, value = f"v >= {moment} - interval '{int(within)} seconds'", f"({sql})::timestamptz"
        told = f"'is of ' || v::text || ', which is ' || ({moment} - v)::text || ' before ' || {_quoted(text(point))}"
    judged = f"CASE WHEN {fine} THEN 'ok' ELSE coalesce({told}, 'is null') END"
    return f"SELECT {judged} FROM (SELECT {value} AS v) AS answer"  # noqa: S608 - the configuration's own question


def _quoted(value: str) -> str:
    """A literal, as it is with standard_conforming_strings."""
    return "'" + value.replace("'", "''") + "'"


def answers(message: str, checks: Sequence[Mapping[str, Any]]) -> Told:
    """What the Job's last message says: a line for each statement, with its number, `=` or `!`, and the answer or PostgreSQL's
    error. Where a line is missing the message was cut, or the Job could not connect: its first words say so."""
    lines: dict[int, tuple[str, str]] = {}
    for line in message.splitlines():
        number, _, rest = line.partition(" ")
        if number.isdigit() and rest[:1] in ("=", "!"):
            lines[int(number)] = rest[0], " ".join(rest[1:].split())
    told = Told()
    if not lines:
        told.failures.append(f"it cannot be asked: {' '.join(message.split())[:500] or 'psql says nothing'}")
        return told
    recovered, reached, tables = (lines.get(place, ("!", "no answer")) for place in range(len(_ALWAYS)))
    if recovered != ("=", "ok"):
        told.failures.append(f"it {recovered[1] if recovered[0] == '=' else 'cannot be asked: ' + recovered[1]}")
    told.reached = reached[1] if reached[0] == "=" else None
    told.tables = int(tables[1]) if tables[0] == "=" and tables[1].isdigit() else 0
    if not told.tables:
        told.failures.append(f"it has no table ({tables[1]})" if tables[0] == "!" else "it has no table")
    for place, check in enumerate(checks, start=len(_ALWAYS)):
        sort, said = lines.get(place, ("!", "no answer: the Job's last message was too long"))
        if (sort, said) == ("=", "ok"):
            told.right += 1
            continue
        wanted = f"expected {check['expect']}" if check["within"] is None else f"expected no older than {check['within']} s"
        told.failures.append(f"{check['sql']} {said if sort == '=' else 'fails: ' + said}; {wanted}")
    return told
