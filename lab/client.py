"""A user of the application: asks the name server for its address and calls it several times a second, whatever happens.

    python -m lab.client --name app.example.com --server 172.30.0.1:53 --port 80 --log FILE --interval 0.2

Runs as a process of its own, on the users' side of the network, and appends one line of JSON a request to its log. What the
recovery report says about the service is read from that log and from nothing else: `outage` is the one definition of it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from dnslib import QTYPE, RCODE, DNSRecord

TIMEOUT = 1.0
"""Seconds that a name query, a connection and an answer may each take; then the request has failed and the next is made."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One request. `time` is when the client had its answer or gave up; `error` says why it is not `ok`."""

    time: datetime
    ok: bool
    status: int | None = None
    region: str | None = None
    address: str | None = None
    error: str | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"time": self.time.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"})

    @classmethod
    def from_json(cls, line: str) -> Sample:
        fields = json.loads(line)
        return cls(**fields | {"time": datetime.fromisoformat(fields["time"])})


@dataclass(frozen=True, kw_only=True)
class Outage:
    """How long users were without service, as one of them saw it; `outage` defines each field."""

    start: datetime | None
    end: datetime | None
    seconds: float | None
    failed_requests: int
    served_by: str | None


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Requests in a row with the same fate: all answered by one region, or all failed (`region` None)."""

    start: datetime
    end: datetime
    ok: bool
    region: str | None
    requests: int


def read_log(path: Path) -> list[Sample]:
    """Every request that has been logged so far, oldest first; a line still being written is left for later."""
    try:
        lines = path.read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [Sample.from_json(line) for line in lines if line.endswith("\n")]


def outage(samples: Sequence[Sample], since: datetime) -> Outage:
    """The time without service that began after `since` (the moment the region died).

    It begins with the last success before the first request that failed at or after `since` (that success may be older than
    `since`; if there is none, it begins with `since`). It ends with the first success after the *last* failure: a success
    that is followed by failures is flapping, not service. `failed_requests` are the failures in between, `served_by` is the
    region that gave the newest answer.

    - Nothing failed: 0 seconds, and neither start nor end.
    - It never came back, or no request was logged after `since` at all: `end`, `seconds` and `served_by` are None, because
      silence must not read as service.
    """
    failures = [index for index, sample in enumerate(samples) if not sample.ok and sample.time >= since]
    if not failures:
        if not samples or samples[-1].time < since:
            return Outage(start=since, end=None, seconds=None, failed_requests=0, served_by=None)
        return Outage(start=None, end=None, seconds=0.0, failed_requests=0, served_by=samples[-1].region)
    served = [index for index, sample in enumerate(samples[: failures[0]]) if sample.ok]
    began = served[-1] if served else failures[0] - 1
    start = samples[began].time if served else since
    failed = sum(not sample.ok for sample in samples[began + 1 :])
    lasting = samples[failures[-1] + 1 :]
    if not lasting:
        return Outage(start=start, end=None, seconds=None, failed_requests=failed, served_by=None)
    end = lasting[0].time
    seconds = round((end - start).total_seconds(), 3)
    return Outage(start=start, end=end, seconds=seconds, failed_requests=failed, served_by=lasting[-1].region)


def intervals(samples: Sequence[Sample]) -> list[Interval]:
    """The same log as stretches of service and of failure, without a gap, to be drawn.

    A stretch of failure reaches from the last success to the next one: exactly what `outage` measures.
    """
    groups: list[list[Sample]] = []
    for sample in samples:
        if groups and (groups[-1][-1].ok, groups[-1][-1].region) == (sample.ok, sample.region):
            groups[-1].append(sample)
        else:
            groups.append([sample])
    found: list[Interval] = []
    for index, group in enumerate(groups):
        previous = groups[index - 1] if index else None
        following = groups[index + 1] if index + 1 < len(groups) else None
        ok = group[0].ok
        found.append(
            Interval(
                start=previous[-1].time if previous and not ok else group[0].time,
                end=following[0].time if following and (not ok or following[0].ok) else group[-1].time,
                ok=ok,
                region=group[0].region,
                requests=len(group),
            )
        )
    return found


class ResolveError(Exception):
    """The name server gave no address; the message says what it said."""


class Resolver:
    """Asks one name server for one name over UDP, and keeps the answer for its TTL as a resolver does."""

    def __init__(
        self, name: str, server: tuple[str, int], *, cache: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._server, self._cache, self._clock = name, server, cache, clock
        self._address, self._expires = "", float("-inf")

    def address(self) -> str:
        """The IPv4 address. Raises ResolveError or OSError; an address whose TTL is over is not used for want of a better."""
        if self._cache and self._clock() < self._expires:
            return self._address
        host, port = self._server
        reply = DNSRecord.parse(DNSRecord.question(self._name, "A").send(host, port, timeout=TIMEOUT))
        code = RCODE.get(reply.header.rcode)
        records = {kind: [record for record in reply.rr if QTYPE.get(record.rtype) == kind] for kind in ("A", "CNAME")}
        if code != "NOERROR" or not records["A"]:
            raise ResolveError(f"{host}:{port} has no address for {self._name}: {code}")
        # The answer holds as long as its shortest-lived part: the CNAME is what a failover changes.
        lifetime = min(record.ttl for record in [*records["CNAME"], *records["A"]])
        self._address, self._expires = str(records["A"][0].rdata), self._clock() + lifetime
        return self._address


def request(resolver: Resolver, name: str, port: int) -> Sample:
    """Make one request; whatever goes wrong is an answer too."""
    address = status = None
    try:
        address = resolver.address()
        connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
        try:
            connection.request("GET", "/", headers={"Host": name, "Connection": "close"})
            answer = connection.getresponse()
            status, body = answer.status, answer.read(65536)
        finally:
            connection.close()
        if status != http.HTTPStatus.OK:
            return Sample(time=datetime.now(UTC), ok=False, status=status, address=address, error=f"HTTP {status}")
        region = str(json.loads(body)["region"])
        return Sample(time=datetime.now(UTC), ok=True, status=status, region=region, address=address)
    except Exception as error:  # noqa: BLE001 - a user sees any failure, and goes on
        return Sample(time=datetime.now(UTC), ok=False, status=status, address=address, error=_why(error))


def _why(error: Exception) -> str:
    if isinstance(error, socket.timeout):
        return f"no answer within {TIMEOUT:g} s"
    if isinstance(error, ValueError | KeyError | TypeError):
        return "the answer is not JSON with a region"
    return str(error) or type(error).__name__


def call_until(stopped: Callable[[], bool], ask: Callable[[], Sample], log: TextIO, interval: float) -> None:
    """One request every `interval` seconds, or as soon as the one before has ended if that took longer."""
    due = time.monotonic()
    while not stopped():
        sample = ask()
        try:
            log.write(sample.to_json() + "\n")
            log.flush()
        except OSError as error:
            print(f"this request is missing from the log: {error}", file=sys.stderr, flush=True)
        due = max(due + interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def _server(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not HOST:PORT; for example 172.30.0.1:53")
    return host, int(port)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab.client", description="A user of the application: one request after the other.")
    parser.add_argument("--name", required=True, help="the name that users know, app.example.com")
    parser.add_argument("--server", required=True, type=_server, help="the name server, HOST:PORT")
    parser.add_argument("--port", type=int, default=80, help="the application's port (80)")
    parser.add_argument("--log", required=True, type=Path, help="one line of JSON a request is appended to this file")
    parser.add_argument("--interval", type=float, default=0.2, help="seconds from one request to the next (0.2)")
    parser.add_argument("--no-cache", action="store_true", help="ask the name server before every request, whatever the TTL")
    options = parser.parse_args(arguments)
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: ended.append(received))
    resolver = Resolver(options.name, options.server, cache=not options.no_cache)
    options.log.parent.mkdir(parents=True, exist_ok=True)
    with options.log.open("a") as log:
        call_until(lambda: bool(ended), lambda: request(resolver, options.name, options.port), log, options.interval)
    return 0


if __name__ == "__main__":
    sys.exit(main())
