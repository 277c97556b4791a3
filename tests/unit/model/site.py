"""One region of the model: its cluster, its bucket, and its guard."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from components.kube.cluster_api import ClusterUnreachableError
from components.kube.records import FRESHNESS_RECORD, GUARD_RECORD, SERVING_RECORD
from components.kube.runner.failure import StepFailedError
from components.kube.runner.flag import parse
from components.kube.runner.guard import Fetched, guard
from components.kube.runner.mark import Mark
from components.kube.runner.stop import cluster_path
from settings.roles import Role
from tests.unit.components.kube.runner.fake_api import FakeApi
from tests.unit.fakes import FakeArchive, FakeCluster
from tests.unit.model.postgres import Bucket, Postgres, begin, newest_segment, reconcile

DATABASE, NAMESPACE = "app-database", "databases"
_RECORDS = "/api/v1/namespaces/k8s-dr/configmaps"
_ids = itertools.count(1)


@dataclass(kw_only=True)
class FlagObject:
    """The traffic flag in S3, as the secondary region's bucket has it."""

    content: str
    written: datetime


@dataclass(kw_only=True)
class SiteCluster(FakeCluster):
    def delete(self, path: str, uid: str) -> None:
        super().delete(path, uid)
        if path == cluster_path(NAMESPACE, DATABASE):
            assert self.databases.pop(DATABASE)["metadata"]["uid"] == uid


@dataclass(kw_only=True)
class SiteArchive(FakeArchive):
    """The archive of a region as its bucket has it. The marks in it are as old as the regions that write them are dead."""

    bucket: Bucket
    silent: set[str] = field(default_factory=set)
    """Words in the names of servers whose region is dead."""

    def newest_segment(self, server: str) -> str | None:
        return newest_segment(self.bucket[server].log) if server in self.bucket else None

    def mark(self, server: str) -> Mark | None:
        if server not in self.bucket:
            return None
        written = datetime.now(UTC) - (timedelta(hours=1) if any(each in server for each in self.silent) else timedelta(0))
        return Mark(written=written, segment=self.newest_segment(server), archived=written, bases={})

    def missing_for_a_standby(self, server: str) -> str | None:
        return None if server in self.bucket else f"there is no base backup of {server}"

    def used(self, server: str) -> bool:
        return server in self.bucket


@dataclass(kw_only=True)
class Site:
    role: Role
    alive: bool = True
    looked: bool = True
    """Whether the guard has looked since the region came back, and since the flag was written."""

    database: bool = True
    """Whether users' rows are in a database. Else they are in files, and whatever runs at full size writes them."""

    files: set[int] = field(default_factory=set)
    scaled: bool = False
    """Whether the workloads run at full size."""

    copied: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    """The files that S3 has copied of this region's backups, and those of the last backup of a switchover."""

    cluster: SiteCluster = field(default_factory=SiteCluster)
    bucket: Bucket = field(default_factory=dict)
    data: Postgres | None = None

    def __post_init__(self) -> None:
        self.cluster.records[GUARD_RECORD] = {}

    @property
    def live(self) -> dict[str, Any] | None:
        return self.cluster.databases.get(DATABASE)

    @property
    def takes_writes(self) -> bool:
        if not self.database:
            return self.alive and self.scaled
        return self.alive and self.live is not None and self.data is not None and self.data.takes_writes

    @property
    def serving(self) -> bool:
        return SERVING_RECORD in self.cluster.records

    def archive(self, *, peer: Role, peer_alive: bool) -> SiteArchive:
        now = datetime.now(UTC)
        answered = now if peer_alive else now - timedelta(hours=1)
        self.cluster.records[FRESHNESS_RECORD] = {"asked": now.isoformat(), "answered": answered.isoformat()}
        return SiteArchive(bucket=self.bucket, silent=set() if peer_alive else {f"-{peer}-"})

    def die(self) -> None:
        self.alive = False
        self.cluster.error = ClusterUnreachableError(f"cluster of the {self.role} does not answer")

    def heal(self) -> None:
        self.alive, self.looked, self.cluster.error = True, False, None

    def make(self, body: dict[str, Any]) -> None:
        """Create the Cluster."""
        body["metadata"] |= {"uid": f"uid-{next(_ids)}", "resourceVersion": "1", "generation": 1}
        self.cluster.databases[DATABASE] = body
        self.data = begin(body, self.bucket)

    def operate(self) -> None:
        """The operator's work, if the region lives."""
        if self.alive and self.live is not None and self.data is not None:
            reconcile(self.live, self.data, self.bucket)

    def guard(self, flag: FlagObject | None, now: datetime) -> str:
        """One run of the guard. `flag` is None where S3 does not answer."""
        api, records = FakeApi(), self.cluster.records
        for name in (SERVING_RECORD, GUARD_RECORD):
            if name in records:
                api.add("configmap", name)["data"] = records[name]
        if self.live is not None:
            api.objects[cluster_path(NAMESPACE, DATABASE)] = self.live

        def fetch() -> Fetched:
            if flag is None:
                raise StepFailedError("S3 does not answer")
            return Fetched(flag=parse(flag.content), written=flag.written)

        task = {
            "role": self.role,
            "databases": [{"namespace": NAMESPACE, "name": DATABASE}] if self.database else [],
            "schedules": [],
            "workloads": [],
            "advice": "",
            "anew": "",
            "rights": [],
            "once": False,
            "seconds": 0,
        }
        try:
            told = guard(api, task, fetch, clock=lambda: 0.0, now=lambda: now)  # type: ignore[arg-type]
        except StepFailedError as failure:
            told = f"FAILED {failure}"
        if "this one was still active" in told:
            self.scaled = False
        self.looked = self.looked or flag is not None
        records[GUARD_RECORD] = api.objects[f"{_RECORDS}/{GUARD_RECORD}"]["data"]
        self.operate()
        return told
