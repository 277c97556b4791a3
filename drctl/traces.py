"""Drills as traces: a drill runs in a Pod that has no SDK, so whoever collects the records sends those that no collector has got.

Which these are is kept in a bucket, so that each is sent once, whichever machine sends. Were it forgotten, the same trace would
be sent again under the same identifiers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from components.telemetry import recoveries, sending
from components.telemetry.trace import Trace
from drctl.regions import Bucket, BucketUnreadableError
from report import drills
from report.drills import NoRecordError
from settings.names import DRILLS_PREFIX
from settings.roles import ROLES, Role

PREFIX = "traces/"
"""Below it the keys of records that were sent. Velero's own objects are below velero/, so it never meets them."""

_SENT = "sent"
_FIRST, _LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)
"""OTLP counts nanoseconds since 1970 in 64 bits. One record beyond that would keep all others of a request from being sent."""


@dataclass(frozen=True, kw_only=True)
class Unsent:
    """Drills that no collector has got, as far as the buckets say, and the keys of those that one has."""

    traces: Mapping[str, Trace]
    """By the key of the record."""

    known: frozenset[str]
    problems: tuple[str, ...] = ()
    """Why some are not sent, a line each."""


def unsent(
    organization: str,
    records: Mapping[str, Mapping[str, Any]],
    listed: Mapping[Role, bool],
    memories: Mapping[Role, Any],
) -> Unsent:
    """What is still to be sent of `records`, by key. `listed` says of which regions these are all records, and `memories` is what
    each bucket has said of PREFIX: a document, None, or an exception."""
    heard = [memory for memory in memories.values() if not isinstance(memory, Exception)]
    if not heard:
        return Unsent(traces={}, known=frozenset(), problems=("drills were not sent: nobody knows which of them were before",))
    said = {str(key) for memory in heard if memory for key in _listed(memory.get(_SENT))}
    # A record that has expired will not be asked about again.
    gone = tuple(f"{DRILLS_PREFIX}/{role}/" for role in ROLES if listed[role])
    known = frozenset(key for key in said if key in records or not key.startswith(gone))
    traces, problems = {}, []
    for key in sorted(records.keys() - known):
        try:
            found = drills.entry(key, json.dumps(records[key]).encode())
        except NoRecordError as error:
            problems.append(f"not sent: {error}")
            continue
        if not _FIRST < found.started <= found.ended < _LAST:
            times = f"{found.started.isoformat()} to {found.ended.isoformat()}"
            problems.append(f"not sent: {key} says that its drill took from {times}")
            continue
        values = {field.name: getattr(found, field.name) for field in fields(recoveries.Drill)}
        if trace := recoveries.drill(organization, recoveries.Drill(**values)):
            traces[key] = trace
    return Unsent(traces=traces, known=known, problems=tuple(problems))


def _listed(said: Any) -> list[Any]:
    return said if isinstance(said, list) else []


def send(found: Unsent, bucket: Bucket, key: str) -> list[str]:
    """Send them, and remember it in `bucket` under a key that ends with `key`. Returns what went wrong, a line each."""
    if not found.traces:
        return []
    # A command that is not in a hurry waits as long as a collector may take.
    if said := sending.send([*found.traces.values()], patience=sending.UNHURRIED):
        return [f"drills were not sent: {line}" for line in said]
    try:
        bucket.keep(f"{PREFIX}{key}", {_SENT: sorted({*found.known, *found.traces})})
    except BucketUnreadableError as error:
        return [f"drills were sent, and will be sent again: {error}"]
    return []
