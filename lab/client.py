"""A user of the application: it resolves the application's name and calls it several times a second, whatever happens.

    python -m lab.client --name app.example.com --server 172.30.0.1:53 --port 80 --log FILE --interval 0.2 --write

It runs as a separate process in the WAN's network namespace, and appends one line of JSON to its log for each request. The
recovery report takes the time without service from that log only (`lab.samples`). With --write, the client also writes to the
ledger and reads from it at the same rate, and logs writes and reads to separate files.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TextIO

from dnslib import QTYPE, RCODE, DNSRecord

from lab.samples import Sample, Write, documents_log, reads_log, rfc3339, writes_log
from lab.waiting import until

TIMEOUT = 1.0
"""Seconds that a name query, a connection and an answer may each take. After that the request counts as failed."""

DATABASE_TIMEOUT = 3.0
"""Seconds that an answer of the ledger may take. The application gives up after two and says why; the client waits for that."""


class ResolveError(Exception):
    """The name server gave no address; the message has its answer."""


class Resolver:
    """Asks one name server for one name over UDP, and caches the answer for its TTL like a real resolver.

    Threads may share a resolver. At worst, two of them ask at the same time.
    """

    def __init__(
        self, name: str, server: tuple[str, int], *, cache: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._server, self._cache, self._clock = name, server, cache, clock
        self._address, self._expires = "", float("-inf")

    def address(self) -> str:
        """The IPv4 address. Raises ResolveError or OSError, even if the cache still has an expired address."""
        if self._cache and self._clock() < self._expires:
            return self._address
        host, port = self._server
        reply = DNSRecord.parse(DNSRecord.question(self._name, "A").send(host, port, timeout=TIMEOUT))
        code = RCODE.get(reply.header.rcode)
        records = {kind: [record for record in reply.rr if QTYPE.get(record.rtype) == kind] for kind in ("A", "CNAME")}
        if code != "NOERROR" or not records["A"]:
            raise ResolveError(f"{host}:{port} has no address for {self._name}: {code}")
        # The shortest TTL counts. A failover changes the CNAME, whose TTL can be shorter than that of the address.
        lifetime = min(record.ttl for record in [*records["CNAME"], *records["A"]])
        self._address, self._expires = str(records["A"][0].rdata), self._clock() + lifetime
        return self._address


def resolver_at(address: str, make: Callable[[], Resolver]) -> Resolver:
    """A resolver that has just got `address` as its answer. If both regions serve, this decides which one serves the user.

    Raises TimedOutError if the name server does not answer with `address` within a minute.
    """

    def resolver_with_address() -> Resolver | None:
        resolver = make()
        return resolver if resolver.address() == address else None

    found = until(f"the name server to answer with {address}", resolver_with_address, timeout=60, interval=0.05)
    assert found is not None
    return found


def request(resolver: Resolver, name: str, port: int) -> Sample:
    """Make one request. A failure becomes a Sample too, and is never raised."""
    return _call(resolver, name, port, "/")


def read_ledger(resolver: Resolver, name: str, port: int) -> Sample:
    """Read the newest row of the ledger."""
    return _call(resolver, name, port, "/orders/latest", patience=DATABASE_TIMEOUT)


def write_ledger(resolver: Resolver, name: str, port: int, sequence: int, path: str = "/orders") -> Write:
    """Write one row to the ledger, or one document. Only status 201 acknowledges it. The client never sends one twice."""
    sent = datetime.now(UTC)
    body = json.dumps({"sequence": sequence, "client_time": rfc3339(sent)})
    answer = _call(resolver, name, port, path, body=body, expected=http.HTTPStatus.CREATED, patience=DATABASE_TIMEOUT)
    return Write(sequence=sequence, sent=sent, **vars(answer))


def _call(
    resolver: Resolver,
    name: str,
    port: int,
    path: str,
    *,
    body: str | None = None,
    expected: int = http.HTTPStatus.OK,
    patience: float | None = None,
) -> Sample:
    """Send a GET, or a POST if there is a `body`. `patience` is how many seconds the answer may take once connected."""
    address = status = None
    patience = patience or TIMEOUT
    try:
        address = resolver.address()
        connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
        try:
            connection.connect()
            connection.sock.settimeout(patience)
            headers = {"Host": name, "Connection": "close", **({"Content-Type": "application/json"} if body else {})}
            connection.request("POST" if body else "GET", path, body, headers)
            answer = connection.getresponse()
            status, content = answer.status, answer.read(65536)
        finally:
            connection.close()
        if status != expected:
            return Sample(time=datetime.now(UTC), ok=False, status=status, address=address, error=_refusal(status, content))
        region = str(json.loads(content)["region"])
        return Sample(time=datetime.now(UTC), ok=True, status=status, region=region, address=address)
    except Exception as error:  # noqa: BLE001 - for a user every kind of failure is a failed request; the next one follows
        return Sample(time=datetime.now(UTC), ok=False, status=status, address=address, error=_why(error, patience))


def _refusal(status: int, content: bytes) -> str:
    """The status, and the reason that the application gave, if any."""
    try:
        return f"HTTP {status}: {json.loads(content)['reason']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}"


def _why(error: Exception, patience: float) -> str:
    if isinstance(error, socket.timeout):
        return f"no answer within {patience:g} s"
    if isinstance(error, ValueError | KeyError | TypeError):
        return "the answer is not JSON with a region"
    return str(error) or type(error).__name__


def call_until(stopped: Callable[[], bool], ask: Callable[[], Sample], log: TextIO, interval: float) -> None:
    """Make one request every `interval` seconds. If a request takes longer, the next one follows at once."""
    due = time.monotonic()
    while not stopped():
        sample = ask()
        try:
            log.write(sample.to_json() + "\n")
            log.flush()
        except OSError as error:
            print(f"could not write this request to the log: {error}", file=sys.stderr, flush=True)
        due = max(due + interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def _server(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not HOST:PORT; for example 172.30.0.1:53")
    return host, int(port)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab.client", description="A user of the application: one request after the other.")
    parser.add_argument("--name", required=True, help="the DNS name of the application, for example app.example.com")
    parser.add_argument("--server", required=True, type=_server, help="the name server, HOST:PORT")
    parser.add_argument("--port", type=int, default=80, help="the application's port (default: 80)")
    parser.add_argument("--log", required=True, type=Path, help="the file to which each request appends one line of JSON")
    parser.add_argument("--interval", type=float, default=0.2, help="seconds from one request to the next (default: 0.2)")
    parser.add_argument("--no-cache", action="store_true", help="ask the name server before every request, whatever the TTL")
    parser.add_argument("--first-row", type=int, default=1, help="number of the first row to write (default: 1)")
    parser.add_argument("--begin-at", metavar="ADDRESS", help="wait until the name server answers with this address, then begin")
    parser.add_argument(
        "--write",
        action="store_true",
        help="also write rows to the ledger and read them, at the same rate; the names of those logs end in -writes and -reads",
    )
    parser.add_argument(
        "--documents",
        type=int,
        metavar="PORT",
        help="also send documents to this port, at the same rate; the name of that log ends in -documents",
    )
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    make = partial(Resolver, options.name, options.server, cache=not options.no_cache)
    user = (resolver_at(options.begin_at, make) if options.begin_at else make(), options.name, options.port)
    numbers = itertools.count(options.first_row)
    calls: dict[Path, Callable[[], Sample]] = {options.log: lambda: request(*user)}
    if options.write:
        calls[writes_log(options.log)] = lambda: write_ledger(*user, next(numbers))
        calls[reads_log(options.log)] = lambda: read_ledger(*user)
    if options.documents:
        files, archive = itertools.count(options.first_row), (user[0], options.name, options.documents)
        calls[documents_log(options.log)] = lambda: write_ledger(*archive, next(files), path="/documents")
    options.log.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as logs:
        # Each kind of request has its own thread: a slow database must not delay the requests that the outage is measured by.
        threads = [
            threading.Thread(target=call_until, args=(ended.is_set, call, logs.enter_context(path.open("a")), options.interval))
            for path, call in calls.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
