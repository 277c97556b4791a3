"""The small files beside a backup are read from the region's bucket, and what cannot be read has a reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from components.kube.runner.restored import ResultsUnavailableError
from components.velero.files import LiveBackupFiles, Volume, skipped_volumes
from components.velero.inventory import Inventory, Needs
from settings.aws import Aws
from settings.names import Names
from tests.unit.components.database.sides import TOPOLOGY

NAMES = Names(topology=TOPOLOGY, role="secondary")
NAME = "daily-full-us-east-1-20260302020000"
PLACE = f"velero/primary/backups/{NAME}/{NAME}"
NO_CSI = "csiSnapshot: skipped b/c it's not a CSI volume;volumeSnapshot: no applicable volumesnapshotter found;"


def packed(found: Any) -> bytes:
    return gzip.compress(json.dumps(found).encode(), mtime=0)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name=NAMES.region)
        for purpose in ("velero", "database"):
            bucket = NAMES.bucket(purpose)  # type: ignore[arg-type]
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": NAMES.region})
        yield client


@pytest.fixture
def files(s3: Any) -> LiveBackupFiles:
    return LiveBackupFiles(NAMES, Aws(), "primary")


def put(s3: Any, file: str, content: bytes) -> None:
    s3.put_object(Bucket=NAMES.bucket("velero"), Key=f"{PLACE}-{file}", Body=content)


def test_each_file_is_found_below_the_prefix_of_the_region_whose_backup_it_is(s3: Any, files: LiveBackupFiles) -> None:
    put(s3, "results.gz", packed({"errors": {"namespaces": {"shop": ["a\nb"]}}}))
    put(s3, "volumeinfo.json.gz", packed([{"pvName": "pv-1", "skipped": True, "skippedReason": "any: reason;"}]))
    put(s3, "resource-list.json.gz", packed({"v1/ConfigMap": ["shop/a"], "v1/Secret": None}))
    assert files.results(NAME).errors == ("shop: a b",)
    assert list(map(str, files.skipped(NAME))) == ["volume pv-1 (any: reason)"]
    assert files.holds(NAME) == {"v1/ConfigMap": ["shop/a"], "v1/Secret": []}


def test_volumes_without_data_are_those_that_were_skipped_or_failed_and_not_those_that_somebody_left_out() -> None:
    claim = {"pvcNamespace": "shop", "pvcName": "data"}
    found = skipped_volumes(
        packed(
            [
                {**claim, "pvName": "a", "skipped": True, "skippedReason": NO_CSI},
                {**claim, "pvName": "b", "skipped": False, "result": "failed", "backupMethod": "CSISnapshot"},
                {**claim, "pvName": "c", "skipped": False, "result": "succeeded"},
                {
                    **claim,
                    "pvName": "d",
                    "skipped": True,
                    "skippedReason": "any: item has label velero.io/exclude-from-backup=true;",
                },
            ]
        )
    )
    reason = "csiSnapshot: skipped b/c it's not a CSI volume; volumeSnapshot: no applicable volumesnapshotter found"
    assert found == [
        Volume(claim=("shop", "data"), name="a", reason=reason),
        Volume(claim=("shop", "data"), name="b", reason="CSISnapshot failed"),
    ]
    assert str(found[1]) == "claim shop/data (CSISnapshot failed)"


@pytest.mark.parametrize("content", [b"", b"<html>", packed({"a": 1}), packed(7)], ids=["nothing", "a page", "a map", "a number"])
def test_a_file_that_is_not_veleros_is_told_as_such(content: bytes) -> None:
    with pytest.raises(ResultsUnavailableError, match="not what Velero writes"):
        skipped_volumes(content)


def test_a_file_that_is_not_there_names_the_object_and_the_right_that_reading_it_takes(files: LiveBackupFiles) -> None:
    with pytest.raises(ResultsUnavailableError, match=rf"{PLACE}-results.gz cannot be read: .*NoSuchKey"):
        files.results(NAME)


@pytest.mark.parametrize(
    "found",
    [
        {"../v1/Pod": ["shop/a"]},
        {"v1/../../api/v1/namespaces/k8s-dr/secrets?x=/Pod": ["shop/a"]},
        {"apps/v1?watch=true/Deployment": ["shop/a"]},
        {"": ["shop/a"]},
        {f"a{number}.example.com/v1/Kind": ["shop/a"] for number in range(501)},
        {"v1/Pod": 5},
    ],
    ids=["up", "another path", "a query", "none", "too many", "no list"],
)
def test_a_list_of_objects_that_would_lead_the_api_server_to_other_paths_is_not_taken(
    s3: Any, files: LiveBackupFiles, found: dict[str, Any]
) -> None:
    put(s3, "resource-list.json.gz", packed(found))
    with pytest.raises(ResultsUnavailableError, match="not what Velero writes"):
        files.holds(NAME)
    usual = {"v1/Pod": ["shop/a"], "keda.sh/v1alpha1/ScaledObject": ["shop/a"], "my-org.io/v1/Kind": ["shop/a"]}
    put(s3, "resource-list.json.gz", packed(usual))
    assert files.holds(NAME) == usual


def test_files_larger_than_any_are_neither_read_nor_unpacked(s3: Any, files: LiveBackupFiles) -> None:
    bomb = gzip.compress(b"[" + b" " * 64 * 1024**2 + b"]", mtime=0)
    with pytest.raises(ResultsUnavailableError, match="not what Velero writes: it unpacks to more than 65536 KiB"):
        skipped_volumes(bomb)
    put(s3, "results.gz", bytes(16 * 1024**2 + 1))
    with pytest.raises(ResultsUnavailableError, match=r"-results.gz has more than 16384 KiB"):
        files.results(NAME)
    s3.put_object(Bucket=NAMES.bucket("database"), Key="freshness/inventory-primary.json", Body=b" " * (4 * 1024**2 + 1))
    with pytest.raises(ResultsUnavailableError, match=r"inventory-primary\.json has more than 4096 KiB"):
        files.inventory()


def test_an_inventory_is_kept_beside_the_marks_and_read_as_it_was_written(s3: Any) -> None:
    own = LiveBackupFiles(NAMES, Aws(), "secondary")
    needs = Needs(storage_classes={"gp3"}, images={"web:1"}, cpu=1.5, memory=2.0)
    written = Inventory(written=datetime(2026, 3, 2, 12, tzinfo=UTC), namespaces={"shop": needs})
    assert own.inventory() is None
    own.keep_inventory(written)
    assert own.inventory() == written
    s3.head_object(Bucket=NAMES.bucket("database"), Key="freshness/inventory-secondary.json")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"written": "x", "namespaces": {}}', '{"written": "", "namespaces": {"a": {"b": 1}}}']
)
def test_an_inventory_in_another_form_is_told_and_not_taken_for_an_empty_one(s3: Any, files: LiveBackupFiles, text: str) -> None:
    s3.put_object(Bucket=NAMES.bucket("database"), Key="freshness/inventory-primary.json", Body=text.encode())
    with pytest.raises(ResultsUnavailableError, match="is no inventory of this version"):
        files.inventory()


RECORD = {"kind": "Backup", "metadata": {"name": NAME}, "spec": {"ttl": "1h"}, "status": {"phase": "Completed"}}
FILES = ("volumeinfo.json.gz", "resource-list.json.gz", "results.gz", "podvolumebackups.json.gz")
SKIPPED = {"pvName": "pv-1", "skipped": True}
MOVED = {"pvName": "pv-2", "snapshotDataMoved": True, "result": "succeeded"}


def come(s3: Any, record: Any = RECORD, *, without: str = "", volumes: Any = (SKIPPED,)) -> None:
    """All that Velero writes of a backup, but one file."""
    bucket, whole = NAMES.bucket("velero"), {f"-{file}": packed([]) for file in FILES}
    whole |= {"-volumeinfo.json.gz": packed(list(volumes)), ".tar.gz": b"x"}
    for file, content in whole.items():
        if file != without:
            s3.put_object(Bucket=bucket, Key=f"{PLACE}{file}", Body=content)
    if without != "velero-backup.json":
        key = f"velero/primary/backups/{NAME}/velero-backup.json"
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(record).encode())


def test_a_backup_has_arrived_once_all_of_its_files_have(s3: Any, files: LiveBackupFiles) -> None:
    assert files.arrived(NAME) is None
    come(s3)
    assert files.arrived(NAME) == RECORD


@pytest.mark.parametrize("without", ["velero-backup.json", ".tar.gz", *(f"-{file}" for file in FILES)])
def test_one_of_which_a_file_is_still_under_way_has_not(s3: Any, files: LiveBackupFiles, without: str) -> None:
    """S3 keeps no order, and Velero writes the Backup itself last."""
    come(s3, without=without)
    assert files.arrived(NAME) is None


def test_one_that_is_not_completed_or_another_or_has_data_of_volumes_is_left_to_velero(s3: Any, files: LiveBackupFiles) -> None:
    moved = {"phase": "Completed", "backupItemOperationsAttempted": 1}
    unfit = ({"status": {"phase": "Finalizing"}}, {"status": moved}, {"metadata": {"name": "another"}})
    for record in ({**RECORD, **each} for each in unfit):
        come(s3, record)
        assert files.arrived(NAME) is None
    come(s3, volumes=[SKIPPED, MOVED])
    assert files.arrived(NAME) is None


@pytest.mark.parametrize("record", [[], {"kind": "Backup"}, {**RECORD, "metadata": [1]}, "x"])
def test_a_file_that_is_no_backup_is_told_and_not_taken(s3: Any, files: LiveBackupFiles, record: Any) -> None:
    come(s3, record)
    with pytest.raises(ResultsUnavailableError, match="not what Velero writes"):
        files.arrived(NAME)
