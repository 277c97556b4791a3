"""What a user of the application sees, and how the time without service is told from it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dnslib import RCODE, RR
from dnslib.server import BaseResolver, DNSServer

from lab import client
from lab.client import Interval, Resolver, Sample, intervals, outage, read_log
from lab.waiting import until

DIED = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
NAME = "app.example.com"


def at(seconds: float) -> datetime:
    return DIED + timedelta(seconds=seconds)


def answered(seconds: float, region: str = "primary") -> Sample:
    return Sample(time=at(seconds), ok=True, status=200, region=region, address="172.30.0.11")


def failed(seconds: float) -> Sample:
    return Sample(time=at(seconds), ok=False, address="172.30.0.11", error="no answer within 1 s")


class Names(BaseResolver):
    """The lab's name server in small: a CNAME and the address it leads to."""

    def __init__(self) -> None:
        self.address: str | None = "127.0.0.1"
        self.code, self.asked = RCODE.NOERROR, 0

    def resolve(self, request, handler):
        self.asked += 1
        reply = request.reply()
        reply.header.rcode = self.code
        if self.code == RCODE.NOERROR:
            reply.add_answer(*RR.fromZone(f"{NAME} 10 CNAME lb.lab.internal"))
            if self.address:
                reply.add_answer(*RR.fromZone(f"lb.lab.internal 300 A {self.address}"))
        return reply


@pytest.fixture
def names() -> Iterator[Names]:
    resolver = Names()
    server = DNSServer(resolver, address="127.0.0.1", port=0)
    resolver.at = server.server.server_address
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield resolver
    server.server.shutdown()
    thread.join()
    server.server.server_close()


@contextmanager
def application(
    status: int = 200, body: bytes = b'{"region": "secondary"}', hang: threading.Event | None = None
) -> Iterator[tuple[int, list]]:
    """An application on loopback; yields its port and the Host headers that it was asked with."""
    hosts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            hosts.append(f"{self.headers['Host']}{self.path}")
            if hang:
                hang.wait()
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1], hosts
    finally:
        if hang:
            hang.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_outage_lasts_from_the_last_success_to_the_first_success_that_stays():
    samples = [
        answered(-0.4),
        answered(-0.2),
        answered(0.1),
        failed(0.3),
        failed(1.3),
        answered(2.6, "secondary"),
        answered(2.8, "secondary"),
    ]
    found = outage(samples, DIED)
    assert (found.start, found.end) == (at(0.1), at(2.6))
    assert (found.seconds, found.failed_requests, found.served_by) == (2.5, 2, "secondary")


def test_the_last_success_may_be_older_than_the_death_of_the_region():
    found = outage([answered(-0.5), failed(0.5), answered(1.5, "secondary")], DIED)
    assert (found.start, found.seconds) == (at(-0.5), 2.0)


def test_where_nothing_failed_the_outage_is_zero_seconds():
    found = outage([answered(-1), answered(1), answered(2, "secondary")], DIED)
    assert (found.start, found.end, found.seconds, found.failed_requests, found.served_by) == (None, None, 0.0, 0, "secondary")


def test_a_failure_before_the_region_died_does_not_count():
    found = outage([failed(-5), answered(-4), answered(1)], DIED)
    assert (found.seconds, found.failed_requests) == (0.0, 0)


def test_service_that_never_came_back_has_no_seconds():
    found = outage([answered(-0.2), failed(0.5), failed(1.5)], DIED)
    assert (found.start, found.end, found.seconds, found.failed_requests, found.served_by) == (at(-0.2), None, None, 2, None)


def test_a_success_between_failures_is_flapping_and_ends_nothing():
    samples = [answered(0), failed(1), answered(2, "secondary"), failed(3), answered(4, "secondary"), answered(5, "secondary")]
    found = outage(samples, DIED)
    assert (found.start, found.end, found.seconds, found.failed_requests) == (at(0), at(4), 4.0, 2)


def test_flapping_whose_last_request_failed_has_not_recovered():
    found = outage([answered(0), failed(1), answered(2, "secondary"), failed(3)], DIED)
    assert (found.seconds, found.failed_requests, found.served_by) == (None, 2, None)


def test_where_nobody_was_ever_served_the_outage_begins_with_the_death():
    found = outage([failed(0.5), answered(3, "secondary")], DIED)
    assert (found.start, found.seconds, found.failed_requests) == (DIED, 3.0, 1)


@pytest.mark.parametrize("samples", [[], [answered(-2), answered(-1)]])
def test_silence_does_not_read_as_service(samples):
    assert outage(samples, DIED).seconds is None
    assert outage(samples, DIED).served_by is None


def test_the_region_that_serves_is_the_one_that_answered_last():
    samples = [answered(0), failed(1), answered(2, "primary"), answered(3, "secondary")]
    assert outage(samples, DIED).served_by == "secondary"


def test_a_drawn_stretch_of_failure_is_as_long_as_the_outage():
    samples = [answered(-0.2), answered(0), failed(1), failed(2), answered(3, "secondary"), answered(4, "secondary")]
    assert intervals(samples) == [
        Interval(start=at(-0.2), end=at(0), ok=True, region="primary", requests=2),
        Interval(start=at(0), end=at(3), ok=False, region=None, requests=2),
        Interval(start=at(3), end=at(4), ok=True, region="secondary", requests=2),
    ]


