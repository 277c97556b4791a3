"""What a restore did with volumes: which it could not fill, which came without data, and which it left as they were."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import Any

from components.kube.cluster_api import ClusterApi
from components.kube.runner import restored
from components.kube.runner.restored import DONE, phase_of, target_of
from components.velero.inventory import items
from components.velero.selection import Chosen
from settings.fields import LABEL_LENGTH
from settings.names import EXCLUDED_FROM_BACKUP


def _label(restore: str) -> str:
    """The selector of what belongs to a Restore. Velero shortens a longer name so (pkg/label, GetValidName)."""
    short = restore if len(restore) <= LABEL_LENGTH else restore[: LABEL_LENGTH - 6] + sha256(restore.encode()).hexdigest()[:6]
    return f"velero.io/restore-name={short}"


def _downloads(cluster: ClusterApi, restore: str) -> list[dict[str, Any]]:
    """What fills claims from snapshots that were moved."""
    return cluster.list_velero("datadownloads", _label(restore), version="v2alpha1") or []


def _by_files(cluster: ClusterApi, restore: str) -> list[dict[str, Any]]:
    """What fills volumes through the Pods that mount them."""
    return cluster.list_velero("podvolumerestores", _label(restore)) or []


_OF_DATABASES = ("cnpg.io/cluster", "app.kubernetes.io/managed-by=cloudnative-pg")
"""Labels of what CloudNativePG makes, which Velero neither saves nor restores (components/velero/selection.py)."""


def claims_in_the_way(
    cluster: ClusterApi,
    each: Chosen,
    *,
    without_data: Collection[tuple[str, str]] = (),
    in_spite_of_existing: bool = False,
) -> list[tuple[str, str]]:
    """The claims, by namespace and name, that a planned takeover sets aside before it restores `each`: all that are in its
    namespaces, for Velero never writes into a volume whose claim exists. Also one that the Backup does not hold: a StatefulSet
    that grows later would find it, with the data of another time.

    Left where they are: claims of databases and those that no backup has (`velero.io/exclude-from-backup`), for no restore brings
    them; those of a Pod, which go with it; all, where somebody wrote `existing`, for they decided (`in_spite_of_existing` says
    which these are); and the claims `without_data`, of which the Backup has no data because a rule of velero.volumes skips them.
    """
    if (each.backup.existing and not in_spite_of_existing) or _CLAIMS in each.backup.not_restored:
        return []
    included = each.namespaces.get("includedNamespaces")
    paths = [f"/api/v1/namespaces/{namespace}/{_CLAIMS}" for namespace in included] if included else [f"/api/v1/{_CLAIMS}"]
    claims = [claim for path in paths for claim in items(cluster, path)]
    found = {_claim(claim) for claim in claims if not _nobody_brings(claim)}
    return sorted(claim for claim in found if each.has(claim[0]) and claim not in without_data)


_CLAIMS = "persistentvolumeclaims"


def _claim(claim: dict[str, Any]) -> tuple[str, str]:
    return str(claim["metadata"]["namespace"]), str(claim["metadata"]["name"])


def _nobody_brings(claim: dict[str, Any]) -> bool:
    labels = claim["metadata"].get("labels") or {}
    marks = {*labels, *(f"{key}={value}" for key, value in labels.items())}
    excluded = {f"{key}={value}" for key, value in EXCLUDED_FROM_BACKUP.items()}
    of_a_pod = any(owner.get("kind") == "Pod" for owner in claim["metadata"].get("ownerReferences") or ())
    return of_a_pod or not marks.isdisjoint({*_OF_DATABASES, *excluded})


def delete_ownerless(cluster: ClusterApi, restore: str) -> list[str]:
    """Delete the claims of generic ephemeral volumes that a restore brought back. Returns them, as in `production/db-0-scratch`.

    Such a claim goes with its Pod. A restore brings it without that owner, and a Pod of the same name, as every StatefulSet makes
    them, never starts beside it: Kubernetes demands that the Pod own it, and makes a new one only where none is there. A claim
    of such a name that asks for something else than the Pod's volume does was made by a person, and stays.
    """
    brought = cluster.restored_claims(_label(restore))
    found = []
    for namespace in dict.fromkeys(namespace for namespace, _ in brought):
        pods = [*items(cluster, f"/api/v1/namespaces/{namespace}/pods")]
        sets = [*items(cluster, f"/apis/apps/v1/namespaces/{namespace}/statefulsets")]
        theirs = [
            *((re.escape(_name(pod)), volume) for pod in pods for volume in _ephemeral(pod["spec"])),
            *(
                (rf"{re.escape(_name(each))}-\d+", volume)
                for each in sets
                for volume in _ephemeral(each["spec"]["template"]["spec"])
            ),
        ]
        for name in [name for where, name in brought if where == namespace]:
            asked = [_asks(volume) for pod, volume in theirs if re.fullmatch(f"{pod}-{re.escape(_named(volume))}", name)]
            path = f"/api/v1/namespaces/{namespace}/{_CLAIMS}/{name}"
            claim = cluster.read(path) if asked else None
            if claim and _what(claim["spec"]) in asked and not claim["metadata"].get("ownerReferences"):
                cluster.delete(path, claim["metadata"]["uid"])
                found.append(f"{namespace}/{name}")
    return found


def _ephemeral(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """The generic ephemeral volumes in a Pod's spec."""
    return [volume for volume in pod.get("volumes") or () if "ephemeral" in volume]


