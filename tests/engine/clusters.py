"""The clusters of the engine's tests. There are two kinds with one interface: recorded clusters, and real API servers.

The real Kubernetes provider refuses a recorded cluster, because that publishes no OpenAPI. So the tests run it against real API
servers, and the recorded cluster's controllers act on those. LAB_ENGINE_CLUSTERS=real chooses them for the stand-in too.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import urllib3
import yaml

from lab import engine
from lab.standins.recorded_cluster import RecordedCluster
from lab.standins.recorded_cluster.controllers import Outcomes, now, reconcile
from lab.standins.recorded_cluster.kinds import BUILT_IN, OPERATORS, VELERO, Kind
from lab.tools import toolbox
from lab.waiting import until
from tests.api_server import ApiServer, alive, free_port, process, running
from tests.contract import cnpg
from tests.contract.conftest import printed
from tests.engine.checkpoints import PutBack
from tests.engine.etcd import Etcd

VARIABLE = "LAB_ENGINE_CLUSTERS"
"""Environment variable: `real` or `recorded`. If it is not set, the clusters are real if the Kubernetes provider is."""

Object = dict[str, Any]


class Cluster(Protocol):
    """What a test itself can do with a cluster."""

    url: str
    outcomes: Outcomes

    def start(self) -> None: ...

    def close(self) -> None:
        """Stop the cluster. It does not answer any more."""

    def put(self, obj: Mapping[str, Any], *, manager: str = "recorded") -> Any:
        """Apply an object by force, as the field manager `manager`. The cluster keeps a status that the object brings."""

    def objects(self, kind: str) -> list[Object]:
        """Every object of a kind. If two groups have a kind of that name, add the group, as in `Backup.velero.io`."""

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object, as kubectl delete does."""

    def amend(self, kind: str, namespace: str, name: str, patch: Mapping[str, Any]) -> None:
        """Change an object, as kubectl patch does."""

    def report(self, kind: str, namespace: str, name: str, **status: Any) -> None:
        """Change an object's status. Its controller does not take part."""

    def install(self, kinds: Sequence[Kind]) -> None:
        """Serve these kinds again. Their earlier objects are still there."""

    def uninstall(self, kinds: Sequence[Kind]) -> None:
        """Stop serving these kinds."""

    def access(self) -> tuple[Object, Object]:
        """The entries `cluster` and `user` of a kubeconfig for this cluster."""

    def checkpoint(self) -> PutBack:
        """Keep every object, the kinds that are served, and the ordered outcomes. Nobody may be changing the cluster."""


def which(chosen: engine.Engine) -> str:
    """`real` or `recorded`."""
    real = chosen.kubernetes.startswith("real")
    wanted = os.environ.get(VARIABLE) or ("real" if real else "recorded")
    assert wanted in ("real", "recorded"), f"{VARIABLE}={wanted}: set it to real or recorded, or leave it out"
    assert wanted == "real" or not real, f"{VARIABLE}=recorded: the real Kubernetes provider refuses recorded clusters"
    return wanted


def make(chosen: engine.Engine, directory: Path) -> Cluster:
    """A cluster for the engine's provider. It serves the operators' kinds, not yet Velero's. Its files are in `directory`."""
    return Served(directory) if which(chosen) == "real" else Recorded(operators_installed=True)


def write_kubeconfig(path: Path, contexts: Mapping[str, Cluster]) -> None:
    """A kubeconfig with one context for each name."""
    access = {name: cluster.access() for name, cluster in contexts.items()}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": server} for name, (server, _) in access.items()],
        "users": [{"name": name, "user": user} for name, (_, user) in access.items()],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in contexts],
        "current-context": next(iter(contexts)),
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def named(kind: str) -> list[Kind]:
    """Every kind of that name. `Name.group` gives the one kind of that group."""
    name, _, group = kind.partition(".")
    return [each for each in (*BUILT_IN, *VELERO, *OPERATORS) if each.kind == name and group in ("", each.group)]


def path_of(kind: Kind, namespace: str = "", name: str = "") -> str:
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
    place = f"/namespaces/{namespace}" if kind.namespaced and namespace else ""
    return f"{root}{place}/{kind.plural}" + (f"/{name}" if name else "")


