"""A recovery report of a failover that held, for the tests of the report."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

from lab.ledger import CountingProof, Entry, Ledger
from lab.samples import Interval
from report.machine import Machine
from report.model import Engine, Flip, Report, Targets, Witnesses
from report.moments import Command, Event, Step

DIED = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return DIED + timedelta(seconds=seconds)


def step(name: str, start: float, end: float) -> Step:
    return Step(name=name, start=at(start), end=at(end), seconds=end - start)


def command(text: str, start: float, seconds: float, exit_code: int = 0) -> Command:
    return Command(command=text, start=at(start), seconds=seconds, exit_code=exit_code)


REPORT = Report(
    kind="lab",
    generated=at(60),
    seconds_without_service=41.25,
    served_by="secondary",
    calls_to_dead_region=0,
    steps=(
        step("preflight", 6, 7),
        step("restore hourly-critical-primary-20261124110000", 8, 12),
        step("scale production", 12, 20),
        step("traffic", 22, 22),
    ),
    flip=Flip.of(
        [
            {"type": "kubernetes:batch/v1:Job", "name": "scale-production", "operation": "create"},
            {"type": "kubernetes:batch/v1:Job", "name": "verify-shop", "operation": "create"},
            {"type": "aws:s3/bucketObjectv2:BucketObjectv2", "name": "flag", "operation": "update"},
            {"type": "dr:failover:Failover", "name": "failover", "operation": "update"},
        ]
    ),
    commands=(
        command("pulumi up -s primary --yes", -120, 60),
        command("pulumi config set active secondary -s secondary", 2, 1),
        command("pulumi up -s secondary --yes", 3, 21),
    ),
    events=(
        Event(time=DIED, name="region primary killed"),
        Event(time=at(22), name="traffic flag says secondary"),
        Event(time=at(41.3), name="first answer from secondary"),
    ),
    client_requests=(
        Interval(start=at(-120), end=at(0.05), ok=True, region="primary", requests=600),
        Interval(start=at(0.05), end=at(41.3), ok=False, region=None, requests=40),
        Interval(start=at(41.3), end=at(60), ok=True, region="secondary", requests=90),
    ),
    witnesses=Witnesses(
        wan_packets_from_engine=0,
        wan_packets_from_live_region=12,
        aws_requests={"us-west-2": 41},
        api_server_changes={"create jobs.batch": 2},
    ),
    machine=Machine(cpu="AMD EPYC", cores=2, memory_gib=23.5, kernel="Linux 6.18.44", system="Debian 12", cgroup="v1"),
    engine=Engine(cli="real 3.260.0", language_host="stand-in", kubernetes="stand-in", aws="stand-in"),
    setup_seconds=214.6,
    dns_ttl=10,
    not_proven=("Both regions share one machine, one kernel, one disk and one clock, so that nothing here says how AWS fails.",),
)
REHEARSAL = dataclasses.replace(
    REPORT,
    kind="rehearsal",
    witnesses=dataclasses.replace(REPORT.witnesses, wan_packets_from_engine=None, wan_packets_from_live_region=None),
)

LEDGER = Ledger(
    rows_acknowledged=312,
    rows_acknowledged_before_death=200,
    rows_lost=13,
    rows_lost_by_survivor=0,
    rows_unacknowledged_present=1,
    newest_lost=Entry(sequence=200, time=at(-0.1), age_seconds=0.1),
    newest_surviving=Entry(sequence=187, time=at(-2.7), age_seconds=2.7),
    rpo_seconds=2.5,
    rto_seconds=18.25,
    seconds_without_writes=18.375,
    seconds_without_reads=9.5,
)
WITH_DATABASE = REPORT.with_ledger(
    LEDGER,
    proof=CountingProof(phantom_rows_seen=1, removed_rows_seen=1),
    targets=Targets(tier="warm-standby", rpo_seconds=300, rto_seconds=900),
    replication="archive",
    source="replica-bucket",
    writes=(
        Interval(start=at(-120), end=at(0), ok=True, region="primary", requests=600),
        Interval(start=at(0), end=at(18.25), ok=False, region=None, requests=60),
        Interval(start=at(18.25), end=at(60), ok=True, region="secondary", requests=112),
    ),
    reads=(
        Interval(start=at(-120), end=at(0), ok=True, region="primary", requests=600),
        Interval(start=at(0), end=at(9.5), ok=False, region=None, requests=40),
        Interval(start=at(9.5), end=at(60), ok=True, region="secondary", requests=140),
    ),
)
"""The same failover with a database under the application: 13 acknowledged rows were lost."""


def flipped(*tokens: str) -> Report:
    return dataclasses.replace(REPORT, flip=Flip.of([{"type": token, "name": "x", "operation": "update"} for token in tokens]))
