"""The lab's AWS endpoint: moto, and a layer around it that makes it answer, refuse and fail like AWS.

    python -m lab.cloud.endpoint --listen 172.30.0.1:5555 --log FILE [--state FILE] [--host NAME=ADDRESS]

The endpoint serves all regions and services at one address, without TLS. S3 works path-style and virtual-host-style. Each request
is one line in the access log. Each request needs an access key, and its user's policies must allow it (`enforcement.py`). moto
runs in this process, so the endpoint looks up a bucket's region or a zone's records in moto's memory.

The lab itself sends control requests to paths below `/_lab/`. They are not logged, and a silent region never holds them:

    GET                /_lab/state                    silent regions, bucket regions, length of the journal, replication lag
    PUT, DELETE        /_lab/black-hole/REGION        silence the region, or let it answer again
    PUT                /_lab/replication-lag/SECONDS  how long after its writing an object is replicated
    GET                /_lab/journal/SEQUENCE         what happened in the buckets after SEQUENCE
    GET                /_lab/route53                  zones, records and health checks
    PUT                /_lab/zone/NAME                create the hosted zone if it does not exist; returns its id
    PUT                /_lab/user/NAME                create the IAM user if it does not exist; returns an access key

The endpoint holds a silent region's requests open, also those in progress, and sends no byte until the caller gives up or the
region is back. This covers every request signed for that region, and S3 requests for a bucket in that region, whatever region
they are signed for. A silent us-east-1 also covers IAM, Route 53 and changes of bucket configurations, because their control
planes are there.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from lab.cloud import checker_words, moto_state
from lab.cloud.calls import Aws, Call, Environ, StartResponse
from lab.cloud.lines import JsonLines, write_state
from lab.cloud.network import address, host_entry
from lab.cloud.probe import Prober

CONTROL = "/_lab/"


class Endpoint:
    """The WSGI application. It serves the lab's control requests and all requests to AWS."""

    def __init__(self, log: Path) -> None:
        self._aws = Aws(JsonLines(log))
        self._lag: float | None = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith(CONTROL):
            return Call(self._aws, environ).serve(start_response)
        try:
            answer = self._control(environ["REQUEST_METHOD"], *path.removeprefix(CONTROL).partition("/")[::2])
            status, body = "200 OK", json.dumps(answer)
        except LookupError:
            status, body = "404 Not Found", f"no {environ['REQUEST_METHOD']} {path}"
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body.encode())))])
        return [body.encode()]

    def swallow(self, environ: Environ) -> None:
        """Raise ConnectionError, after the caller has given up, if the request is for a silent region."""
        if not environ["PATH_INFO"].startswith(CONTROL):
            Call(self._aws, environ).swallow()

    def _control(self, method: str, what: str, argument: str) -> object:
        match method, what:
            case "GET", "state":
                return self._state()
            case "GET", "journal":
                return [event.to_json() for event in self._aws.buckets.journal.after(int(argument or 0))]
            case "GET", "route53":
                return moto_state.route53().to_json()
            case "PUT", "black-hole" if argument:
                self._aws.holes.swallow(argument)
            case "DELETE", "black-hole" if argument:
                self._aws.holes.restore(argument)
            case "PUT", "replication-lag" if argument:
                self._lag = float(argument)
            case "PUT", "zone" if argument:
                return {"id": moto_state.ensure_zone(argument)}
            case "PUT", "user" if argument:
                return asdict(moto_state.ensure_user(argument))
            case _:
                raise LookupError(what)
        return self._state()

    def _state(self) -> dict[str, object]:
        journal = self._aws.buckets.journal
        return {
            "silent": sorted(self._aws.holes.silent),
            "buckets": moto_state.bucket_regions(),
            "instance": journal.instance,
            "journal": journal.length,
            "replication_lag": self._lag,
        }


class Handler(MotoRequestHandler):
    """moto's handler, but a silent region does not even send `100 Continue`, because that would be an answer too."""

    def handle_expect_100(self) -> bool:
        return True  # werkzeug sends `100 Continue` in run_wsgi

    def run_wsgi(self) -> None:
        self.close_connection = True
        if (self.headers.get("Expect") or "").strip().lower() == "100-continue":
            endpoint: Any = self.server.app
            endpoint.swallow(self.make_environ())
        super().run_wsgi()
        self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing here: the access log has the request."""


def serve(listen: tuple[str, int], log: Path, hosts: Mapping[str, str] | None = None) -> BaseWSGIServer:
    """The server, which is bound but does not answer yet. Port 0 takes a free port. `hosts` are addresses by name, for checks."""
    host, port = listen
    server = make_server(host, port, Endpoint(log), threaded=True, request_handler=Handler)
    checker_words.tell(Prober(f"http://{host}:{server.server_port}", hosts or {}))
    return server


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab.cloud.endpoint", description="All of AWS for the lab, at one address.")
    parser.add_argument("--listen", required=True, type=address, help="HOST:PORT; port 0 takes a free port")
    parser.add_argument("--log", required=True, type=Path, help="the access log, with one line of JSON for each request")
    parser.add_argument("--state", type=Path, help="file for the endpoint's URL, written once it listens")
    parser.add_argument("--host", action="append", default=[], type=host_entry, help="NAME=ADDRESS that health checks ask")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = serve(options.listen, options.log, dict(options.host))
    if options.state:
        write_state(options.state, {"url": f"http://{options.listen[0]}:{server.server_port}"})
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
