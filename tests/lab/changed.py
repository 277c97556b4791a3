"""Objects that somebody changes in the region that serves, and what is seen of them in a region after a switchover."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from lab.application import manifests
from lab.waiting import TimedOutError, until
from lab.world import Lab
from settings.roles import Role

NAMESPACE = manifests.APPLICATION_NAMESPACE
SERVICE = "by-node-port"
MADE = "made-meanwhile"


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What the application's namespace is made to say: a key of the Secret and of the ConfigMap that were there from the start, a
    ConfigMap that is new, the replicas of a workload, and the node port of a Service."""

    secret: str
    config: str
    made: str
    replicas: int
    node_port: int

    def put(self, lab: Lab, role: Role) -> None:
        """Change all of it in a region, as people do, and wait until the workload has as many replicas."""
        _patch(lab, role, "secret", manifests.NAME, {"stringData": {"changed": self.secret}})
        _patch(lab, role, "configmap", manifests.NAME, {"data": {"changed": self.config}})
        lab.kubectl(role, "scale", f"deployment/{manifests.NAME}", "-n", NAMESPACE, f"--replicas={self.replicas}")
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": MADE}, "data": {"by": self.made}}
        port = {"name": "http", "port": 80, "targetPort": manifests.PORT, "nodePort": self.node_port}
        spec = {"type": "NodePort", "selector": manifests.LABELS, "ports": [port]}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE}, "spec": spec}
        for document in (made, service):
            lab.kubectl(role, "apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(document))
        until(f"{self.replicas} replicas", lambda: self.seen(lab, role) == self, timeout=120, interval=1)

    @classmethod
    def seen(cls, lab: Lab, role: Role) -> Changed:
        """What a region has. Raises LabError if an object is missing there, and KeyError for a key."""
        secret = _get(lab, role, "secret", manifests.NAME)["data"].get("changed", "")
        return cls(
            secret=base64.b64decode(secret).decode(),
            config=_get(lab, role, "configmap", manifests.NAME)["data"].get("changed", ""),
            made=_get(lab, role, "configmap", MADE)["data"]["by"],
            replicas=_get(lab, role, "deployment", manifests.NAME)["status"].get("readyReplicas", 0),
            node_port=_get(lab, role, "service", SERVICE)["spec"]["ports"][0]["nodePort"],
        )

    def differs(self, lab: Lab, role: Role) -> dict[str, tuple[Any, Any]]:
        """What is not the same in a region, as it is meant and as it is. The last replicas may take a minute."""
        with suppress(TimedOutError):
            until("all to be there", lambda: self.seen(lab, role) == self, timeout=60, interval=2)
        own, theirs = asdict(self), asdict(self.seen(lab, role))
        return {key: (own[key], theirs[key]) for key in own if own[key] != theirs[key]}


def _patch(lab: Lab, role: Role, kind: str, name: str, body: dict[str, Any]) -> None:
    lab.kubectl(role, "patch", kind, name, "-n", NAMESPACE, "--type=merge", f"--patch={json.dumps(body)}")


def _get(lab: Lab, role: Role, kind: str, name: str) -> dict[str, Any]:
    return dict(json.loads(lab.kubectl(role, "get", kind, name, "-n", NAMESPACE, "-o", "json")))
