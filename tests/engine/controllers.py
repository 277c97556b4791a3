"""What acts on real API servers in the engine's tests: the recorded cluster's controllers, and what they need of a server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import urllib3

from lab.standins.recorded_cluster.controllers import Outcomes, now, reconcile
from lab.standins.recorded_cluster.kinds import BUILT_IN, OPERATORS, VELERO, Kind
from lab.tools import toolbox
from tests.api_server import ApiServer
from tests.contract import cnpg
from tests.contract.conftest import printed

Object = dict[str, Any]


def named(kind: str) -> list[Kind]:
    """Every kind of that name. `Name.group` gives the one kind of that group."""
    name, _, group = kind.partition(".")
    return [each for each in (*BUILT_IN, *VELERO, *OPERATORS) if each.kind == name and group in ("", each.group)]


def path_of(kind: Kind, namespace: str = "", name: str = "") -> str:
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
    place = f"/namespaces/{namespace}" if kind.namespaced and namespace else ""
    return f"{root}{place}/{kind.plural}" + (f"/{name}" if name else "")


@dataclass(frozen=True, kw_only=True)
class Programs:
    etcd: Path
    api_server: Path
    controller_manager: Path
    velero: list[Object]
    operators: list[Object]
    """The operators' CustomResourceDefinitions, from the pinned releases."""


@cache
def programs() -> Programs:
    tools = toolbox.ensure(["region", "velero", "cnpg"])
    releases = (tools.files["cloudnative-pg.yaml"], tools.files["plugin-barman-cloud.yaml"])
    return Programs(
        etcd=tools.path("etcd"),
        api_server=tools.path("kube-apiserver"),
        controller_manager=tools.path("kube-controller-manager"),
        velero=printed(tools.path("velero"), "--crds-only"),
        operators=[definition for release in releases for definition in cnpg.definitions(release)],
    )


_PLAYED = tuple(
    kind
    for name in ("Pod", "Job", "BackupStorageLocation", "Schedule", "Restore", "Cluster", "Backup.postgresql.cnpg.io")
    for kind in named(name)
)
"""The kinds for which the recorded cluster's controllers act."""


_LOOK_SECONDS = 0.1


_SYNC_SECONDS = 20.0
"""Seconds after which a location is read again. Velero does so once a minute."""


_JOB_SECONDS = 1.5
"""Seconds between the failure of a Pod and that of its Job. Kubernetes' own controller looks once a second, so whoever watches
sees the Pod fail first."""


class Store:
    """Does on an API server what the recorded cluster's controllers ask of their store."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    def kinds(self) -> list[Kind]:
        return [*BUILT_IN, *VELERO, *OPERATORS]

    def kind(self, api_version: str, plural: str) -> Kind:
        return next(each for each in self.kinds() if (each.api_version, each.plural) == (api_version, plural))

    def config_map(self, namespace: str, name: str) -> Object | None:
        status, found = self._api.ask("GET", path_of(self.kind("v1", "configmaps"), namespace, name))
        return found if status == 200 else None

    def set_status(self, kind: Kind, obj: Object, status: Object) -> None:
        meta = obj["metadata"]
        self.patch(kind, meta.get("namespace", ""), meta["name"], {"status": status})

    def patch(self, kind: Kind, namespace: str, name: str, patch: Object) -> None:
        """Patch an object. If its kind has a status subresource, the status goes there. An object that is gone is ignored."""
        path = path_of(kind, namespace, name)
        apart = "status" in patch and _has_status_of_its_own(kind)
        parts = [(f"{path}/status", {"status": patch["status"]})] if apart else []
        if rest := {key: value for key, value in patch.items() if not (apart and key == "status")}:
            parts.append((path, rest))
        for where, body in parts:
            status, answer = self._api.ask("PATCH", where, body=body, content="application/merge-patch+json")
            assert status in (200, 404), answer

    def create(self, kind: Kind, namespace: str, body: Object) -> None:
        status, answer = self._api.ask("POST", path_of(kind, namespace), body=body)
        assert status == 201, answer
        if body.get("status"):
            self.set_status(kind, answer, body["status"])

    def install(self, kinds: Sequence[Kind]) -> None:
        assert list(kinds) == VELERO, "nothing else is installed by a Job"
        self._api.define(programs().velero)


class _PatientStore(Store):
    """A store in which a Job fails a little later than its Pod."""

    def __init__(self, api: ApiServer) -> None:
        super().__init__(api)
        self._failing: list[tuple[float, Kind, Object, Object]] = []

    def set_status(self, kind: Kind, obj: Object, status: Object) -> None:
        if kind.kind == "Job" and status.get("failed"):
            self._failing.append((time.monotonic() + _JOB_SECONDS, kind, obj, status))
        else:
            super().set_status(kind, obj, status)

    def fail_jobs(self) -> None:
        """Fail the Jobs whose time has come, in the order in which they were reported."""
        while self._failing and self._failing[0][0] <= time.monotonic():
            _, kind, obj, status = self._failing.pop(0)
            super().set_status(kind, obj, status)

    def fail_none(self) -> None:
        """Forget the Jobs that were to fail."""
        self._failing.clear()


@cache
def _statuses_of_their_own() -> frozenset[str]:
    """Plurals of the custom kinds that have a status subresource. Each of Kubernetes' own kinds in `_PLAYED` has one."""
    definitions = [*programs().velero, *programs().operators]
    return frozenset(
        definition["spec"]["names"]["plural"] + "." + definition["spec"]["group"]
        for definition in definitions
        if "status" in (definition["spec"]["versions"][0].get("subresources") or {})
    )


