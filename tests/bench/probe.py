"""Whether a region is ready, seen from outside and in one way for whoever makes it so.

Ready is: the database accepts a write and its archive takes it, every Deployment that is wanted is available, and the
application's check is answered. The moment is the last one from which each of these has held.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from lab.regions import namespaces, network
from lab.regions.spec import named
from lab.waiting import until
from lab.world import Lab

DATABASE, DEPLOYMENTS, CHECK = "database", "deployments", "check"
LOOK = 0.5
"""Seconds between two looks. A look is a start of kubectl, which the machine notices."""

_ASK = """
import sys, time, urllib.request
while True:
    try:
        ok = urllib.request.urlopen(sys.argv[1], timeout=2).status == 200
    except Exception:
        ok = False
    print(f"{time.time()} {int(ok)}", flush=True)
    time.sleep(0.2)
"""


@dataclass(kw_only=True)
class Watch:
    """One condition: since when it has held, in seconds since the epoch. None while it does not hold."""

    since: float | None = None

    def saw(self, holds: bool, at: float) -> None:
        if not holds:
            self.since = None
        elif self.since is None:
            self.since = at


def ready_since(watches: Mapping[str, Watch]) -> float | None:
    """Since when every condition has held; None while one does not."""
    moments = [watch.since for watch in watches.values()]
    return max(moments) if all(moment is not None for moment in moments) else None  # type: ignore[type-var, return-value]


@dataclass(kw_only=True)
class Archived:
    """Asks a database step by step for a write that its archive takes. What it did once is not asked again."""

    query: Callable[[str], str]
    _segment: str | None = None
    _taken: bool = False

    def holds(self) -> bool:
        if self._taken:
            return True
        if self._segment is None:
            if self.query("select not pg_is_in_recovery() and current_setting('archive_mode') = 'on'") != "t":
                return False
            self.query("create table if not exists ready (at timestamptz default now())")
            segment = self.query("insert into ready default values returning pg_walfile_name(pg_current_wal_insert_lsn())")
            self.query("select pg_switch_wal()")
            self._segment = segment
        taken = f"select last_archived_wal collate \"C\" >= '{self._segment}' from pg_stat_archiver"
        self._taken = self.query(taken) == "t"
        return self._taken


def available(listed: str, wanted: Mapping[tuple[str, str], int]) -> bool:
    """Whether each wanted Deployment has at least as many available Pods, by `kubectl get deployments -A -o json`."""
    found = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item.get("status", {}).get("availableReplicas", 0)
        for item in json.loads(listed)["items"]
    }
    return all(found.get(name, 0) >= replicas for name, replicas in wanted.items())


@dataclass(kw_only=True)
class Probe:
    """Watches a region's conditions until the block ends."""

    lab: Lab
    wanted: Mapping[tuple[str, str], int]
    region: str = "secondary"
    path: str = "/readyz"
    watches: dict[str, Watch] = field(default_factory=lambda: {name: Watch() for name in (DATABASE, DEPLOYMENTS, CHECK)})
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _asker: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        url = f"http://{named(self.region).address}{self.path}"
        command = [*network.inside(namespaces.WAN), sys.executable, "-c", _ASK, url]
        self._asker = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        database = Archived(query=lambda sql: self.lab.query(sql, self.region))
        self._threads = [
            threading.Thread(target=self._hear, daemon=True),
            threading.Thread(target=self._look, args=(DEPLOYMENTS, self._available), daemon=True),
            threading.Thread(target=self._look, args=(DATABASE, database.holds), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._asker:
            self._asker.kill()
            self._asker.wait()
        for thread in self._threads:
            thread.join(timeout=60)

    def wait(self, timeout: float) -> float:
        """Wait until the region is ready, and return since when. Raises TimedOutError, which names what does not hold."""

        def ready() -> float:
            since = ready_since(self.watches)
            if since is None:
                missing = [name for name, watch in self.watches.items() if watch.since is None]
                raise NotReadyError(f"not ready: {', '.join(missing)}")
            return since

        return until("the region to be ready", ready, timeout=timeout)

    def _available(self) -> bool:
        return available(self.lab.kubectl(self.region, "get", "deployments", "-A", "-o", "json"), self.wanted)

    def _look(self, name: str, holds: Callable[[], bool]) -> None:
        while not self._ended.is_set():
            try:
                self.watches[name].saw(holds(), time.time())
            except Exception:  # noqa: BLE001 - whatever it is, the condition was not seen to hold
                self.watches[name].saw(holds=False, at=time.time())
            self._ended.wait(LOOK)

    def _hear(self) -> None:
        assert self._asker is not None
        assert self._asker.stdout is not None
        for line in self._asker.stdout:
            at, _, ok = line.partition(" ")
            self.watches[CHECK].saw(ok.strip() == "1", float(at))


class NotReadyError(Exception):
    """What does not hold yet."""
