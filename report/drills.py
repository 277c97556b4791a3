"""The records of drills as a page and as JSON: what was tried, how it ended, and what nobody has tried in time.

Whoever may write records could have written anything. So each is checked, what is shown of a text is short and one line, and the
template escapes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationError

from report import wording
from report.page import TEMPLATES
from report.wording import Figure

PREFIX = "drills"
_SHOWN, _MOST = 500, 60
"""Characters of a text, and entries of a list, that are shown."""


class NoRecordError(Exception):
    """An object is no record of a drill; the message says which, and why."""


def _line(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    line = " ".join("".join(each if each.isprintable() else " " for each in text[: _SHOWN * 4]).split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


Line = Annotated[str, BeforeValidator(_line)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Span(_Model):
    target: Seconds | None = None
    measured: Seconds | None = None


class _Recorded(_Model):
    schema_: Literal[1] = Field(alias="schema")
    kind: Line
    region: Line
    role: Line
    run: Line
    started: AwareDatetime
    ended: AwareDatetime
    passed: StrictBool | None
    skipped: Line | None = None
    reasons: tuple[Line, ...]
    used: tuple[dict[Line, Line], ...] = ()
    rpo: _Span
    rto: _Span
    counts: dict[Line, int] = {}
    notes: tuple[Line, ...] = ()
    by: Line = "not recorded"
    versions: dict[Line, Line] = {}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One record. `passed` is None where there was nothing to try, and `skipped` says why. Times are in UTC, spans in seconds."""

    key: str
    kind: str
    region: str
    role: str
    run: str
    started: datetime
    ended: datetime
    passed: bool | None
    skipped: str | None
    reasons: tuple[str, ...]
    used: tuple[str, ...]
    rpo_target: float | None
    rpo_measured: float | None
    rto_target: float | None
    rto_measured: float | None
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    by: str
    versions: Mapping[str, str]

    @property
    def word(self) -> str:
        return {True: "passed", False: "failed", None: "skipped"}[self.passed]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one drill stands: its last record, when it is due next, and why it is overdue if it is. `region` is None for those that
    people do, which are of both."""

    kind: str
    region: str | None
    last: Entry | None
    next: date | None
    overdue: str | None

    @property
    def name(self) -> str:
        return f"{self.kind} in {self.region}" if self.region else self.kind


@dataclass(frozen=True, kw_only=True)
class Drills:
    """What is known of the drills of a pair."""

    organization: str
    generated: datetime
    standings: tuple[Standing, ...]
    entries: tuple[Entry, ...]
    """The newest first."""

    unreadable: tuple[str, ...]
    """What is in the buckets and is no record, or differs from its copy, a line each."""

    sources: tuple[str, ...]
    """What was read, and what did not answer, a line each."""


def entry(key: str, content: bytes) -> Entry:
    """Raises NoRecordError for what is no record, or one of another place than its key says."""
    try:
        found = _Recorded.model_validate_json(content)
    except (ValidationError, RecursionError) as error:
        errors = error.errors() if isinstance(error, ValidationError) else []
        why = f"{'.'.join(map(str, errors[0]['loc'])) or 'it'}: {errors[0]['msg'].lower()}" if errors else "it is nested too deep"
        raise NoRecordError(_line(f"{key} is no record of a drill: {why}")) from None
    if not key.startswith(f"{PREFIX}/{found.role}/{found.kind}/"):
        raise NoRecordError(_line(f"{key} says that it is of {found.role}/{found.kind}, where its key does not put it"))
    return Entry(
        key=_line(key),
        started=found.started.astimezone(UTC),
        ended=found.ended.astimezone(UTC),
        used=tuple(_used(each) for each in found.used[:_MOST]),
        reasons=found.reasons[:_MOST],
        notes=found.notes[:_MOST],
        rpo_target=found.rpo.target,
        rpo_measured=found.rpo.measured,
        rto_target=found.rto.target,
        rto_measured=found.rto.measured,
        counts=dict([*found.counts.items()][:_MOST]),
        versions=dict([*found.versions.items()][:_MOST]),
        **{name: getattr(found, name) for name in ("kind", "region", "role", "run", "passed", "skipped", "by")},
    )


def _used(each: Mapping[str, str]) -> str:
    what, name, time = (each.get(part, "") for part in ("what", "name", "time"))
    rest = [f"{key} {value}" for key, value in each.items() if key not in {"what", "name", "time"}]
    return " ".join(part for part in (what, name, f"of {time}" if time else "", f"({', '.join(rest)})" if rest else "") if part)


def reasons(found: Drills) -> list[str]:
    """What somebody must look at, as sentences; empty if there is nothing."""
    failed = [each for each in found.standings if each.last and each.last.passed is False]
    return [
        *(f"The last drill {each.name} failed: {_first(each.last)}" for each in failed if each.last),
        *(f"{each.name}: overdue, {each.overdue}." for each in found.standings if each.overdue),
        *(f"{line}." for line in found.unreadable[:_MOST]),
    ]


def _first(last: Entry) -> str:
    more = len(last.reasons) - 1
    return f"{last.reasons[0] if last.reasons else 'it gives no reason'}{f' (and {more} more)' if more > 0 else ''}."


def held(found: Drills) -> list[str]:
    """What went as it should, as sentences; empty if somebody must look at something."""
    tried = [each for each in found.standings if each.last]
    if reasons(found):
        return []
    if not tried:
        return ["No drill was due yet, and none has left a record."]
    return [f"{wording.counted(len(tried), 'drill')} left a record, no last one failed, and none is overdue."]


def headline(found: Drills) -> str:
    wrong = sum(1 for each in found.standings if each.overdue or (each.last and each.last.passed is False))
    if wrong:
        return f"{wrong} of {wording.counted(len(found.standings), 'drill')} failed or overdue"
    return "Records cannot be trusted" if found.unreadable else "No drill failed, none is overdue"


def figures(found: Drills) -> Iterator[Figure]:
    """The figures at the top."""
    failed = sum(each.passed is False for each in found.entries)
    yield Figure(name="records", value=str(len(found.entries)), note=_span(found.entries))
    yield Figure(name="of them failed", value=str(failed), note="whether or not a later one has passed")
    for name, of in (("RPO", "rpo"), ("RTO", "rto")):
        measured = [each for each in found.entries if getattr(each, f"{of}_measured") is not None]
        if measured:
            worst = max(measured, key=lambda each, of=of: getattr(each, f"{of}_measured"))  # type: ignore[misc]
            seconds, target = getattr(worst, f"{of}_measured"), getattr(worst, f"{of}_target")
            missed = target is not None and seconds > target
            yield Figure(
                name=f"longest {name} of a drill",
                value=wording.duration(seconds),
                note=f"{worst.kind} in {worst.region}, {worst.ended:%Y-%m-%d}; "
                + (f"target {wording.duration(target)}{', missed' if missed else ''}" if target is not None else "no target"),
                bad=missed,
                share=seconds / target if target else None,
            )


def _span(entries: Sequence[Entry]) -> str:
    return f"from {entries[-1].ended:%Y-%m-%d} to {entries[0].ended:%Y-%m-%d}" if entries else "none was found"


def against(target: float | None, measured: float | None) -> str:
    """A measured time beside its target: `41.2 s of 30 min 00 s`."""
    if measured is None:
        return "not measured"
    return wording.duration(measured) + (f" of {wording.duration(target)}" if target is not None else "")


def late(target: float | None, measured: float | None) -> bool:
    return target is not None and measured is not None and measured > target


def render(found: Drills) -> str:
    """The page."""
    return TEMPLATES.get_template("drills.html.jinja").render(
        found=found,
        headline=headline(found),
        reasons=reasons(found),
        held=held(found),
        figures=[*figures(found)],
        against=against,
        late=late,
        wording=wording,
    )


def as_json(found: Drills) -> str:
    """The same for programs."""
    told = {"schema": 1, **asdict(found), "wrong": reasons(found)}
    for each, standing in zip(told["standings"], found.standings, strict=True):
        each["last"] = standing.last.key if standing.last else None
    return json.dumps(told, indent=2, ensure_ascii=False, default=_moment) + "\n"


def _moment(value: date) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value.isoformat()
