"""What of a takeover, of a region that has given up, and of a drill goes into its trace.

The times are those that the cluster's own objects recorded, or that a drill wrote into its record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from components.kube.runner.drill_record import moment
from components.telemetry.trace import DATA_LOSS, RECOVERY_TIME, ROWS_LOST, Attributes, Span, Trace, Value

FAILOVER, SWITCHOVER, GIVING_UP = "failover", "switchover", "give up"


@dataclass(frozen=True, kw_only=True)
class Region:
    """The region that a recovery is of, what its tier promises in seconds if that is known, and its databases."""

    organization: str
    stack: str
    region: str
    active: str
    """The stack that serves afterwards."""

    tier: str | None = None
    rpo_seconds: float | None = None
    rto_seconds: float | None = None
    databases: Sequence[str] = ()
    version: str | None = None
    """The commit of the program; None where it is no checkout."""

    @property
    def attributes(self) -> dict[str, Value]:
        promised = {
            "dr.tier": self.tier,
            "dr.rto.target_seconds": self.rto_seconds,
            "dr.rpo.target_seconds": self.rpo_seconds,
        }
        return {
            "cloud.region": self.region,
            "dr.stack": self.stack,
            "dr.active": self.active,
            **{key: value for key, value in promised.items() if value is not None},
            **({"dr.databases": [*self.databases]} if self.databases else {}),
        }

    @property
    def resource(self) -> dict[str, Value]:
        return resource(self.organization, self.stack, self.version)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What somebody has measured who stood beside, as the lab does: the program itself counts no row and watches no user."""

    rows_lost: int | None = None
    rpo_seconds: float | None = None
    rto_seconds: float | None = None
    began: datetime | None = None
    """When the region was lost; the root span begins then."""

    others: Attributes = field(default_factory=dict)
    """More attributes of the root span."""


@dataclass(frozen=True, kw_only=True)
class Drill:
    """What a drill's record says, once somebody has judged that it is one (report/drills.py)."""

    kind: str
    region: str
    role: str
    run: str
    started: datetime
    ended: datetime
    passed: bool | None
    reasons: Sequence[str]
    used: Sequence[str]
    rpo_target: float | None
    rpo_measured: float | None
    rto_target: float | None
    rto_measured: float | None
    versions: Mapping[str, str]


def resource(organization: str, stack: str, version: str | None) -> dict[str, Value]:
    known = {"service.name": "k8s-dr", "service.version": version, "dr.organization": organization, "dr.stack": stack}
    return {key: value for key, value in known.items() if value is not None}


def takeover(
    region: Region,
    steps: Sequence[Mapping[str, Any]],
    *,
    since: str,
    receipt: str | None = None,
    seen: Observed | None = None,
) -> Trace:
    """The trace of a region that has taken over, and serves `since` then. `receipt` is of the token by which it did, in a planned
    switchover: the trace is then the same as that of the region which has given up."""
    seen = seen or Observed()
    parts = spans(steps)
    start, end = _extent(parts, moment(since), *([seen.began] if seen.began else []))
    kind = SWITCHOVER if receipt else FAILOVER
    rto = seen.rto_seconds if seen.rto_seconds is not None else (end - start).total_seconds()
    # By the token its databases have replayed all that the other region's had.
    rpo = 0.0 if seen.rpo_seconds is None and receipt and region.databases else seen.rpo_seconds
    restored = [span.name.removeprefix("restore ") for span in parts if span.name.startswith("restore ")]
    attributes = {
        **region.attributes,
        "dr.kind": kind,
        **({"dr.backups": restored} if restored else {}),
        **_measured_attributes(rto, rpo, seen.rows_lost),
        **seen.others,
    }
    return Trace(
        identity=_of_switchover(region, receipt) if receipt else (FAILOVER, region.organization, region.stack, since),
        root=Span(name=kind, start=start, end=end, attributes=attributes),
        steps=parts,
        resource=region.resource,
        measured=_measured(rto, rpo, seen.rows_lost),
        labels=_labels(kind, region.stack, region.region, region.tier),
    )


def giving_up(region: Region, steps: Sequence[Mapping[str, Any]], *, ended: str, receipt: str, backups: Sequence[str]) -> Trace:
    """The part of a planned switchover that the region did which gave up, and had its token at `ended`. It has recovered nothing,
    so nothing is measured."""
    parts = spans(steps)
    start, end = _extent(parts, moment(ended))
    attributes = {**region.attributes, "dr.kind": SWITCHOVER, **({"dr.backups": [*backups]} if backups else {})}
    return Trace(
        identity=_of_switchover(region, receipt),
        part=GIVING_UP,
        root=Span(name=GIVING_UP, start=start, end=end, attributes=attributes),
        steps=parts,
        resource=region.resource,
    )


def drill(organization: str, found: Drill) -> Trace | None:
    """The trace of a drill; None for one that had nothing to do. It has no steps, for a record has none."""
    if found.passed is None:
        return None
    kind = f"drill {found.kind}"
    targets = {"dr.rto.target_seconds": found.rto_target, "dr.rpo.target_seconds": found.rpo_target}
    attributes: dict[str, Value] = {
        "cloud.region": found.region,
        "dr.stack": found.role,
        "dr.kind": kind,
        "dr.drill.run": found.run,
        "dr.drill.passed": found.passed,
        **({"dr.drill.used": [*found.used]} if found.used else {}),
        **{key: value for key, value in targets.items() if value is not None},
        **_measured_attributes(found.rto_measured, found.rpo_measured, None),
    }
    return Trace(
        identity=("drill", organization, found.role, found.kind, found.started.isoformat(), found.run),
        root=Span(
            name=kind,
            start=found.started,
            end=found.ended,
            attributes=attributes,
            failed=None if found.passed else " | ".join(found.reasons) or "it gives no reason",
        ),
        steps=(),
        resource=resource(organization, found.role, found.versions.get("program")),
        measured=_measured(found.rto_measured, found.rpo_measured, None),
        labels={**_labels(kind, found.role, found.region), "dr.drill.passed": found.passed},
    )


def spans(steps: Sequence[Mapping[str, Any]]) -> tuple[Span, ...]:
    """Steps with a name, a start and an end as spans."""
    return tuple(Span(name=str(each["name"]), start=_moment(each["start"]), end=_moment(each["end"])) for each in steps)


def _extent(parts: Sequence[Span], *moments: datetime) -> tuple[datetime, datetime]:
    return min([*moments, *(part.start for part in parts)]), max([*moments, *(part.end for part in parts)])


def _moment(said: str | datetime) -> datetime:
    return said if isinstance(said, datetime) else moment(said)


def _of_switchover(region: Region, receipt: str) -> tuple[str, ...]:
    return SWITCHOVER, region.organization, receipt


def _labels(kind: str, stack: str, region: str, tier: str | None = None) -> dict[str, Value]:
    return {"dr.kind": kind, "dr.stack": stack, "cloud.region": region, **({"dr.tier": tier} if tier else {})}


def _measured_attributes(rto: float | None, rpo: float | None, rows: int | None) -> dict[str, Value]:
    known = {"dr.rto.measured_seconds": rto, "dr.rpo.measured_seconds": rpo, "dr.rows_lost": rows}
    return {key: value for key, value in known.items() if value is not None}


def _measured(rto: float | None, rpo: float | None, rows: int | None) -> dict[str, float]:
    known = {RECOVERY_TIME: rto, DATA_LOSS: rpo, ROWS_LOST: rows}
    return {name: value for name, value in known.items() if value is not None}
