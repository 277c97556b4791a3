"""Sets claims aside: the data of a volume stays, under a claim of another name, and the old name is free.

It goes in three steps. Each volume gets the reclaim policy Retain and a mark that says all of the movement; the old claim goes;
and the volume is bound to a claim of a new name. Whatever interrupts it, the mark on the volume is enough to go on. A volume is
never without a reason to stay: it is marked before its claim may go.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from components.kube.cluster_api import ClusterApi, ClusterRefusedError
from components.kube.kept import (
    KEPT_OF,
    MARK,
    Kept,
    Mark,
    NotKeptError,
    is_its_own,
    is_kept,
    kept,
    kept_name,
    mark_of,
    new_claim,
    reserved,
)
from settings.names import fitting

__all__ = ["Kept", "NotKeptError", "begun", "bind", "keep", "pods_that_use", "release", "set_aside"]

_VOLUMES = "/api/v1/persistentvolumes"
_PAUSE_SECONDS = 1.0
_AGAIN = "pulumi up again goes on from here"


def keep(cluster: ClusterApi, namespace: str, claims: Sequence[str], *, of: str) -> list[Kept]:
    """Mark the volumes of these claims, and have them stay when their claims go. Raises NotKeptError.

    A claim that is not bound has no data, one that is gone is marked already or lost, and one that is a kept volume's own stays
    what it is: none of them is among what is returned.
    """
    found = []
    for name in claims:
        claim = cluster.read(_path(namespace, name))
        volume = _volume_of(cluster, claim) if claim and not is_kept(claim) else None
        if claim is None or volume is None:
            continue
        spec, metadata = claim["spec"], claim["metadata"]
        mark = mark_of(volume)
        if mark is None or (mark.uid, mark.of) != (metadata["uid"], of):
            mark = Mark(
                of=of,
                namespace=namespace,
                claim=name,
                kept_as=kept_name(name, volume["metadata"]["name"]),
                uid=metadata["uid"],
                modes=spec.get("accessModes") or volume["spec"]["accessModes"],
                size=((spec.get("resources") or {}).get("requests") or {}).get("storage", ""),
                storage_class=spec.get("storageClassName") or "",
                volume_mode=spec.get("volumeMode") or "Filesystem",
                labels=metadata.get("labels") or {},
                policy=volume["spec"].get("persistentVolumeReclaimPolicy", ""),
            )
        _retain(cluster, volume, mark)
        found.append(kept(volume, mark))
    return found


def release(cluster: ClusterApi, namespace: str, claims: Sequence[str], *, seconds: float) -> None:
    """Delete these claims, and wait until they are gone. Raises NotKeptError if one is not gone after `seconds`.

    None is deleted while a Pod uses it: a deletion cannot be taken back, and the claim would go whenever the Pod does. None is
    deleted either whose volume would go with it. Claims of kept volumes stay.
    """
    deadline = time.monotonic() + seconds
    first = {each["metadata"]["uid"] for each in _left(cluster, namespace, claims)}
    while left := _left(cluster, namespace, claims):
        users = _users(cluster, namespace)
        for claim in left:
            _release_one(cluster, claim, users, first)
        if not _later(deadline):
            break
    if left := _left(cluster, namespace, claims):
        raise NotKeptError(_why_not_gone(left[0], _users(cluster, namespace), seconds))


def bind(cluster: ClusterApi, namespace: str, *, of: str, seconds: float) -> list[Kept]:
    """Bind each marked volume whose claim is gone to the claim of its new name. Raises NotKeptError if one is not bound after
    `seconds`. A volume that somebody has given to another claim is that one's, and left out.

    Whoever gives up a kept volume deletes its claim, and the volume itself: a volume that stays gets its claim again.
    """
    deadline = time.monotonic() + seconds
    while True:
        found, reasons = [], []
        for volume, mark in _marked(cluster, namespace, of):
            if not is_its_own(volume, mark):
                continue
            found.append(kept(volume, mark))
            if reason := _bind_one(cluster, volume, mark):
                reasons.append(reason)
        if not reasons:
            return sorted(found, key=lambda each: each.claim)
        if not _later(deadline):
            raise NotKeptError(f"{reasons[0]} after {seconds:g} s; {_AGAIN}")


def begun(cluster: ClusterApi, of: str) -> set[str]:
    """The namespaces in which volumes are kept of `of`, also where their claims are gone and nothing else tells of them."""
    return {mark.namespace for volume in _labelled(cluster, of) if (mark := mark_of(volume)) and mark.of == of}


def set_aside(cluster: ClusterApi, namespace: str, claims: Sequence[str], *, of: str, seconds: float) -> list[Kept]:
    """All three steps, for claims that nobody owns. Returns every volume that is kept of `of` in this namespace, those of an
    earlier run too. Raises NotKeptError."""
    deadline = time.monotonic() + seconds
    keep(cluster, namespace, claims, of=of)
    release(cluster, namespace, claims, seconds=seconds)
    return bind(cluster, namespace, of=of, seconds=max(deadline - time.monotonic(), 1))


def _left(cluster: ClusterApi, namespace: str, claims: Sequence[str]) -> list[dict[str, Any]]:
    """Those of the claims that are there, without kept volumes' own."""
    found = (cluster.read(_path(namespace, name)) for name in claims)
    return [claim for claim in found if claim and not is_kept(claim)]


