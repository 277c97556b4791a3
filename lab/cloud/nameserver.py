"""The lab's Route 53: a name server that makes the health checks, and answers from the records in moto.

    python -m lab.cloud.nameserver --listen 172.30.0.1:53 --endpoint http://172.30.0.1:5555 --state FILE --changes FILE \
        --host lb-primary.lab.internal=172.30.0.11 --host lb-secondary.lab.internal=172.30.0.12

It reads the records again every second. Each answer depends on the health at that moment. It listens on UDP and TCP. It also
answers for `--host` names: asked directly, as targets of CNAMEs (so that one question is enough) or of aliases, and for health
checks. The state file has the status of each health check and the answer for each name with a routing policy. Each change of
these becomes one line of JSON in the changes file.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dnslib import QTYPE, RCODE, DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from lab.cloud.answers import Answers
from lab.cloud.health import Monitor, Observation
from lab.cloud.lines import JsonLines, timestamp, write_state
from lab.cloud.network import address, control, host_entry
from lab.cloud.probe import Prober
from lab.cloud.records import HealthCheck, Record, Route53

REFRESH = 1.0
"""Seconds from one reading of the records to the next."""

_TICK = 0.1


class NameServer(BaseResolver):  # type: ignore[misc]
    """The name server without its sockets. Safe for threads."""

    def __init__(
        self,
        endpoint: str,
        hosts: Mapping[str, str],
        *,
        state: Path,
        changes: Path,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._endpoint, self._hosts, self._state_file, self._chance = endpoint, hosts, state, chance
        self._changes = JsonLines(changes)
        self._prober = Prober(endpoint, hosts)
        self._data = Route53()
        self._monitor = Monitor()
        self._lock = threading.RLock()
        self._known: dict[tuple[str, str], dict[str, Any]] = {}

    def refresh(self, now: float) -> None:
        """Read the records and health checks. Raises OSError if the endpoint does not answer, and keeps the old data then."""
        data = Route53.from_json(control(self._endpoint, "route53"))
        with self._lock:
            self._data = data
            self._monitor.know(data.checks, now)

    def tick(self, now: float) -> None:
        """Start the observations that are due, and record what changed since the last tick."""
        with self._lock:
            due = self._monitor.due(now)
        for check, checker in due:
            threading.Thread(target=self._probe, args=(check, checker), daemon=True).start()
        self._note(now)

    def resolve(self, request: DNSRecord, _handler: object) -> DNSRecord:
        """Answer one question. dnslib calls this."""
        with self._lock:
            answer = self._answers().reply(str(request.q.qname), QTYPE.get(request.q.qtype))
        reply = request.reply(ra=0)
        reply.header.rcode = getattr(RCODE, answer.rcode)
        reply.add_answer(*answer.records)
        reply.add_auth(*answer.authority)
        return reply

    def _answers(self) -> Answers:
        return Answers(data=self._data, hosts=self._hosts, healthy=self._monitor.healthy, chance=self._chance)

    def _probe(self, check: HealthCheck, checker: int) -> None:
        ok, reason = self._prober(check)
        with self._lock:
            self._monitor.observe(check.id, Observation(time=time.time(), ok=ok, reason=reason, checker=checker))

    def _note(self, now: float) -> None:
        with self._lock:
            current = {("health-check", check.id): self._status(check) for check in self._monitor.checks()}
            current |= {("name", name): value for name, value in _served(self._answers()).items()}
        changed = False
        for key, value in current.items():
            old = self._known.get(key, {})
            if value["is"] != old.get("is"):
                value["since"] = timestamp(now)
                change = {"time": value["since"], "kind": key[0], "id": key[1], "from": old.get("is"), "to": value["is"]}
                check: dict[str, Any] = {part: value[part] for part in ("type", "target", "inverted") if part in value}
                self._changes.write({**change, **check, "reason": value.get("last", {}).get("reason")})
            else:
                value["since"] = old["since"]
            changed |= value != old
        if changed or current.keys() != self._known.keys() or not self._state_file.exists():
            state: dict[str, dict[str, Any]] = {"health-check": {}, "name": {}}
            for (kind, identity), value in current.items():
                state[kind][identity] = value
            write_state(self._state_file, {"health_checks": state["health-check"], "names": state["name"]})
        self._known = current

    def _status(self, check: HealthCheck) -> dict[str, Any]:
        last = self._monitor.last(check.id)
        seen = {"time": timestamp(last.time), "ok": last.ok, "reason": last.reason, "checker": last.checker} if last else {}
        status = "healthy" if self._monitor.healthy(check.id) else "unhealthy"
        target = check.fqdn or check.ip_address or ", ".join(check.children)
        return {"is": status, "type": check.type, "target": target, "inverted": check.inverted, "last": seen}


def _served(answers: Answers) -> dict[str, dict[str, Any]]:
    """The current answer for each name and type (`app.example.com CNAME`)."""
    return {
        f"{name} {kind}": {
            "is": ", ".join(_value(record) for record in records),
            "set_identifiers": [record.set_identifier for record in records],
        }
        for (name, kind), records in answers.served().items()
    }


def _value(record: Record) -> str:
    return record.alias.name if record.alias else " ".join(record.values)


_FREE_PORTS_TO_TRY = 20


def serve(server: NameServer, listen: tuple[str, int]) -> int:
    """Answer on UDP and TCP in background threads. Returns the port, which is a free one if `listen` has port 0."""
    udp, tcp, bound = _bind(server, listen)
    for listener in (udp, tcp):
        listener.server.daemon_threads = True
        listener.start_thread()
    return bound


def _bind(server: NameServer, listen: tuple[str, int]) -> tuple[DNSServer, DNSServer, int]:
    """Both listeners and their port. A port that is free for UDP may be taken for TCP: then another free one is tried."""
    host, port = listen
    for _ in range(_FREE_PORTS_TO_TRY if port == 0 else 1):
        udp = DNSServer(server, address=host, port=port, logger=DNSLogger(logf=lambda _: None))
        bound: int = udp.server.server_address[1]
        try:
            return udp, DNSServer(server, address=host, port=bound, tcp=True, logger=DNSLogger(logf=lambda _: None)), bound
        except OSError as error:
            udp.server.server_close()
            refused = error
    raise refused


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab.cloud.nameserver", description="The lab's name server in place of Route 53's.")
    parser.add_argument("--listen", required=True, type=address, help="HOST:PORT; port 0 takes a free port")
    parser.add_argument("--endpoint", required=True, help="URL of the lab's AWS endpoint")
    parser.add_argument("--host", action="append", default=[], type=host_entry, help="NAME=ADDRESS that is in no zone")
    parser.add_argument("--state", required=True, type=Path, help="file for the status of health checks and names, in JSON")
    parser.add_argument("--changes", required=True, type=Path, help="file that gets one line of JSON for each change")
    parser.add_argument("--address", type=Path, help="file for the server's address, written once it listens")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = NameServer(options.endpoint, dict(options.host), state=options.state, changes=options.changes)
    port = serve(server, options.listen)
    if options.address:
        write_state(options.address, {"host": options.listen[0], "port": port})
    refreshed = 0.0
    while True:
        now = time.time()
        if now - refreshed >= REFRESH:
            try:
                server.refresh(now)
            except OSError as error:
                print(f"{timestamp()} the endpoint {options.endpoint} does not answer: {error}", flush=True)
            refreshed = now
        server.tick(now)
        time.sleep(_TICK)


if __name__ == "__main__":
    sys.exit(main())
