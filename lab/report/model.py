"""The recovery report as data, and when a failover counts as failed.

`.lab/report.json` is read by others: its names are a contract, and `Report` is the only place where they are written down.
Times are UTC, in RFC 3339 with milliseconds; durations are seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from lab.ledger import CountingProof, Entry, Ledger
from lab.report.machine import Machine
from lab.samples import Interval

ALLOWED_TYPE = "aws:s3/bucketObjectv2:BucketObjectv2"
ALLOWED_PREFIXES = ("kubernetes:", "dr:")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the failover, as the program recorded it: preflight, each restore, scale, verify, traffic."""

    name: str
    start: datetime
    end: datetime
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that the flip touched; `operation` is create, update, replace or delete."""

    type: str
    name: str
    operation: str


@dataclass(frozen=True, kw_only=True)
class Flip:
    """What one `pulumi up` with the other region active touched. `types` are Pulumi type tokens, sorted, each once."""

    types: tuple[str, ...]
    resources: tuple[Change, ...]

    @classmethod
    def of(cls, resources: Iterable[Mapping[str, str]]) -> Flip:
        """From mappings with `type`, `name` and `operation`."""
        changes = tuple(Change(type=entry["type"], name=entry["name"], operation=entry["operation"]) for entry in resources)
        return cls(types=tuple(sorted({change.type for change in changes})), resources=changes)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What ran each part of the Pulumi engine: `real VERSION` or `stand-in`."""

    cli: str
    language_host: str
    kubernetes: str
    aws: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command as a person would type it."""

    command: str
    start: datetime
    seconds: float
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened at one moment."""

    time: datetime
    name: str


@dataclass(frozen=True, kw_only=True)
class Witnesses:
    """What was seen from outside the engine during the flip. None: not counted (a rehearsal has no network between regions)."""

    wan_packets_from_engine: int | None
    """Packets that the engine sent towards the dead region."""

    wan_packets_from_live_region: int | None
    """Packets that the surviving region's own pods sent towards the dead region: these may well try."""

    aws_requests: Mapping[str, int]
    """Requests at the AWS endpoint by the AWS region that they were signed for."""

    api_server_changes: Mapping[str, int]
    """Changes that the live API server recorded, by `verb resource`."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the tier promises, in seconds."""

    tier: str
    rpo_seconds: float
    rto_seconds: float


@dataclass(frozen=True, kw_only=True)
class Spared:
    """What a user saw whom the surviving region served all along: nobody of the dead region had to be left. Seconds, by
    lab.samples.outage; None if it never came back."""

    seconds_without_service: float | None
    seconds_without_reads: float | None
    seconds_without_writes: float | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """One failover, from the death of a region until users were served by the other.

    What has a default is of the database: None in a failover without one. `with_ledger` sets all of it.
    """

    kind: Literal["lab", "rehearsal"]
    generated: datetime
    seconds_without_service: float | None
    """As the client saw it (lab.samples.outage); None if service never came back."""

    served_by: str | None
    calls_to_dead_region: int
    steps: tuple[Step, ...]
    flip: Flip
    commands: tuple[Command, ...]
    events: tuple[Event, ...]
    """In order. The first is the death of the region: time is counted from it."""

    client_requests: tuple[Interval, ...]
    """Of the failover alone, from a few seconds before the death of the region: the failed ones are counted."""

    witnesses: Witnesses
    machine: Machine
    engine: Engine
    setup_seconds: float
    dns_ttl: int
    """Seconds that a resolver may keep the name's answer."""

    not_proven: tuple[str, ...]
    """Whole sentences: what a reader must not conclude from this report."""

    served_before: tuple[str, ...] = ("primary",)
    """The regions that served users before the death."""

    spared: Spared | None = None
    """Where both did: everything else of this report is of a user whom the dead region served."""

    replication: str | None = None
    """How rows reach the standby: archive or streaming."""

    source: str | None = None
    """Whose copy of the archive the standby reads: replica-bucket or primary-bucket."""

    targets: Targets | None = None
    rows_acknowledged: int | None = None
    """This and what follows until `counting_proven`: lab.ledger.Ledger says what each of them is."""

    rows_acknowledged_before_death: int | None = None
    rows_lost: int | None = None
    rows_lost_by_survivor: int | None = None
    rows_unacknowledged_present: int | None = None
    newest_lost: Entry | None = None
    newest_surviving: Entry | None = None
    rpo_seconds: float | None = None
    rto_seconds: float | None = None
    seconds_without_writes: float | None = None
    seconds_without_reads: float | None = None
    counting_proven: CountingProof | None = None
    client_writes: tuple[Interval, ...] = ()
    """Like `client_requests`: of the ledger."""

    client_reads: tuple[Interval, ...] = ()

    @property
    def has_ledger(self) -> bool:
        return self.rows_acknowledged is not None

    def with_ledger(
        self,
        ledger: Ledger,
        *,
        proof: CountingProof,
        targets: Targets,
        replication: str,
        source: str,
        writes: Iterable[Interval],
        reads: Iterable[Interval],
    ) -> Report:
        """This report with what became of the database's rows."""
        return replace(
            self,
            **vars(ledger),
            counting_proven=proof,
            targets=targets,
            replication=replication,
            source=source,
            client_writes=tuple(writes),
            client_reads=tuple(reads),
        )


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(path: Path) -> Report:
    """Raises pydantic.ValidationError if the file is not a recovery report."""
    return TypeAdapter(Report).validate_json(path.read_bytes())


