"""OpenTelemetry's SDK: traces and measurements as it sends them. Imported only where somebody takes them.

Providers are this module's own. Pulumi's SDK sets the global one, for the spans of `pulumi --otel-traces`.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from components.telemetry.trace import HISTOGRAMS, Span, Trace

SCOPE = "k8s-dr"
_EPOCH = datetime.fromtimestamp(0, UTC)
_HTTP, _GRPC = "http/protobuf", "grpc"


class _Ids(IdGenerator):
    """Gives the identifiers that were computed, one after the other."""

    def __init__(self, trace_id: int) -> None:
        self._trace_id = trace_id
        self.span_id = 0

    def generate_trace_id(self) -> int:
        return self._trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Heard(logging.Handler):
    """Keeps what the exporters log, by thread. It would go to the terminal otherwise, with the endpoint."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: dict[int | None, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.setdefault(record.thread, []).append(record.getMessage())

    def taken(self) -> str:
        """What this thread's exporter has said so far."""
        return "\n".join(self._lines.pop(threading.get_ident(), []))


_HEARD = _Heard()
logging.getLogger("opentelemetry.exporter").addHandler(_HEARD)


def export(signal: str, traces: Sequence[Trace], seconds: float) -> str:
    """Send one signal of each trace. Returns why it was not taken; nothing if it was."""
    protocol = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol and protocol not in (_HTTP, _GRPC):
        return f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: is not known here; set it to {_HTTP} or {_GRPC}, or leave it out"
    _HEARD.taken()
    exporter = _exporter(signal, protocol == _GRPC, _seconds(signal, seconds))
    try:
        if signal == "traces":
            # All in one request: there is time for no more than one that hangs.
            sampled = [span for trace in traces for span in spans(trace)]
            return _why(exporter.export(sampled).name) if sampled else ""
        for trace in traces:
            if (measured := _measured(trace, exporter)) and (why := _why(exporter.export(measured).name)):
                return why
        return ""
    finally:
        with suppress(Exception):
            exporter.shutdown()


def _why(result: str) -> str:
    said = _HEARD.taken()
    if result == "SUCCESS":
        return ""
    status = re.search(r"code: (\d{3}|StatusCode\.\w+)", said)
    return f"the collector answered {status[1]}" if status else "no collector took it"


def _exporter(signal: str, grpc: bool, seconds: float) -> Any:
    # Each is imported alone: an application may have one of them without the other.
    if signal == "traces":
        if grpc:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

            return GrpcSpanExporter(timeout=seconds)
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(timeout=seconds)
    if grpc:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter

        return GrpcMetricExporter(timeout=seconds)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(timeout=seconds)


def _seconds(signal: str, most: float) -> float:
    """What the environment says, but not more than there is."""
    names = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
    said = next((os.environ[name] for name in names if os.environ.get(name)), "")
    try:
        return min(most, float(said)) if float(said) > 0 else most
    except ValueError:
        return most


def spans(trace: Trace) -> Sequence[Any]:
    """The spans as the SDK has them: the root, and below it the steps."""
    ids, kept = _Ids(trace.trace_id), InMemorySpanExporter()
    provider = TracerProvider(resource=resource(trace), id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer(SCOPE)

    def add(span: Span, identifier: int, above: Context, links: Sequence[Link] = ()) -> Context:
        ids.span_id = identifier
        begun = tracer.start_span(
            span.name, above, attributes=dict(span.attributes), links=links, start_time=_nanoseconds(span.start)
        )
        if span.failed is not None:
            begun.set_status(Status(StatusCode.ERROR, span.failed))
        begun.end(_nanoseconds(span.end))
        return api.set_span_in_context(begun, Context())

    above = _context(trace.trace_id, trace.parent_id) if trace.parent_id is not None else Context()
    root = add(trace.root, trace.root_id, above, _caller())
    for step in trace.steps:
        add(step, trace.step_id(step), root)
    return kept.get_finished_spans()


def _context(trace_id: int, span_id: int) -> Context:
    """A span of which only the identifiers are known here."""
    known = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return api.set_span_in_context(NonRecordingSpan(known), Context())


def _caller() -> list[Link]:
    """A link to the trace of whoever runs this command, as a pipeline says it: the recovery has a trace of its own, which both
    regions know."""
    carrier = {"traceparent": os.environ.get("TRACEPARENT", "")}
    found = api.get_current_span(TraceContextTextMapPropagator().extract(carrier, Context())).get_span_context()
    return [Link(found)] if found.is_valid else []


def _measured(trace: Trace, exporter: Any) -> Any:
    """What was measured, with the trace that it is of; None if nothing was."""
    # As the exporter's own reader asks it: the environment may say which kind of sums it wants.
    reader = InMemoryMetricReader(exporter._preferred_temporality, exporter._preferred_aggregation)
    provider = MeterProvider([reader], resource=resource(trace), shutdown_on_exit=False)
    meter = provider.get_meter(SCOPE)
    for name, value in trace.measured.items():
        kind = HISTOGRAMS[name]
        histogram = meter.create_histogram(
            name, kind.unit, kind.description, explicit_bucket_boundaries_advisory=list(kind.bounds)
        )
        histogram.record(value, dict(trace.labels), _context(trace.trace_id, trace.root_id))
    return reader.get_metrics_data()


def resource(trace: Trace) -> Resource:
    """Of whom this is. What the environment says goes before.

    Each recovery is an instance of its own, for each is measured once, by a process of its own: two of them must not be taken for
    one that began anew.
    """
    ours = {**trace.resource, "service.instance.id": f"{trace.trace_id:032x}"}
    return Resource.create(ours).merge(OTELResourceDetector().detect())


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
