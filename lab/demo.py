"""The demo: a client sends requests without a pause, the lab kills the primary region, and the secondary takes over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab import databases, files, ledger, users
from lab.console import say, step
from lab.failover import Record, fail_over, note_dns_changes, publish, requests_by_region, steps_of
from lab.pulumi import touched
from lab.regions import network, wan
from lab.regions.namespaces import OPS
from lab.regions.spec import REGIONS
from lab.samples import Sample, Write, documents_log, intervals, outage, read_log, read_writes, reads_log, writes_log
from lab.waiting import until
from lab.world import Lab
from report.machine import machine_facts
from report.model import Engine, Flip, Report, Targets, Witnesses

NOT_PROVEN = (
    "The regions are two clusters on one machine: real control planes, pods and Velero, but one kernel, one disk and one clock.",
    "AWS is moto: it answers for S3, Route 53, KMS and IAM. The lab enforces IAM and bucket policies by its own reading of them; "
    "it has no roles, key policies or TLS.",
    "The lab's name server makes the health checks, as Route 53 describes them; Route 53 does not.",
    "A disk is a directory, and its snapshot a copy: Velero, its data movers and Kubernetes' controllers are real, EBS is not.",
    "All disks are the machine's own; when a region dies, its processes end and its disk stays.",
)
ARCHIVE_IS_OLD = "select now() - last_archived_time > 0.9 * current_setting('archive_timeout')::interval from pg_stat_archiver"
"""Whether the primary is about to archive its next WAL segment.

With archive replication, this is the worst moment for the region to die: the most rows exist in no other region. The demo
waits for this moment, so that the RPO that it measures does not depend on luck.
"""

ROWS = "select count(*) from ledger"
SWITCH = "select pg_switch_wal()"
"""The primary archives its segment now, and not when it is as old as `archive_timeout`."""

SHOWN_BEFORE = timedelta(seconds=15)
"""How much of the time before the region's death the report draws."""

STANDINS = "The Pulumi providers marked as stand-ins call the same APIs as the real ones, but they are not the real ones."


def run(lab: Lab, go: Callable[[Lab], Report] | None = None) -> int:
    """Start a new lab, fail over, or `go` another way, write the report and stop the lab. Returns the exit code."""
    lab.set_up()
    try:
        if lab.cloud.running:
            say("A lab of this checkout is running; it is taken down first.")
        lab.down()
        lab.forget()
        lab.up(fresh=True)
        lab.deploy()
        report = (go or fail)(lab)
    finally:
        with step("everything stopped"):
            lab.down()
    return publish(lab.paths, report)


def fail(lab: Lab, *, cache: bool = True, at_worst: bool = True) -> Report:
    """Kill the primary while a client calls it, fail over with the README's commands, and report what client and lab saw.

    With replication by archive it dies `at_worst`: see ARCHIVE_IS_OLD. Otherwise it dies as soon as the standby has a hundred
    rows, which takes up to two minutes less. Then the report's RPO says nothing of what an archive may lose.
    """
    log = lab.paths.logs / "client.jsonl"
    if lab.both_serve:
        users.see_both_serve(lab)
    second = users.start_second(lab) if lab.both_serve else None
    stop_client = users.start(lab, log, cache=cache, served_by="primary" if lab.both_serve else None)
    try:
        until("the client to be served by the primary", lambda: _served(read_log(log), "primary", at_least=15), timeout=120)
        if lab.plan:
            if not at_worst:
                until("a hundred rows to be written", lambda: int(lab.query(ROWS, "primary")) > 100, timeout=120)
                lab.query(SWITCH, "primary")
            _bring_a_row(lab, lab.plan)
        if lab.files:
            documents = documents_log(log)
            until(
                "documents to be taken by the primary",
                lambda: _served(read_writes(documents), "primary", at_least=15),
                timeout=120,
            )
            with step("a backup from each schedule, with the volume, while the client writes"):
                lab.make_backups()
        lab.wait_backed_up()
        if at_worst and lab.plan and lab.plan.replication == "archive":
            with step("the primary is about to archive its next segment: now it has the most rows that no other region has"):
                until("the archive to be old", lambda: lab.query(ARCHIVE_IS_OLD, "primary") == "t", timeout=240)
        until("the client to be served by the primary", lambda: _served(read_log(log), "primary", at_least=15), timeout=120)
        before = lab.pulumi.resources("secondary")
        record = Record()
        say("\nThe primary region dies: its cluster, its network, its part of AWS.")
        killed = record.happened("region primary killed")
        lab.kill("primary")
        wan.reset_wan_packets()
        fail_over(lab.pulumi, record)
        packets = wan.wan_packets()
        up_ended = datetime.now(UTC)
        with step("the client is served by the secondary"):
            until(
                "the client to be served by the secondary", lambda: _served(read_log(log), "secondary"), timeout=60 + 3 * lab.ttl
            )
            served = next(sample for sample in read_log(log) if sample.region == "secondary")
            # 25 answers in a row take long enough to notice a service that flaps.
            until("service to last", lambda: _served(read_log(log), "secondary", at_least=25), timeout=60)
            if lab.plan:
                until("writing to last", lambda: _served(read_writes(writes_log(log)), "secondary", at_least=25), timeout=60)
                until("reading to last", lambda: _served(read_log(reads_log(log)), "secondary", at_least=25), timeout=60)
            if lab.files:
                until(
                    "documents to be taken",
                    lambda: _served(read_writes(documents_log(log)), "secondary", at_least=25),
                    timeout=60,
                )
    finally:
        stop_client()
        if second:
            second.stop()
    record.happened("first answer from the secondary", served.time)
    note_dns_changes(record, lab.cloud.route53_changes(), killed)
    changed = touched(before, lab.pulumi.resources("secondary"))
    report = _report(lab, record, log, killed, up_ended, packets, changed)
    if lab.files:
        with step("every acknowledged file looked up"):
            present = lab.documents("secondary")
            report = replace(report, files=files.count(read_writes(documents_log(log)), present, killed))
    if second:
        report = replace(report, served_before=tuple(spec.name for spec in REGIONS), spared=second.saw(killed))
    return _with_ledger(lab, lab.plan, report, log, killed, second.writes if second else ()) if lab.plan else report


