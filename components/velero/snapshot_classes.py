"""Whether Velero finds a VolumeSnapshotClass for each claim that is backed up. Without one, each backup is PartiallyFailed.

It finds it by the claim's StorageClass. A claim of a volume that somebody made by hand may name none, or one that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.runner.restored import shortened
from components.velero.inventory import items
from settings.backup import Backup
from settings.names import EXCLUDED_FROM_BACKUP
from settings.velero import VeleroSettings
from settings.volumes import WITHOUT_SNAPSHOTS, VolumeRule

CLASSES = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses"
_LABEL = "velero.io/csi-volumesnapshot-class"
_DEFAULT = "snapshot.storage.kubernetes.io/is-default-class"
_OF_A_DATABASE = "cnpg.io/cluster"


def without_class(drivers: Iterable[str], classes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those of the drivers of which Velero finds no VolumeSnapshotClass, sorted: it takes one with its label, or one that is a
    default, or the only one there is (its pkg/util/csi, GetVolumeSnapshotClassForStorageClass)."""
    return sorted(driver for driver in set(drivers) if not _found([each for each in classes if each.get("driver") == driver]))


def _found(classes: Sequence[Mapping[str, Any]]) -> bool:
    def marked(each: Mapping[str, Any]) -> bool:
        metadata = each["metadata"]
        return _LABEL in (metadata.get("labels") or {}) or _DEFAULT in (metadata.get("annotations") or {})

    return len(classes) == 1 or any(map(marked, classes))


def warnings_by_day(cluster: ClusterApi, settings: VeleroSettings, backups: Sequence[Backup]) -> list[str]:
    """Which claims make every backup of theirs PartiallyFailed, a line for each driver. It never raises."""
    try:
        claims, classless = _snapshotted(cluster, settings.volumes, backups)
        made = {settings.snapshot_class.driver} if settings.snapshot_class.managed else set()
        missing = without_class(set(claims) - made, list(items(cluster, CLASSES)))
    except ClusterUnreachableError as error:
        return [f"whether Velero can take snapshots of all claims is not known: {error}"]
    told = [
        f"Velero finds no VolumeSnapshotClass of driver {driver}, so that every backup with its claims is PartiallyFailed "
        f"({shortened(tuple(sorted(claims[driver])), 'kubectl get pvc -A')}): give one the label {_LABEL}, write "
        f"velero.snapshotClass: {{managed: true, driver: {driver}}}, or skip them by a rule in velero.volumes"
        for driver in missing
    ]
    return told + [
        f"claims of volumes of driver {driver} name no StorageClass that is here "
        f"({shortened(tuple(sorted(found)), 'kubectl get pvc -A')}), so that Velero takes no snapshot of them and every backup "
        "with them is PartiallyFailed: make the class that they name, or skip them by a rule in velero.volumes: "
        f"{_rule(driver)}"
        for driver, found in sorted(classless.items())
    ]


def _rule(driver: str) -> str:
    """The rule that skips such claims. By a driver that takes snapshots it would skip every other volume too, without a word."""
    if driver in WITHOUT_SNAPSHOTS:
        return f"{{driver: {driver}, action: skip}}"
    return "{labels: {KEY: VALUE}, action: skip}, with a label that these claims alone have"


Claims = dict[str, list[str]]
"""Claims, as in `production/data-0`, by the CSI driver of their volumes."""


def _snapshotted(cluster: ClusterApi, rules: Sequence[VolumeRule], backups: Sequence[Backup]) -> tuple[Claims, Claims]:
    """The claims of which a backup takes a snapshot: those with a StorageClass, by which Velero looks, and those without."""
    drivers = {each["metadata"]["name"] for each in items(cluster, "/apis/storage.k8s.io/v1/csidrivers")}
    classes = {each["metadata"]["name"]: each["provisioner"] for each in items(cluster, "/apis/storage.k8s.io/v1/storageclasses")}
    found: Claims = {}
    classless: Claims = {}
    for each in items(cluster, "/api/v1/persistentvolumeclaims"):
        metadata, name = each["metadata"], each["spec"].get("storageClassName") or ""
        labels = metadata.get("labels") or {}
        left_out = _OF_A_DATABASE in labels or EXCLUDED_FROM_BACKUP.items() <= labels.items()
        if left_out or not _backed_up(metadata["namespace"], backups):
            continue
        driver = classes[name] if name in classes else _driver_of_volume(cluster, each)
        if name in classes and driver not in drivers:
            continue
        size = int(parse_quantity(((each.get("status") or {}).get("capacity") or {}).get("storage", "0")))
        if driver and _action(rules, driver, name, size, labels) == "snapshot":
            by_driver = found if name in classes else classless
            by_driver.setdefault(driver, []).append(f"{metadata['namespace']}/{metadata['name']}")
    return found, classless


def _driver_of_volume(cluster: ClusterApi, claim: Mapping[str, Any]) -> str | None:
    """The CSI driver of the volume that a claim is bound to; None where there is none, which Velero passes over."""
    name = claim["spec"].get("volumeName")
    volume = cluster.read(f"/api/v1/persistentvolumes/{name}") if name else None
    return ((volume or {}).get("spec", {}).get("csi") or {}).get("driver")


def _backed_up(namespace: str, backups: Sequence[Backup]) -> bool:
    return any(namespace in each.include if each.include else namespace not in each.exclude for each in backups)


def _action(rules: Sequence[VolumeRule], driver: str, name: str, size: int, labels: Mapping[str, str]) -> str:
    """What the first rule that means a volume does with it; volumes without a rule are snapshotted."""
    return next((rule.action for rule in rules if rule.means(driver, name, size, labels)), "snapshot")
