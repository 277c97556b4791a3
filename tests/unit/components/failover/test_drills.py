"""A takeover ends the drills that run in its region, and no drill ends a takeover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.failover.drills import end_drills
from components.kube.cluster_api import ClusterRefusedError
from tests.unit.components.failover.test_gate import READY
from tests.unit.components.failover.test_gate import cluster as cluster_that_is_ready
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import run_program

pytestmark = pytest.mark.usefixtures("clock")

JOBS = "/apis/batch/v1/namespaces/k8s-dr/jobs"
RESTORES = "/apis/velero.io/v1/namespaces/velero/restores"
TAKES_OVER: dict[str, Any] = {"active": "secondary"}


def job(name: str, *conditions: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-of-{name}"}, "status": {"conditions": list(conditions)}}


def restore(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-of-{name}", "labels": labels}}


@pytest.fixture
def cluster() -> FakeCluster:
    found = FakeCluster()
    found.paths[JOBS] = {"items": [job("runs"), job("has-ended", {"type": "Complete", "status": "True"})]}
    drill = {"k8s-dr/drill": "namespace"}
    found.velero["restores"] = [restore("of-a-drill", **drill), restore("of-a-failover")]
    return found


def deleted(cluster: FakeCluster) -> set[str]:
    return {each.removeprefix("delete ") for each in cluster.asked if each.startswith("delete ")}


def test_jobs_that_run_and_restores_of_drills_are_deleted_and_nothing_else(cluster: FakeCluster) -> None:
    told = end_drills(cluster)
    assert deleted(cluster) == {f"{JOBS}/runs", f"{RESTORES}/of-a-drill"}
    assert "Restore of-a-drill of drill namespace was deleted: this region takes over" in told


def test_a_cluster_that_refuses_ends_no_takeover(cluster: FakeCluster) -> None:
    cluster.error = ClusterRefusedError("403 forbidden")
    assert ["403 forbidden" in line for line in end_drills(cluster)] == [True, True]


@pytest.mark.parametrize(
    ("changes", "preview", "ends"),
    [(TAKES_OVER, False, True), (TAKES_OVER, True, False), ({**TAKES_OVER, "drills": {"enabled": False}}, False, False)],
    ids=["a takeover", "its preview", "without drills"],
)
def test_a_takeover_ends_them_and_a_preview_does_not(changes: dict[str, Any], preview: bool, ends: bool, tmp_path: Path) -> None:
    found = cluster_that_is_ready(*READY)
    found.paths[JOBS] = {"items": [job("runs", {"type": "Suspended", "status": "False"})]}
    run_program("secondary", changes, cluster=found, preview=preview, run_hooks=True, directory=tmp_path)
    assert (f"{JOBS}/runs" in deleted(found)) is ends
