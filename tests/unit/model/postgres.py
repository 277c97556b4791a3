"""A database as CloudNativePG runs it: what it has, and what the operator makes of the Cluster that the program writes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from components.database.side_role import server_of
from components.database.specs import HEALTHY, LOST
from components.kube.runner.fencing import FENCED, HIBERNATION, fences_all, follows
from settings.handover import Demotion, Token

Record = tuple[int, int]
"""One record of the WAL: its timeline, and a number that no other has. A record fills a segment."""

Log = tuple[Record, ...]

_numbers = itertools.count(1)
"""Of records and of databases' system identifiers."""


def new_record(timeline: int) -> Record:
    return timeline, next(_numbers)


def segment(timeline: int, position: int) -> str:
    return f"{timeline:08X}{position // 256:08X}{position % 256:08X}"


def newest_segment(log: Log) -> str | None:
    return segment(log[-1][0], len(log)) if log else None


@dataclass(frozen=True, kw_only=True)
class Archived:
    """What an archive has: one database's WAL from its beginning, with a base backup."""

    system: str
    log: Log


Bucket = MutableMapping[str, Archived]
"""Archives by server name, as one region's bucket has them."""


@dataclass(kw_only=True)
class Postgres:
    """One database's data, and whether it runs and takes writes."""

    system: str
    log: Log
    writable: bool
    runs: bool = True
    done: str | None = None
    """The promotion token that it was promoted by last."""

    promoted_without_token: bool = False

    @property
    def timeline(self) -> int:
        return self.log[-1][0] if self.log else 1

    @property
    def takes_writes(self) -> bool:
        return self.runs and self.writable

    def write(self) -> Record:
        made = new_record(self.timeline)
        self.log += (made,)
        return made


def begin(live: Mapping[str, Any], bucket: Bucket) -> Postgres:
    """The data of a Cluster that is made: empty, or from the other side's archive in this region's bucket."""
    if "initdb" in live["spec"]["bootstrap"]:
        return Postgres(system=str(7_000_000 + next(_numbers)), log=(new_record(1),), writable=True)
    source = bucket[source_of(live)]
    return Postgres(system=source.system, log=source.log, writable=False)


def source_of(live: Mapping[str, Any]) -> str:
    """The server name of the archive that a Cluster reads."""
    named = live["spec"]["replica"]["source"]
    [found] = [each for each in live["spec"]["externalClusters"] if each["name"] == named]
    return str(found["plugin"]["parameters"]["serverName"])


def reconcile(live: dict[str, Any], data: Postgres, bucket: Bucket) -> None:
    """What the operator and the instances do about a Cluster, until nothing changes any more. `bucket` is this region's."""
    annotations = live["metadata"].get("annotations") or {}
    status = live.setdefault("status", {})
    status |= {"systemID": data.system, "timelineID": data.timeline, "phase": HEALTHY, "conditions": []}
    # Hibernation waits until the Cluster is healthy, and a fenced one is not.
    fenced, hibernates = fences_all(annotations.get(FENCED)), annotations.get(HIBERNATION) == "on"
    if fenced or hibernates:
        data.runs, status["readyInstances"] = False, 0
        if not fenced:
            status["conditions"] = [{"type": HIBERNATION, "status": "True"}]
        return
    data.runs, status["readyInstances"] = True, 3
    if data.writable and follows(live):
        data.write()  # its last checkpoint
        data.writable, data.done = False, None
        end = segment(data.timeline, len(data.log))
        status["demotionToken"] = Demotion(segment=end, timeline=data.timeline, system=data.system).token
    elif not data.writable and follows(live):
        status["phase"] = _replay(data, bucket.get(source_of(live)))
    elif not data.writable:
        status["phase"] = _promote(live, data, bucket.get(source_of(live)))
    if server := server_of(live):
        bucket[server] = Archived(system=data.system, log=data.log)


def _replay(data: Postgres, source: Archived | None) -> str:
    """Follow as far as the archive goes. What has left its timeline never does."""
    if source is None or data.log[: len(source.log)] == source.log:
        return HEALTHY
    if source.system != data.system or source.log[: len(data.log)] != data.log:
        return "Waiting for the instances to become active"
    data.log = source.log
    return HEALTHY


def _promote(live: dict[str, Any], data: Postgres, source: Archived | None) -> str:
    token = live["spec"]["replica"].get("promotionToken")
    if token and token != data.done:
        demotion = Token(given_by="primary", databases={"this": token}, backups={}).demotion("this")
        _replay(data, source)
        end = segment(data.timeline, len(data.log))
        if demotion.system != data.system or end > demotion.segment:
            return LOST[0]
        if end < demotion.segment:
            return "Promoting to primary cluster"
    elif not token:
        _replay(data, source)
    data.promoted_without_token = not token
    data.writable, data.done = True, token
    data.log += (new_record(data.timeline + 1),)
    live["status"].pop("demotionToken", None)
    return HEALTHY
