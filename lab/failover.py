"""What an observer records of one failover, in the lab and in the rehearsal: commands, events, and requests to AWS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lab import traces
from lab.cloud.access_log import Request
from lab.console import say
from lab.paths import LabPaths
from lab.pulumi import Pulumi, Ran
from report import page, terminal
from report.model import Report, verdict, write
from report.moments import Command, Event, Step

DEAD, ALIVE = "us-east-1", "us-west-2"
"""The AWS regions of the primary, which the lab kills, and of the secondary, which takes over."""


@dataclass(kw_only=True)
class Record:
    """Commands and events of one failover, in the order in which they happened."""

    commands: list[Command] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def happened(self, name: str, time: datetime | None = None) -> datetime:
        moment = time or datetime.now(UTC)
        self.events.append(Event(time=moment, name=name))
        return moment

    def ran(self, command: Ran) -> None:
        self.commands.append(
            Command(command=command.command, start=command.start, seconds=round(command.seconds, 3), exit_code=command.exit_code)
        )

    def sorted_events(self) -> tuple[Event, ...]:
        return tuple(sorted(self.events, key=lambda event: event.time))


def fail_over(pulumi: Pulumi, record: Record) -> None:
    """Run the README's two failover commands, exactly as written there."""
    for command in (
        ("config", "set", "active", "secondary", "-s", "secondary"),
        ("up", "-s", "secondary", "--yes"),
    ):
        say(f"\n$ pulumi {' '.join(command)}")
        record.ran(pulumi.run(*command, show=True))


def steps_of(details: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps that the program recorded in its stack output `details`."""
    return tuple(
        Step(
            name=step["name"],
            start=datetime.fromisoformat(step["start"]),
            end=datetime.fromisoformat(step["end"]),
            seconds=float(step["seconds"]),
        )
        for step in details["failover"]["steps"]
    )


def note_dns_changes(record: Record, changes: Iterable[Mapping[str, Any]], since: datetime) -> None:
    """Record when Route 53's health checks and the DNS name changed after `since`.

    Checks that combine others (CALCULATED) are left out: the DNS name changes together with them.
    """
    for change in changes:
        time = datetime.fromisoformat(change["time"])
        if time >= since and change.get("type") != "CALCULATED":
            what = f"health check of {_checked(change)}" if change["kind"] == "health-check" else change["id"]
            record.happened(f"{what}: {change['from']} → {change['to']}", time)


def _checked(change: Mapping[str, Any]) -> str:
    """The target of a health check, in words for the report."""
    if not str(change["target"]).endswith(".amazonaws.com"):
        return str(change["target"])
    return "the traffic flag, inverted" if change["inverted"] else "the traffic flag"


def requests_by_region(log: Iterable[Request], since: datetime) -> dict[str, int]:
    """How many requests each AWS region got after `since`.

    Route 53 and IAM are global services, but their control planes run in us-east-1: their requests count there.
    """
    counts: dict[str, int] = {}
    for request in log:
        region = DEAD if request.service in ("iam", "route53") else request.region
        if region and datetime.fromisoformat(request.time) >= since:
            counts[region] = counts.get(region, 0) + 1
    return counts


def publish(paths: LabPaths, report: Report) -> int:
    """Write the report as JSON, HTML and text. Returns exit code 1 if the report shows a failed failover, else 0."""
    write(report, paths.report_json)
    page.write(report, paths.report_html)
    say("\n" + terminal.render(report))
    say(f"\nReport: {paths.report_json} and {paths.report_html}")
    traces.tell(report)
    problems = verdict(report)
    for problem in problems:
        say(f"✗ {problem}")
    return 1 if problems else 0