def _asks(volume: dict[str, Any]) -> Any:
    return _what(volume["ephemeral"]["volumeClaimTemplate"]["spec"])


def _what(claim: dict[str, Any]) -> Any:
    """What a claim's spec asks for, as its template has it too."""
    return claim["accessModes"], claim["resources"]["requests"]


def _name(item: dict[str, Any]) -> str:
    return str(item["metadata"]["name"])


def _named(volume: dict[str, Any]) -> str:
    return str(volume["name"])


def failed_volumes(cluster: ClusterApi, restore: str) -> list[str]:
    """The volumes whose data a restore could not bring, a text each, with Velero's reason and what that means."""
    return restored.failed_volumes(_downloads(cluster, restore), _by_files(cluster, restore))


def unfilled_claims(cluster: ClusterApi, failed: str) -> str | None:
    """Why a restore after the one that `failed` would lose data in silence; None if it would not.

    A claim is there before its data. If they do not come, the next restore finds the claim, leaves it alone, and says Completed
    (Velero's pvc_action.go: "PVC already exists. Skip"). A Pod whose volume was to be filled by files is found and left alone
    in the same way.
    """
    missing = [target_of(each) for each in _downloads(cluster, failed) if phase_of(each) != DONE]
    missing += [claim for each in _by_files(cluster, failed) if phase_of(each) != DONE for claim in _claim_of_pod(cluster, each)]
    here = set(cluster.restored_claims())
    claims = [claim for claim in dict.fromkeys(missing) if claim in here]
    if not claims:
        return None
    namespace, name = claims[0]
    return (
        f"claims without their data are here ({', '.join(map('/'.join, claims))}): Restore {failed} made them and could not fill "
        f"them, and another one would leave them as they are; delete them, as in: kubectl delete pvc {name} -n {namespace} "
        "(scale what uses it to 0, and delete a Pod that nothing scales), then run the same pulumi up"
    )


def _claim_of_pod(cluster: ClusterApi, by_files: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The claim of a Pod's volume. A Pod that is gone, or a volume that is no claim's, needs nobody's care."""
    namespace, name = by_files["spec"]["pod"]["namespace"], by_files["spec"]["pod"]["name"]
    pod = cluster.read(f"/api/v1/namespaces/{namespace}/pods/{name}") or {}
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if volume["name"] == by_files["spec"]["volume"] and volume.get("persistentVolumeClaim"):
            yield namespace, volume["persistentVolumeClaim"]["claimName"]


def empty_claims(cluster: ClusterApi, restore: str) -> str | None:
    """Which claims a completed restore brought without data, in one line; None if there are none.

    Velero says nothing of them: a volume that it did not save is no error, in the backup or in the restore. Of a namespace whose
    files come through Pods it is not known which claims they fill.
    """
    filled = {target_of(each) for each in _downloads(cluster, restore)}
    by_files = {each["spec"]["pod"]["namespace"] for each in _by_files(cluster, restore)}
    brought = cluster.restored_claims(_label(restore))
    empty = [claim for claim in brought if claim not in filled and claim[0] not in by_files]
    if not empty:
        return None
    return (
        f"Restore {restore} brought claims without data ({', '.join(map('/'.join, empty))}): their volumes are not in the "
        "backup, because a rule of velero.volumes skips them or Velero cannot copy them; each gets an empty disk of this region "
        "(docs/volumes.md)"
    )
