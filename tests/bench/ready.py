"""How soon a region is ready: by the program, and by the guide's commands. Each has a lab of its own, of the same size.

The clock starts when the primary is dead and the first command is typed. Beside it: the preview's seconds, what only the world
takes, the program's own seconds by phase, and how long users take to be sent to the region once the flag says so.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from lab import project, users
from lab.cloud.access_log import Request
from lab.console import say, step
from lab.demo import ROWS, SWITCH
from lab.samples import read_log, served_since
from lab.waiting import until
from settings.names import FLAG_KEY
from tests.bench import flip, guide, load, rows, world
from tests.bench.load import SIZES, LoadedLab
from tests.bench.probe import Probe
from tests.bench.record import Record
from tests.lab.conftest import deployed

PART = "ready"
WAYS = ("guide", "program")
PATIENCE = 1800
"""Seconds that a region may take to be ready."""

CHECK_INTERVAL, CHECK_THRESHOLD = 10, 3
"""Of the health check that reads the flag (components/traffic/records.py)."""

_FLAG_BUCKET = project.names("secondary").flag_bucket


def measure(name: str, repetitions: int, record: Record) -> None:
    """Measure a size, and add its row after each repetition: one lab for the guide's commands and one for the program."""
    size = SIZES[name]
    row = rows.new(PART, name, repetitions, {})
    for number in range(1, repetitions + 1):
        found: dict[str, float] = {}
        for way in WAYS:
            say(f"\nReady, {name}: the {way}, repetition {number} of {repetitions}")
            lab = LoadedLab(size)
            with deployed(lab):
                row = replace(row, engine=lab.engine.describe())
                found |= {f"{way} {figure}": value for figure, value in Measured(lab=lab).run(way).items()}
            lab.forget()  # after a failure it stays, with its logs
        row = row.having(found, objects=size.objects, namespaces=size.namespaces, segments=size.segments)
        record.add(row)


@dataclass(kw_only=True)
class Measured:
    """One failover of one lab, and what was seen of it, in seconds since the clock started."""

    lab: LoadedLab
    found: dict[str, float] = field(default_factory=dict)

    def run(self, way: str) -> dict[str, float]:
        lab, log = self.lab, self.lab.paths.logs / "client.jsonl"
        lab.wait_backed_up()
        stop = users.start(lab, log)
        try:
            self._settle(log)
            if way == "program":
                with step("the preview of the failover"):
                    self.found["preview"] = flip.preview(lab)
            if lab.size.segments:
                load.hold_back(lab, lab.size.segments)
            person = guide.sit_down(lab) if way == "guide" else None
            with step("the primary is killed"):
                lab.kill("primary")
            if lab.size.segments:
                load.let_go(lab)
            began = time.time()
            with Probe(lab=lab, wanted=lab.size.wanted) as probe:
                if person:
                    try:
                        self._type(lambda: person.runs(guide.COMMANDS))
                    finally:
                        shutil.rmtree(person.directory, ignore_errors=True)
                    flipped = None
                else:
                    flipped = self._type(lambda: flip.fail_over(lab))
                with step("the region is ready"):
                    ready = probe.wait(PATIENCE)
                seen = {name: watch.since for name, watch in probe.watches.items()}
            self.found["ready"] = ready - began
            self.found |= {name: since - began for name, since in seen.items() if since is not None}
            self._switch(log, began)
        finally:
            stop()
        self._world(began, began + self.found["database"], flipped)
        say(f"    ready after {self.found['ready']:.1f} s; the world alone takes {self.found['floor']:.1f} s")
        return self.found

    def _settle(self, log: Any) -> None:
        """The client is served by the primary, and the standby has rows that it wrote."""
        lab = self.lab

        def served() -> bool:
            last = read_log(log)[-15:]
            return len(last) == 15 and all(sample.ok and sample.region == "primary" for sample in last)

        with step("the client is served by the primary, and rows of it have reached the standby"):
            until("the client to be served by the primary", served, timeout=180)
            until("a hundred rows to be written", lambda: int(lab.query(ROWS, "primary")) > 100, timeout=180)
            lab.query(SWITCH, "primary")
            until("a row to reach the standby", lambda: lab.query(ROWS) not in ("", "0"), timeout=240)

    def _type(self, commands: Callable[[], Any]) -> Any:
        with step("the commands"):
            started = time.time()
            given = commands()
            self.found["commands"] = time.time() - started
        return given

    def _switch(self, log: Any, began: float) -> None:
        """From the flag to a client that is served, and what of it was waited for by Route 53's rules."""
        since = datetime.fromtimestamp(began, UTC)

        def lasting() -> datetime | None:
            samples = read_log(log)
            last = samples[-25:]
            lasts = len(last) == 25 and all(sample.ok and sample.region == "secondary" for sample in last)
            return served_since(samples, "secondary", since) if lasts else None

        with step("the client is served by the secondary"):
            served = until("the client to be served by the secondary", lasting, timeout=300)
        assert served is not None
        flag = flag_put(self.lab.cloud.access_log(), since)
        self.found |= {"flag": flag - began, "served": served.timestamp() - began, "switch": served.timestamp() - flag}
        if moved := name_moved(self.lab.cloud.route53_changes(), flag):
            rest = max(0.0, served.timestamp() - moved)
            self.found |= {"name moved": moved - began, "switch floor": CHECK_INTERVAL * CHECK_THRESHOLD + rest}

    def _world(self, began: float, writable: float, flipped: flip.Flip | None) -> None:
        floor = world.floor(self.lab, began, writable, {namespace for namespace, _ in self.lab.size.wanted})
        self.found |= {
            "floor": floor.seconds,
            "restore": floor.restore,
            "promotion": floor.promotion,
            "pods": floor.pods,
        }
        if flipped:
            phases = flipped.overhead(floor.seconds)
            self.found |= {"up": flipped.ran.seconds, "overhead": flipped.ran.seconds - floor.seconds}
            self.found |= {f"overhead: {phase}": seconds for phase, seconds in phases.items()}


class NoFlagError(Exception):
    """Nobody has written the traffic flag."""


def flag_put(requests: Sequence[Request], since: datetime) -> float:
    """When the flag was written after `since`, by the access log of the lab's AWS, in seconds since the epoch."""
    for request in requests:
        at = datetime.fromisoformat(request.time)
        put = request.method == "PUT" and request.bucket == _FLAG_BUCKET and FLAG_KEY in request.path
        if put and at >= since:
            return at.timestamp()
    raise NoFlagError(f"no PUT of {FLAG_KEY} into {_FLAG_BUCKET} since {since.isoformat()}")


def name_moved(changes: Sequence[Mapping[str, Any]], since: float) -> float | None:
    """When the users' name first led to the secondary after `since`. None if it did already, as where both regions serve."""
    for change in changes:
        at = datetime.fromisoformat(change["time"]).timestamp()
        if change["kind"] != "health-check" and project.load_balancer("secondary") in str(change["to"]) and at >= since:
            return at
    return None
