"""What a collector gets, which variables decide it, and how long a bad one can keep anybody."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

import grpc
import pytest
from opentelemetry import metrics, trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as wire
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

from components.telemetry import aside, sdk, sending
from components.telemetry.recoveries import Observed, drill, giving_up, takeover
from components.telemetry.trace import Trace
from lab.collector import TRACES, Kept, listening
from tests.examples import ROOT
from tests.unit.components.telemetry.samples import DRILL, PRIMARY, RECEIPT, SECONDARY, SINCE, STEPS

FAILOVER = takeover(SECONDARY, STEPS, since=SINCE, seen=Observed(rows_lost=7, rpo_seconds=55.0))


def test_a_failover_comes_as_a_root_with_a_span_a_step(collector: Kept) -> None:
    assert sending.send([FAILOVER]) == []
    root, *steps = collector.spans
    assert (root.name, root.parent) == ("failover", "")
    assert [step.name for step in steps] == ["preflight", "restore daily", "traffic"]
    assert {step.parent for step in steps} == {root.id}
    assert {span.trace for span in collector.spans} == {f"{FAILOVER.trace_id:032x}"}
    assert root.id == f"{FAILOVER.root_id:016x}"
    assert steps[0].start == datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    assert (root.start, root.end) == (FAILOVER.root.start, FAILOVER.root.end)
    assert root.attributes == FAILOVER.root.attributes
    assert root.resource["service.name"] == "k8s-dr"
    assert (root.resource["dr.organization"], root.resource["dr.stack"]) == ("acme", "secondary")
    assert root.resource["service.version"] == "0123abcd"


def test_what_was_measured_comes_as_histograms_which_name_their_trace(collector: Kept) -> None:
    sending.send([FAILOVER])
    found = {each.name: each for each in collector.measured}
    assert {name: (each.unit, each.count, each.sum) for name, each in found.items()} == {
        "dr.recovery.time": ("s", 1, 89.75),
        "dr.data.loss": ("s", 1, 55.0),
        "dr.rows.lost": ("{row}", 1, 7),
    }
    for each in found.values():
        assert each.attributes["dr.kind"] == "failover"
        assert each.traces == (f"{FAILOVER.trace_id:032x}",)
    assert found["dr.recovery.time"].bounds[-1] == 24 * 3600, "the SDK's own buckets end at three hours"


def test_two_recoveries_are_two_series_for_each_is_measured_by_a_process_of_its_own(collector: Kept) -> None:
    other = takeover(SECONDARY, STEPS, since="2026-04-01T12:01:30Z")
    sending.send([FAILOVER])
    sending.send([other])
    instances = {each.resource["service.instance.id"] for each in collector.measured}
    assert instances == {f"{FAILOVER.trace_id:032x}", f"{other.trace_id:032x}"}


def test_a_switchover_is_one_trace_of_two_stacks(collector: Kept) -> None:
    sending.send([giving_up(PRIMARY, STEPS[:1], ended="2026-03-01T12:00:30Z", receipt=RECEIPT, backups=["daily-1"])])
    sending.send([takeover(SECONDARY, STEPS, since=SINCE, receipt=RECEIPT)])
    spans = {span.name: span for span in collector.spans if span.name in ("give up", "switchover")}
    assert spans["give up"].parent == spans["switchover"].id
    assert len({span.trace for span in collector.spans}) == 1
    assert {span.resource["dr.stack"] for span in collector.spans} == {"primary", "secondary"}


def test_a_failed_drill_is_an_error_with_its_reasons(collector: Kept) -> None:
    failed = drill("acme", replace(DRILL, passed=False, reasons=("a volume is missing",)))
    assert failed is not None
    assert sending.send([failed]) == []
    [span] = collector.spans
    assert span.failed == "a volume is missing"
    assert {each.name for each in collector.measured} == {"dr.recovery.time", "dr.data.loss"}


# Variables


def test_variables_of_the_sdk_go_before_the_programs_own_words(collector: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "recovery")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=production,dr.organization=theirs")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    sending.send([FAILOVER])
    resource = collector.spans[0].resource
    assert resource["service.name"] == "recovery"
    assert resource["deployment.environment.name"] == "production"
    assert resource["dr.organization"] == "theirs"


def test_a_pipelines_own_trace_is_linked(collector: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = "4bf92f3577b34da6a3ce929d0e0e4736"
    monkeypatch.setenv("TRACEPARENT", f"00-{theirs}-00f067aa0ba902b7-01")
    sending.send([FAILOVER])
    root, *steps = collector.spans
    assert root.links == (theirs,)
    assert (root.trace, root.parent) == (f"{FAILOVER.trace_id:032x}", "")
    assert not any(step.links for step in steps)


@pytest.mark.parametrize(
    ("variables", "signals"),
    [
        ({}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, ["traces", "metrics"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, ["traces"]),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c"}, ["metrics"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_METRICS_EXPORTER": "none"}, ["traces"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "True"}, []),
    ],
)
def test_which_signals_are_wanted(variables: dict[str, str], signals: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert sending.wanted() == signals


def test_without_an_endpoint_nothing_is_imported_and_nothing_sent() -> None:
    """Pulumi's SDK imports OpenTelemetry's part for traces in any case, so the module that sends is looked for."""
    code = """