class Recorded(RecordedCluster):
    """The recorded cluster. A test changes it through its API, as kubectl would."""

    def create(self, obj: Mapping[str, Any]) -> None:
        """Create an object, as kubectl create does. Here the controllers act on it; after `put` they do not."""
        [kind] = [each for each in named(obj["kind"]) if each.api_version == obj["apiVersion"]]
        self._send("POST", path_of(kind, obj["metadata"].get("namespace", "")), obj)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        self._ask("DELETE", kind, namespace, name)

    def amend(self, kind: str, namespace: str, name: str, patch: Mapping[str, Any]) -> None:
        self._ask("PATCH", kind, namespace, name, patch)

    def report(self, kind: str, namespace: str, name: str, **status: Any) -> None:
        [known] = named(kind)
        with self.store.lock:
            self.store.patch(known, namespace, name, {"status": status})

    def install(self, kinds: Sequence[Kind]) -> None:
        self.store.install(kinds)

    def uninstall(self, kinds: Sequence[Kind]) -> None:
        self.store.uninstall(kinds)

    def access(self) -> tuple[Object, Object]:
        return {"server": self.url}, {"token": "recorded"}

    def checkpoint(self) -> PutBack:
        with self.store.lock:
            content, ordered = self.store.content(), [*self.outcomes.ordered]

        def put_back() -> None:
            with self.store.lock:
                self.store.put_back(content)
                self.outcomes.ordered = [*ordered]

        return put_back

    def _ask(self, method: str, kind: str, namespace: str, name: str, body: Any = None) -> None:
        [known] = named(kind)
        self._send(method, path_of(known, namespace, name), body)

    def _send(self, method: str, path: str, body: Any) -> None:
        content = {"Content-Type": "application/merge-patch+json"}
        answer = urllib3.request(method, f"{self.url}{path}", body=json.dumps(body), headers=content, timeout=20)
        assert answer.status in (200, 201), answer.data


# Real API servers


@dataclass(frozen=True, kw_only=True)
class _Programs:
    etcd: Path
    api_server: Path
    controller_manager: Path
    velero: list[Object]
    operators: list[Object]
    """The operators' CustomResourceDefinitions, from the pinned releases."""


@cache
def _programs() -> _Programs:
    tools = toolbox.ensure(["region", "velero", "cnpg"])
    releases = (tools.files["cloudnative-pg.yaml"], tools.files["plugin-barman-cloud.yaml"])
    return _Programs(
        etcd=tools.path("etcd"),
        api_server=tools.path("kube-apiserver"),
        controller_manager=tools.path("kube-controller-manager"),
        velero=printed(tools.path("velero"), "--crds-only"),
        operators=[definition for release in releases for definition in cnpg.definitions(release)],
    )


_CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "daemonset-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
)
"""Kubernetes' own controllers that run here. No test orders another outcome for their kinds. There are no Nodes, so a DaemonSet
is complete without Pods."""

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


