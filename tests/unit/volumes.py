"""A cluster whose volumes and claims behave as a real one's do, with its controllers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from components.kube.cluster_api import ClusterRefusedError, ClusterUnreachableError
from tests.unit.fakes import FakeCluster

PVS = "/api/v1/persistentvolumes"


def claims_path(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/persistentvolumeclaims{f'/{name}' if name else ''}"


@dataclass(kw_only=True)
class ClusterWithVolumes(FakeCluster):
    """A claim that goes releases its volume, which goes too unless it shall be retained. A Pod on a node keeps its claims from
    going. A claim that names a volume is bound to it if the volume is its own or nobody's."""

    fails_at: int | None = None
    """Which call of the API fails, counted from 0, and whether it took effect before."""
    took_effect: bool = False

    calls: int = 0
    lost: list[str] = field(default_factory=list)
    """Volumes whose data are gone."""

    binds: bool = True
    """Whether the controllers bind claims."""

    soon: list[Callable[[], None]] = field(default_factory=list)
    """What happens in the world while the program waits, one at each pause."""

    _numbers: Any = field(default_factory=lambda: count(1))

    def volume(self, name: str, policy: str = "Delete", **spec: Any) -> dict[str, Any]:
        self.paths[f"{PVS}/{name}"] = {
            "metadata": {"name": name, "resourceVersion": self._next()},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "2Gi"},
                "persistentVolumeReclaimPolicy": policy,
                "storageClassName": "gp3",
                **spec,
            },
            "status": {"phase": "Available"},
        }
        return self.paths[f"{PVS}/{name}"]

    def claim(self, namespace: str, name: str, volume: str | None = None, **metadata: Any) -> dict[str, Any]:
        """A claim, bound to a new volume of this name; without one it is Pending."""
        uid = f"uid-{self._next()}"
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "gp3"}
        made = {"metadata": {"namespace": namespace, "name": name, "uid": uid, **metadata}, "spec": spec}
        if volume:
            spec["volumeName"] = volume
            self.volume(volume, claimRef={"namespace": namespace, "name": name, "uid": uid, "resourceVersion": "7"})
        self.paths[claims_path(namespace, name)] = {**made, "status": {"phase": "Bound" if volume else "Pending"}}
        return self.paths[claims_path(namespace, name)]

    def pod(self, namespace: str, name: str, claim: str, *, node: str = "node-1", phase: str = "Running") -> None:
        volumes = [{"name": "scratch", "emptyDir": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
        self.paths[f"/api/v1/namespaces/{namespace}/pods/{name}"] = {
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"nodeName": node, "volumes": volumes},
            "status": {"phase": phase},
        }

    def pv(self, name: str) -> dict[str, Any]:
        return self.paths[f"{PVS}/{name}"]

    def pvc(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.paths.get(claims_path(namespace, name))

    def pause(self, seconds: float) -> None:
        """In place of time.sleep."""
        if self.soon:
            self.soon.pop(0)()
        self._settle()

    def read(self, path: str) -> dict[str, Any] | None:
        self._fail()
        bare, _, query = path.partition("?")
        if bare.endswith(("/persistentvolumes", "/pods")):
            self._ask(f"path {path}")
            return {"items": [each for each in self._below(bare) if _selected(each, query)]}
        return super().read(path)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        self._fail()
        found, version = self.paths.get(path), body["metadata"].pop("resourceVersion", None)
        if found and version and version != found["metadata"]["resourceVersion"]:
            raise ClusterRefusedError("cluster fake refused: 409 the object has been modified")
        super().patch(path, body)
        if found:
            self.paths[path]["metadata"]["resourceVersion"] = self._next()
        self._settle()
        self._fail(after=True)
        return self.paths.get(path)

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        self._fail()
        made = super().create(path, {**body, "metadata": {**body["metadata"], "uid": f"uid-{self._next()}"}})
        self._settle()
        self._fail(after=True)
        return made

    def delete(self, path: str, uid: str) -> None:
        self._fail()
        found = self.paths.get(path)
        super().delete(path, uid)
        if found:
            self.paths[path] = found
            found["metadata"]["deletionTimestamp"] = "2026-03-04T05:06:07Z"
        self._settle()
        self._fail(after=True)

    def _next(self) -> str:
        return str(next(self._numbers))

    def _fail(self, *, after: bool = False) -> None:
        """Fail at one call, before it took effect or after."""
        number = self.calls - 1 if after else self.calls
        self.calls = number + 1
        if number == self.fails_at and after == self.took_effect:
            self.fails_at = None
            raise ClusterUnreachableError("cluster fake does not answer")

    def _below(self, path: str) -> list[dict[str, Any]]:
        return [each for at, each in self.paths.items() if at.rpartition("/")[0] == path]

    def _settle(self) -> None:
        """What the controllers do."""
        for path, each in list(self.paths.items()):
            if "/persistentvolumeclaims/" in path and each["metadata"].get("deletionTimestamp") and not self._used(each):
                del self.paths[path]
        for volume in self._below(PVS):
            self._settle_volume(volume)

    def _settle_volume(self, volume: dict[str, Any]) -> None:
        name, held = volume["metadata"]["name"], volume["spec"].get("claimRef")
        at = claims_path(held["namespace"], held["name"]) if held else ""
        claim = self.paths.get(at)
        if held and held.get("uid") and (claim is None or claim["metadata"]["uid"] != held["uid"]):
            volume["status"] = {"phase": "Released"}
            if volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
                self.lost.append(name)
                del self.paths[f"{PVS}/{name}"]
        elif self.binds and claim and claim["spec"].get("volumeName") == name and claim["metadata"].get("uid"):
            held["uid"] = claim["metadata"]["uid"]
            volume["status"], self.paths[at] = {"phase": "Bound"}, {**claim, "status": {"phase": "Bound"}}
        elif not (held and held.get("uid")):
            volume["status"] = {"phase": "Available"}

    def _used(self, claim: dict[str, Any]) -> bool:
        pods = self._below(f"/api/v1/namespaces/{claim['metadata']['namespace']}/pods")
        alive = [pod for pod in pods if pod["spec"]["nodeName"] and pod["status"]["phase"] == "Running"]
        names = {
            (volume.get("persistentVolumeClaim") or {}).get("claimName") for pod in alive for volume in pod["spec"]["volumes"]
        }
        return claim["metadata"]["name"] in names


def _selected(each: dict[str, Any], query: str) -> bool:
    key, _, value = query.removeprefix("labelSelector=").partition("=")
    return not query or (each["metadata"].get("labels") or {}).get(key) == value
