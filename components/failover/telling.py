"""Tells a collector of OpenTelemetry what this region has done, once it is done: a takeover, or giving up by plan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi

from components.failover import timeline
from components.failover.report import LocalReport, commit
from components.telemetry import aside, recoveries, sending
from components.telemetry.trace import Trace
from settings.handover import Token
from settings.model import Settings
from settings.names import Names


class Telling:
    """Sends the trace of this `up`, if a collector is named. Whatever goes wrong is a line, and nothing depends on it.

    In a failover users are where they should be by then, and the `up` waits for the collector a few seconds, to say whether it
    took the trace. In a planned switchover users wait for the next command, so it waits for nothing.
    """

    def __init__(self, names: Names, settings: Settings, report: LocalReport) -> None:
        self._names, self._settings, self._report = names, settings, report

    async def of_takeover(self, steps: Sequence[dict[str, Any]], since: str) -> None:
        """Of a region that serves since `since`. `steps` are those of the timeline."""
        token, all_steps = self._settings.token, self._report.with_preflight(steps)
        receipt = token.receipt if token else None
        await _tell(
            lambda: recoveries.takeover(self._region(), all_steps, since=since, receipt=receipt),
            patience=0 if token else sending.PATIENCE,
        )

    async def of_giving_up(self, steps: Sequence[dict[str, Any]], token: Token, ended: str) -> None:
        """Of a region that has had its token since `ended`. `steps` are the workloads' and the backups'."""
        finished = timeline.summary(steps, ended, last="demote")["steps"]
        all_steps, backups = self._report.with_preflight(finished), [*token.backups.values()]
        await _tell(
            lambda: recoveries.giving_up(self._region(), all_steps, ended=ended, receipt=token.receipt, backups=backups),
            patience=0,
        )

    def _region(self) -> recoveries.Region:
        settings, goal = self._settings, self._settings.objectives
        return recoveries.Region(
            organization=self._names.topology.organization,
            stack=self._names.role,
            region=self._names.region,
            active=settings.serving_role,
            tier=goal.tier,
            rpo_seconds=goal.rpo_seconds,
            rto_seconds=goal.rto_seconds,
            databases=[database.name for database in settings.databases],
            version=commit(),
        )


async def _tell(trace: Callable[[], Trace], *, patience: float) -> None:
    if not sending.wanted():
        return
    for line in await asyncio.to_thread(_begin, trace, patience):
        pulumi.log.warn(f"the trace of what this up did was not sent: {line}; nothing else depends on it (docs/monitoring.md)")


def _begin(trace: Callable[[], Trace], patience: float) -> list[str]:
    try:
        sender = aside.start([trace()])
    except OSError as error:  # a full disk, or no process more
        return [f"the process that sends it did not start: {error.strerror}"]
    return aside.lines(sender, patience) if patience else []


def giving_up_steps(scaled: Mapping[str, Any], backups: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of a region that gives up, by the statuses of its Jobs and of its last Backups."""
    steps = [timeline.job_step(f"scale {name}", status or {}) for name, status in scaled.items()]
    steps += [timeline.backup_step(name, status or {}) for name, status in backups.items()]
    return [step for step in steps if step]