def _release_one(
    cluster: ClusterApi, claim: Mapping[str, Any], users: Mapping[str, Sequence[str]], first: Collection[str]
) -> None:
    """Delete a claim that no Pod uses, if its volume stays. `first` are the UIDs of the claims that were to go."""
    metadata = claim["metadata"]
    if metadata["uid"] not in first:
        raise NotKeptError(
            f"claim {_named(claim)} was deleted, and somebody has made it anew: stop what makes it (a StatefulSet, an operator), "
            "then pulumi up again"
        )
    if metadata.get("deletionTimestamp") or users.get(metadata["name"]):
        return
    volume = _volume_of(cluster, claim)
    if volume and (mark_of(volume) is None or volume["spec"].get("persistentVolumeReclaimPolicy") != "Retain"):
        raise NotKeptError(
            f"claim {_named(claim)} is bound to volume {volume['metadata']['name']}, which is not set aside and would be deleted "
            f"with it; the claim stays; {_AGAIN}"
        )
    cluster.delete(_path(metadata["namespace"], metadata["name"]), metadata["uid"])


def _path(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/persistentvolumeclaims{f'/{name}' if name else ''}"


def _named(claim: Mapping[str, Any]) -> str:
    return f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"


def _volume_of(cluster: ClusterApi, claim: Mapping[str, Any]) -> dict[str, Any] | None:
    """The volume that a claim is bound to. One that it only names belongs to whom it says itself."""
    name = claim["spec"].get("volumeName")
    volume = cluster.read(f"{_VOLUMES}/{name}") if name else None
    bound = volume is not None and (volume["spec"].get("claimRef") or {}).get("uid") == claim["metadata"]["uid"]
    return volume if bound else None


def _retain(cluster: ClusterApi, volume: Mapping[str, Any], mark: Mark) -> None:
    """Mark a volume and have it stay, in one request: there is no moment with the one and without the other."""
    name = volume["metadata"]["name"]
    metadata = {"labels": {KEPT_OF: fitting(mark.of)}, "annotations": {MARK: json.dumps(asdict(mark), sort_keys=True)}}
    body = {"metadata": metadata, "spec": {"persistentVolumeReclaimPolicy": "Retain"}}
    if _has(volume, body):
        return
    changed = cluster.patch(f"{_VOLUMES}/{name}", body)
    if changed is None or not _has(changed, body):
        raise NotKeptError(
            f"volume {name} of claim {mark.namespace}/{mark.claim} did not take the reclaim policy Retain and its mark; the "
            f"claim stays as it is; see kubectl describe pv {name}; {_AGAIN}"
        )


def _has(found: Any, wanted: Any) -> bool:
    """Whether an object has every field of `wanted` already."""
    if not isinstance(wanted, dict):
        return bool(found == wanted)
    return isinstance(found, dict) and all(_has(found.get(key), value) for key, value in wanted.items())


def _marked(cluster: ClusterApi, namespace: str, of: str) -> Iterator[tuple[dict[str, Any], Mark]]:
    """The volumes that are kept of `of` in a namespace, and that nobody is deleting."""
    for volume in _labelled(cluster, of):
        mark = None if volume["metadata"].get("deletionTimestamp") else mark_of(volume)
        if mark and (mark.namespace, mark.of) == (namespace, of):
            yield volume, mark


def _labelled(cluster: ClusterApi, of: str) -> list[dict[str, Any]]:
    listed = cluster.read(f"{_VOLUMES}?labelSelector={KEPT_OF}={fitting(of)}") or {}
    return list(listed.get("items") or ())


def _bind_one(cluster: ClusterApi, volume: Mapping[str, Any], mark: Mark) -> str | None:
    """Bring a volume one step nearer to its new claim. Returns what it waits for; None once the two are bound."""
    name, held = volume["metadata"]["name"], volume["spec"].get("claimRef") or {}
    claim = cluster.read(_path(mark.namespace, mark.kept_as))
    if claim and claim["spec"].get("volumeName") != name:
        raise NotKeptError(
            f"claim {_named(claim)} is there and is not of volume {name}, which was to be bound to it; the volume stays; rename "
            "or delete that claim, then pulumi up again"
        )
    if claim and held.get("name") == mark.kept_as and held.get("uid") == claim["metadata"]["uid"]:
        phase = (claim.get("status") or {}).get("phase", "Pending")
        return None if phase == "Bound" else f"claim {_named(claim)} of volume {name} is {phase}, not Bound"
    if held.get("name") == mark.claim:
        old = cluster.read(_path(mark.namespace, mark.claim))
        if old and old["metadata"]["uid"] == mark.uid:
            users = _users(cluster, mark.namespace).get(mark.claim)
            return f"claim {_named(old)}, whose volume {name} is to be set aside, is still there{_used_by(users)}"
    try:
        # A volume of a dead claim, or of nobody, is made to name the new one, unless somebody has changed it since it was read.
        alive = claim["metadata"]["uid"] if claim else None
        if (held.get("name"), held.get("uid")) not in ((mark.kept_as, None), (mark.kept_as, alive)):
            cluster.patch(f"{_VOLUMES}/{name}", reserved(volume, mark))
        if claim is None and cluster.create(_path(mark.namespace), new_claim(volume, mark)) is None:
            raise NotKeptError(f"namespace {mark.namespace}, in which volume {name} is to be kept, is gone; make it; {_AGAIN}")
    except ClusterRefusedError as error:
        if "409" not in str(error):
            raise
    there = f"claim {mark.namespace}/{mark.kept_as} of volume {name}"
    return f"{there} is not bound (kubectl describe pvc {mark.kept_as} -n {mark.namespace})"


def pods_that_use(cluster: ClusterApi, namespace: str) -> dict[str, list[dict[str, Any]]]:
    """By claim, the Pods that keep it from going: those on a node that have not ended."""
    found: dict[str, list[dict[str, Any]]] = {}
    for pod in (cluster.read(f"/api/v1/namespaces/{namespace}/pods") or {}).get("items") or ():
        if not pod["spec"].get("nodeName") or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        for volume in pod["spec"].get("volumes") or ():
            claim = f"{pod['metadata']['name']}-{volume['name']}" if "ephemeral" in volume else ""
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName") or claim
            if claim:
                found.setdefault(claim, []).append(pod)
    return found


def _users(cluster: ClusterApi, namespace: str) -> dict[str, list[str]]:
    return {claim: [str(pod["metadata"]["name"]) for pod in pods] for claim, pods in pods_that_use(cluster, namespace).items()}


def _used_by(users: Sequence[str] | None) -> str:
    return f" (Pods that use it: {', '.join(sorted(users))})" if users else ""


def _why_not_gone(claim: Mapping[str, Any], users: Mapping[str, Sequence[str]], seconds: float) -> str:
    metadata = claim["metadata"]
    start = f"claim {_named(claim)} is still there after {seconds:g} s"
    if used := users.get(metadata["name"]):
        return f"{start}{_used_by(used)}; its volume is safe; stop them, then pulumi up again"
    held = ", ".join(metadata.get("finalizers") or ()) or "nothing that it names"
    return f"{start}, held by {held} (kubectl describe pvc {metadata['name']} -n {metadata['namespace']}); {_AGAIN}"


def _later(deadline: float) -> bool:
    """Wait a moment; False if the time is over."""
    if time.monotonic() >= deadline:
        return False
    time.sleep(_PAUSE_SECONDS)
    return True
