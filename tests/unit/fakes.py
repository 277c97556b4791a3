"""What a program asks of the world outside of its registrations, as a test wants it answered: its cluster, and its archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from components.drills.records import Record, RecordsUnreadableError
from components.kube.cluster_api import ClusterRefusedError, NotAskedError
from components.kube.runner.ask import Answer, Question
from components.kube.runner.base_backup import BaseBackup
from components.kube.runner.mark import Mark
from components.kube.runner.restored import Results
from components.velero.files import Volume
from components.velero.inventory import Inventory


@dataclass(kw_only=True)
class FakeCluster:
    """The region's own cluster as a test wants it: Velero's objects by plural, ConfigMaps by name, or an error."""

    velero: dict[str, list[dict[str, Any]] | None] = field(default_factory=dict)
    records: dict[str, dict[str, str]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=lambda: {"postgresql.cnpg.io", "barmancloud.cnpg.io"})
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)
    base_backups: list[dict[str, Any]] = field(default_factory=list)
    """The CloudNativePG Backups that a first schedule has made."""

    reached: dict[str, int] | None = field(default_factory=dict)
    """Which URLs answer, each with an HTTP status; None where no Pod can be had to ask them. Servers of the region itself answer
    200 where nothing else is said."""

    pending: int = 0
    """How many Pods that ask find no node in time, before the next one does."""

    unreached: set[str] = field(default_factory=set)
    """Which URLs of the region itself do not answer."""

    refused: str | None = None
    """Why a dry run of a promotion is refused, or of a Cluster that is made."""

    refused_kinds: dict[str, str] = field(default_factory=dict)
    """Why a dry run of an object of this kind is refused."""

    identity: str = "11111111-1111-4111-8111-111111111111"
    """UID of its namespace kube-system."""
    claims: list[tuple[str, str]] = field(default_factory=list)
    """Claims that a restore brought, by namespace and name."""

    answer: dict[str, Any] = field(default_factory=dict)
    """What Velero adds at once to an object that is made, as its status."""

    paths: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the API server answers, by path."""

    ahead: timedelta | None = timedelta(0)
    """How far its clock is ahead of this machine's; None where it does not say."""

    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.error:
            raise self.error

    def uid(self) -> str:
        """Not among `asked`: every run asks this, before anything else."""
        if self.error:
            raise self.error
        return self.identity

    def clock(self) -> datetime | None:
        """Not among `asked`: every gate asks this, before anything else."""
        if self.error:
            raise self.error
        return None if self.ahead is None else datetime.now(UTC) + self.ahead

    def read(self, path: str) -> dict[str, Any] | None:
        self._ask(f"path {path}")
        return self.paths.get(path.partition("?")[0])

    def has(self, path: str) -> bool:
        self._ask(f"whether {path}")
        return path in self.paths

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        self._ask(f"patch {path}")
        if path not in self.paths:
            return None
        self.paths[path] = _merged(self.paths[path], body)
        return self.paths[path]

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        made = f"{path}/{body['metadata']['name']}"
        self._ask(f"create {made}")
        if made in self.paths:
            raise ClusterRefusedError(f"cluster fake refused: 409 {made} already exists")
        self.paths[made] = body
        return body

    def delete(self, path: str, uid: str) -> None:
        self._ask(f"delete {path}")
        if path in self.paths and self.paths[path]["metadata"].get("uid", uid) != uid:
            raise ClusterRefusedError("cluster fake refused: 409 Precondition failed: UID")
        self.paths.pop(path, None)

    def list_velero(self, plural: str, selector: str = "", *, version: str = "v1") -> list[dict[str, Any]] | None:
        self._ask(f"{plural} {selector}".strip())
        assert version == ("v2alpha1" if plural == "datadownloads" else "v1"), "the real API server knows no other"
        objects = self.velero.get(plural)
        if objects is None or not selector:
            return objects
        key, _, value = selector.partition("=")
        return [each for each in objects if (each["metadata"].get("labels") or {}).get(key) == value]

    def create_velero(self, plural: str, body: dict[str, Any]) -> dict[str, Any] | None:
        self._ask(f"create {plural}")
        if self.velero.get(plural) is None:
            return None
        made = {**body, "metadata": {"name": f"{plural}-{len(self.velero[plural] or ())}", **body["metadata"]}, **self.answer}
        self.velero[plural] = [*(self.velero[plural] or ()), made]
        return made

    def restored_claims(self, label: str = "") -> list[tuple[str, str]]:
        self._ask("claims")
        return self.claims

    def delete_pods(self, selector: str) -> int:
        self._ask(f"delete pods {selector}")
        return 1

    def read_record(self, name: str) -> dict[str, str] | None:
        self._ask(f"record {name}")
        return self.records.get(name)

    def write_record(self, name: str, data: dict[str, str]) -> None:
        self._ask(f"write {name}")
        self.records[name] = {**self.records.get(name, {}), **data}

    def serves(self, group: str) -> bool:
        self._ask(f"group {group}")
        return group in self.groups

    def read_database(self, namespace: str, name: str) -> dict[str, Any] | None:
        self._ask(f"database {namespace}/{name}")
        return self.databases.get(name)

    def list_base_backups(self, namespace: str, schedule: str) -> list[dict[str, Any]]:
        self._ask(f"base backups {namespace}/{schedule}")
        return self.base_backups

    def refuses_promotion(self, namespace: str, name: str, member: str) -> str | None:
        self._ask(f"promotion of {namespace}/{name} to {member}")
        return self.refused

    def refuses_database(self, body: dict[str, Any]) -> str | None:
        self._ask(f"creation of {body['metadata']['namespace']}/{body['metadata']['name']}")
        return self.refused

    def refuses(self, path: str, body: dict[str, Any]) -> str | None:
        self._ask(f"dry run {path}")
        return self.refused_kinds.get(body["kind"])

    def ask(self, name: str, questions: Sequence[Question]) -> list[Answer]:
        self._ask(f"{name} {' '.join(question.url for question in questions)}")
        if self.pending:
            self.pending -= 1
            raise NotAskedError(f"Pod {name}-x is Pending after 20 s", passing=True)
        if self.reached is None:
            raise NotAskedError("namespace k8s-dr of cluster prod-usw2 is gone")
        return [self._answer(question.url) for question in questions]

    def proxied(self, path: str) -> Answer:
        self._ask(f"through the API server {path}")
        return self._answer(f"{path}#.svc")

    def _answer(self, url: str) -> Answer:
        own = url not in self.unreached and any(part in url for part in (".elb.amazonaws.com", ".svc"))
        status = (self.reached or {}).get(url, 200 if own else None)
        return Answer(status=status, said=f"HTTP {status}" if status else "nothing within 3 s")