def _bring_a_row(lab: Lab, plan: databases.Plan) -> None:
    """Wait until the other region has a row that the client wrote: in its standby or, if the tier has none, in its archive."""
    if plan.preset.standby:
        with step("a row that the client wrote has reached the standby"):
            until("a row to reach the standby", lambda: lab.query(ROWS) not in ("", "0"), timeout=240)
        return
    with step("a row that the client wrote has reached the secondary's bucket, and no database runs there"):
        segment = lab.query("select pg_walfile_name(pg_current_wal_lsn())", "primary")
        archived = f"select last_archived_wal collate \"C\" >= '{segment}' from pg_stat_archiver"  # noqa: S608 - PostgreSQL's own name
        until("its segment to be archived", lambda: lab.query(archived, "primary") == "t", timeout=240)
        lab.wait_replicated()


def _served(samples: Sequence[Sample], region: str, *, at_least: int = 1) -> bool:
    """Whether `region` answered the last `at_least` requests."""
    last = samples[-at_least:]
    return len(last) == at_least and all(sample.ok and sample.region == region for sample in last)


def _report(
    lab: Lab,
    record: Record,
    log: Path,
    killed: datetime,
    up_ended: datetime,
    packets: dict[str, dict[str, int]],
    changed: list[dict[str, str]],
) -> Report:
    engine = lab.engine.describe()
    asked = [
        request
        for request in lab.cloud.access_log()
        if request.source == network.OPS_ADDRESS and datetime.fromisoformat(request.time) <= up_ended
    ]
    by_region = requests_by_region(asked, killed)
    from_engine = packets[OPS]["primary"]
    samples = read_log(log)
    gone = outage(samples, killed)
    return Report(
        kind="lab",
        generated=datetime.now(UTC),
        seconds_without_service=gone.seconds,
        served_by=gone.served_by,
        calls_to_dead_region=from_engine + by_region.get("us-east-1", 0),
        steps=steps_of(lab.pulumi.details("secondary")),
        flip=Flip.of(changed),
        commands=tuple(record.commands),
        events=record.sorted_events(),
        client_requests=tuple(intervals([sample for sample in samples if sample.time >= killed - SHOWN_BEFORE])),
        witnesses=Witnesses(
            wan_packets_from_engine=from_engine,
            wan_packets_from_live_region=packets["drlab-secondary"]["primary"],
            aws_requests=by_region,
            api_server_changes=lab.api_server_changes("secondary", killed),
        ),
        machine=machine_facts(),
        engine=Engine(**engine),
        setup_seconds=round(lab.setup_seconds, 1),
        dns_ttl=lab.ttl,
        not_proven=(*NOT_PROVEN, *([STANDINS] if "stand-in" in engine.values() else [])),
    )


def _with_ledger(lab: Lab, plan: databases.Plan, report: Report, log: Path, killed: datetime, relayed: Sequence[Write]) -> Report:
    """Add to the report what became of the acknowledged rows, and the proof that the counting notices a wrong row."""
    writes, reads = read_writes(writes_log(log)), read_log(reads_log(log))
    targets = lab.pulumi.details("secondary")["targets"]
    with step("every acknowledged row looked up, and the counting itself tested"):
        counted = ledger.count(writes, reads, ledger.read_rows(lab.query), killed, relayed=relayed)
        proof = ledger.prove_counting(lab.query, writes, reads, killed, relayed=relayed)
    since = killed - SHOWN_BEFORE
    return report.with_ledger(
        counted,
        proof=proof,
        targets=Targets(tier=targets["tier"], rpo_seconds=targets["rpoSeconds"], rto_seconds=targets["rtoSeconds"]),
        replication=plan.replication,
        source=plan.source,
        writes=intervals([write for write in writes if write.time >= since]),
        reads=intervals([read for read in reads if read.time >= since]),
    )
