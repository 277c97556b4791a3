"""By day, the region that serves says what its last backups did not save: phases, failing items, volumes with their claims."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.kube.cluster_api import ClusterUnreachableError
from components.kube.runner.restored import Results, ResultsUnavailableError
from components.velero.files import Volume
from components.velero.unsaved import Own, keep_inventory, not_saved
from tests.unit.components.velero.test_age import SCHEDULE, made
from tests.unit.fakes import FakeCluster, FakeFiles

HOURLY = Own(schedule=SCHEDULE, cron="0 * * * *")
RPO = timedelta(minutes=5)
IN_TREE = Volume(claim=("shop", "data"), name="pv-1", reason="csiSnapshot: skipped b/c it's not a CSI volume")
SNAPSHOT = Volume(claim=("shop", "files"), name="pv-2", reason="CSISnapshot failed")


def told(*backups: dict[str, Any], files: FakeFiles | None = None, schedules: list[dict[str, Any]] | None = None) -> list[str]:
    cluster = FakeCluster(velero={"backups": list(backups), "schedules": schedules or []})
    return not_saved(cluster, files or FakeFiles(), [HOURLY], [("databases", "app")], RPO)


def scheduled(hours: float) -> list[dict[str, Any]]:
    since = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [{"metadata": {"name": SCHEDULE, "creationTimestamp": since}}]


def test_a_completed_backup_with_all_its_volumes_is_nothing_to_tell() -> None:
    assert told(made(30), made(90, "PartiallyFailed")) == []


def test_a_partly_failed_backup_is_told_with_each_item_in_veleros_words() -> None:
    files = FakeFiles(said={"b-30": Results(errors=("shop: error getting VolumeSnapshotClass for efs.csi.aws.com",))})
    assert told(made(50), made(30, "PartiallyFailed"), files=files) == [
        f"Backup b-30, the newest of schedule {SCHEDULE}, ended PartiallyFailed, and a failover does not take it by itself: "
        "shop: error getting VolumeSnapshotClass for efs.csi.aws.com"
    ]


def test_a_failed_backup_has_no_files_and_is_told_with_the_reason_in_its_status() -> None:
    failed = made(30, "FailedValidation")
    failed["status"]["validationErrors"] = ["backup can't be created\nbecause of x"]
    files = FakeFiles(error=AssertionError("nobody is to be asked"))
    assert told(made(50), failed, files=files) == [
        f"Backup b-30, the newest of schedule {SCHEDULE}, ended FailedValidation, and a failover does not take it by itself: "
        "backup can't be created because of x"
    ]


def test_volumes_that_a_completed_backup_passed_over_are_told_with_claims_reasons_and_what_to_do() -> None:
    (said,) = told(made(30), files=FakeFiles(without={"b-30": [SNAPSHOT, IN_TREE]}))
    assert said.startswith(
        "Backup b-30 (Completed) has no data of claim shop/data (csiSnapshot: skipped b/c it's not a CSI volume); claim "
        "shop/files (CSISnapshot failed); a volume that no CSI driver made"
    )
    assert said.endswith("move its data to a claim of a CSI class: docs/recovery.md, What a backup does not have")
    (said,) = told(made(30), files=FakeFiles(without={"b-30": [SNAPSHOT]}))
    assert "CSI driver" not in said


def test_volumes_of_databases_are_in_their_own_archive() -> None:
    def volume(namespace: str, name: str) -> Volume:
        return Volume(claim=(namespace, name), name="pv", reason="any: x")

    ours = [volume("databases", "app-1"), volume("databases", "app-2-wal")]
    assert told(made(30), files=FakeFiles(without={"b-30": ours})) == []
    others = [volume("databases", "application"), volume("databases", "app-exporter-0"), volume("shop", "app-1")]
    (said,) = told(made(30), files=FakeFiles(without={"b-30": [*ours, *others]}))
    assert "claim databases/app-exporter-0 (any: x); claim databases/application (any: x); claim shop/app-1 (any: x)" in said


def test_a_schedule_whose_last_usable_backup_is_too_old_says_so_while_newer_ones_fail_or_run() -> None:
    said = told(made(60 * 30), made(10, "InProgress"))
    assert said == [
        f"schedule {SCHEDULE}: the newest Completed backup, b-1800, is 30 h 0 min old, and by its cron line (0 * * * *) one "
        "begins every 60 min 0 s at the latest; see: kubectl get backup.velero.io -n velero -l "
        f"velero.io/schedule-name={SCHEDULE} -o custom-columns=NAME:.metadata.name,PHASE:.status.phase,"
        "BEGAN:.status.startTimestamp,ENDED:.status.completionTimestamp"
    ]


def test_a_schedule_without_any_usable_backup_says_so_once_there_should_be_one() -> None:
    assert told(schedules=scheduled(1)) == []
    (said,) = told(schedules=scheduled(2))
    assert said.startswith(f"schedule {SCHEDULE} has no Completed backup, and by its cron line (0 * * * *) one begins every")
    assert told() == [], "in the first up there is no schedule yet"


def test_what_cannot_be_asked_is_a_line_and_no_error() -> None:
    silent = FakeCluster(error=ClusterUnreachableError("cluster a does not answer"))
    assert not_saved(silent, FakeFiles(), [HOURLY], [], RPO) == [
        "what the last backups did not save is not known: cluster a does not answer"
    ]
    closed = FakeFiles(error=ResultsUnavailableError("s3://b/k cannot be read: AccessDenied"))
    assert told(made(30), files=closed) == [
        "whether Backup b-30 has the data of every volume is not known: s3://b/k cannot be read: AccessDenied; see: velero "
        "backup describe b-30 --details"
    ]
    both = told(made(40), made(30, "PartiallyFailed"), files=closed)
    assert len(both) == 2
    assert "whose text could not be read (s3://b/k cannot be read: AccessDenied)" in both[0]


@pytest.mark.parametrize(
    ("cluster", "files"),
    [
        (FakeCluster(error=ClusterUnreachableError("no")), FakeFiles()),
        (FakeCluster(), FakeFiles(error=ResultsUnavailableError("no"))),
    ],
    ids=["no cluster", "no bucket"],
)
def test_an_inventory_that_cannot_be_taken_or_written_is_a_line(cluster: FakeCluster, files: FakeFiles) -> None:
    assert keep_inventory(cluster, files, [], [], None, {}, "us-east-1") == [
        "what this region's workloads need was not written down for the other region: no"
    ]


def test_the_inventory_of_this_cluster_is_written() -> None:
    files = FakeFiles(needs=None)
    assert keep_inventory(FakeCluster(), files, [], [], None, {}, "us-east-1") == []
    assert files.needs is not None
