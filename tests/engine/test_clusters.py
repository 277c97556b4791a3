"""Both kinds of clusters behave alike for a test. Each test here runs against both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.engine import Engine
from lab.standins.recorded_cluster.kinds import OPERATORS
from lab.waiting import until
from tests.engine import clusters
from tests.engine.clusters import VARIABLE, Cluster, Recorded, Served

DATABASE = "Cluster.postgresql.cnpg.io"


def an(api_version: str, kind: str, name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "velero"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def job(name: str, *args: str) -> dict[str, Any]:
    containers = [{"name": "only", "image": "example.com/image:1", "args": list(args)}]
    return an("batch/v1", "Job", name, template={"spec": {"restartPolicy": "Never", "containers": containers}})


def database(name: str) -> dict[str, Any]:
    bootstrap = {"initdb": {"database": "app", "owner": "app"}}
    return an("postgresql.cnpg.io/v1", "Cluster", name, instances=1, storage={"size": "1Gi"}, bootstrap=bootstrap)


@pytest.fixture(scope="module", params=[Recorded, Served], ids=["recorded", "real API server"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if request.param is Recorded:
        made: Cluster = Recorded(operators_installed=True)
    else:
        made = Served(tmp_path_factory.mktemp("cluster"))
    try:
        made.start()
        created(made, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "velero"}})
        created(made, job("velero-crds", "install", "--crds-only", "--apply"))
        until("Velero's kinds to be installed", lambda: "Complete" in conditions(made, "velero-crds"), timeout=30)
        yield made
    finally:
        made.close()


def created(cluster: Cluster, obj: dict[str, Any]) -> bool:
    """Create an object as the provider does, so that controllers act on it."""
    if isinstance(cluster, Recorded):
        cluster.create(obj)
    else:
        cluster.put(obj)
    return True


def one(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in cluster.objects(kind) if each["metadata"]["name"] == name]
    return found


def status(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    return dict(one(cluster, kind, name).get("status") or {})


def conditions(cluster: Cluster, job: str) -> set[str]:
    return {each["type"] for each in status(cluster, "Job", job).get("conditions") or () if each["status"] == "True"}


def ends(cluster: Cluster, kind: str, name: str, phase: str) -> dict[str, Any]:
    until(f"{name} to be {phase}", lambda: status(cluster, kind, name).get("phase") == phase, timeout=30)
    return status(cluster, kind, name)


def test_what_was_ordered_beforehand_is_what_becomes_of_it(cluster: Cluster) -> None:
    cluster.outcomes.order({"kind": "Restore", "name": "bad", "phase": "FailedValidation", "reason": "no backup"})
    for name, phase in (("good", "Completed"), ("bad", "FailedValidation")):
        created(cluster, an("velero.io/v1", "Restore", name, backupName="first"))
        ended = ends(cluster, "Restore", name, phase)
    assert ended["failureReason"] == "no backup"
    cluster.outcomes.ordered.clear()


def test_a_job_fails_with_a_pod_that_says_why_and_is_not_judged_twice(cluster: Cluster) -> None:
    cluster.outcomes.order({"kind": "Job", "name": "bad", "phase": "Failed", "message": "no endpoints"})
    created(cluster, job("bad"))
    created(cluster, job("good"))
    until("one to fail", lambda: "Failed" in conditions(cluster, "bad"), timeout=30)
    until("the other to complete", lambda: "Complete" in conditions(cluster, "good"), timeout=30)
    cluster.outcomes.ordered.clear()
    cluster.amend("Job", "velero", "bad", {"metadata": {"labels": {"seen": "again"}}})
    until("it to be seen again", lambda: one(cluster, "Job", "bad")["metadata"]["labels"].get("seen"), timeout=30)
    assert "Complete" not in conditions(cluster, "bad")
    [pod] = [each for each in cluster.objects("Pod") if each["metadata"].get("labels", {}).get("job-name") == "bad"]
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] == "no endpoints"


def test_a_pod_ends_as_ordered_and_else_badly(cluster: Cluster) -> None:
    cluster.outcomes.order({"kind": "Pod", "name": "answers", "phase": "Succeeded"})
    for name, phase in (("answers", "Succeeded"), ("asks-in-vain", "Failed")):
        containers = [{"name": "only", "image": "example.com/image:1"}]
        created(cluster, an("v1", "Pod", name, containers=containers))
        ends(cluster, "Pod", name, phase)
    cluster.outcomes.ordered.clear()


def test_a_database_is_healthy_and_can_be_reported_ill_and_well_again(cluster: Cluster) -> None:
    created(cluster, database("db"))
    healthy = ends(cluster, DATABASE, "db", "Cluster in healthy state")
    assert healthy["readyInstances"] == 1
    cluster.report(DATABASE, "velero", "db", phase="Cluster is unrecoverable", phaseReason="lost")
    assert status(cluster, DATABASE, "db")["phaseReason"] == "lost"
    cluster.report(DATABASE, "velero", "db", phase="Cluster in healthy state", phaseReason=None)
    assert "phaseReason" not in status(cluster, DATABASE, "db")


def test_the_operator_looks_again_when_something_is_changed(cluster: Cluster) -> None:
    cluster.outcomes.order({"kind": "Cluster", "name": "ill", "phase": "Cluster is ill", "phaseReason": "no image"})
    created(cluster, database("ill"))
    ends(cluster, DATABASE, "ill", "Cluster is ill")
    cluster.outcomes.ordered.clear()
    cluster.amend(DATABASE, "velero", "ill", {"metadata": {"labels": {"seen": "again"}}})
    ends(cluster, DATABASE, "ill", "Cluster in healthy state")


def test_what_is_not_served_is_there_again_once_it_is(cluster: Cluster) -> None:
    created(cluster, database("kept"))
    cluster.uninstall(OPERATORS)
    assert cluster.objects(DATABASE) == []
    cluster.install(OPERATORS)
    assert one(cluster, DATABASE, "kept")
    cluster.remove(DATABASE, "velero", "kept")
    assert "kept" not in {each["metadata"]["name"] for each in cluster.objects(DATABASE)}


def test_a_schedule_takes_its_skip_back_and_a_location_is_read_again(cluster: Cluster) -> None:
    created(cluster, an("velero.io/v1", "Schedule", "daily", schedule="0 2 * * *", template={}, skipImmediately=True))
    until("the skip to be taken back", lambda: one(cluster, "Schedule", "daily")["spec"]["skipImmediately"] is False, timeout=30)
    created(cluster, an("velero.io/v1", "BackupStorageLocation", "peer", provider="aws", objectStorage={"bucket": "b"}))
    assert ends(cluster, "BackupStorageLocation", "peer", "Available")["lastSyncedTime"]


def test_a_return_to_a_checkpoint_brings_back_every_object_kind_and_order_as_often_as_one_likes(cluster: Cluster) -> None:
    created(cluster, database("steady"))
    ends(cluster, DATABASE, "steady", "Cluster in healthy state")
    cluster.outcomes.order({"kind": "Cluster", "name": "later", "phase": "Cluster is ill"})
    put_back, before = cluster.checkpoint(), one(cluster, DATABASE, "steady")
    for _ in range(2):
        cluster.outcomes.ordered.clear()
        cluster.amend(DATABASE, "velero", "steady", {"metadata": {"labels": {"seen": "again"}}, "spec": {"instances": 2}})
        until("the operator to act", lambda: status(cluster, DATABASE, "steady").get("instances") == 2, timeout=30)
        created(cluster, database("passing"))
        cluster.uninstall(OPERATORS)
        put_back()
        [found] = [each for each in cluster.objects(DATABASE) if each["metadata"]["name"] in ("steady", "passing")]
        assert without_version(found) == without_version(before)
        created(cluster, database("later"))
        ends(cluster, DATABASE, "later", "Cluster is ill")
        put_back()
        assert "later" not in {each["metadata"]["name"] for each in cluster.objects(DATABASE)}
    cluster.outcomes.ordered.clear()


def test_what_was_deleted_comes_back_as_the_same_object_and_is_acted_on_again(cluster: Cluster) -> None:
    created(cluster, database("deleted"))
    ends(cluster, DATABASE, "deleted", "Cluster in healthy state")
    put_back, before = cluster.checkpoint(), one(cluster, DATABASE, "deleted")
    cluster.remove(DATABASE, "velero", "deleted")
    until("it to be gone", lambda: "deleted" not in {each["metadata"]["name"] for each in cluster.objects(DATABASE)}, timeout=30)
    put_back()
    assert one(cluster, DATABASE, "deleted")["metadata"]["uid"] == before["metadata"]["uid"]
    cluster.amend(DATABASE, "velero", "deleted", {"spec": {"instances": 3}})
    until("the operator to act", lambda: status(cluster, DATABASE, "deleted").get("instances") == 3, timeout=30)


def without_version(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without its version: each write to a real API server has a new one."""
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}}


ENGINE = Engine(pulumi=Path("pulumi"), cli="real 3", language_host="stand-in", kubernetes="stand-in", aws="stand-in", home=None)
REAL = replace(ENGINE, kubernetes="real 4.34.2")


def test_a_real_provider_gets_real_api_servers_and_nobody_else_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert (clusters.which(ENGINE), clusters.which(REAL)) == ("recorded", "real")
    monkeypatch.setenv(VARIABLE, "real")
    assert clusters.which(ENGINE) == "real"
    monkeypatch.setenv(VARIABLE, "recorded")
    with pytest.raises(AssertionError, match="refuses recorded clusters"):
        clusters.which(REAL)
    monkeypatch.setenv(VARIABLE, "kind")
    with pytest.raises(AssertionError, match="set it to real or recorded"):
        clusters.which(ENGINE)
