"""A collector gets the trace of a takeover and of giving up, and a bad one delays neither."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pulumi
import pytest

from components.failover import telling
from components.failover.report import LocalReport
from components.failover.telling import Telling, giving_up_steps
from components.telemetry import sending
from lab.collector import Kept, listening
from lab.waiting import until
from settings import load
from settings.handover import Token
from settings.load import SECRETS
from settings.names import Names
from tests.examples import example

TOKEN = Token(given_by="primary", databases={}, backups={"daily-full": "final-daily-full-1"})
SINCE = "2026-03-01T12:01:30Z"
PREFLIGHT = {"name": "preflight", "start": "2026-03-01T12:00:00+00:00", "end": "2026-03-01T12:00:10+00:00", "seconds": 10.0}
STEPS = [
    {"name": "restore daily-full", "start": "2026-03-01T12:00:11Z", "end": "2026-03-01T12:00:41Z", "seconds": 30.0},
    {"name": "traffic", "start": "2026-03-01T12:00:41Z", "end": SINCE, "seconds": 49.0},
]


def teller(stack: str = "secondary", **changes: Any) -> Telling:
    settings = load(stack, example(stack, {"active": "secondary", **changes}), SECRETS)
    names = Names(topology=settings.topology, role=settings.role)
    report = LocalReport(names, settings)
    report.preflight = PREFLIGHT
    return Telling(names, settings, report)


@pytest.fixture(autouse=True)
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lines.append)
    return lines


def spans(kept: Kept) -> list[str]:
    return [span.name for span in kept.spans]


def test_a_takeover_is_told_with_the_gates_own_step(monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    with listening() as (url, kept):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setattr(sending, "PATIENCE", 30.0)
        asyncio.run(teller().of_takeover(STEPS, SINCE))
        assert spans(kept) == ["failover", "preflight", "restore daily-full", "traffic"]
        root = kept.spans[0]
        assert root.attributes["dr.databases"] == ["app-database"]
        assert (root.attributes["dr.active"], root.attributes["dr.rto.measured_seconds"]) == ("secondary", 90.0)
        assert root.resource["dr.organization"] == "acme"
    assert warned == []


def test_both_halves_of_a_switchover_are_one_trace(monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    scaled = {"production": {"startTime": "2026-03-01T11:59:00Z", "completionTime": "2026-03-01T11:59:20Z"}}
    backups = {"daily-full": {"startTimestamp": "2026-03-01T11:59:21Z", "completionTimestamp": "2026-03-01T11:59:30Z"}}
    with listening() as (url, kept):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        gives = teller("primary", handover="planned")
        asyncio.run(gives.of_giving_up(giving_up_steps(scaled, backups), TOKEN, "2026-03-01T11:59:40Z"))
        asyncio.run(teller(handover=TOKEN.text).of_takeover(STEPS, SINCE))
        until("both to come", lambda: len(kept.spans) == 9, timeout=60)
        found = {span.name: span for span in kept.spans if span.name != "preflight"}
    assert len({span.trace for span in kept.spans}) == 1
    assert found["give up"].parent == found["switchover"].id
    below = [name for name, span in found.items() if span.parent == found["give up"].id]
    assert below == ["scale production", "back up daily-full", "demote"]
    assert found["give up"].attributes["dr.backups"] == ["final-daily-full-1"]
    assert warned == []


def test_what_has_not_ended_is_no_step() -> None:
    assert giving_up_steps({"production": None}, {"daily-full": {"startTimestamp": "2026-03-01T11:59:21Z"}}) == []


def test_without_a_collector_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", "_TRACES", "_METRICS"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP{name}_ENDPOINT", raising=False)
    monkeypatch.setattr(telling.aside, "start", lambda _: pytest.fail("nobody takes it"))
    asyncio.run(teller().of_takeover(STEPS, SINCE))


@pytest.mark.parametrize("changes", [{}, {"handover": TOKEN.text}])
def test_a_disk_that_is_full_is_a_line(changes: dict[str, str], monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(telling.aside, "start", full)
    asyncio.run(teller(**changes).of_takeover(STEPS, SINCE))
    [line] = warned
    assert "was not sent: the process that sends it did not start: No space left on device; nothing else depends" in line


def test_a_collector_that_hangs_keeps_a_failover_some_seconds_after_its_end_and_a_switchover_not_at_all(
    monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    def never(_: BaseHTTPRequestHandler) -> None:
        time.sleep(60)

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
    monkeypatch.setattr(sending, "PATIENCE", 1.0)
    with listening(answer=never) as (url, _):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        try:
            took = [
                _seconds(lambda: asyncio.run(teller().of_takeover(STEPS, SINCE))),
                _seconds(lambda: asyncio.run(teller(handover=TOKEN.text).of_takeover(STEPS, SINCE))),
                _seconds(lambda: asyncio.run(teller("primary", handover="planned").of_giving_up([], TOKEN, SINCE))),
            ]
        finally:
            for child in telling.aside._STARTED:
                child.kill()
                child.wait()
    assert 1.0 <= took[0] < 3.0
    assert max(took[1:]) < 1.0
    [line] = warned
    assert "was not sent: the collector did not answer within 1 s; nothing else depends on it" in line


def _seconds(do: Any) -> float:
    began = time.monotonic()
    do()
    return time.monotonic() - began
