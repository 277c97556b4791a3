"""What the engine tells of a run by its event log, each event with the moment at which it arrived.

The log's own times are whole seconds, so whoever reads the log while it grows notes the time. `PULUMI_DEBUG_COMMANDS` makes the
CLI take `--event-log`, as Pulumi's Automation API has it do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

ENVIRONMENT = {"PULUMI_DEBUG_COMMANDS": "true"}
FLAG = "--event-log"

STACK, REGION, FAILOVER = "pulumi:pulumi:Stack", "dr:region:Region", "dr:failover:Failover"
_BEGINS, _ENDS = "resourcePreEvent", "resOutputsEvent"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One event of the engine. `at` is in seconds since the epoch. `type` and `name` are of the resource, if it is about one."""

    at: float
    what: str
    type: str = ""
    name: str = ""
    operation: str = ""

    @property
    def begins(self) -> bool:
        """Whether the engine begins to act on a resource."""
        return self.what == _BEGINS

    @property
    def ends(self) -> bool:
        """Whether the engine has a resource's outputs."""
        return self.what == _ENDS


def read(line: str, at: float) -> Heard | None:
    """One line of the log. None for a line that is no event."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, Mapping):
        return None
    what = next((key for key in event if key.endswith("Event")), None)
    if what is None:
        return None
    metadata = (event[what] or {}).get("metadata") or {}
    urn = str(metadata.get("urn", ""))
    return Heard(
        at=at,
        what=what,
        type=str(metadata.get("type", "")),
        name=urn.rpartition("::")[2],
        operation=str(metadata.get("op", "")),
    )


def first(events: Iterable[Heard], kind: str) -> float | None:
    """When the engine began with the first resource of a type."""
    return next((event.at for event in events if event.begins and event.type == kind), None)


def last(events: Iterable[Heard]) -> float | None:
    """When the engine was done with the last resource but the stack's own."""
    return max((event.at for event in events if event.ends and event.type != STACK), default=None)


PHASES = ("engine", "imports and settings", "registration", "end")


def phases(began: float, events: Sequence[Heard], ended: float) -> dict[str, float]:
    """The seconds of a run by what it did, from the CLI's start to its end. They add up to the whole run.

    `engine` lasts until the program has registered its stack, `imports and settings` until it has registered the region,
    `registration` until the last resource is done. A program without a region has one phase more at its end: nothing else.
    """
    connected, region, done = first(events, STACK), first(events, REGION), last(events)
    moments = [began]
    for moment in (connected, region, done, ended):
        moments.append(max(moments[-1], min(moment if moment is not None else moments[-1], ended)))
    return {name: round(after - before, 3) for name, before, after in zip(PHASES, moments[:-1], moments[1:], strict=True)}
