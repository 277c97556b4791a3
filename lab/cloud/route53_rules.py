"""Rules for change batches that Route 53 has and moto lacks. Pure functions on the request and the zone's records.

Route 53 applies the changes of a batch in order, and either all or none of them. It judges the records that remain at the end:
PRIMARY and SECONDARY may therefore swap in one batch, but not in two separate ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lab.cloud.records import Record

Action = Literal["CREATE", "UPSERT", "DELETE"]


@dataclass(frozen=True, kw_only=True)
class Change:
    action: Action
    record: Record


class RefusedError(Exception):
    """Route 53 would refuse the batch. `code` is AWS's error code; the message is the reason."""

    def __init__(self, code: Literal["InvalidChangeBatch", "InvalidInput"], reason: str) -> None:
        super().__init__(reason)
        self.code = code


def apply(current: Iterable[Record], changes: Sequence[Change], *, health_checks: Collection[str]) -> tuple[Record, ...]:
    """The zone's records after the batch. `health_checks` are the ids that exist. Raises RefusedError."""
    records = {record.key: record for record in current}
    for change in changes:
        record = change.record
        if change.action != "DELETE":
            _check_alone(record, health_checks)
        if change.action == "CREATE" and record.key in records:
            raise RefusedError("InvalidChangeBatch", f"Tried to create {_describe(record)} but it already exists")
        if change.action == "DELETE":
            _check_deletable(record, records.get(record.key))
            del records[record.key]
        else:
            records[record.key] = record
    left = tuple(records.values())
    for name, kind in dict.fromkeys((change.record.name, change.record.type) for change in changes):
        _check_group([record for record in left if (record.name, record.type) == (name, kind)])
        _check_cname([record for record in left if record.name == name])
    return left


def _check_alone(record: Record, health_checks: Collection[str]) -> None:
    """Check the rules that concern a single record."""
    if record.routing not in ("simple", "failover", "weighted"):
        raise RefusedError("InvalidInput", f"{_describe(record)}: the lab's name server does not evaluate {record.routing}")
    if record.failover is not None and record.weight is not None:
        raise RefusedError("InvalidInput", f"{_describe(record)} has two routing policies, Failover and Weight; keep one")
    if record.failover not in (None, "PRIMARY", "SECONDARY"):
        raise RefusedError("InvalidInput", f"{_describe(record)}: Failover is {record.failover}, not PRIMARY or SECONDARY")
    if record.routing != "simple" and not record.set_identifier:
        raise RefusedError("InvalidInput", f"Missing field 'SetIdentifier' in Change with {_describe(record)}")
    if record.routing == "simple" and record.set_identifier:
        raise RefusedError("InvalidInput", f"{_describe(record)} has a SetIdentifier and no routing policy")
    if (record.alias is None) == (record.ttl is None or not record.values):
        raise RefusedError(
            "InvalidInput",
            f"Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords]] in Change with {_describe(record)}",
        )
    if record.failover and record.alias and not record.alias.evaluate_target_health:
        raise RefusedError("InvalidInput", f"{_describe(record)}: a failover alias must have EvaluateTargetHealth true")
    if record.health_check_id and record.health_check_id not in health_checks:
        raise RefusedError("InvalidInput", f"No health check found with ID: {record.health_check_id}")


def _check_deletable(record: Record, existing: Record | None) -> None:
    if existing is None:
        raise RefusedError("InvalidChangeBatch", f"Tried to delete {_describe(record)} but it was not found")
    if (record.ttl, sorted(record.values), record.alias) != (existing.ttl, sorted(existing.values), existing.alias):
        raise RefusedError(
            "InvalidChangeBatch",
            f"Tried to delete {_describe(record)} but the values provided do not match the current values",
        )


def _check_group(records: Sequence[Record]) -> None:
    """Check the rules for records of the same name and type."""
    if len(policies := sorted({record.routing for record in records})) > 1:
        raise RefusedError(
            "InvalidChangeBatch",
            f"{_describe(records[-1])} cannot stand beside others of the same name and type: {' and '.join(policies)} do not mix",
        )
    for role in ("PRIMARY", "SECONDARY"):
        holders = [record for record in records if record.failover == role]
        if len(holders) > 1:
            names = ", ".join(str(record.set_identifier) for record in holders)
            raise RefusedError("InvalidChangeBatch", f"{_describe(holders[-1])}: more than one {role} record: {names}")


def _check_cname(records: Sequence[Record]) -> None:
    kinds = {record.type for record in records}
    if "CNAME" in kinds and len(kinds) > 1:
        raise RefusedError("InvalidChangeBatch", f"{_describe(records[-1])} conflicts with other records: a CNAME stands alone")


def _describe(record: Record) -> str:
    identifier = f", set identifier='{record.set_identifier}'" if record.set_identifier else ""
    return f"resource record set [name='{record.name}.', type='{record.type}'{identifier}]"
