"""Claims of an earlier time that a takeover sets aside, and that Pods which stand by still use: no claim goes before they do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from components.kube.aside import pods_that_use
from components.kube.cluster_api import ClusterApi
from components.kube.objection import Objection
from components.velero.claims import claims_in_the_way
from components.velero.selection import Chosen

_NAMED = 3
"""How many claims, Pods and commands a line has at most."""


def objections(cluster: ClusterApi, each: Chosen, without_data: Collection[tuple[str, str]]) -> Iterator[Objection]:
    """Why what `each` names cannot be restored now, one for each namespace: the restore would wait for these Pods, which nothing
    ends, while the databases are promoted beside it. `without_data` are the claims that stay where they are."""
    by_namespace: dict[str, list[str]] = {}
    for namespace, name in claims_in_the_way(cluster, each, without_data=without_data):
        by_namespace.setdefault(namespace, []).append(name)
    for namespace, names in by_namespace.items():
        if used := {name: pods for name, pods in pods_that_use(cluster, namespace).items() if name in names}:
            yield _objection(cluster, each, namespace, used)


def _objection(cluster: ClusterApi, each: Chosen, namespace: str, used: Mapping[str, Sequence[dict[str, Any]]]) -> Objection:
    pods = {pod["metadata"]["name"]: pod for users in used.values() for pod in users}
    stops = dict.fromkeys(_what_stops(cluster, pod, namespace) for pod in pods.values() if not _ends(pod))
    way_on = f"stop them first, as in: {' && '.join([*stops][:_NAMED])}" if stops else "they are about to end"
    return Objection(
        reason=f"claims of an earlier time are set aside before {each.backup.name} is restored, and Pods use some of them: in "
        f"namespace {namespace}, {_listed(used)} ({_listed(pods)}); {way_on}. The up scales what k8s-dr:workloads names "
        "once it has restored; where no Pods with claims shall stand by, write standbyReplicas: 0",
        passing=not stops,
    )


def _listed(names: Collection[str]) -> str:
    found = sorted(names)
    return ", ".join(found[:_NAMED]) + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")


def _owner(pod: Mapping[str, Any]) -> tuple[str, str]:
    owners = pod["metadata"].get("ownerReferences") or ()
    owner: Mapping[str, Any] = next((each for each in owners if each.get("controller")), {})
    return str(owner.get("kind", "")), str(owner.get("name", ""))


def _ends(pod: Mapping[str, Any]) -> bool:
    """Whether the Pod goes by itself: somebody has stopped it, or it is a Job's."""
    return bool(pod["metadata"].get("deletionTimestamp")) or _owner(pod)[0] == "Job"


def _what_stops(cluster: ClusterApi, pod: Mapping[str, Any], namespace: str) -> str:
    kind, name = _owner(pod)
    if kind == "StatefulSet":
        scale = f"kubectl scale statefulset {name} --replicas=0 -n {namespace}"
        found = cluster.read(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}") or {"spec": {}}
        if (found["spec"].get("persistentVolumeClaimRetentionPolicy") or {}).get("whenScaled") != "Delete":
            return scale
        # Scaled down as it is, it would lose the very claims that are to be set aside.
        patch = '{"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Retain"}}}'
        return f"kubectl patch statefulset {name} -n {namespace} -p '{patch}' && {scale}"
    if kind == "ReplicaSet" and "-" in name:
        # A Deployment names its ReplicaSets by itself and a hash.
        return f"kubectl scale deployment {name.rpartition('-')[0]} --replicas=0 -n {namespace}"
    return f"kubectl delete pod {pod['metadata']['name']} -n {namespace}"