import sys
from tests.unit.components.telemetry.samples import SECONDARY, SINCE, STEPS
from components.telemetry import recoveries, sending
import components.failover.telling
assert sending.send([recoveries.takeover(SECONDARY, STEPS, since=SINCE)]) == []
slow = ("components.telemetry.sdk", "opentelemetry.exporter", "opentelemetry.sdk.metrics")
print([name for name in sys.modules if name.startswith(slow)])
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_pulumis_own_providers_are_left_alone(collector: Kept) -> None:
    before = trace.get_tracer_provider(), metrics.get_meter_provider()
    sending.send([FAILOVER])
    assert (trace.get_tracer_provider(), metrics.get_meter_provider()) == before


def test_grpc_is_spoken_where_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[str] = []

    class Service(service.TraceServiceServicer):
        def Export(
            self, request: wire.ExportTraceServiceRequest, context: grpc.ServicerContext
        ) -> wire.ExportTraceServiceResponse:
            got.extend(span.name for each in request.resource_spans for scope in each.scope_spans for span in scope.spans)
            return wire.ExportTraceServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(2))
    service.add_TraceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    try:
        assert sending.send([FAILOVER]) == []
    finally:
        server.stop(0)
    assert got == ["failover", "preflight", "restore daily", "traffic"]


