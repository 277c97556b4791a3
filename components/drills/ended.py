"""Drills that ended without a record, by their Jobs: a Pod that was evicted, killed or refused by AWS can write none.

A bucket alone would not tell: there the last drill is still the one before, until it is overdue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from components.kube.cluster_api import ClusterApi
from components.kube.runner.drill_record import LABEL, moment
from settings.drills import Kind
from settings.names import PROGRAM_NAMESPACE

_CLOCKS = timedelta(minutes=1)
"""How far the clocks of a node and of the control plane may differ."""


def without_record(cluster: ClusterApi, kind: Kind, since: datetime | None) -> str | None:
    """Why the last Job of a drill failed, if its record is not there; None if it is, or if the Job did not fail. `since` is when
    the drill of the last record began, which is always after its Job. Raises ClusterUnreachableError."""
    listed = cluster.read(f"/apis/batch/v1/namespaces/{PROGRAM_NAMESPACE}/jobs?labelSelector={LABEL}={kind}") or {}
    ended = [(*found, each) for each in listed.get("items") or () if (found := _end(each))]
    if not ended:
        return None
    _, began, condition, job = max(ended, key=lambda each: each[0])
    if condition["type"] != "Failed" or (since is not None and began <= since + _CLOCKS):
        return None
    name = job["metadata"]["name"]
    pods = cluster.read(f"/api/v1/namespaces/{PROGRAM_NAMESPACE}/pods?labelSelector=job-name={name}") or {}
    said = [each for pod in pods.get("items") or () for each in _said(pod)]
    reason = ": ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key))
    return "; ".join([f"Job {name} failed at {_written(condition)}: {reason or 'it gives no reason'}", *said])


def _end(job: Mapping[str, Any]) -> tuple[datetime, datetime, Mapping[str, Any]] | None:
    """When a Job ended and began, and the condition that says how; None for one that runs."""
    status = job.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
            began = status.get("startTime") or job["metadata"]["creationTimestamp"]
            return moment(str(_written(condition))), moment(str(began)), condition
    return None


def _written(condition: Mapping[str, Any]) -> Any:
    return condition["lastTransitionTime"]


def _said(pod: Mapping[str, Any]) -> Iterator[str]:
    """Why a Pod ended: what was done to it, which of its containers were killed, and the last words of the one that uploads."""
    status = pod.get("status") or {}
    if why := ": ".join(str(status[key]) for key in ("reason", "message") if status.get(key)):
        yield why
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        ended = (each.get("state") or {}).get("terminated") or {}
        if not ended.get("exitCode"):
            continue
        if (killed := ended.get("reason")) not in ("Error", "Completed", None):
            yield f"{each['name']}: {killed}"
        if each["name"] == "upload" and ended.get("message"):
            yield str(ended["message"])
