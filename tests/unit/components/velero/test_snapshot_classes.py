"""A claim for whose snapshot Velero finds no class is told by day, in the region that backs it up."""

from __future__ import annotations

from typing import Any

import pytest

from components.kube.cluster_api import ClusterUnreachableError
from components.velero.snapshot_classes import CLASSES, warnings_by_day, without_class
from settings.backup import Backup
from settings.velero import VeleroSettings
from tests.unit.fakes import FakeCluster

EBS, EFS = "ebs.csi.aws.com", "efs.csi.aws.com"
LABEL = {"labels": {"velero.io/csi-volumesnapshot-class": ""}}
DEFAULT = {"annotations": {"snapshot.storage.kubernetes.io/is-default-class": "true"}}
HOURLY = Backup.model_validate({"name": "hourly", "cron": "0 * * * *", "keep": "24h", "include": ["shop"]})
REST = Backup.model_validate({"name": "daily", "cron": "0 2 * * *", "keep": "48h", "exclude": ["kube-system"]})


def snapshot_class(driver: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "c", **metadata}, "driver": driver}


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        ([], False),
        ([snapshot_class(EBS)], True),
        ([snapshot_class(EBS), snapshot_class(EBS)], False),
        ([snapshot_class(EBS), snapshot_class(EBS, **LABEL)], True),
        ([snapshot_class(EBS), snapshot_class(EBS, **DEFAULT)], True),
        ([snapshot_class(EFS, **LABEL)], False),
    ],
    ids=["none", "the only one", "one of two", "labelled", "default", "another driver's"],
)
def test_a_class_is_found_as_velero_finds_it(classes: list[dict[str, Any]], found: bool) -> None:
    assert without_class([EBS, EBS], classes) == ([] if found else [EBS])


def claim(name: str, storage_class: str, namespace: str = "shop", size: str = "1Gi", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"storageClassName": storage_class},
        "status": {"capacity": {"storage": size}},
    }


def cluster(*claims: dict[str, Any], classes: tuple[dict[str, Any], ...] = ()) -> FakeCluster:
    def named(**by_name: str) -> dict[str, Any]:
        return {"items": [{"metadata": {"name": name}, "provisioner": driver} for name, driver in by_name.items()]}

    return FakeCluster(
        paths={
            CLASSES: {"items": list(classes)},
            "/apis/storage.k8s.io/v1/csidrivers": {"items": [{"metadata": {"name": name}} for name in (EBS, EFS)]},
            "/apis/storage.k8s.io/v1/storageclasses": named(gp3=EBS, efs=EFS, gp2="kubernetes.io/aws-ebs"),
            "/api/v1/persistentvolumeclaims": {"items": list(claims)},
        }
    )


def told(asked: FakeCluster, *backups: Backup, **velero: Any) -> list[str]:
    return warnings_by_day(asked, VeleroSettings.model_validate(velero), backups or (HOURLY,))


def test_claims_without_a_class_are_told_with_what_to_do() -> None:
    line = (
        "Velero finds no VolumeSnapshotClass of driver ebs.csi.aws.com, so that every backup with its claims is PartiallyFailed "
        "(shop/a; shop/b): give one the label velero.io/csi-volumesnapshot-class, write velero.snapshotClass: {managed: true, "
        "driver: ebs.csi.aws.com}, or skip them by a rule in velero.volumes"
    )
    assert told(cluster(claim("b", "gp3"), claim("a", "gp3"))) == [line]
    assert told(cluster(claim("a", "gp3"), classes=(snapshot_class(EBS),))) == []
    assert told(cluster(claim("a", "gp3")), snapshotClass={"managed": True}) == [], "this up makes it"
    assert len(told(cluster(claim("a", "efs")), snapshotClass={"managed": True})) == 1