def test_stretches_of_two_regions_meet_without_a_gap():
    first, second = intervals([answered(0), answered(1), answered(2, "secondary"), answered(3, "secondary")])
    assert (first.end, second.start) == (at(2), at(2))


def test_a_log_line_has_the_promised_fields_and_reads_back(tmp_path):
    sample = Sample(time=at(0.1234), ok=False, status=503, address="172.30.0.11", error="HTTP 503")
    assert json.loads(sample.to_json()) == {
        "time": "2026-11-24T12:00:00.123Z",
        "ok": False,
        "status": 503,
        "region": None,
        "address": "172.30.0.11",
        "error": "HTTP 503",
    }
    log = tmp_path / "client.log"
    log.write_text(answered(0).to_json() + "\n" + answered(1).to_json() + "\n" + answered(2).to_json()[:20])
    assert read_log(log) == [answered(0), answered(1)], "the line that is still being written is left for later"


def test_a_log_that_does_not_exist_yet_is_empty(tmp_path):
    assert read_log(tmp_path / "none") == []


def test_an_address_is_kept_for_the_shortest_ttl_of_its_chain_and_not_longer(names):
    now = [0.0]
    resolver = Resolver(NAME, names.at, clock=lambda: now[0])
    assert resolver.address() == "127.0.0.1"
    names.address = "127.0.0.2"
    now[0] = 9.9
    assert (resolver.address(), names.asked) == ("127.0.0.1", 1)
    now[0] = 10.0
    assert (resolver.address(), names.asked) == ("127.0.0.2", 2)


def test_without_a_cache_every_request_asks_anew(names):
    resolver = Resolver(NAME, names.at, cache=False)
    assert [resolver.address(), resolver.address()] == ["127.0.0.1"] * 2
    assert names.asked == 2


def test_an_expired_address_is_not_used_when_the_name_server_refuses(names):
    now = [0.0]
    resolver = Resolver(NAME, names.at, clock=lambda: now[0])
    resolver.address()
    now[0], names.code = 60.0, RCODE.NXDOMAIN
    with pytest.raises(client.ResolveError, match=r"has no address for app\.example\.com: NXDOMAIN"):
        resolver.address()


def test_an_alias_that_leads_nowhere_is_no_address(names):
    names.address = None
    with pytest.raises(client.ResolveError, match="has no address"):
        Resolver(NAME, names.at).address()


def test_a_request_says_which_region_answered_and_asks_by_name(names):
    with application() as (port, hosts):
        sample = client.request(Resolver(NAME, names.at), NAME, port)
    assert (sample.ok, sample.status, sample.region, sample.address, sample.error) == (True, 200, "secondary", "127.0.0.1", None)
    assert hosts == [f"{NAME}/"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, b"", "HTTP 503"),
        (302, b"", "HTTP 302"),
        (200, b"<html>", "the answer is not JSON with a region"),
        (200, b"{}", "the answer is not JSON with a region"),
        (200, b"[]", "the answer is not JSON with a region"),
    ],
)
def test_an_answer_that_is_not_the_applications_counts_as_failed(names, status, body, error):
    with application(status, body) as (port, _):
        sample = client.request(Resolver(NAME, names.at), NAME, port)
    assert (sample.ok, sample.status, sample.region, sample.error) == (False, status, None, error)


def test_a_request_that_hangs_is_given_up_after_its_timeout(names, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT", 0.05)
    with application(hang=threading.Event()) as (port, _):
        sample = client.request(Resolver(NAME, names.at), NAME, port)
    assert (sample.ok, sample.status, sample.error) == (False, None, "no answer within 0.05 s")


def test_a_name_server_that_is_silent_is_a_failed_request(monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        sample = client.request(Resolver(NAME, deaf.getsockname()), NAME, 1)
    assert (sample.ok, sample.address, sample.error) == (False, None, "no answer within 0.05 s")


def test_the_client_goes_on_when_nobody_answers_and_ends_when_told(names, tmp_path):
    log = tmp_path / "logs" / "client.log"
    host, port = names.at
    with application() as (open_port, _):
        closed = open_port
    arguments = ["--name", NAME, "--server", f"{host}:{port}", "--port", str(closed), "--log", str(log), "--interval", "0.01"]
    process = subprocess.Popen([sys.executable, "-m", "lab.client", *arguments], cwd=Path(client.__file__).parent.parent)
    try:
        until("three failed requests", lambda: len(read_log(log)) >= 3, timeout=20, interval=0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
    assert not any(sample.ok for sample in read_log(log))
    assert "refused" in str(read_log(log)[0].error)


def test_a_server_without_a_port_is_one_clear_error(capsys):
    with pytest.raises(SystemExit):
        client.main(["--name", NAME, "--server", "172.30.0.1", "--log", "x"])
    assert "172.30.0.1 is not HOST:PORT" in capsys.readouterr().err
