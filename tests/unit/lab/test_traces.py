"""A report of the lab as traces: with what its users were without, and which rows were lost."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lab import traces
from lab.collector import Kept, listening
from lab.traces import traces_of
from lab.waiting import until
from report import model
from report.legs import Leg, Legs
from tests.examples import ROOT

SAMPLE = model.read(ROOT / "docs" / "report" / "sample.json")


def test_the_trace_begins_when_the_region_dies_and_has_what_only_the_lab_can_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as (url, kept):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        traces.tell(SAMPLE)
    root, *parts = kept.spans
    assert (root.name, root.start) == ("failover", SAMPLE.events[0].time)
    assert root.attributes["dr.rows_lost"] == SAMPLE.rows_lost
    assert root.attributes["dr.rto.measured_seconds"] == SAMPLE.rto_seconds
    assert root.attributes["dr.rpo.measured_seconds"] == SAMPLE.rpo_seconds
    assert root.attributes["dr.user.seconds_without_writes"] == SAMPLE.seconds_without_writes
    assert {step.name for step in SAMPLE.steps} | {command.command for command in SAMPLE.commands} == {
        each.name for each in parts
    }
    assert {each.parent for each in parts} == {root.id}
    assert root.resource["deployment.environment.name"] == "lab", "nobody takes it for a real one"
    assert {each.name: each.sum for each in kept.measured} == {
        "dr.recovery.time": SAMPLE.rto_seconds,
        "dr.data.loss": SAMPLE.rpo_seconds,
        "dr.rows.lost": SAMPLE.rows_lost,
    }


def test_each_leg_of_the_way_round_is_a_trace_of_its_own() -> None:
    def leg(name: str, after: int) -> Leg:
        start = SAMPLE.generated + timedelta(seconds=after)
        return Leg(
            name=name,
            start=start,
            end=start + timedelta(seconds=60),
            seconds_without_service=1.0,
            seconds_without_writes=20.0,
            seconds_without_reads=10.0,
            rows_acknowledged=100,
        )

    each = (leg("failover", 0), leg("the old primary follows again", 100), leg("switchover to the primary", 200))
    _, rejoined, switched = traces_of(replace(SAMPLE, legs=Legs(each=each, rows=100, rows_missing={})))
    assert (rejoined.root.name, rejoined.measured) == ("the old primary follows again", {})
    assert (switched.root.attributes["cloud.region"], switched.labels["dr.stack"]) == ("us-east-1", "primary")
    assert switched.measured == {"dr.recovery.time": 20.0}
    assert len({trace.trace_id for trace in (rejoined, switched)}) == 2


def test_a_rehearsal_without_a_ledger_has_what_it_knows() -> None:
    empty = dict.fromkeys(("targets", "rows_acknowledged", "rows_lost", "rpo_seconds", "rto_seconds"))
    [trace] = traces_of(replace(SAMPLE, kind="rehearsal", **empty))
    assert trace.measured == {"dr.recovery.time": SAMPLE.seconds_without_service}
    assert "dr.tier" not in trace.root.attributes
    assert trace.resource["deployment.environment.name"] == "rehearsal"


def test_a_collector_that_takes_nothing_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with listening(answer=lambda handler: handler.send_error(401)) as (url, _):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        traces.tell(SAMPLE)
    assert "The report's traces were not sent: traces: the collector answered 401" in capsys.readouterr().out


def test_the_collectors_process_keeps_what_it_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = tmp_path / "otlp.jsonl"
    process = subprocess.Popen([sys.executable, "-m", "lab.collector", f"127.0.0.1:{port}", str(file)], cwd=ROOT)
    try:
        until("the collector to listen", lambda: file.exists() or process.poll() is not None, timeout=60)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        traces.tell(SAMPLE)
    finally:
        process.kill()
        process.wait()
    kept = Kept.of(file)
    assert kept.spans[0].name == "failover"
    assert {each.name for each in kept.measured} == {"dr.recovery.time", "dr.data.loss", "dr.rows.lost"}


def test_what_the_collectors_process_wrote_is_read_though_its_last_line_is_not_whole(tmp_path: Path) -> None:
    file = tmp_path / "otlp.jsonl"
    assert Kept.of(file).spans == []
    file.write_text('{"path": "/v1/traces", "body": ""}\n{"path": "/v1/tra')
    assert Kept.of(file).requests == [("/v1/traces", b"")]