def test_claims_that_are_snapshotted_by_no_backup_need_no_class() -> None:
    others = (claim("a", "gp2"), claim("b", "gp3", "elsewhere"), claim("c", "gp3", **{"cnpg.io/cluster": "db"}), claim("d", ""))
    assert told(cluster(*others)) == []
    assert len(told(cluster(*others), HOURLY, REST)) == 1, "the rest has the other namespace"
    assert told(cluster(claim("b", "gp3", "kube-system")), HOURLY, REST) == []


def test_a_claim_that_its_owner_keeps_out_of_every_backup_needs_no_class() -> None:
    assert told(cluster(claim("a", "gp3", **{"velero.io/exclude-from-backup": "true"}))) == []


@pytest.mark.parametrize("storage_class", ["", "manual"])
def test_a_volume_made_by_hand_whose_claim_names_no_class_that_is_here_is_told(storage_class: str) -> None:
    """A bucket by Mountpoint for S3, a file system that was there before: Velero looks for the class before it looks for more."""
    bucket = claim("bucket", storage_class)
    bucket["spec"] = {"storageClassName": storage_class, "volumeName": "bucket-volume"}
    asked = cluster(bucket)
    asked.paths["/api/v1/persistentvolumes/bucket-volume"] = {"spec": {"csi": {"driver": "s3.csi.aws.com"}}}
    assert told(asked) == [
        "claims of volumes of driver s3.csi.aws.com name no StorageClass that is here (shop/bucket), so that Velero takes no "
        "snapshot of them and every backup with them is PartiallyFailed: make the class that they name, or skip them by a rule "
        "in velero.volumes: {driver: s3.csi.aws.com, action: skip}"
    ]
    assert told(asked, volumes=[{"driver": "s3.csi.aws.com", "action": "skip"}]) == []
    asked.paths["/api/v1/persistentvolumes/bucket-volume"] = {"spec": {"nfs": {"server": "nas"}}}
    assert told(asked) == [], "of no CSI driver: passed over, and told after the backup"


def test_no_rule_is_named_that_would_skip_all_volumes_of_a_driver_that_takes_snapshots() -> None:
    by_hand = claim("by-hand", "gone")
    by_hand["spec"]["volumeName"] = "disk"
    asked = cluster(claim("data", "gp3"), by_hand, classes=(snapshot_class(EBS),))
    asked.paths["/api/v1/persistentvolumes/disk"] = {"spec": {"csi": {"driver": EBS}}}
    (line,) = told(asked)
    assert line.endswith("velero.volumes: {labels: {KEY: VALUE}, action: skip}, with a label that these claims alone have")
    assert f"driver: {EBS}" not in line
    by_hand["metadata"]["labels"]["made"] = "by-hand"
    assert told(asked, volumes=[{"labels": {"made": "by-hand"}, "action": "skip"}]) == []


@pytest.mark.parametrize(
    ("rule", "skipped"),
    [
        ({"driver": EBS}, True),
        ({"driver": "other.csi.example.com"}, False),
        ({"classes": ["gp3", "io2"]}, True),
        ({"classes": ["io2"]}, False),
        ({"smallest": "10Gi"}, True),
        ({"smallest": "11Gi"}, False),
        ({"largest": "10Gi"}, True),
        ({"largest": "9Gi"}, False),
        ({"labels": {"tier": "cache"}}, True),
        ({"labels": {"tier": "cache", "app": "web"}}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("action", ["skip", "fs-backup"])
def test_a_rule_of_the_user_takes_its_volumes_out(rule: dict[str, Any], skipped: bool, action: str) -> None:
    asked = cluster(claim("a", "gp3", size="10Gi", tier="cache"))
    assert (told(asked, volumes=[{**rule, "action": action}]) == []) is skipped
    first = [{**rule, "action": "snapshot"}, {"driver": EBS, "action": action}]
    assert (told(asked, volumes=first) == []) is not skipped, "the first rule that means a volume counts"


def test_what_cannot_be_asked_is_a_line() -> None:
    silent = FakeCluster(error=ClusterUnreachableError("cluster a does not answer"))
    assert told(silent) == ["whether Velero can take snapshots of all claims is not known: cluster a does not answer"]
    assert told(FakeCluster()) == []
