"""Parts of the configurations that were tried: the committed ones with one thing changed."""

from __future__ import annotations

from typing import Any

from tests.unit.settings.test_mistakes import part

CONNECTION = {
    "hosts": {"primary": "a.example.com", "secondary": "b.example.com"},
    "certificates": {"server": "a", "serverCa": "b", "clientCa": "c", "replication": "d"},
}
STREAMED = {"replication": "streaming", "streaming": CONNECTION}
SELF_MANAGED = {"context": "prod", "name": "prod", "distribution": "self-managed"}


def connected(**changes: Any) -> dict[str, Any]:
    """A connection for streaming with parts of it changed."""
    return {"replication": "streaming", "streaming": {**CONNECTION, **changes}}


def database(**changes: Any) -> dict[str, Any]:
    return part("databases", **changes)


def dns(**changes: Any) -> dict[str, Any]:
    return part("dns", **changes)


def cluster(**changes: Any) -> dict[str, Any]:
    return part("cluster", **changes)


def backup(**changes: Any) -> dict[str, Any]:
    return part("backups", **changes)


def workload(**changes: Any) -> dict[str, Any]:
    return part("workloads", **changes)


def topology(**changes: Any) -> dict[str, Any]:
    return part("topology", **changes)


def delivery(**changes: Any) -> dict[str, Any]:
    return {"delivery": {"repository": "acme/k8s-dr", "stateBucket": "acme-pulumi-us-west-2", **changes}}


def etcd(**changes: Any) -> dict[str, Any]:
    return {"cluster": {**SELF_MANAGED, "oidcIssuer": "oidc.example.com"}, "identity": "irsa", "etcd": changes}


def modifier(*, kind: str = "deployments.apps", **changes: Any) -> dict[str, Any]:
    """One rule of velero.modifiers, with `changes` of its conditions, or of its patches where they are called so."""
    patches = {key: value for key, value in changes.items() if key.endswith("atches") and key != "matches"}
    conditions = {"groupResource": kind, **{key: value for key, value in changes.items() if key not in patches}}
    rule = {"conditions": conditions, **(patches or {"mergePatches": [{"patchData": "spec: {paused: null}"}]})}
    return {"velero": {"modifiers": [rule]}}


def patch(**changes: Any) -> dict[str, Any]:
    return modifier(patches=[{"operation": "replace", "path": "/spec/replicas", **changes}])


def selector(**changes: Any) -> dict[str, Any]:
    return modifier(labelSelector=changes)


def toleration(**changes: Any) -> dict[str, Any]:
    return {"velero": {"tolerations": [changes]}}


def alias(name: str, zone: str) -> dict[str, Any]:
    return {"endpoint": {"name": name, "zoneId": zone}}
