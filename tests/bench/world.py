"""What only the world takes: the restore, the promotion and the Pods, by the cluster's own objects and its audit log.

The restore and the promotion go side by side, and a restored Pod starts as soon as it is there; its readiness does not wait
for the database. So nothing that starts both at once is ready sooner than the longer of the two ways.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lab.regions import network
from lab.world import Lab

SECOND = 1.0
"""Kubernetes' and Velero's own times are whole seconds."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """Seconds of each part of the critical path."""

    restore: float
    promotion: float
    pods: float
    """From the first of the restored Pods' creation to the readiness of the slowest: how long it took one Pod at most."""

    @property
    def seconds(self) -> float:
        return max(self.promotion, self.restore + self.pods)


def floor(lab: Lab, since: float, writable: float, pod_namespaces: Collection[str]) -> Floor:
    """Of a failover that began at `since`, whose database's archive took a write at `writable`."""
    restores = json.loads(lab.kubectl("secondary", "get", "restores.velero.io", "-n", "velero", "-o", "json"))["items"]
    pods = json.loads(lab.kubectl("secondary", "get", "pods", "-A", "-o", "json"))["items"]
    began = promoted_at(lab.region("secondary").audit_log.read_text().splitlines(), since)
    return Floor(
        restore=restored_in(restores, since),
        promotion=round(writable - began, 3) if began is not None else 0.0,
        pods=started_in([pod for pod in pods if pod["metadata"]["namespace"] in pod_namespaces], since),
    )


def moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC).timestamp()


def restored_in(restores: Iterable[Mapping[str, Any]], since: float) -> float:
    """Seconds from the first Restore's start to the last one's end, of those made after `since`."""
    made = [each.get("status") or {} for each in restores if moment(each["metadata"]["creationTimestamp"]) >= since - SECOND]
    begins = [moment(status["startTimestamp"]) for status in made if status.get("startTimestamp")]
    ends = [moment(status["completionTimestamp"]) for status in made if status.get("completionTimestamp")]
    return max(ends) - min(begins) if begins and ends else 0.0


def started_in(pods: Iterable[Mapping[str, Any]], since: float) -> float:
    """The most seconds that a Pod made after `since` took from its creation to its readiness."""
    took = [
        moment(condition["lastTransitionTime"]) - moment(pod["metadata"]["creationTimestamp"])
        for pod in pods
        if moment(pod["metadata"]["creationTimestamp"]) >= since - SECOND
        for condition in (pod.get("status") or {}).get("conditions") or ()
        if condition["type"] == "Ready" and condition["status"] == "True"
    ]
    return max(took, default=0.0)


def promoted_at(audit: Iterable[str], since: float) -> float | None:
    """When somebody outside the cluster changed a database's Cluster first, by the API server's audit log."""
    for line in audit:
        event = json.loads(line)
        about = event.get("objectRef") or {}
        if (
            about.get("resource") == "clusters"
            and about.get("apiGroup") == "postgresql.cnpg.io"
            and event["verb"] in ("patch", "update")
            and network.OPS_ADDRESS in event.get("sourceIPs", [])
            and "dryRun=All" not in event["requestURI"]
            and (at := moment(event["requestReceivedTimestamp"])) >= since
        ):
            return at
    return None
