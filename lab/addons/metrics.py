"""The lab's stand-in for the metrics server: `metrics.k8s.io`, with loads that people write down instead of measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from lab.addons.kinds import Object, Snapshot
from lab.addons.labels import matches

GROUP = "metrics.k8s.io"
VERSION = "v1beta1"
ROOT = f"/apis/{GROUP}/{VERSION}"
LOAD = "lab.example.com/millicores"
"""Annotation of a Pod: the CPU time, in millicores, that all running Pods with its owner use together. They share it evenly."""


def resources() -> dict[str, Any]:
    """The discovery document of the API group's version."""
    pods = {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}", "resources": [pods]}


def pods(snapshot: Snapshot, namespace: str | None, selector: dict[str, Any]) -> dict[str, Any]:
    """The metrics of the running Pods of a namespace (of all if None) that a LabelSelector selects."""
    running = [pod for pod in snapshot["pods"] if pod.get("status", {}).get("phase") == "Running"]
    chosen = [
        pod
        for pod in running
        if namespace in (None, pod["metadata"]["namespace"]) and matches(selector, pod["metadata"].get("labels", {}))
    ]
    items = [_metrics(pod, running) for pod in chosen]
    return {"kind": "PodMetricsList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}


def _metrics(pod: Object, running: Sequence[Object]) -> dict[str, Any]:
    load = int(pod["metadata"].get("annotations", {}).get(LOAD, "0"))
    share = load // sum(_owner(other) == _owner(pod) for other in running)
    containers = [container["name"] for container in pod["spec"]["containers"]]
    usage = {"cpu": f"{share // len(containers)}m", "memory": "8Mi"}
    metadata = pod["metadata"]
    return {
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "labels": metadata.get("labels", {})},
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "window": "1s",
        "containers": [{"name": name, "usage": usage} for name in containers],
    }


def _owner(pod: Object) -> str:
    owners = pod["metadata"].get("ownerReferences", [])
    return str(owners[0]["uid"] if owners else pod["metadata"].get("uid"))


def selector(query: str) -> dict[str, Any]:
    """The LabelSelector that a `labelSelector` of a query spells. Raises ValueError for what is none.

    The forms are those of Kubernetes: `a=b`, `a==b`, `a!=b`, `a`, `!a`, `a in (b,c)`, `a notin (b,c)`.
    """
    return {"matchExpressions": [_expression(part) for part in _parts(query)]}


def _parts(query: str) -> list[str]:
    """The query's requirements. A comma within parentheses separates values and not requirements."""
    parts, depth = [""], 0
    for character in query:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _expression(part: str) -> dict[str, Any]:
    for word, operator in ((" notin ", "NotIn"), (" in ", "In")):
        if word in part:
            key, values = part.split(word)
            return {
                "key": key.strip(),
                "operator": operator,
                "values": [value.strip() for value in values.strip(" ()").split(",")],
            }
    for sign, operator in (("!=", "NotIn"), ("==", "In"), ("=", "In")):
        if sign in part:
            key, value = part.split(sign)
            return {"key": key.strip(), "operator": operator, "values": [value.strip()]}
    if part.startswith("!"):
        return {"key": part[1:].strip(), "operator": "DoesNotExist"}
    if " " in part:
        raise ValueError(f"{part!r} is no requirement of a label selector")
    return {"key": part, "operator": "Exists"}
