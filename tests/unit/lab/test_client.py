"""What a user of the application sees: each request is made, given up in time, and logged."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dnslib import RCODE, RR
from dnslib.server import BaseResolver, DNSServer

from lab import client
from lab.client import Resolver
from lab.samples import read_log, read_writes, reads_log, rfc3339, writes_log
from lab.waiting import until

NAME = "app.example.com"


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
    status: int = 200, body: bytes = b'{"region": "secondary"}', hang: threading.Event | None = None, hanging: str = "/"
) -> Iterator[tuple[int, list]]:
    """An application on loopback; yields its port and what it was asked: Host header, path, and what was posted.

    It answers a POST with 201. Until `hang` is set, it answers no path that begins with `hanging`.
    """
    hosts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(status)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.answer(201 if status == 200 else status, f" {body}")

        def answer(self, status, body_sent=""):
            hosts.append(f"{self.headers['Host']}{self.path}{body_sent}")
            if hang and self.path.startswith(hanging):
                hang.wait()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            with suppress(OSError):  # whoever asked has given up
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


def start_client(names: Names, port: int, log: Path, *options: str) -> subprocess.Popen:
    host, name_port = names.at
    arguments = ["--name", NAME, "--server", f"{host}:{name_port}", "--port", str(port), "--log", str(log), "--interval", "0.01"]
    return subprocess.Popen([sys.executable, "-m", "lab.client", *arguments, *options], cwd=Path(client.__file__).parent.parent)


def end(process: subprocess.Popen) -> None:
    """As the lab ends its client; it must end by itself, having logged what was under way."""
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()


def test_the_client_goes_on_when_nobody_answers_and_ends_when_told(names, tmp_path):
    log = tmp_path / "logs" / "client.log"
    with application() as (open_port, _):
        closed = open_port
    process = start_client(names, closed, log)
    try:
        until("three failed requests", lambda: len(read_log(log)) >= 3, timeout=20, interval=0.02)
    finally:
        end(process)
    assert not any(sample.ok for sample in read_log(log))
    assert "refused" in str(read_log(log)[0].error)


def test_a_row_that_is_recorded_is_acknowledged_with_its_number_and_both_times(names):
    with application() as (port, hosts):
        write = client.write_ledger(Resolver(NAME, names.at), NAME, port, 7)
    assert (write.ok, write.status, write.region, write.sequence) == (True, 201, "secondary", 7)
    assert write.sent <= write.time
    (asked,) = hosts
    assert asked.startswith(f"{NAME}/orders ")
    assert json.loads(asked.split(" ", 1)[1]) == {"sequence": 7, "client_time": rfc3339(write.sent)}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, b'{"reason": "the database is a standby"}', "HTTP 503: the database is a standby"),
        (409, b"", "HTTP 409"),
        (500, b"[]", "HTTP 500"),
        (202, b'{"region": "secondary"}', "HTTP 202"),
    ],
)
def test_a_row_that_is_not_committed_is_not_acknowledged_and_says_why(names, status, body, error):
    with application(status, body) as (port, _):
        write = client.write_ledger(Resolver(NAME, names.at), NAME, port, 1)
    assert (write.ok, write.region, write.error) == (False, None, error)


def test_the_newest_row_is_what_a_reader_asks_for(names):
    with application() as (port, hosts):
        assert client.read_ledger(Resolver(NAME, names.at), NAME, port).ok
    assert hosts == [f"{NAME}/orders/latest"]


def test_a_write_that_hangs_is_given_up_later_than_a_request_and_delays_none(names, tmp_path):
    log, hang = tmp_path / "client.jsonl", threading.Event()
    with application(hang=hang, hanging="/orders") as (port, _):
        process = start_client(names, port, log, "--write")
        try:
            until("service beside a write that hangs", lambda: len(read_log(log)) >= 20, timeout=20, interval=0.02)
            assert read_writes(writes_log(log)) == []
            hang.set()
            until(
                "writes and reads", lambda: read_writes(writes_log(log)) and read_log(reads_log(log)), timeout=20, interval=0.02
            )
        finally:
            end(process)
    assert all(sample.ok for sample in read_log(log))


def test_numbers_of_rows_follow_each_other_whatever_becomes_of_them(names, tmp_path):
    log = tmp_path / "client.jsonl"
    with application(status=503) as (port, _):
        process = start_client(names, port, log, "--write")
        try:
            until("three writes", lambda: len(read_writes(writes_log(log))) >= 3, timeout=20, interval=0.02)
        finally:
            end(process)
    writes = read_writes(writes_log(log))
    assert [write.sequence for write in writes] == list(range(1, len(writes) + 1))
    assert not any(write.ok for write in writes)


def test_a_second_client_numbers_its_rows_from_where_it_is_told(names, tmp_path):
    log = tmp_path / "client.jsonl"
    with application() as (port, _):
        process = start_client(names, port, log, "--write", "--first-row", "1000001")
        try:
            until("three writes", lambda: len(read_writes(writes_log(log))) >= 3, timeout=20, interval=0.02)
        finally:
            end(process)
    assert [write.sequence for write in read_writes(writes_log(log))][:3] == [1000001, 1000002, 1000003]


def test_where_several_regions_answer_a_client_begins_as_the_user_of_the_one_it_is_told():
    answers = iter(["172.30.0.12", "172.30.0.12", "172.30.0.11", "172.30.0.12"])

    class Told:
        def __init__(self) -> None:
            self.answer = next(answers)

        def address(self) -> str:
            return self.answer

    assert client.resolver_at("172.30.0.11", Told).address() == "172.30.0.11"
    assert [*answers] == ["172.30.0.12"], "it asks no longer than it must"


def test_without_the_option_nothing_is_written(names, tmp_path):
    log = tmp_path / "client.jsonl"
    with application() as (port, hosts):
        process = start_client(names, port, log)
        try:
            until("three requests", lambda: len(read_log(log)) >= 3, timeout=20, interval=0.02)
        finally:
            end(process)
    assert {*hosts} == {f"{NAME}/"}
    assert [path.name for path in tmp_path.iterdir()] == ["client.jsonl"]


def test_a_server_without_a_port_is_one_clear_error(capsys):
    with pytest.raises(SystemExit):
        client.main(["--name", NAME, "--server", "172.30.0.1", "--log", "x"])
    assert "172.30.0.1 is not HOST:PORT" in capsys.readouterr().err
