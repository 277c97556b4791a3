"""The report's words and figures, said once for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from lab.report.model import Report, verdict

REHEARSAL = "Rehearsal: no cluster was run. Recorded stand-ins took the place of both regions."


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A value with its name and, where it needs one, a note on what it means or where it was taken."""

    name: str
    value: str
    note: str = ""


def duration(seconds: float) -> str:
    """`0.3 s`, `41.2 s`, `17 min 30 s`, `1 h 02 min`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def clock(time: datetime) -> str:
    """`11:37:24.123`, UTC."""
    return time.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]


def day(time: datetime) -> str:
    """`24 November 2026, 11:37 UTC`."""
    utc = time.astimezone(UTC)
    return f"{utc.day} {utc.strftime('%B %Y, %H:%M')} UTC"


def headline(report: Report) -> str:
    if report.seconds_without_service is None:
        return "Service did not come back"
    if report.kind == "rehearsal":
        return f"{duration(report.seconds_without_service)} until the name pointed to the other region"
    return f"{duration(report.seconds_without_service)} without service"


def summary(report: Report) -> str:
    """The sentence under the headline."""
    what, outcome = "failover", f"users are served by {report.served_by}"
    if report.kind == "rehearsal":
        what, outcome = "rehearsed failover", f"users would be sent to {report.served_by}"
    if verdict(report):
        return f"The {what} did not hold."
    return f"The {what} held: {outcome}, nothing asked the dead region for anything, and the flip touched only what it may."


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def lost_requests(report: Report) -> int:
    return sum(found.requests for found in report.client_requests if not found.ok)


def witnesses(report: Report) -> Iterator[Figure]:
    """What was seen from outside the engine, one claim a line."""
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
        yield Figure(name=f"AWS requests for {region}", value=str(requests), note=log)
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
