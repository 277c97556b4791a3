"""How long a failover's steps may take, what it asks of both endpoints, and the guard that fences a region that comes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, field_validator

from settings.durations import format_duration, longest_gap, parse_duration
from settings.fields import Cron, Duration, Model, Switch, at_least
from settings.mistake import Mistake
from settings.questions import EndpointQuestion, ProbeUrl

_NO_STEP = "in which Kubernetes starts no Pod"
"""A kubelet pulls an image first, and a promotion waits for PostgreSQL and its first archived WAL."""


class FailoverTimeouts(Model):
    """How long each step of a failover may take before the failover fails."""

    restore: Annotated[str, at_least("1m", "in which Velero restores nothing", "90m")] = Field(
        default="45m",
        description="how long one Velero restore may take, with its volumes; longer than velero.prepareTimeout, after "
        "which Velero says why a volume did not come",
    )
    scale: Annotated[str, at_least("30s", _NO_STEP, "15m")] = Field(
        default="10m", description="how long workloads may take to be scaled and available"
    )
    verify: Annotated[str, at_least("30s", _NO_STEP, "10m")] = Field(
        default="5m", description="how long the workloads' checks may take to succeed"
    )
    preflight: Duration = Field(
        default="3m", description="how long it may take until the peer's backups are visible in this region"
    )
    promote: Annotated[str, at_least("30s", _NO_STEP, "20m")] = Field(
        default="10m", description="how long a promoted database may take until it accepts writes and archives them"
    )
    recover: Annotated[str, at_least("10m", "in which no archive is read back", "6h")] = Field(
        default="4h", description="how long the recovery of a database from its archive may take, where it has no standby"
    )

    def seconds(self, step: Literal["restore", "scale", "verify", "preflight", "promote", "recover"]) -> int:
        durations = {
            "restore": self.restore,
            "scale": self.scale,
            "verify": self.verify,
            "preflight": self.preflight,
            "promote": self.promote,
            "recover": self.recover,
        }
        return int(parse_duration(durations[step]).total_seconds())


class FailoverSettings(FailoverTimeouts):
    """Timeouts of a failover's steps, and what is asked of the primary region and of this region's own endpoint."""

    probe: ProbeUrl | None = Field(
        default=None,
        description="URL that answers while the primary region serves; while it does, no database is promoted. By default "
        "https:// and the first of dns.names that is no wildcard, or www in place of the asterisk",
    )
    control: ProbeUrl | None = Field(
        default=None,
        description="URL that answers whatever becomes of the primary region, and that a Pod of this cluster reaches by the same "
        "way as the probe: without its answer nobody knows whether the primary's silence means anything. By default this "
        "region's own endpoint, asked by the probe's scheme and port (docs/traffic.md)",
    )
    endpoint: EndpointQuestion = Field(
        default_factory=EndpointQuestion,
        description="how this region's own endpoint is asked, as a user would ask, before a failover moves the traffic",
    )


class GuardSettings(Model):
    """What stops a region that comes back after the other one has taken over, before anybody has logged in (docs/recovery.md)."""

    enabled: Switch = Field(
        default=True,
        description="false: nothing stops such a region until a person runs `pulumi up` there; until then both regions may write",
    )
    schedule: Cron = Field(
        default="* * * * *",
        description="how often the guard looks at the traffic flag: five fields, UTC; every minute is the most, and an hour the "
        "longest pause",
    )

    @field_validator("schedule")
    @classmethod
    def _the_guard_comes_while_it_matters(cls, schedule: str) -> str:
        """Until it comes, a region that is back serves beside the other one, and both write."""
        gap = longest_gap(schedule)
        if gap > timedelta(hours=1):
            raise Mistake(
                "leaves up to {} between two looks, in which a region that comes back writes beside the other one; write "
                "* * * * *, or one that comes each hour or more often",
                format_duration(gap),
            )
        return schedule
