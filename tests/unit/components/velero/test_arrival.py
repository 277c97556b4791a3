"""A last backup that S3 has brought is taken up at once, as Velero's own look would do it, and only where that is safe."""

from __future__ import annotations

from typing import Any

import pytest

from components.kube.cluster_api import ClusterRefusedError
from components.kube.runner.restored import ResultsUnavailableError
from components.velero.arrival import Arrivals, record
from components.velero.choice import Choice, objection
from tests.unit.components.conftest import Clock
from tests.unit.components.failover.test_handover import follower, token
from tests.unit.fakes import FakeCluster, FakeFiles
from tests.unit.recorder import run_program

LAST = "failover-final-backups-hourly-1a2b3c4d"
SCHEDULE = "hourly-us-east-1"
LABELS = {"velero.io/schedule-name": SCHEDULE, "velero.io/storage-location": "own"}
FOUND: dict[str, Any] = {
    "kind": "Backup",
    "apiVersion": "velero.io/v1",
    "metadata": {
        "name": LAST,
        "namespace": "elsewhere",
        "uid": "1",
        "resourceVersion": "7",
        "finalizers": ["somebody/s"],
        "ownerReferences": [{"kind": "Schedule", "name": "x", "uid": "2"}],
        "labels": LABELS,
        "annotations": {"velero.io/source-cluster-k8s-gitversion": "v1.35.0"},
    },
    "spec": {"storageLocation": "own", "ttl": "24h0m0s", "hooks": {"resources": [{"name": "runs"}]}},
    "status": {"phase": "Completed", "startTimestamp": "2026-03-01T02:00:00Z"},
}
LOCATION = {"metadata": {"name": "peer"}, "spec": {"accessMode": "ReadOnly"}, "status": {"phase": "Available"}}
CHOICE = Choice(schedule=SCHEDULE, backup=LAST, given_by="primary")


@pytest.fixture(autouse=True)
def _quick(clock: Clock) -> None:
    clock.now = 100.0


def there(location: dict[str, Any] = LOCATION, *backups: dict[str, Any]) -> FakeCluster:
    return FakeCluster(velero={"backupstoragelocations": [location], "backups": list(backups)})


def arrivals(cluster: FakeCluster, files: FakeFiles | None = None, choice: Choice = CHOICE) -> Arrivals:
    return Arrivals(cluster=cluster, files=files or FakeFiles(records={LAST: FOUND}), choices=[choice])


def test_it_is_made_as_veleros_own_look_makes_it() -> None:
    """backup_sync_controller.go: of this location, without hooks, and without what belongs to the other cluster."""
    assert record(LAST, FOUND) == {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {
            "name": LAST,
            "namespace": "velero",
            "labels": {"velero.io/schedule-name": SCHEDULE, "velero.io/storage-location": "peer"},
            "annotations": {"velero.io/source-cluster-k8s-gitversion": "v1.35.0"},
        },
        "spec": {"storageLocation": "peer", "ttl": "24h0m0s", "hooks": {}},
        "status": {"phase": "Completed", "startTimestamp": "2026-03-01T02:00:00Z"},
    }


def test_what_has_come_is_made_once_and_restored_only_when_it_has_stayed(clock: Clock) -> None:
    cluster = there()
    asked = arrivals(cluster)
    (told,) = asked.objections()
    assert told.passing
    assert [each["metadata"]["name"] for each in cluster.velero["backups"] or ()] == [LAST]
    assert [*asked.objections()], "a look of Velero's that began before may delete it still"
    clock.now += 3
    assert not [*asked.objections()]
    assert cluster.asked.count("create backups") == 1
    assert objection(cluster, CHOICE) is None


def test_one_that_velero_deleted_at_once_is_made_again() -> None:
    cluster = there()
    asked = arrivals(cluster)
    assert [*asked.objections()]
    cluster.velero["backups"] = []
    assert [*asked.objections()]
    assert cluster.asked.count("create backups") == 2


@pytest.mark.parametrize(
    ("cluster", "files", "choice"),
    [
        (there(LOCATION, {**FOUND, "spec": {"storageLocation": "peer"}}), None, CHOICE),
        (there(), FakeFiles(), CHOICE),
        (there({**LOCATION, "status": {"phase": "Unavailable"}}), None, CHOICE),
        (there({**LOCATION, "spec": {"accessMode": "ReadWrite"}}), None, CHOICE),
        (there(), None, Choice(schedule=SCHEDULE, backup=LAST)),
        (there(), None, Choice(schedule=SCHEDULE)),
    ],
    ids=["here-already", "not-come", "unavailable", "writable", "named-by-a-person", "the-newest"],
)
def test_nothing_else_is_made(cluster: FakeCluster, files: FakeFiles | None, choice: Choice) -> None:
    assert not [*arrivals(cluster, files, choice).objections()]
    assert "create backups" not in cluster.asked


@pytest.mark.parametrize("error", [ResultsUnavailableError("no right"), ClusterRefusedError("cluster x refused: 403 no right")])
def test_where_it_cannot_be_done_it_is_left_to_velero_and_said_once(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.info", said.append)
    asked = arrivals(there(), FakeFiles(error=error))
    assert not [*asked.objections(), *asked.objections()]
    assert said == [f"Backup {LAST} waits for Velero's look at the peer's location, once a minute: {error}"]


@pytest.mark.parametrize("preview", [False, True])
def test_the_gate_of_an_up_takes_up_what_the_token_names_and_a_preview_does_not(preview: bool) -> None:
    cluster = follower("secondary")
    cluster.velero = {"backupstoragelocations": [LOCATION], "backups": []}
    changes = {"active": "secondary", "peerReady": True, "handover": token(backups={"hourly-critical": LAST}).text}
    files = FakeFiles(records={LAST: FOUND})
    run_program("secondary", changes, cluster=cluster, files=files, preview=preview).call_hook("failover-gate")
    assert ("create backups" in cluster.asked) is not preview
