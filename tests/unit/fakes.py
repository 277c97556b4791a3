"""What a program asks of the world outside of its registrations, as a test wants it answered: its cluster, and its archive."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(kw_only=True)
class FakeCluster:
    """The region's own cluster as a test wants it: Velero's objects by plural, ConfigMaps by name, or an error."""

    velero: dict[str, list[dict[str, Any]] | None] = field(default_factory=dict)
    records: dict[str, dict[str, str]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=lambda: {"postgresql.cnpg.io", "barmancloud.cnpg.io"})
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)
    reached: set[str] | None = field(default_factory=set)
    """Which URLs answer; None where no Pod can be had to ask them."""

    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.error:
            raise self.error

    def list_velero(self, plural: str, selector: str = "") -> list[dict[str, Any]] | None:
        self._ask(f"{plural} {selector}".strip())
        objects = self.velero.get(plural)
        if objects is None or not selector:
            return objects
        key, _, value = selector.partition("=")
        return [each for each in objects if (each["metadata"].get("labels") or {}).get(key) == value]

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

    def reaches(self, url: str) -> bool | None:
        self._ask(f"url {url}")
        return None if self.reached is None else url in self.reached


@dataclass(kw_only=True)
class FakeArchive:
    """The databases' archive of a region as a test wants it, by server name."""

    lacking: str | None = None
    """What a standby could not be made for."""

    written: set[str] = field(default_factory=set)
    lag: dict[tuple[str, str], timedelta] = field(default_factory=dict)
    """WAL of how long a follower has not archived again, by (server, follower); else none."""

    gap: timedelta = timedelta(0)
    """WAL of how long lies beyond a segment that is missing."""

    error: Exception | None = None

    def missing_for_a_standby(self, server: str) -> str | None:
        if self.error:
            raise self.error
        return self.lacking

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
