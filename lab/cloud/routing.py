"""Chooses the record that Route 53 answers with, among the records of one name and type. Pure functions."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from lab.cloud.records import Record

Healthy = Callable[[Record], bool]


def eligible(records: Sequence[Record], healthy: Healthy) -> list[Record]:
    """The records that Route 53 may answer with now. Only weighted records can be more than one."""
    if not records:
        return []
    match records[0].routing:
        case "failover":
            return _failover(records, healthy)
        case "weighted":
            return _weighted(records, healthy)
        case _:
            return [records[0]]


def choose(records: Sequence[Record], healthy: Healthy, chance: Callable[[], float] = random.random) -> Record | None:
    """The record to answer with. `chance` returns a number from 0 up to 1, which chooses among weighted records."""
    candidates = eligible(records, healthy)
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    weights = [record.weight or 0 for record in candidates]
    if not any(weights):
        weights = [1] * len(candidates)
    point = chance() * sum(weights)
    for record, weight in zip(candidates, weights, strict=True):
        point -= weight
        if point < 0:
            return record
    return candidates[-1]


def _failover(records: Sequence[Record], healthy: Healthy) -> list[Record]:
    """PRIMARY if it is healthy, else SECONDARY if that is healthy. If neither is, PRIMARY."""
    roles = {record.failover: record for record in records}
    primary, secondary = roles.get("PRIMARY"), roles.get("SECONDARY")
    if primary is None:
        return [secondary] if secondary is not None else []
    if secondary is not None and not healthy(primary) and healthy(secondary):
        return [secondary]
    return [primary]


def _weighted(records: Sequence[Record], healthy: Healthy) -> list[Record]:
    """The healthy records with a weight. Records of weight 0 count only if no other is healthy.

    If no record is healthy, all count as healthy.
    """
    alive = [record for record in records if healthy(record)] or list(records)
    return [record for record in alive if record.weight] or alive
