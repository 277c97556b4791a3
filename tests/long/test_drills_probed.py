"""Drills that a person has told what to look at: Pods and volumes in the scratch namespace, rows of a recovered database.

One configuration does for all tests but the last of the database, so that few of them take an `up`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.velero.specs import VELERO_NAMESPACE
from lab import databases
from lab.application import manifests
from lab.waiting import until
from settings.names import SCRATCH_NAMESPACE
from tests.lab.volumes import contents, disk, items
from tests.long.drills import REPOSITORY, Drills

ROW = 7
ITS_ROW = f"SELECT sequence FROM ledger WHERE sequence = {ROW}"
CHECKS = [
    {"sql": "SELECT count(*) > 0 FROM ledger", "expect": "true"},
    {"sql": "SELECT max(recorded_at) FROM ledger", "maxAge": "12h"},
    {"sql": ITS_ROW, "expect": str(ROW)},
]
PROBE = {
    "ready": [f"deployment/{manifests.NAME}", f"statefulset/{manifests.ARCHIVE}"],
    "service": manifests.ARCHIVE,
    "port": manifests.ARCHIVE_PORT,
    "path": "/documents",
}
IMPATIENT = {'\\"seconds\\": 3600': '\\"seconds\\": 60'}

FAR_ENOUGH = timedelta(minutes=6)
"""How long the rows are there before one is deleted, so that a point in time between fits in whatever an `up` takes."""


def settings(**database: str) -> Mapping[str, Any]:
    """`drills` of the project file."""
    checks = [{"database": databases.NAME, **check} for check in CHECKS]
    return {"namespace": {"replicas": 1, "probe": PROBE}, "database": {"checks": checks, **database}}


@pytest.fixture
def told(lab_of_drills: Drills) -> Drills:
    lab_of_drills.configure(settings())
    return lab_of_drills


def test_a_volume_has_its_data_in_a_claim_of_its_own_and_the_pod_there_is_cut_off_and_answers_with_them(told: Drills) -> None:
    lab, files = told.lab, told.files

    def there() -> bool:
        """Whether the claim of the scratch namespace has all files of production's, byte for byte."""
        found = contents(disk(lab, "secondary", manifests.ARCHIVE_CLAIM, SCRATCH_NAMESPACE))
        return files.items() <= {path: what for path, (what, *_) in found.items()}.items()

    name = told.begin("secondary", "namespace")
    until("the files in the scratch namespace", there, timeout=400, interval=0.2)
    outcome = told.end("secondary", "namespace", name)
    outcome.require_passed()
    assert outcome.record["counts"]["volumes"] == 1
    assert outcome.record["counts"]["persistentvolumeclaims"] == 1
    told.require_nothing_left("secondary")


def test_pods_for_which_no_node_has_room_fail_the_drill_within_its_timeout(told: Drills) -> None:
    name = told.begin("secondary", "namespace", IMPATIENT)
    told.await_restore(name)
    with told.cordoned():
        outcome = told.end("secondary", "namespace", name)
    outcome.require_failed("has not ended within 60 s", "1 of 1 volumes have not got their data: ", "has no node")
    told.require_nothing_left("secondary")
    downloads = ("datadownloads.velero.io", "-n", VELERO_NAMESPACE, "-l", "velero.io/restore-name")

    def gone() -> bool:
        names = {each["metadata"]["labels"]["velero.io/restore-name"] for each in items(told.lab, "secondary", *downloads)}
        return not any(each.endswith(outcome.record["run"]) for each in names)

    until("its data mover to be gone", gone, timeout=240, interval=1)


def test_a_volume_of_which_a_part_has_not_come_fails_the_drill_by_its_claim(told: Drills) -> None:
    bucket = told.bucket("secondary")
    data = [each for each in told.lab.objects(bucket, REPOSITORY) if each.removeprefix(REPOSITORY).startswith("p")]
    assert data
    with told.lab.object_missing(bucket, *data):
        outcome = told.run("secondary", "namespace")
    claim = f"claim {SCRATCH_NAMESPACE}/{manifests.ARCHIVE_CLAIM} has not got its data"
    outcome.require_failed(claim, "a part of the repository is not in this region's bucket")
    told.require_nothing_left("secondary")


def test_another_password_than_the_primarys_fails_the_drill_by_the_volume(told: Drills) -> None:
    with told.another_password():
        outcome = told.run("secondary", "namespace")
    outcome.require_failed("has not got its data", "another backupEncryptionPassword")
    told.require_nothing_left("secondary")


def test_the_recovered_database_has_the_rows_that_a_person_knows(told: Drills) -> None:
    outcome = told.run("secondary", "database")
    outcome.require_passed()
    assert outcome.record["counts"]["answers"] == len(CHECKS)
    told.require_nothing_left("secondary")


@pytest.fixture(scope="module")
def deleted(lab_of_drills: Drills) -> Iterator[datetime]:
    """A row is deleted by mistake, and both regions know it. When."""
    lab = lab_of_drills.lab
    old = lab_of_drills.archived_at + FAR_ENOUGH
    until("the row to have been there for a while", lambda: datetime.now(UTC) > old, timeout=600, interval=2)
    deleted = datetime.now(UTC)
    lab.query(f"delete from ledger where sequence = {ROW}", "primary")
    lab.query("select pg_switch_wal()", "primary")
    known = f"select count(*) from ledger where sequence = {ROW}"
    until("the deletion to have come", lambda: lab.query(known, "secondary") == "0", timeout=180, interval=1)
    yield deleted
    lab.query(f"insert into ledger (sequence) values ({ROW})", "primary")


def test_a_row_that_is_not_there_fails_the_drill_with_the_question(told: Drills, deleted: datetime) -> None:
    outcome = told.run("secondary", "database")
    outcome.require_failed(f"{ITS_ROW} is null; expected {ROW}")
    assert outcome.record["counts"]["answers"] == len(CHECKS) - 1
    told.require_nothing_left("secondary")


def test_a_point_in_time_before_a_wrong_delete_has_the_row(lab_of_drills: Drills, deleted: datetime) -> None:
    drills = lab_of_drills
    # The point is so long before the drill, which begins after an `up`: that has this margin.
    back = datetime.now(UTC) - deleted + FAR_ENOUGH - timedelta(seconds=30)
    drills.configure(settings(pointInTime=f"{int(back.total_seconds())}s"))
    assert datetime.now(UTC) - back < deleted - timedelta(minutes=1), "the `up` took longer than the margin"
    outcome = drills.run("secondary", "database")
    outcome.require_passed()
    assert outcome.record["counts"]["answers"] == len(CHECKS)
    drills.require_nothing_left("secondary")
