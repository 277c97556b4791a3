"""A failover, both halves of a switchover and a drill."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from components.telemetry.recoveries import Drill, Region

SECONDARY = Region(
    organization="acme",
    stack="secondary",
    region="us-west-2",
    active="secondary",
    tier="pilot-light",
    rpo_seconds=300,
    rto_seconds=1800,
    databases=("app", "orders"),
    version="0123abcd",
)
PRIMARY = replace(SECONDARY, stack="primary", region="us-east-1", active="secondary")
SINCE = "2026-03-01T12:01:30Z"
STEPS = [
    {"name": "preflight", "start": "2026-03-01T12:00:00.250000+00:00", "end": "2026-03-01T12:00:10+00:00", "seconds": 9.75},
    {"name": "restore daily", "start": "2026-03-01T12:00:11Z", "end": "2026-03-01T12:00:41Z", "seconds": 30.0},
    {"name": "traffic", "start": "2026-03-01T12:00:41Z", "end": SINCE, "seconds": 49.0},
]
RECEIPT = "receipt.0123456789abcdef"
DRILL = Drill(
    kind="database",
    region="us-west-2",
    role="secondary",
    run="1a2b3c4d",
    started=datetime(2026, 3, 1, 5, 30, tzinfo=UTC),
    ended=datetime(2026, 3, 1, 5, 34, tzinfo=UTC),
    passed=True,
    reasons=(),
    used=("base-backup 20260228T010000",),
    rpo_target=300.0,
    rpo_measured=61.0,
    rto_target=1800.0,
    rto_measured=200.5,
    versions={"program": "sha-1"},
)
