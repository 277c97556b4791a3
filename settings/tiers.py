"""Disaster-recovery tiers and their targets: the RPO (how much data may be lost) and the RTO (how long an outage may last)."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from settings.durations import parse_duration
from settings.fields import Duration, Model

Tier = Literal["backup-restore", "pilot-light", "warm-standby", "active-active"]

# RPO and RTO of each tier, as figures that a drill can be measured against. The RPO of active-active is not zero: replication is
# asynchronous, so no failover could keep that, and the gate before a promotion would refuse a standby that is one second behind.
_TARGETS: dict[Tier, tuple[timedelta, timedelta]] = {
    "backup-restore": (timedelta(hours=24), timedelta(hours=4)),
    "pilot-light": (timedelta(minutes=5), timedelta(minutes=30)),
    "warm-standby": (timedelta(seconds=30), timedelta(minutes=5)),
    "active-active": (timedelta(seconds=5), timedelta(minutes=2)),
}


class Targets(Model):
    """RPO and RTO of the organization's own, in place of the tier's."""

    rpo: Duration | None = Field(
        default=None, description="recovery point objective: how much of the latest data a failover may lose, as a time"
    )
    rto: Duration | None = Field(default=None, description="recovery time objective: how long an outage may last")


class Objectives(Model):
    """The RPO and RTO that a failover is measured against, in seconds."""

    tier: Tier
    rpo_seconds: float
    rto_seconds: float


def objectives(tier: Tier, own: Targets) -> Objectives:
    """RPO and RTO of `tier`, each replaced by the organization's own where that is set."""
    rpo, rto = _TARGETS[tier]
    rpo = parse_duration(own.rpo) if own.rpo else rpo
    rto = parse_duration(own.rto) if own.rto else rto
    return Objectives(tier=tier, rpo_seconds=rpo.total_seconds(), rto_seconds=rto.total_seconds())
