"""Stops what the guard stops: each part in a thread of its own, so that what hangs keeps no other part running."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Thread
from typing import Any

from .api import Api, Object
from .fencing import EVERY_INSTANCE, FENCED, fences_all, follows
from .inventory import Item, Namespace, entries_of
from .report import Report
from .stand_by import lower, surplus

VELERO = "velero"

_HEAD_START_SECONDS = 2.0
"""How long the databases are alone."""


class Area(Report):
    """What was stopped of one part, as `name` says, in one namespace, and what of it still ends. `work` stops it."""

    def __init__(self, namespace: str, name: str, work: Callable[[Area], None]) -> None:
        super().__init__(namespace)
        self.running: list[str] = []
        self.name = name
        self._work = work
        # The end of the step must not wait for what hangs.
        self.thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            with self.about(self.name, required=True):
                self._work(self)
        except Exception as error:  # noqa: BLE001 - a part that ends without a word would pass for stopped
            self.failed(f"{self.name}: {error!r}", required=True)


def stop(api: Api, task: Mapping[str, Any], before: Callable[[], None], seconds: float) -> list[Area]:
    """Stop all that the guard's task names, as far as these seconds allow. `before` is called before each change."""
    end = time.monotonic() + seconds

    def at(name: str) -> Namespace:
        return Namespace(api, name, before=before)

    # Databases first: what they take from now on is lost or in conflict. The rest only does its work twice.
    databases = [
        Area(each["namespace"], f"database/{each['name']}", partial(_fence, at(each["namespace"]), each["name"]))
        for each in task["databases"]
    ]
    rest = [Area(VELERO, "the schedules", partial(_pause_all, at(VELERO), task["schedules"]))]
    for each in task["workloads"]:
        rest.append(Area(each["namespace"], "the workloads", partial(_lower, at(each["namespace"]), each)))
    areas = [*databases, *rest]
    _begin(databases)
    _wait(databases, min(end, time.monotonic() + _HEAD_START_SECONDS))
    _begin(rest)
    _wait(areas, end)
    for area in areas:
        if area.thread.is_alive():
            area.failed(f"{area.name} in {area.namespace}: no answer within {seconds:.0f} s", required=True)
    return areas


def _begin(areas: Sequence[Area]) -> None:
    for area in areas:
        area.thread.start()


def _wait(areas: Sequence[Area], end: float) -> None:
    for area in areas:
        area.thread.join(max(0.0, end - time.monotonic()))


def cluster_path(namespace: str, name: str) -> str:
    return f"/apis/postgresql.cnpg.io/v1/namespaces/{namespace}/clusters/{name}"


def _fence(namespace: Namespace, name: str, area: Area) -> None:
    """Fence a database that takes writes. One that follows the other region must go on following."""
    path = cluster_path(namespace.name, name)
    body = namespace.api.find(path)
    if body is None:
        return

    def decide(seen: Item) -> Object | None:
        if follows(seen.body) or fences_all(seen.annotations.get(FENCED)):
            return None
        area.did(f"{seen.name} fenced")
        return {"metadata": {"annotations": {FENCED: EVERY_INSTANCE}}}

    namespace.change(Item(kind="database", path=path, body=body), decide)
    if not follows(body) and (body.get("status") or {}).get("readyInstances"):
        area.running.append(f"database/{name}")


def _pause_all(namespace: Namespace, names: Sequence[str], area: Area) -> None:
    for name in names:
        with area.about(f"schedule/{name}", required=True):
            _pause(namespace, name, area)


def _pause(namespace: Namespace, name: str, area: Area) -> None:
    path = f"/apis/velero.io/v1/namespaces/{namespace.name}/schedules/{name}"
    body = namespace.api.find(path)
    if body is None:
        return

    def decide(seen: Item) -> Object | None:
        if seen.body["spec"].get("paused"):
            return None
        area.did(f"{seen.name} paused")
        return {"spec": {"paused": True}}

    namespace.change(Item(kind="schedule", path=path, body=body), decide)


def _lower(namespace: Namespace, task: Mapping[str, Any], area: Area) -> None:
    lowered = lower(namespace, task, area)
    area.running += [workload.name for workload, _ in surplus(namespace, entries_of(task), lowered)]