def _merged(old: Any, patch: Any) -> Any:
    """`old` with a merge patch (RFC 7386) in it."""
    if not isinstance(patch, dict):
        return patch
    kept = old if isinstance(old, dict) else {}
    changed = {key: _merged(kept.get(key), value) for key, value in patch.items() if value is not None}
    return {key: value for key, value in {**kept, **changed}.items() if key not in patch or patch[key] is not None}


def mark(age: timedelta) -> Mark:
    """A primary's mark of this age."""
    now = datetime.now(UTC)
    return Mark(written=now - age, segment="000000010000000000000009", archived=now - age, bases={})


@dataclass(kw_only=True)
class FakeRecords:
    """The last record of each drill as a test wants it, or why it cannot be read."""

    found: dict[str, Record | str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def last(self, kind: str) -> Record | None:
        self.asked.append(kind)
        found = self.found.get(kind)
        if isinstance(found, str):
            raise RecordsUnreadableError(found)
        return found


@dataclass(kw_only=True)
class FakeFiles:
    """The files beside a region's backups as a test wants them, by backup."""

    said: dict[str, Results] = field(default_factory=dict)
    without: dict[str, list[Volume]] = field(default_factory=dict)
    held: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What Velero wrote of the backups that have come as a whole, without data of volumes."""

    needs: Inventory | None = field(default_factory=lambda: Inventory(written=datetime.now(UTC), namespaces={}))
    """What the region whose backups these are last wrote down; what this region writes takes its place."""

    error: Exception | None = None

    def _get(self, found: Any) -> Any:
        if self.error:
            raise self.error
        return found

    def results(self, backup: str) -> Results:
        return cast(Results, self._get(self.said.get(backup, Results())))

    def skipped(self, backup: str) -> list[Volume]:
        return cast(list[Volume], self._get(self.without.get(backup, [])))

    def holds(self, backup: str) -> dict[str, list[str]]:
        return cast(dict[str, list[str]], self._get(self.held.get(backup, {})))

    def arrived(self, backup: str) -> dict[str, Any] | None:
        return cast("dict[str, Any] | None", self._get(self.records.get(backup)))

    def inventory(self) -> Inventory | None:
        return cast("Inventory | None", self._get(self.needs))

    def keep_inventory(self, inventory: Inventory) -> None:
        self.needs = self._get(inventory)


@dataclass(kw_only=True)
class FakeArchive:
    """The databases' archive of a region as a test wants it, by server name."""

    lacking: str | None = None
    """What a standby could not be made for."""

    lacking_by_mark: str | None = None
    """What the newest base backup lacks, if the mark is right."""

    written: set[str] = field(default_factory=set)
    lag: dict[tuple[str, str], timedelta] = field(default_factory=dict)
    """WAL of how long a follower has not archived again, by (server, follower); else none."""

    gap: timedelta = timedelta(0)
    """WAL of how long lies beyond a segment that is missing."""

    marked: Mark | None = field(default_factory=lambda: mark(timedelta(minutes=1)))
    """What the primary last said of its archive."""

    marks: dict[str, Mark | None] = field(default_factory=dict)
    """What was last said of one server's archive, where that differs."""

    not_come: timedelta = timedelta(0)
    """WAL of how long before that has not come."""

    base: BaseBackup | None = None
    """The newest base backup that is whole here, with its times."""

    archived: dict[str, datetime] = field(default_factory=dict)
    """When a server archived its newest segment, by its name."""

    segments: dict[str, str] = field(default_factory=dict)
    """The last segment of the newest timeline, by server."""

    error: Exception | None = None

    def newest_segment(self, server: str) -> str | None:
        if self.error:
            raise self.error
        return self.segments.get(server)

    def newest_base(self, server: str) -> BaseBackup | None:
        return self.base

    def mark(self, server: str) -> Mark | None:
        if self.error:
            raise self.error
        return self.marks.get(server, self.marked)

    def missing_wal(self, server: str, mark: Mark, follower: str | None, timeout: timedelta) -> timedelta:
        return self.not_come

    def last_archived(self, server: str) -> datetime | None:
        if self.error:
            raise self.error
        return self.archived.get(server)

    def missing_for_a_standby(self, server: str) -> str | None:
        if self.error:
            raise self.error
        return self.lacking

    def missing_by_mark(self, server: str) -> str | None:
        return self.lacking_by_mark

    def used(self, server: str) -> bool:
        if self.error:
            raise self.error
        return server in self.written

    def backlog(self, server: str, follower: str) -> timedelta:
        if self.error:
            raise self.error
        return self.lag.get((server, follower), timedelta(0))

    def beyond_a_gap(self, server: str) -> timedelta:
        if self.error:
            raise self.error
        return self.gap
