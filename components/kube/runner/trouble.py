"""Why a workload is not what it should be: what its Pods wait for, and the newest warning about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from .api import ApiError, Object
from .inventory import Namespace, Workload

_LENGTH = 300
"""Characters of one reason. Several workloads may be late, and a termination message holds 4096 bytes."""


def why(namespace: Namespace, workload: Workload) -> str:
    """One line: whether it is paused, for what a container waits, and the newest Warning event of the workload, its ReplicaSets
    or its Pods."""
    try:
        return "; ".join(_cut(each) for each in _reasons(namespace, workload)) or "no event says why"
    except ApiError as error:
        return f"why could not be read: {error}"


def _reasons(namespace: Namespace, workload: Workload) -> Iterator[str]:
    # No event says so. A restored Deployment has no ReplicaSet, so a paused one that was restored never has a Pod.
    paused = workload.kind == "deployment" and workload.body["spec"].get("paused")
    if paused and workload.restored and not workload.present:
        resume = f"kubectl rollout resume {workload.name} -n {namespace.name}"
        yield f"is paused, and Kubernetes makes no ReplicaSet for a paused Deployment; resume it: {resume}"
    core = f"/api/v1/namespaces/{namespace.name}"
    pods = namespace.api.list(f"{core}/pods", _selector(workload))
    yield from sorted({reason for pod in pods for reason in waiting(pod)})[:2]
    names = {pod["metadata"]["name"] for pod in pods}
    events = [
        event
        for event in namespace.api.list(f"{core}/events", fields="type=Warning")
        if _concerns(event["involvedObject"], workload, names)
    ]
    if events:
        newest = max(events, key=when)
        about = newest["involvedObject"]
        yield f"{about['kind']} {about['name']}: {newest.get('reason', '')}: {' '.join(newest.get('message', '').split())}"


def _selector(workload: Workload) -> str:
    """The label selector of its Pods, as a query has it."""
    selector = workload.body["spec"].get("selector") or {}
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or []:
        key, values = each["key"], ",".join(each.get("values") or [])
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[each["operator"]]
        )
    return ",".join(parts)


def waiting(pod: Object) -> Iterator[str]:
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = container.get("state", {}).get("waiting")
        # ContainerCreating and PodInitializing say no more than that it has not begun.
        if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
            said = f" ({' '.join(waiting['message'].split())})" if waiting.get("message") else ""
            yield f"container {container['name']} of Pod {name} waits: {waiting.get('reason', 'no reason')}{said}"
    if pod["metadata"].get("deletionTimestamp"):
        yield f"Pod {name} is being deleted since {pod['metadata']['deletionTimestamp']}"


def _concerns(about: Object, workload: Workload, pods: set[str]) -> bool:
    kind, _, name = workload.name.partition("/")
    said = about.get("kind", "").lower(), about.get("name", "")
    if said[0] == "pod":
        return said[1] in pods
    if said[0] == "replicaset":  # its name is the Deployment's, a dash, and a hash without dashes
        return kind == "deployment" and said[1].rpartition("-")[0] == name
    return said == (kind, name)


def when(event: Object) -> datetime:
    """When it was seen last. Older recorders set `lastTimestamp`, newer ones `series` or `eventTime`."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    told = next((each for each in times if each), None) or event["metadata"]["creationTimestamp"]
    return datetime.fromisoformat(told.replace("Z", "+00:00"))


def _cut(text: str) -> str:
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"