def write(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=2, default=_rfc3339) + "\n")


def allowed(token: str) -> bool:
    """Whether a flip may touch a resource of this type: the live cluster, one S3 object, and the program's own groupings."""
    return token == ALLOWED_TYPE or token.startswith(ALLOWED_PREFIXES)


def verdict(report: Report, *, survivor: str = "secondary") -> list[str]:
    """Why this failover failed, one sentence a reason; empty if it held."""
    reasons = []
    if report.seconds_without_service is None:
        reasons.append("Service never came back: the client's last requests failed.")
    if report.served_by != survivor:
        reasons.append(f"Users are served by {report.served_by or 'nobody'}, not by {survivor}.")
    if report.calls_to_dead_region:
        reasons.append(f"The dead region was called {report.calls_to_dead_region} times; a failover must need only the survivor.")
    tokens = {*report.flip.types, *(change.type for change in report.flip.resources)}
    if forbidden := sorted(token for token in tokens if not allowed(token)):
        reasons.append(f"The flip touched what must work without the dead region's control plane: {', '.join(forbidden)}.")
    if not tokens:
        reasons.append("The flip touched nothing at all, so it proves nothing.")
    return [*reasons, *_broken_promises(report, survivor)]


def _broken_promises(report: Report, survivor: str) -> Iterator[str]:
    """What the ledger and the tier's targets have against this failover."""
    if not report.has_ledger:
        return
    if not report.rows_acknowledged_before_death:
        yield "No row was acknowledged before the death, so none could be lost, and nothing was measured."
    if report.rto_seconds is None:
        yield f"The database did not come back: {survivor} never served the client's reads and writes both."
    if report.rows_lost_by_survivor:
        yield f"{report.rows_lost_by_survivor} rows that {survivor} itself acknowledged are missing from its database."
    if targets := report.targets:
        measured = (("RPO", report.rpo_seconds, targets.rpo_seconds), ("RTO", report.rto_seconds, targets.rto_seconds))
        for name, seconds, target in measured:
            if seconds is not None and seconds > target:
                yield f"{name} missed: {seconds:g} s measured, and tier {targets.tier} promises {target:g} s."
    if report.counting_proven and not report.counting_proven.holds:
        seen = report.counting_proven
        yield (
            f"The counting is not to be trusted: of one row slipped into the table it saw {seen.phantom_rows_seen}, "
            f"and of one taken out {seen.removed_rows_seen}."
        )
