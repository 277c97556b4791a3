"""The lab's AWS endpoint: moto, and around it what makes it answer, refuse and fall silent as AWS does.

    python -m lab.cloud.endpoint --listen 172.30.0.1:5555 --log FILE [--state FILE]

Path-style and virtual-host S3, every region and service at one address, no TLS. Every request is one line of the access log.
Every request needs an access key, and what its user may do is what its policies say: `enforcement.py`.
moto runs in this process, so a bucket's region and the records of a zone are looked up and never asked for.

What the lab itself asks, at paths below `/_lab/`, is neither logged nor ever swallowed:

    GET                /_lab/state                    silent regions, bucket regions, length of the journal, replication lag
    PUT, DELETE        /_lab/black-hole/REGION        the region falls silent, answers again
    PUT                /_lab/replication-lag/SECONDS  how old an object is before it is replicated
    GET                /_lab/journal/SEQUENCE         what happened in the buckets after SEQUENCE
    GET                /_lab/route53                  zones, records and health checks
    PUT                /_lab/zone/NAME                make the hosted zone if there is none; answers its id
    PUT                /_lab/user/NAME                make the IAM user if there is none; answers an access key

A silent region's requests are held open, without a byte of an answer, until the caller gives up or the region is back; so are
those under way. It covers whatever is signed for that region (with us-east-1 also IAM, Route 53 and changes of bucket
configuration, whose control planes are there) and S3 requests for a bucket that lives there, whatever they are signed for.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from lab.cloud import moto_state
from lab.cloud.calls import Aws, Call, Environ, StartResponse
from lab.cloud.lines import JsonLines, write_state
from lab.cloud.network import address

CONTROL = "/_lab/"


class Endpoint:
    """The WSGI application: the lab's own questions, and everybody's requests."""

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
    """moto's, with a black hole that swallows before anything is said: `100 Continue` would be an answer too."""

    def handle_expect_100(self) -> bool:
        return True  # werkzeug says it, in run_wsgi

    def run_wsgi(self) -> None:
        self.close_connection = True
        if (self.headers.get("Expect") or "").strip().lower() == "100-continue":
            endpoint: Any = self.server.app
            endpoint.swallow(self.make_environ())
        super().run_wsgi()
        self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The access log says it."""


def serve(listen: tuple[str, int], log: Path) -> BaseWSGIServer:
    """The server, bound and not yet answering; port 0 takes a free one."""
    host, port = listen
    return make_server(host, port, Endpoint(log), threaded=True, request_handler=Handler)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab.cloud.endpoint", description="AWS for the lab, at one address.")
    parser.add_argument("--listen", required=True, type=address, help="HOST:PORT; port 0 takes a free one")
    parser.add_argument("--log", required=True, type=Path, help="the access log, one line of JSON a request")
    parser.add_argument("--state", type=Path, help="this file says where it listens, once it does")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = serve(options.listen, options.log)
    if options.state:
        write_state(options.state, {"url": f"http://{options.listen[0]}:{server.server_port}"})
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
