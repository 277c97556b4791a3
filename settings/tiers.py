"""Disaster-recovery tiers and what they promise: how much data may be lost, and for how long service may be gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from settings.durations import parse_duration
from settings.fields import Duration, Model

Tier = Literal["backup-restore", "pilot-light", "warm-standby", "active-active"]

# The guide's words (hours, minutes, seconds, zero) as figures that a drill can be held against. Not zero: with one writer and
# asynchronous replication no failover keeps that, and a gate that asked it would refuse a standby that is a second behind.
_TARGETS: dict[Tier, tuple[timedelta, timedelta]] = {
    "backup-restore": (timedelta(hours=24), timedelta(hours=4)),
    "pilot-light": (timedelta(minutes=5), timedelta(minutes=30)),
    "warm-standby": (timedelta(seconds=30), timedelta(minutes=5)),
    "active-active": (timedelta(seconds=5), timedelta(minutes=2)),
}


class Targets(Model):
    """The organization's own targets, in place of the tier's."""

    rpo: Duration | None = Field(default=None, description="recovery point objective: data of how long may be lost")
    rto: Duration | None = Field(default=None, description="recovery time objective: how long service may be gone")


class Objectives(Model):
    """What a failover is held against: both as seconds."""

    tier: Tier
    rpo_seconds: float
    rto_seconds: float


def objectives(tier: Tier, own: Targets) -> Objectives:
    """The targets of `tier`, with what the organization set in their place."""
    rpo, rto = _TARGETS[tier]
    rpo = parse_duration(own.rpo) if own.rpo else rpo
    rto = parse_duration(own.rto) if own.rto else rto
    return Objectives(tier=tier, rpo_seconds=rpo.total_seconds(), rto_seconds=rto.total_seconds())
