"""The report's sentences and figures, which the terminal and the page share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from report.legs import Leg, Legs
from report.measures import Interval
from report.model import Report, verdict

REHEARSAL = "Rehearsal: no cluster was run. Recorded stand-ins took the place of both regions."


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A value with its name and, if needed, a note on its meaning or origin. `bad` means that it breaks a promise.

    `share` is the value as a share of its target: 0.5 is half of it, 1.5 is missed; None without a target.
    """

    name: str
    value: str
    note: str = ""
    bad: bool = False
    share: float | None = None


def duration(seconds: float) -> str:
    """A duration as text: `0.3 s`, `41.2 s`, `17 min 30 s`, `1 h 02 min`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def clock(time: datetime) -> str:
    """A time of day in UTC: `11:37:24.123`."""
    return time.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]


def day(time: datetime) -> str:
    """A date and time: `24 November 2026, 11:37 UTC`."""
    utc = time.astimezone(UTC)
    return f"{utc.day} {utc.strftime('%B %Y, %H:%M')} UTC"


def headline(report: Report) -> str:
    if report.seconds_without_service is None:
        return "Service did not come back"
    if report.kind == "rehearsal":
        return f"{duration(report.seconds_without_service)} until the name pointed to the other region"
    without = f"{duration(report.seconds_without_service)} without service"
    return f"{without}, {_lost(report)} lost" if report.has_ledger else without


def _lost(report: Report) -> str:
    """What users have lost, as a time: how much a number of rows is depends on how many came in a second."""
    return f"the last {_seconds(report.rpo_seconds)} of writes" if report.rows_lost else "no write"


def summary(report: Report) -> str:
    """The sentence under the headline."""
    what, outcome = "failover", f"users are served by {report.served_by}"
    if len(report.served_before) > 1:
        outcome = f"users, served by both regions before, are served by {report.served_by}"
    if report.kind == "rehearsal":
        what, outcome = "rehearsed failover", f"users would be sent to {report.served_by}"
    if verdict(report):
        return f"The {what} did not hold."
    return f"The {what} held: {outcome}, the engine asked the dead region for nothing, and the flip touched only what it may."


def recovery(report: Report) -> Iterator[Figure]:
    """The measured RPO and RTO with their targets, and the figures behind them. Nothing without a database."""
    if not report.has_ledger:
        return
    targets = report.targets
    of_tier = f" of tier {targets.tier}" if targets else ""
    yield _against("RPO", report.rpo_seconds, targets.rpo_seconds if targets else None, of_tier)
    yield _against("RTO", report.rto_seconds, targets.rto_seconds if targets else None, of_tier)
    yield Figure(
        name="acknowledged rows lost",
        value=str(report.rows_lost),
        note=f"none older than {_seconds(report.rpo_seconds)} at the death; "
        f"{report.rows_acknowledged_before_death} came before it",
        bad=bool(report.rows_lost_by_survivor),
    )
    yield Figure(
        name="without writes",
        value=_seconds(report.seconds_without_writes),
        note=f"without reads: {_seconds(report.seconds_without_reads)}",
        bad=report.seconds_without_writes is None,
    )
    if spared := report.spared:
        yield Figure(
            name="without writes, users of the other region",
            value=_seconds(spared.seconds_without_writes),
            note=f"without reads: {_seconds(spared.seconds_without_reads)}; "
            f"without any answer: {_seconds(spared.seconds_without_service)}",
            bad=None in vars(spared).values(),
        )


def ledger(report: Report) -> Iterator[Figure]:
    """The rows behind the RPO, and the test of their counting."""
    if not report.has_ledger:
        return
    targets = report.targets
    yield Figure(name="tier", value=targets.tier if targets else "none")
    yield Figure(name="rows reach the other region by", value=f"{report.replication}, {report.source}")
    yield Figure(name="rows acknowledged", value=str(report.rows_acknowledged), note="by either region, to the end of the client")
    yield Figure(name="rows acknowledged before the death", value=str(report.rows_acknowledged_before_death))
    yield Figure(name="rows lost", value=str(report.rows_lost), note="acknowledged, and not in the survivor's database")
    yield Figure(
        name="rows never acknowledged, and there",
        value=str(report.rows_unacknowledged_present),
        note="their answer was lost: the region died, or the client had given up",
    )
    for name, entry in (("newest lost row", report.newest_lost), ("newest surviving row", report.newest_surviving)):
        value = f"no. {entry.sequence}, {duration(entry.age_seconds)} before the death" if entry else "none"
        yield Figure(name=name, value=value, note="of those written before the death")
    if both := report.split_brain:
        yield Figure(
            name="rows that both regions took apart, after the return",
            value=f"{both.rows} in {duration(both.seconds)}",
            note="the old primary took them until its guard had fenced it; no other region has them",
        )
    if proof := report.counting_proven:
        yield Figure(
            name="the counting, tried on the real table",
            value=f"{proof.phantom_rows_seen} phantom and {proof.removed_rows_seen} removed seen",
            note="one row was slipped in, and one taken out: it must see 1 and 1",
        )


def files(report: Report) -> Iterator[Figure]:
    """What became of the files on the volume. Nothing where the application kept none."""
    if not (kept := report.files):
        return
    yield Figure(name="files acknowledged before the death", value=str(kept.acknowledged_before_death))
    yield Figure(
        name="files lost",
        value=str(kept.lost),
        note="written after the newest backup: a volume is as old as that",
        bad=bool(kept.lost_by_survivor),
    )
    yield Figure(name="RPO of the volume, measured", value=duration(kept.rpo_seconds))
    newest = kept.newest_surviving
    value = f"no. {newest.sequence}, {duration(newest.age_seconds)} before the death" if newest else "none"
    yield Figure(name="newest surviving file", value=value, note="of those written before the death", bad=newest is None)


def legs(found: Legs) -> Iterator[Figure]:
    """What became of the rows and files of the way round."""
    yield Figure(name="rows to be found in both databases", value=str(found.rows), note="what the survivor had, and all since")
    for region, missing in sorted(found.rows_missing.items()):
        yield Figure(name=f"of them missing in the {region}", value=str(missing), bad=bool(missing))
    if found.documents is not None:
        yield Figure(
            name="files to be found in the end",
            value=str(found.documents),
            note=f"of them missing: {found.documents_missing}",
            bad=bool(found.documents_missing),
        )
    if found.rows_kept_apart is not None:
        yield Figure(
            name="rows that the old primary took alone",
            value=str(found.rows_kept_apart),
            note="after its return; they are on its kept volume, and in no live database",
        )


def leg(found: Leg) -> tuple[str, ...]:
    """A leg's cells: its duration, what its user was without, and its rows."""
    without = (found.seconds_without_service, found.seconds_without_writes, found.seconds_without_reads)
    return (duration(found.seconds), *(_seconds(each) for each in without), str(found.rows_acknowledged), str(found.rows_missing))


