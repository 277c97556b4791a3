"""An API server in memory: it stores objects, compares versions, and leaves to a test what controllers do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from components.kube.runner.api import ApiError

NAMESPACE = "production"
_LISTS = {
    "deployment": "/apis/apps/v1/namespaces/production/deployments",
    "statefulset": "/apis/apps/v1/namespaces/production/statefulsets",
    "cronjob": "/apis/batch/v1/namespaces/production/cronjobs",
    "job": "/apis/batch/v1/namespaces/production/jobs",
    "hpa": "/apis/autoscaling/v2/namespaces/production/horizontalpodautoscalers",
    "scaledobject": "/apis/keda.sh/v1alpha1/namespaces/production/scaledobjects",
    "scaledjob": "/apis/keda.sh/v1alpha1/namespaces/production/scaledjobs",
    "cronworkflow": "/apis/argoproj.io/v1alpha1/namespaces/production/cronworkflows",
    "rollout": "/apis/argoproj.io/v1alpha1/namespaces/production/rollouts",
    "pod": "/api/v1/namespaces/production/pods",
    "event": "/api/v1/namespaces/production/events",
    "cluster": "/apis/postgresql.cnpg.io/v1/namespaces/databases/clusters",
    "schedule": "/apis/velero.io/v1/namespaces/velero/schedules",
    "configmap": "/api/v1/namespaces/k8s-dr/configmaps",
}


class DiedError(Exception):
    """The Pod of the step is gone: its node died, or it was evicted."""


class FakeApi:
    """Stands in for `Api`. `controllers` run after each change and before each read; `refused` maps paths to what is said."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.controllers: list[Callable[[], None]] = [self.bring_up]
        self.refused: dict[str, ApiError] = {}
        self.created: list[tuple[str, dict[str, Any]]] = []
        self.denied: set[str] = set()
        """Verbs that a review of the account's rights says no to."""
        self.patches: list[tuple[str, Any]] = []
        self.dies_after: int | None = None
        """How many changes are made until whoever makes them dies."""
        self.broken: set[str] = set()
        """Names of workloads whose Pods do not come up."""
        self._version = 0

    def add(self, kind: str, name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
        self._version += 1
        meta = {"name": name, "generation": 1, "resourceVersion": str(self._version), **metadata}
        body = {"metadata": meta, "spec": spec or {}, "status": {}}
        self.objects[f"{_LISTS[kind]}/{name}"] = body
        return body

    def workload(self, name: str, replicas: int, **metadata: Any) -> dict[str, Any]:
        """As in `deployment/web`."""
        kind, _, short = name.partition("/")
        selector = {"matchLabels": {"app": short}}
        return self.add(kind, short, {"replicas": replicas, "selector": selector}, **metadata)

    def autoscaler(self, target: str, least: int, most: int) -> None:
        kind = {"deployment": "Deployment", "statefulset": "StatefulSet"}[target.split("/")[0]]
        reference = {"apiVersion": "apps/v1", "kind": kind, "name": target.split("/")[1]}
        self.add("hpa", target.split("/")[1], {"scaleTargetRef": reference, "minReplicas": least, "maxReplicas": most})

    def of(self, name: str) -> dict[str, Any]:
        kind, _, short = name.partition("/")
        return self.objects[f"{_LISTS[kind]}/{short}"]

    def replicas(self, name: str) -> int:
        return int(self.of(name)["spec"]["replicas"])

    def annotations(self, name: str) -> dict[str, str]:
        return dict(self.of(name)["metadata"].get("annotations") or {})

    def bring_up(self) -> None:
        """As the controllers do: every replica that is asked for is there and serves, and none of a paused Deployment."""
        for path, body in self.objects.items():
            if path.split("/")[-2] in ("deployments", "statefulsets"):
                paused = "/deployments/" in path and body["spec"].get("paused")
                replicas = 0 if paused else body["spec"]["replicas"]
                served = 0 if body["metadata"]["name"] in self.broken else replicas
                counts = {"replicas": replicas, "readyReplicas": served, "availableReplicas": served}
                body["status"] = {"observedGeneration": body["metadata"]["generation"], **counts}

    # What `Api` has

    def find(self, path: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.objects.get(path))

    def list(self, path: str, selector: str = "", *, fields: str = "") -> list[dict[str, Any]]:
        for control in self.controllers:
            control()
        return [copy.deepcopy(body) for where, body in self.objects.items() if where.rpartition("/")[0] == path]

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path in self.refused:
            raise self.refused[path]
        self.created.append((path, body))
        asked = body.get("spec", {}).get("resourceAttributes", {})
        return {**body, "status": {"allowed": asked.get("verb") not in self.denied}}

    def patch(self, path: str, body: Any) -> dict[str, Any]:
        if path in self.refused:
            raise self.refused[path]
        if self.dies_after is not None and len(self.patches) >= self.dies_after:
            raise DiedError
        found = self.objects[path]
        if body["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise ApiError(409, "the object has been modified; please apply your changes to the latest version")
        self.patches.append((path.rpartition("namespaces/production/")[2], body))
        generation = found["metadata"]["generation"] + ("spec" in body)
        _merge(found, body)
        self._version += 1
        found["metadata"] |= {"resourceVersion": str(self._version), "generation": generation}
        return copy.deepcopy(found)


def _merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    """A JSON merge patch (RFC 7386)."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            inner = into.setdefault(key, {})
            _merge(inner, value)
        else:
            into[key] = value
