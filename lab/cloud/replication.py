"""What an S3 replication configuration says, and the journal of what happened in the buckets that it speaks about; pure."""

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
    """One rule of a bucket: which objects go where."""

    id: str
    destination: str
    """The bucket's name."""

    enabled: bool
    prefix: str = ""
    priority: int = 0
    delete_markers: bool = False
    kms_encrypted: bool = False
    """Objects encrypted by KMS are replicated too; without it S3 leaves them out, and says nothing."""

    replica_kms_key: str | None = None
    storage_class: str | None = None


def parse(body: bytes) -> list[Rule]:
    """The rules of a PutBucketReplication request. Raises ValueError if it is none."""
    try:
        described = xmltodict.parse(body, force_list=("Rule",))["ReplicationConfiguration"]["Rule"]
        return [_rule(fields, number) for number, fields in enumerate(described)]
    except Exception as error:  # noqa: BLE001 - what a stranger wrote can be wrong in any way
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
        # A configuration without Filter is of the first version, which always replicates delete markers.
        delete_markers=_is_enabled(fields.get("DeleteMarkerReplication")) or "Filter" not in fields,
        kms_encrypted=_is_enabled((fields.get("SourceSelectionCriteria") or {}).get("SseKmsEncryptedObjects")),
        replica_kms_key=(destination.get("EncryptionConfiguration") or {}).get("ReplicaKmsKeyID"),
        storage_class=destination.get("StorageClass"),
    )


def _is_enabled(fields: dict[str, Any] | None) -> bool:
    return (fields or {}).get("Status") == "Enabled"


def rules_for(rules: Iterable[Rule], key: str) -> list[Rule]:
    """The rules that apply to `key`: for each destination the one of the highest priority."""
    fitting = [rule for rule in rules if rule.enabled and key.startswith(rule.prefix)]
    by_destination = {rule.destination: rule for rule in sorted(fitting, key=lambda rule: rule.priority)}
    return list(by_destination.values())


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened in a bucket, in the order in which it happened; `time` is in seconds since the epoch."""

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
    """What the replicator has to know, in order: S3 decides by the rules of the moment in which an object is written.

    Replicas are not in it, so nothing can go round in circles; neither is what happened in buckets without versions.
    """

    def __init__(self) -> None:
        self.instance = uuid.uuid4().hex
        """Tells this journal from one of an endpoint that ran before."""

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
