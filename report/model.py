"""The data of the recovery report, and the rules by which a failover counts as failed.

Other programs read `.lab/report.json`, so its names must not change. Only `Report` defines them. Times are in UTC, as RFC 3339
with milliseconds; durations are in seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from report import legs
from report.legs import Legs
from report.machine import Machine
from report.measures import CountingProof, Entry, Files, Interval, Ledger, SplitBrain
from report.moments import Command, Course, Event, Log, Step

ALLOWED_TYPE = "aws:s3/bucketObjectv2:BucketObjectv2"
ALLOWED_PREFIXES = ("kubernetes:", "dr:")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that the flip changed. `operation` is create, update, replace or delete."""

    type: str
    name: str
    operation: str


@dataclass(frozen=True, kw_only=True)
class Flip:
    """The flip: the changes of the one `pulumi up` that made the other region active.

    `types` are the Pulumi type tokens of the changed resources, sorted and without repetition.
    """

    types: tuple[str, ...]
    resources: tuple[Change, ...]

    @classmethod
    def of(cls, resources: Iterable[Mapping[str, str]]) -> Flip:
        """Make a Flip from mappings with `type`, `name` and `operation`."""
        changes = tuple(Change(type=entry["type"], name=entry["name"], operation=entry["operation"]) for entry in resources)
        return cls(types=tuple(sorted({change.type for change in changes})), resources=changes)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The parts of the Pulumi engine that ran. Each is `real VERSION` or `stand-in`."""

    cli: str
    language_host: str
    kubernetes: str
    aws: str


@dataclass(frozen=True, kw_only=True)
class Witnesses:
    """Observations from outside the engine during the flip.

    None means not counted: a rehearsal has no network between regions.
    """

    wan_packets_from_engine: int | None
    """Packets that the engine sent towards the dead region."""

    wan_packets_from_live_region: int | None
    """Packets that the surviving region's pods sent towards the dead region. They may try, but must not depend on it."""

    aws_requests: Mapping[str, int]
    """Requests to the AWS endpoint, counted by the AWS region for which they were signed."""

    api_server_changes: Mapping[str, int]
    """Changes in the audit log of the surviving region's API server, counted by `verb resource`."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The RPO and RTO that the tier promises, in seconds."""

    tier: str
    rpo_seconds: float
    rto_seconds: float


@dataclass(frozen=True, kw_only=True)
class Spared:
    """The outage of a user whom the surviving region served from the start, so that no traffic had to move.

    Values are seconds, as lab.samples.outage defines them; None if service never came back.
    """

    seconds_without_service: float | None
    seconds_without_reads: float | None
    seconds_without_writes: float | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """One failover, from the death of a region until the other region served users.

    Most fields with a default belong to the database. Without a database they are None; with one, `with_ledger` sets them.
    """

    kind: Literal["lab", "rehearsal"]
    generated: datetime
    seconds_without_service: float | None
    """The outage that the client saw (lab.samples.outage); None if service never came back."""

    served_by: str | None
    calls_to_dead_region: int
    steps: tuple[Step, ...]
    flip: Flip
    commands: tuple[Command, ...]
    events: tuple[Event, ...]
    """The events in order. The first one is the death of the region, from which time is counted."""

    client_requests: tuple[Interval, ...]
    """The client's requests from a few seconds before the death of the region on. The report counts the failed ones."""

    witnesses: Witnesses
    machine: Machine
    engine: Engine
    setup_seconds: float
    dns_ttl: int
    """Seconds for which a resolver may cache the answer for the name."""

    not_proven: tuple[str, ...]
    """Whole sentences that say what this report does not prove."""

    served_before: tuple[str, ...] = ("primary",)
    """The regions that served users before one died."""

    spared: Spared | None = None
    """Set if both regions served users before. All other fields are about a user whom the dead region served."""

    replication: str | None = None
    """How rows reach the standby: archive or streaming."""

    source: str | None = None
    """Whose copy of the archive the standby reads: replica-bucket or primary-bucket."""

    targets: Targets | None = None
    rows_acknowledged: int | None = None
    """report.measures.Ledger explains this field and the following ones up to `counting_proven`."""

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
    """Like `client_requests`, for writes to the ledger."""

    client_reads: tuple[Interval, ...] = ()
    files: Files | None = None
    """Set if the application kept files too."""

    split_brain: SplitBrain | None = None
    """Set if the dead region was seen to come back."""

    legs: Legs | None = None
    """Set if the lab went the whole way round. All fields above are of the failover alone."""

    @property
    def has_ledger(self) -> bool:
        return self.rows_acknowledged is not None

    @property
    def course(self) -> Course:
        """What is drawn. A client that nobody started has no log."""
        logs = [Log(name="a user's requests", what="service", intervals=self.client_requests)] if self.client_requests else []
        if self.has_ledger:
            logs += [
                Log(name="rows written", what="writes", intervals=self.client_writes),
                Log(name="rows read", what="reads", intervals=self.client_reads),
            ]
        return Course(events=self.events, steps=self.steps, commands=self.commands, logs=tuple(logs))

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
        """This report, completed with what became of the database's rows."""
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
    """Read a report. Raises pydantic.ValidationError if the file is not a recovery report."""
    return TypeAdapter(Report).validate_json(path.read_bytes())


def write(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=2, default=_rfc3339) + "\n")


def allowed(token: str) -> bool:
    """Whether a flip may change a resource of this type: objects in the live cluster, an S3 object, and components."""
    return token == ALLOWED_TYPE or token.startswith(ALLOWED_PREFIXES)


def verdict(report: Report, *, survivor: str = "secondary") -> list[str]:
    """The reasons why this failover failed, as sentences; empty if it succeeded."""
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


def held(report: Report, *, survivor: str = "secondary") -> list[str]:
    """What this failover kept, as sentences; empty if it failed."""
    if verdict(report, survivor=survivor):
        return []
    rehearsed = report.kind == "rehearsal"
    sentences = [
        f"Users would be sent to {survivor}." if rehearsed else f"Users are served by {survivor}.",
        "The engine asked the dead region for nothing.",
        "The flip touched objects of the live cluster and one S3 object in the live region, and nothing else.",
    ]
    return [*sentences, *_kept_promises(report)]


def _kept_promises(report: Report) -> Iterator[str]:
    """What the ledger and the tier's targets show, of a failover that held."""
    if report.legs:
        yield from legs.kept(report.legs)
    if not report.has_ledger:
        return
    if targets := report.targets:
        yield f"RPO and RTO are within what tier {targets.tier} promises."
    yield "No row that the survivor acknowledged is missing from its database."
    if report.counting_proven:
        yield "The counting was tried on the real table: it saw the row that was slipped in and the one that was taken out."


def _broken_promises(report: Report, survivor: str) -> Iterator[str]:
    """The failures that the files, the ledger and the tier's targets show."""
    if files := report.files:
        if files.acknowledged_before_death and not files.newest_surviving:
            yield "No file came back with its volume."
        if files.lost_by_survivor:
            yield f"{files.lost_by_survivor} files that {survivor} itself acknowledged are missing from its volume."
    if report.legs:
        yield from legs.problems(report.legs)
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
