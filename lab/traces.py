"""A report of the lab as traces, for a collector that the machine's own environment names: with what the program cannot know, as
rows lost and what users were without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from components.telemetry import recoveries, sending
from components.telemetry.recoveries import Observed, Region
from components.telemetry.trace import RECOVERY_TIME, Span, Trace, Value
from lab import project
from lab.console import say
from report.legs import Leg
from report.model import Report
from report.moments import Command, Step
from settings.roles import Role

ENVIRONMENT = "deployment.environment.name"
"""Says that nothing of this was real."""


def tell(report: Report) -> None:
    """Send them, if a collector is named. The engine's own would come from a network that reaches no other."""
    if not sending.wanted():
        return
    found = [*traces_of(report)]
    problems = sending.send(found, patience=sending.UNHURRIED)
    for problem in problems:
        say(f"The report's traces were not sent: {problem}")
    if not problems:
        say(f"Sent to the collector: {', '.join(trace.root.name for trace in found)}")


def traces_of(report: Report) -> Iterator[Trace]:
    """The failover, and each leg of the way round after it."""
    yield _marked(_failover(report), report)
    for leg in report.legs.each[1:] if report.legs else ():
        yield _marked(_leg(leg, report), report)


def _failover(report: Report) -> Trace:
    region = _region("secondary", report)
    steps = sorted([*map(_step, report.steps), *map(_command, report.commands)], key=lambda step: step["start"])
    since = next((step.end for step in report.steps if step.name == "traffic"), report.generated)
    counted: dict[str, float | None] = {
        "dr.user.seconds_without_service": report.seconds_without_service,
        "dr.user.seconds_without_writes": report.seconds_without_writes,
        "dr.user.seconds_without_reads": report.seconds_without_reads,
        "dr.rows_acknowledged": report.rows_acknowledged,
        "dr.rows_lost_by_survivor": report.rows_lost_by_survivor,
        "dr.files_lost": report.files.lost if report.files else None,
        "dr.calls_to_dead_region": report.calls_to_dead_region,
    }
    seen = Observed(
        rows_lost=report.rows_lost,
        rpo_seconds=report.rpo_seconds,
        rto_seconds=report.rto_seconds if report.has_ledger else report.seconds_without_service,
        began=report.events[0].time,
        others=_known(counted),
    )
    return recoveries.takeover(region, steps, since=f"{since:%Y-%m-%dT%H:%M:%SZ}", seen=seen)


def _leg(leg: Leg, report: Report) -> Trace:
    """A leg of the way round. What users were without is its recovery time: nothing of it is an outage that nobody planned."""
    switchover = leg.name.startswith(recoveries.SWITCHOVER)
    to: Role = "secondary" if leg.name.endswith("secondary") or not switchover else "primary"
    region, kind = _region(to, report), recoveries.SWITCHOVER if switchover else "rejoin"
    counted: dict[str, float | None] = {
        "dr.user.seconds_without_service": leg.seconds_without_service,
        "dr.user.seconds_without_writes": leg.seconds_without_writes,
        "dr.user.seconds_without_reads": leg.seconds_without_reads,
        "dr.rows_acknowledged": leg.rows_acknowledged,
        "dr.rows_lost": leg.rows_missing,
    }
    took = leg.seconds_without_writes
    return Trace(
        identity=(kind, region.organization, leg.name, leg.start.isoformat()),
        root=Span(
            name=leg.name, start=leg.start, end=leg.end, attributes={**region.attributes, "dr.kind": kind, **_known(counted)}
        ),
        steps=recoveries.spans([_command(command) for command in leg.commands]),
        resource=region.resource,
        measured={RECOVERY_TIME: took} if switchover and took is not None else {},
        labels={"dr.kind": kind, "dr.stack": to, "cloud.region": region.region},
    )


def _region(role: Role, report: Report) -> Region:
    names, targets = project.names(role), report.targets
    promised: dict[str, Any] = vars(targets) if targets else {}
    return Region(organization=names.topology.organization, stack=role, region=names.region, active=role, **promised)


def _marked(trace: Trace, report: Report) -> Trace:
    return replace(trace, resource={**trace.resource, ENVIRONMENT: report.kind})


def _known(found: dict[str, float | None]) -> dict[str, Value]:
    return {key: value for key, value in found.items() if value is not None}


def _step(step: Step) -> dict[str, Any]:
    return {"name": step.name, "start": step.start, "end": step.end}


def _command(command: Command) -> dict[str, Any]:
    return {"name": command.command, "start": command.start, "end": command.start + timedelta(seconds=command.seconds)}