def _has_status_of_its_own(kind: Kind) -> bool:
    return kind in BUILT_IN or f"{kind.plural}.{kind.group}" in _statuses_of_their_own()


class Controllers:
    """One thread watches each kind. It acts once on each change of an object's spec, labels or annotations."""

    def __init__(self, api: ApiServer, outcomes: Outcomes) -> None:
        self._api, self._outcomes, self._store = api, outcomes, _PatientStore(api)
        self._answered: dict[str, str] = {}
        self._past = 0
        """Version of the newest object that a return to a checkpoint has undone. Watches may still tell of it."""
        self._unseen: dict[str, tuple[Kind, Object]] = {}
        self._complaints: list[str] = []
        self._lock, self._ended = threading.Lock(), threading.Event()
        works: list[tuple[Callable[..., None], tuple[Any, ...]]] = [(self._follow, (kind,)) for kind in _PLAYED]
        works += [(self._look_again, ()), (self._store.fail_jobs, ()), (self._read_locations, ())]
        self._threads = [threading.Thread(target=self._guarded, args=work, daemon=True) for work in works]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=30)
        assert not self._complaints, self._complaints

    def answered(self) -> dict[str, str]:
        """What the controllers have acted on: the content of each object, by its uid."""
        with self._lock:
            return dict(self._answered)

    @contextmanager
    def going_back(self, answered: Mapping[str, str], *, until: int) -> Iterator[None]:
        """While the block puts objects back, act on nothing. Then go on from `answered`. What was written up to version `until`
        is past."""
        with self._lock:
            yield
            self._answered, self._past = dict(answered), until
            self._unseen.clear()
            self._store.fail_none()

    def _guarded(self, work: Callable[..., None], args: tuple[Any, ...]) -> None:
        """Run one controller until the end. An error in it fails the test at its end; a server that does not answer does not."""
        while not self._ended.is_set():
            try:
                work(*args)
            except (urllib3.exceptions.HTTPError, OSError, ValueError):
                pass  # the server ended the watch
            except Exception as error:  # noqa: BLE001 - otherwise the error would end the thread, and no test would fail
                self._complaints.append(repr(error))
            self._ended.wait(_LOOK_SECONDS)

    def _follow(self, kind: Kind) -> None:
        status, listed = self._api.ask("GET", path_of(kind))
        if status != 200:
            return  # the server does not serve this kind, or not yet
        for item in listed["items"]:
            self._see(kind, item)
        for event in self._api.watch(path_of(kind), listed["metadata"]["resourceVersion"], seconds=2):
            if self._ended.is_set() or event["type"] == "ERROR":
                return
            if event["type"] in ("ADDED", "MODIFIED"):
                self._see(kind, event["object"])

    def _see(self, kind: Kind, item: Object) -> None:
        obj = {"apiVersion": kind.api_version, "kind": kind.kind, **item}
        meta = obj["metadata"]
        content = json.dumps([obj.get("spec"), meta.get("labels"), meta.get("annotations")], sort_keys=True)
        with self._lock:
            past = int(meta["resourceVersion"]) <= self._past
            if past or meta.get("deletionTimestamp") or self._answered.get(meta["uid"]) == content:
                return
            if (self._outcomes.of(obj) or {}).get("phase") == "Pending":
                self._unseen[meta["uid"]] = (kind, obj)
                return
            self._unseen.pop(meta["uid"], None)
            self._answered[meta["uid"]] = content
            self._play(kind, obj)

    def _play(self, kind: Kind, obj: Object) -> None:
        owner = next((owner["kind"] for owner in obj["metadata"].get("ownerReferences") or ()), None)
        if kind.kind == "Pod" and owner == "ReplicaSet":
            self._store.set_status(kind, obj, _ready_pod())
        elif kind.kind != "Pod" or owner is None:
            reconcile(self._store, obj, self._outcomes)  # type: ignore[arg-type] # as much of a store as it asks for

    def _look_again(self) -> None:
        """Act on the objects that a test ordered to stay Pending, once it has withdrawn that order."""
        for kind, obj in list(self._unseen.values()):
            meta = obj["metadata"]
            status, found = self._api.ask("GET", path_of(kind, meta.get("namespace", ""), meta["name"]))
            if status == 200 and found["metadata"]["uid"] == meta["uid"]:
                self._see(kind, found)
            else:
                self._unseen.pop(meta["uid"], None)

    def _read_locations(self) -> None:
        [kind] = named("BackupStorageLocation")
        status, listed = self._api.ask("GET", path_of(kind))
        for item in listed["items"] if status == 200 else ():
            if (item.get("status") or {}).get("phase") == "Available":
                self._store.set_status(kind, item, {"lastSyncedTime": now()})
        self._ended.wait(_SYNC_SECONDS)


def _ready_pod() -> Object:
    conditions = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
    return {"phase": "Running", "startTime": now(), "conditions": conditions}
