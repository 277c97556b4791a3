"""The clusters of the engine's tests. There are two kinds with one interface: recorded clusters, and real API servers.

The real Kubernetes provider refuses a recorded cluster, because that publishes no OpenAPI. So the tests run it against real API
servers, and the recorded cluster's controllers act on those. LAB_ENGINE_CLUSTERS=real chooses them for the stand-in too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import urllib3
import yaml

from lab import engine
from lab.standins.recorded_cluster import RecordedCluster
from lab.standins.recorded_cluster.controllers import Outcomes
from lab.standins.recorded_cluster.kinds import OPERATORS, VELERO, Kind
from lab.waiting import until
from tests.api_server import ApiServer, alive, process, running
from tests.engine.checkpoints import PutBack
from tests.engine.controllers import Controllers, Object, Store, named, path_of, programs
from tests.engine.etcd import Etcd
from tests.ports import free_port

VARIABLE = "LAB_ENGINE_CLUSTERS"
"""Environment variable: `real` or `recorded`. If it is not set, the clusters are real if the Kubernetes provider is."""


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


class Served:
    """A real API server with some of Kubernetes' own controllers (`_CONTROLLERS`). For Jobs, Pods, and the objects of Velero and
    CloudNativePG, the recorded cluster's controllers act. They give each object the outcome that a test has ordered."""

    def __init__(self, directory: Path) -> None:
        self.outcomes = Outcomes()
        self.url = ""
        self._directory, self._stack = directory, ExitStack()

    def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        servers = programs()
        # No Pod runs here, so the server need not check that a Pod's ServiceAccount exists.
        options = ["--disable-admission-plugins=ServiceAccount"]
        self._api = self._stack.enter_context(running(servers.etcd, servers.api_server, self._directory, options=options))
        self.url = self._api.url
        self._stack.enter_context(_controller_manager(servers.controller_manager, self._api, self._directory))
        self._api.define(servers.operators)
        self._controllers = Controllers(self._api, self.outcomes)
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
            Store(self._api).patch(kind, meta.get("namespace", ""), meta["name"], {"status": obj["status"]})
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
        Store(self._api).patch(known, namespace, name, {"status": status})

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
