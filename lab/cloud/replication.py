"""Rules of S3 replication configurations, and the journal of events in the buckets. Nothing here calls S3."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import xmltodict  # type: ignore[import-untyped]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One replication rule of a bucket: which objects S3 copies, and where."""

    id: str
    destination: str
    """Name of the destination bucket."""

    enabled: bool
    prefix: str = ""
    priority: int = 0
    delete_markers: bool = False
    kms_encrypted: bool = False
    """Whether the rule also replicates objects that KMS encrypts. If not, S3 skips them without an error."""

    replica_kms_key: str | None = None
    storage_class: str | None = None


def parse(body: bytes) -> list[Rule]:
    """The rules in the body of a PutBucketReplication request. Raises ValueError if the body is not valid."""
    try:
        described = xmltodict.parse(body, force_list=("Rule",))["ReplicationConfiguration"]["Rule"]
        return [_rule(fields, number) for number, fields in enumerate(described)]
    except Exception as error:  # noqa: BLE001 - a request body can be invalid in any way
        raise ValueError(f"not a replication configuration: {error}") from None


def _rule(fields: dict[str, Any], number: int) -> Rule:
    where = fields.get("Filter") or {}
    if "Tag" in where or "Tag" in (where.get("And") or {}):
        raise ValueError("the lab's replicator filters by prefix, not by tag")
    prefix = (where.get("And") or {}).get("Prefix") or where.get("Prefix") or fields.get("Prefix") or ""
    destination = fields["Destination"]
    return Rule(
        id=fields.get("ID") or f"rule-{number}",
        destination=destination["Bucket"].rpartition(":")[2],
        enabled=fields["Status"] == "Enabled",
        prefix=prefix,
        priority=int(fields.get("Priority") or 0),
        # A rule without Filter belongs to version 1 of configurations, which always replicates delete markers.
        delete_markers=_is_enabled(fields.get("DeleteMarkerReplication")) or "Filter" not in fields,
        kms_encrypted=_is_enabled((fields.get("SourceSelectionCriteria") or {}).get("SseKmsEncryptedObjects")),
        replica_kms_key=(destination.get("EncryptionConfiguration") or {}).get("ReplicaKmsKeyID"),
        storage_class=destination.get("StorageClass"),
    )


def _is_enabled(fields: dict[str, Any] | None) -> bool:
    return (fields or {}).get("Status") == "Enabled"


def rules_for(rules: Iterable[Rule], key: str) -> list[Rule]:
    """The rules that apply to `key`: for each destination, the rule with the highest priority."""
    fitting = [rule for rule in rules if rule.enabled and key.startswith(rule.prefix)]
    by_destination = {rule.destination: rule for rule in sorted(fitting, key=lambda rule: rule.priority)}
    return list(by_destination.values())


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event in a bucket. `sequence` numbers give the order of events; `time` is in seconds since the epoch."""

    sequence: int
    time: float
    kind: Literal["rules", "written", "deleted"]
    bucket: str
    key: str = ""
    version: str = ""
    kms_encrypted: bool = False
    rules: tuple[Rule, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Event:
        return cls(**fields | {"rules": tuple(Rule(**rule) for rule in fields["rules"])})


class Journal:
    """The events for the replicator, in order. The order matters: the rules at the time of a write decide about its replication.

    The journal has no writes of replicas, so that replication cannot loop, and no events of buckets without versioning.
    """

    def __init__(self) -> None:
        self.instance = uuid.uuid4().hex
        """Identifies this journal: a restarted endpoint has a new one."""

        self._events: list[Event] = []
        self._lock = threading.Lock()

    @property
    def length(self) -> int:
        return len(self._events)

    def add(self, kind: Literal["rules", "written", "deleted"], bucket: str, **fields: Any) -> None:
        with self._lock:
            self._events.append(Event(sequence=len(self._events) + 1, time=time.time(), kind=kind, bucket=bucket, **fields))

    def after(self, sequence: int) -> Sequence[Event]:
        return self._events[sequence:]
