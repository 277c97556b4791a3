"""A collector of OpenTelemetry that keeps what it gets: OTLP by HTTP, as protobuf. Tests look into it.

python -m lab.collector 127.0.0.1:4318 /tmp/otlp.jsonl
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

TRACES, METRICS = "/v1/traces", "/v1/metrics"
_EPOCH = datetime.fromtimestamp(0, UTC)
_DECODED: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}


@dataclass(frozen=True, kw_only=True)
class Span:
    """A span as it came. Identifiers are in hexadecimal; `parent` is empty for a root."""

    name: str
    trace: str
    id: str
    parent: str
    start: datetime
    end: datetime
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    links: tuple[str, ...]
    failed: str | None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One series of a histogram as it came. `traces` are those of its exemplars."""

    name: str
    unit: str
    count: int
    sum: float
    bounds: tuple[float, ...]
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    traces: tuple[str, ...]


@dataclass(kw_only=True)
class Kept:
    """What a collector has got so far: paths with bodies, in the order in which they came."""

    requests: list[tuple[str, bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, file: Path) -> Kept:
        """What the collector's process has written. A last line may not be whole yet."""
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        found = [json.loads(line) for line in lines]
        return cls(requests=[(each["path"], base64.b64decode(each["body"])) for each in found])

    @property
    def spans(self) -> list[Span]:
        return [span for path, body in self.requests if path == TRACES for span in _spans(body)]

    @property
    def measured(self) -> list[Measured]:
        return [each for path, body in self.requests if path == METRICS for each in _measured(body)]


def _spans(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            yield Span(
                name=span.name,
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                start=_moment(span.start_time_unix_nano),
                end=_moment(span.end_time_unix_nano),
                attributes=_attributes(span.attributes),
                resource=_attributes(resource.resource.attributes),
                links=tuple(link.trace_id.hex() for link in span.links),
                failed=span.status.message if span.status.code == Status.STATUS_CODE_ERROR else None,
            )


def _measured(body: bytes) -> Iterator[Measured]:
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            for point in metric.histogram.data_points:
                yield Measured(
                    name=metric.name,
                    unit=metric.unit,
                    count=point.count,
                    sum=point.sum,
                    bounds=tuple(point.explicit_bounds),
                    attributes=_attributes(point.attributes),
                    resource=_attributes(resource.resource.attributes),
                    traces=tuple(exemplar.trace_id.hex() for exemplar in point.exemplars),
                )


def _moment(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@contextmanager
def listening(
    host: str = "127.0.0.1", port: int = 0, *, answer: Callable[[BaseHTTPRequestHandler], None] | None = None
) -> Iterator[tuple[str, Kept]]:
    """A collector in this process: its URL, and what it has got. `answer` answers in its place, and takes nothing."""
    kept = Kept()
    server = _server(host, port, lambda path, body: kept.requests.append((path, body)), answer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://{host}:{server.server_port}", kept
    finally:
        server.shutdown()
        server.server_close()


def _server(
    host: str,
    port: int,
    keep: Callable[[str, bytes], None],
    answer: Callable[[BaseHTTPRequestHandler], None] | None = None,
) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if answer:
                answer(self)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kinds: dict[str, Any] = {TRACES: ExportTraceServiceRequest, METRICS: ExportMetricsServiceRequest}
            try:
                plain = _DECODED[self.headers.get("Content-Encoding", "")](body)
                kinds[self.path].FromString(plain)
            except Exception as error:  # noqa: BLE001 - whoever sends anything else is told so
                self.send_error(400, f"{type(error).__name__}: {error}"[:200])
                return
            keep(self.path, plain)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: what has come is kept."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    server.block_on_close = False  # a test's answer may hang
    return server


def main(listen: str, file: Path) -> None:
    """Serve until somebody ends this process, and write a line for each request."""
    host, _, port = listen.rpartition(":")
    lock = threading.Lock()

    def keep(path: str, body: bytes) -> None:
        line = json.dumps({"path": path, "body": base64.b64encode(body).decode()})
        with lock, file.open("a") as written:
            written.write(f"{line}\n")

    server = _server(host, int(port), keep)
    file.touch()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
