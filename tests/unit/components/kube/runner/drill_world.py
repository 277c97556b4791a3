"""A cluster in memory for the drills that restore: it stores objects by path, and leaves to a test what controllers do."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.kube.runner.api import ApiError
from components.kube.runner.drill_record import RECORD, VERDICT, Drill, run_drill

NOW = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)
RUN = "0123abcd"
TARGETS = {"rpo": 300.0, "rto": 3600.0}
BASE_TASK = {"region": "us-west-2", "role": "secondary", "prefix": "drills/secondary", "targets": TARGETS, "versions": {}}
SERVING = "/api/v1/namespaces/k8s-dr/configmaps/serving"
VOLUMES = "/api/v1/persistentvolumes"


class DrillCluster:
    """Stands in for `Api`. `controllers` run before each read and after each change; `refused` maps paths to what is said."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.controllers: list[Callable[[], None]] = []
        self.refused: dict[str, ApiError] = {}
        self.created: list[tuple[str, dict[str, Any]]] = []
        self.deleted: list[str] = []
        self.patched: list[tuple[str, dict[str, Any]]] = []
        self.logs: dict[tuple[str, str], str] = {}
        """By Pod and container."""
        self.stubborn: set[str] = set()
        """Paths of what stays although it is deleted."""

    def add(self, path: str, body: dict[str, Any] | None = None, **labels: str) -> dict[str, Any]:
        made = copy.deepcopy(body or {})
        metadata = made.setdefault("metadata", {})
        metadata.setdefault("name", path.rpartition("/")[2])
        metadata.setdefault("resourceVersion", "1")
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
        self.objects[path] = made
        return made

    def _run(self) -> None:
        for control in self.controllers:
            control()

    # What `Api` has

    def find(self, path: str) -> dict[str, Any] | None:
        if path in self.refused:
            raise self.refused[path]
        self._run()
        return copy.deepcopy(self.objects.get(path))

    def list(self, path: str, selector: str = "", *, fields: str = "", names_only: bool = False) -> list[dict[str, Any]]:
        if path in self.refused:
            raise self.refused[path]
        self._run()
        found = [body for where, body in self.objects.items() if where.rpartition("/")[0] == path and _selected(body, selector)]
        return copy.deepcopy([{"metadata": each["metadata"]} for each in found] if names_only else found)

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path in self.refused:
            raise self.refused[path]
        name = body["metadata"].get("name") or f"{body['metadata']['generateName']}{len(self.created)}"
        if f"{path}/{name}" in self.objects:
            raise ApiError(409, f"{name} already exists")
        self.created.append((path, copy.deepcopy(body)))
        made = self.add(f"{path}/{name}", {**copy.deepcopy(body), "metadata": {**copy.deepcopy(body["metadata"]), "name": name}})
        self._run()
        return copy.deepcopy(made)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.patched.append((path, body))
        self.objects[path]["spec"] |= body["spec"]
        return copy.deepcopy(self.objects[path])

    def delete(self, path: str) -> None:
        if path in self.refused:
            raise self.refused[path]
        self.deleted.append(path)
        if path not in self.stubborn:
            self.objects.pop(path, None)
        self._run()

    def log(self, namespace: str, pod: str, container: str, *, lines: int) -> str:
        del namespace, lines
        if (pod, container) not in self.logs:
            raise ApiError(404, f"container {container} not found")
        return self.logs[pod, container]

    # What tests ask

    def names(self, path: str) -> list[str]:
        return [where.rpartition("/")[2] for where in self.objects if where.rpartition("/")[0] == path]


def _selected(body: dict[str, Any], selector: str) -> bool:
    labels = body["metadata"].get("labels") or {}
    for part in filter(None, selector.split(",")):
        key, equals, value = part.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def volume(name: str, namespace: str, policy: str = "Retain", *, made: datetime = NOW, claim: str = "data") -> dict[str, Any]:
    """A volume that the CSI driver has made for a claim."""
    metadata = {
        "name": name,
        "annotations": {"pv.kubernetes.io/provisioned-by": "ebs.csi.aws.com"},
        "creationTimestamp": made.isoformat().replace("+00:00", "Z"),
    }
    claimed = {"namespace": namespace, "name": claim}
    return {"metadata": metadata, "spec": {"claimRef": claimed, "persistentVolumeReclaimPolicy": policy}}


def record(directory: Path, task: dict[str, Any], work: Callable[[Drill], None]) -> dict[str, Any]:
    """What a run leaves for an auditor, which must agree with its verdict."""
    environment = {"POD_UID": f"{RUN}-0000", "JOB_NAME": "by-hand", "CRONJOB": f"drill-{task['kind']}"}
    run_drill(task, work, directory=directory, environment=environment, now=lambda: NOW)
    found: dict[str, Any] = json.loads((directory / RECORD).read_text())
    word = (directory / VERDICT).read_text().partition("\n")[0]
    assert word == {True: "passed", False: "failed", None: "skipped"}[found["passed"]]
    return found
