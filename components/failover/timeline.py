"""How long a failover took, step by step.

The times are the timestamps of the cluster's own objects, not the program's clock, so that a later `up` says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any


def _time(text: str) -> datetime:
    """The moment that an RFC 3339 text names. Raises ValueError or TypeError if it is none, or names no time zone."""
    moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment


def step(name: str, start: str | None, end: str | None) -> dict[str, Any] | None:
    """One step as people and reports read it: name, start and end in RFC 3339, seconds between. None if it has not ended.

    None too for times that cannot be read: the figures of a failover must not stop it.
    """
    if not start or not end:
        return None
    try:
        seconds = (_time(end) - _time(start)).total_seconds()
    except (TypeError, ValueError):
        return None
    return {"name": name, "start": start, "end": end, "seconds": seconds}


def restore_step(backup: str, status: Mapping[str, Any]) -> dict[str, Any] | None:
    return step(f"restore {backup}", status.get("startTimestamp"), status.get("completionTimestamp"))


def backup_step(backup: str, status: Mapping[str, Any]) -> dict[str, Any] | None:
    return step(f"back up {backup}", status.get("startTimestamp"), status.get("completionTimestamp"))


def job_step(name: str, status: Mapping[str, Any], *, since: str | None = None) -> dict[str, Any] | None:
    """The step of a Job, from its `status`. It began with the Job, or at `since`.

    A status from the provider has the API's keys; the SDK's typed one, which is a mapping too, has Python's.
    """
    start = since or status.get("start_time") or status.get("startTime")
    return step(name, start, status.get("completion_time") or status.get("completionTime"))


def summary(steps: Sequence[dict[str, Any]], since: str | None, last: str = "traffic") -> dict[str, Any]:
    """The steps in the order in which they began, and the seconds from the first start to the last end.

    `since` is when the region began to serve, or had its token. One more step, `last`, leads from the last end to that moment.
    """
    finished = sorted(steps, key=lambda entry: str(entry["start"]))
    if finished and since and (ending := step(last, max(str(entry["end"]) for entry in finished), since)):
        finished.append(ending)
    if not finished:
        return {"steps": [], "seconds": None}
    last_end = max(_time(str(entry["end"])) for entry in finished)
    return {"steps": finished, "seconds": (last_end - _time(str(finished[0]["start"]))).total_seconds()}