def test_a_protocol_that_is_not_known_is_named(collector: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    traces, measured = sending.send([FAILOVER])
    assert traces.startswith("traces: OTEL_EXPORTER_OTLP_PROTOCOL=http/json: is not known here; set it to http/protobuf or grpc")
    assert measured.startswith("metrics: ")
    assert collector.requests == []


def test_a_package_that_is_missing_is_named(collector: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    [line] = sending.send([FAILOVER])
    assert line.startswith("traces: import of opentelemetry.exporter.otlp.proto.http.trace_exporter halted")
    assert line.endswith("pulumi install")
    assert collector.measured, "the other signal came"


# Bad collectors


def refuses(status: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def never(handler: BaseHTTPRequestHandler) -> None:
    """It takes the request and never answers."""
    time.sleep(60)


def drop_by_drop(handler: BaseHTTPRequestHandler) -> None:
    """Each byte comes in time, and the answer never ends: no timeout of a socket notices."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    with listening(answer=answer) as (url, _):
        yield url


@contextmanager
def nobody() -> Iterator[str]:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def swallowing() -> Iterator[str]:
    """A port whose queue of connections is full: packets to it go into nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        try:
            yield f"http://127.0.0.1:{address[1]}"
        finally:
            for each in waiting:
                each.close()


IN_TIME = "no collector took it"
"""The exporter itself has given up: it was told how long it may try."""

BAD = {
    "nobody listens": (nobody, IN_TIME),
    "packets are swallowed": (swallowing, IN_TIME),
    "never answers": (lambda: answering(never), IN_TIME),
    "answers drop by drop": (lambda: answering(drop_by_drop), "did not answer within"),
    "500": (lambda: answering(refuses(500)), "answered 500"),
    "401": (lambda: answering(refuses(401)), "answered 401"),
    "429, come back in a minute": (lambda: answering(refuses(429, Retry_After="60")), IN_TIME),
    "503, come back at once": (lambda: answering(refuses(503, Retry_After="0")), IN_TIME),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_collector_keeps_nobody_whatever_the_environment_says(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
    for signal in sending.SIGNALS:
        sdk._exporter(signal, False, 1).shutdown()  # imported before anybody counts seconds
    place, said = BAD[bad]
    with place() as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{url}/?api-key=secret")
        began = time.monotonic()
        lines = sending.send([FAILOVER], patience=3.0)
        took = time.monotonic() - began
    assert took < 4.0
    assert [line.partition(":")[0] for line in lines] == ["traces", "metrics"]
    assert all(said in line for line in lines), lines
    assert "secret" not in "".join(lines)


def test_a_name_that_does_not_resolve_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(*_: object, **__: object) -> None:
        time.sleep(60)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example.com:4318")
    began = time.monotonic()
    assert sending.send([FAILOVER], patience=1.0)
    assert time.monotonic() - began < 1.5


# A process of its own


def test_a_process_of_its_own_sends_the_same(collector: Kept) -> None:
    child = aside.start([FAILOVER])
    assert aside.lines(child, 30) == []
    names = [span.name for span in collector.spans]
    assert names == ["failover", "preflight", "restore daily", "traffic"]
    assert {span.trace for span in collector.spans} == {f"{FAILOVER.trace_id:032x}"}
    assert collector.spans[0].attributes == FAILOVER.root.attributes


def test_to_start_it_takes_no_time_and_it_outlives_who_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent has ended, and whoever read the parent's output has seen the end of it, before the trace comes."""
    code = """
from tests.unit.components.telemetry.samples import SECONDARY, SINCE, STEPS
from components.telemetry import aside, recoveries
aside.start([recoveries.takeover(SECONDARY, STEPS, since=SINCE)])
"""
    came: list[float] = []

    def late(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(1)
        came.append(time.monotonic())
        refuses(200)(handler)

    with listening(answer=late) as (url, _):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{url}{TRACES}")
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
        ended = time.monotonic()
        until = ended + 20
        while not came and time.monotonic() < until:
            time.sleep(0.05)
    assert came
    assert came[0] > ended


def test_what_it_could_not_send_is_said_as_far_as_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(refuses(401)) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{url}{TRACES}")
        assert aside.lines(aside.start([FAILOVER]), 30) == ["traces: the collector answered 401"]
    with answering(never) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{url}{TRACES}")
        child = aside.start([FAILOVER])
        assert aside.lines(child, 0.5) == ["the collector did not answer within 0.5 s"]
        child.kill()
        child.wait()


def test_one_that_never_reads_keeps_nobody_however_long_the_trace_is(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [{**STEPS[0], "name": f"restore of-namespace-{number}"} for number in range(2_000)]
    monkeypatch.setattr(aside, "_CODE", "import time; time.sleep(60)")
    began = time.monotonic()
    child = aside.start([takeover(SECONDARY, many, since=SINCE)])
    assert aside.lines(child, 0.1) == ["the collector did not answer within 0.1 s"]
    assert time.monotonic() - began < 10
    child.kill()
    child.wait()


def test_it_gets_no_secret_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words are lines, so here it says what it has."""
    monkeypatch.setenv("PULUMI_CONFIG", '{"k8s-dr:backupEncryptionPassword": "hush"}')
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=its-own")
    monkeypatch.setattr(aside, "_CODE", "import os; print(*os.environ.values(), sep='\\n')")
    said = aside.lines(aside.start([FAILOVER]), 30)
    assert "api-key=its-own" in said
    assert "hush" not in "".join(said)


def test_every_part_of_a_trace_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost between the two processes, whatever a trace has."""
    found = drill("acme", DRILL)
    assert found is not None
    gave: list[Trace] = [found, FAILOVER]
    gave.append(giving_up(PRIMARY, STEPS[:1], ended="2026-03-01T12:00:30Z", receipt=RECEIPT, backups=["daily-1"]))
    assert aside._TRACES.validate_json(aside._TRACES.dump_json(gave)) == gave