LEG = ("in all", "no service", "no writes", "no reads", "rows", "missing")
"""What the cells of a leg are."""


def _against(name: str, seconds: float | None, target: float | None, of_tier: str) -> Figure:
    if target is None:
        return Figure(name=f"{name}, measured", value=_seconds(seconds), note="no target", bad=seconds is None)
    missed = seconds is None or seconds > target
    note = f"target {duration(target)}{of_tier}{', missed' if missed else ''}"
    share = None if seconds is None or not target else seconds / target
    return Figure(name=f"{name}, measured", value=_seconds(seconds), note=note, bad=missed, share=share)


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else duration(seconds)


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def lost_requests(report: Report) -> int:
    return failed_requests(report.client_requests)


def failed_requests(log: Iterable[Interval]) -> int:
    return sum(found.requests for found in log if not found.ok)


def witnesses(report: Report) -> Iterator[Figure]:
    """The observations from outside the engine, one in each line."""
    seen = report.witnesses
    yield Figure(
        name="packets from the engine to the dead region",
        value=_count(seen.wan_packets_from_engine),
        note="packet counters between the regions, by source address",
    )
    yield Figure(
        name="packets from the live region's pods to the dead region",
        value=_count(seen.wan_packets_from_live_region),
        note="same counters; these may well try, the failover must not need it",
    )
    log = "access log in front of the AWS endpoint, by the region that the request was signed for"
    if not seen.aws_requests:
        yield Figure(name="AWS requests", value="0", note=log)
    for region, requests in sorted(seen.aws_requests.items()):
        yield Figure(name=f"AWS requests of the engine for {region}", value=str(requests), note=log)
    audit = "audit log of the live API server"
    if not seen.api_server_changes:
        yield Figure(name="changes at the live API server", value="none recorded", note=audit)
    for change, times in sorted(seen.api_server_changes.items()):
        yield Figure(name=change, value=str(times), note=audit)


def _count(number: int | None) -> str:
    return "not counted" if number is None else str(number)


def engine(report: Report) -> Iterator[Figure]:
    names = {"cli": "CLI", "language_host": "language host", "kubernetes": "Kubernetes provider", "aws": "AWS provider"}
    for part, what in asdict(report.engine).items():
        yield Figure(name=names[part], value=what)


def machine(report: Report) -> Iterator[Figure]:
    facts = report.machine
    yield Figure(name="processor", value=f"{facts.cpu}, {counted(facts.cores, 'core')}")
    yield Figure(name="memory", value=f"{facts.memory_gib:g} GiB")
    yield Figure(name="system", value=f"{facts.system}, {facts.kernel}, cgroup {facts.cgroup}")
    yield Figure(name="set-up before the failover", value=duration(report.setup_seconds))
