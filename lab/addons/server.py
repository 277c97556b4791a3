"""The HTTPS server of a region's add-ons: admission webhooks, and metrics that the API server's aggregation asks for."""

from __future__ import annotations

import json
import re
import ssl
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lab.addons import admission, load_balancers, metrics
from lab.addons.cluster import Cluster
from lab.addons.kinds import Object
from lab.addons.objects import BINDINGS, PODS

_METRICS = re.compile(rf"{metrics.ROOT}(?:/namespaces/(?P<namespace>[^/]+))?/pods")


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the server answers. Each answer is a JSON document, or None for a path that it does not know."""

    cluster: Cluster
    aws_region: str

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        if path == BINDINGS:
            return admission.review(body, lambda request: admission.judge_binding(request, self.aws_region))
        if path == PODS:
            return admission.review(body, lambda request: admission.allowed(self._pod_changes(request)))
        return None

    def get(self, url: str) -> dict[str, Any] | None:
        parts = urlsplit(url)
        if parts.path == metrics.ROOT:
            return metrics.resources()
        if found := _METRICS.fullmatch(parts.path):
            (query,) = parse_qs(parts.query).get("labelSelector", [""])
            return metrics.pods(self.cluster.snapshot(), found["namespace"], metrics.selector(query))
        return None

    def _pod_changes(self, request: Any) -> list[dict[str, Any]]:
        namespace = request["namespace"]
        # A Pod that its controller makes has no namespace of its own yet.
        pod = {**request["object"], "metadata": {**request["object"]["metadata"], "namespace": namespace}}
        account = self._account(namespace, pod["spec"].get("serviceAccountName", "default"))
        return [
            *admission.with_identity(pod, account, self.aws_region),
            *admission.with_gates(pod, load_balancers.gates(pod, self.cluster.snapshot())),
        ]

    def _account(self, namespace: str, name: str) -> Object | None:
        # Asked of the API server: the watch may be a moment late, and a Pod is changed only once.
        return self.cluster.read(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # the API server keeps its connections
    answers: Answers

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._reply(self.answers.post(urlsplit(self.path).path, body))

    def do_GET(self) -> None:
        self._reply(self.answers.get(self.path))

    def _reply(self, document: dict[str, Any] | None) -> None:
        content = json.dumps(document or {"message": f"nothing is at {self.path}"}).encode()
        self.send_response(404 if document is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Log nothing of what succeeds. The API server's audit log has it."""


class Server(ThreadingHTTPServer):
    """Listens at once, and answers after `start`."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], answers: Answers, *, certificate: Path, key: Path) -> None:
        """`certificate` and `key` are PEM files for the names under which the API server calls."""
        super().__init__(address, type("Handler", (_Handler,), {"answers": answers}))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        # Each connection's own thread does the handshake. In `accept`, one slow client would keep all others waiting.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def start(self) -> None:
        """Answer in the background until the process ends."""
        threading.Thread(target=self.serve_forever, name="server", daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that ends early is ordinary: the API server probes without asking anything."""
        error = sys.exception() if sys.version_info >= (3, 12) else sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)