class Served:
    """A real API server with some of Kubernetes' own controllers (`_CONTROLLERS`). For Jobs, Pods, and the objects of Velero and
    CloudNativePG, the recorded cluster's controllers act. They give each object the outcome that a test has ordered."""

    def __init__(self, directory: Path) -> None:
        self.outcomes = Outcomes()
        self.url = ""
        self._directory, self._stack = directory, ExitStack()

    def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        programs = _programs()
        # No Pod runs here, so the server need not check that a Pod's ServiceAccount exists.
        options = ["--disable-admission-plugins=ServiceAccount"]
        self._api = self._stack.enter_context(running(programs.etcd, programs.api_server, self._directory, options=options))
        self.url = self._api.url
        self._stack.enter_context(_controller_manager(programs.controller_manager, self._api, self._directory))
        self._api.define(programs.operators)
        self._controllers = _Controllers(self._api, self.outcomes)
        self._stack.enter_context(self._controllers)

    def close(self) -> None:
        self._stack.close()

    def access(self) -> tuple[Object, Object]:
        config = self._api.kubeconfig()
        return config["clusters"][0]["cluster"], config["users"][0]["user"]

    def put(self, obj: Mapping[str, Any], *, manager: str = "recorded") -> Object:
        [kind] = [each for each in named(obj["kind"]) if each.api_version == obj["apiVersion"]]
        meta = {key: value for key, value in obj["metadata"].items() if key in ("name", "namespace", "labels", "annotations")}
        path = path_of(kind, meta.get("namespace", "default"), meta["name"])
        applied = self._done(
            "PATCH",
            path,
            body={**obj, "metadata": meta},
            content="application/apply-patch+yaml",
            query=f"fieldManager={manager}&force=true",
        )
        if obj.get("status"):
            _Store(self._api).patch(kind, meta.get("namespace", ""), meta["name"], {"status": obj["status"]})
        return applied

    def objects(self, kind: str) -> list[Object]:
        found: list[Object] = []
        for each in named(kind):
            status, listed = self._api.ask("GET", path_of(each))
            assert status in (200, 404), listed
            found += [{"apiVersion": each.api_version, "kind": each.kind, **item} for item in listed.get("items", ())]
        return found

    def remove(self, kind: str, namespace: str, name: str) -> None:
        [known] = named(kind)
        self._done("DELETE", path_of(known, namespace, name))

    def amend(self, kind: str, namespace: str, name: str, patch: Mapping[str, Any]) -> None:
        [known] = named(kind)
        self._done("PATCH", path_of(known, namespace, name), body=patch, content="application/merge-patch+json")

    def report(self, kind: str, namespace: str, name: str, **status: Any) -> None:
        [known] = named(kind)
        _Store(self._api).patch(known, namespace, name, {"status": status})

    def install(self, kinds: Sequence[Kind]) -> None:
        self._serve(kinds, served=True)

    def uninstall(self, kinds: Sequence[Kind]) -> None:
        """Stop serving the definitions. Deleting them would delete their objects too."""
        self._serve(kinds, served=False)

    def checkpoint(self) -> PutBack:
        etcd, ordered, kinds = Etcd(self._api.store), [*self.outcomes.ordered], [*VELERO, *OPERATORS]
        served = {kind: self._serves(kind) for kind in kinds}
        content, answered = etcd.content(), self._controllers.answered()

        def put_back() -> None:
            with self._controllers.going_back(answered, until=etcd.revision()):
                self.outcomes.ordered = [*ordered]
                etcd.put_back(content)
            for kind, there in served.items():
                _until_listed(self._api, kind, served=there)

        return put_back

    def _serves(self, kind: Kind) -> bool:
        return self._api.ask("GET", path_of(kind))[0] != 404  # 429: served, but nobody has asked for it before

    def _serve(self, kinds: Sequence[Kind], *, served: bool) -> None:
        """Switch every kind of these groups on or off: a release defines more kinds than the tests know."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        groups = {kind.group for kind in kinds}
        for definition in self._done("GET", path)["items"]:
            if definition["spec"]["group"] not in groups:
                continue
            for version in definition["spec"]["versions"]:
                version["served"] = served
            self._done("PUT", f"{path}/{definition['metadata']['name']}", body=definition)
        for kind in kinds:
            _until_listed(self._api, kind, served=served)

    def _done(self, method: str, path: str, **options: Any) -> Object:
        status, answer = self._api.ask(method, path, **options)
        assert status in (200, 201, 202), answer
        return answer


def _until_listed(api: ApiServer, kind: Kind, *, served: bool) -> None:
    """Wait for the kind itself, and then for its group's discovery document, which changes a little later."""
    for path in (path_of(kind), f"/apis/{kind.api_version}"):
        until(
            f"{path} to be {'there' if served else 'gone'}",
            lambda path=path: (api.ask("GET", path)[0] == 200) is served,
            timeout=30,
        )


@contextmanager
def _controller_manager(program: Path, api: ApiServer, directory: Path) -> Iterator[None]:
    kubeconfig, log = directory / "kubeconfig", directory / "controllers.log"
    kubeconfig.write_text(yaml.safe_dump(api.kubeconfig()))
    command = [
        program,
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--cert-dir={directory}/controllers",
        "--bind-address=127.0.0.1",
        f"--secure-port={free_port()}",
        "--leader-elect=false",
        f"--controllers={','.join(_CONTROLLERS)}",
    ]
    with process(command, log) as manager:
        yield
        alive(manager, log)


class _Store:
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
        self._api.define(_programs().velero)


class _PatientStore(_Store):
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
    definitions = [*_programs().velero, *_programs().operators]
    return frozenset(
        definition["spec"]["names"]["plural"] + "." + definition["spec"]["group"]
        for definition in definitions
        if "status" in (definition["spec"]["versions"][0].get("subresources") or {})
    )


def _has_status_of_its_own(kind: Kind) -> bool:
    return kind in BUILT_IN or f"{kind.plural}.{kind.group}" in _statuses_of_their_own()


class _Controllers:
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
