"""The drill `database` against a cluster in memory: what passes, each way in which it must fail, and that nothing is left."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from components.kube.runner.api import ApiError
from components.kube.runner.drill_database import DatabaseDrill
from components.kube.runner.drill_fetch import Plan
from components.kube.runner.drill_record import ASKED
from tests.unit.components.kube.runner.drill_world import BASE_TASK, NOW, RUN, VOLUMES, DrillCluster, record, volume
from tests.unit.components.kube.runner.steps import Clock

SPACE, NAME = "k8s-dr-drills", "drill-database"
CLUSTER = f"/apis/postgresql.cnpg.io/v1/namespaces/{SPACE}/clusters/{NAME}"
JOB = f"/apis/batch/v1/namespaces/{SPACE}/jobs/{NAME}-checks"
PODS, CLAIMS = f"/api/v1/namespaces/{SPACE}/pods", f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims"
BUCKET = "acme-database-us-west-2-123456789012"
PRIMARY = "app-database-primary-g1"
MARK = {"written": "2026-03-02T11:59:00Z", "segment": "000000010000000000000005", "archived": "2026-03-02T11:58:30Z", "bases": {}}
LABEL_TEXT = """status=DONE
begin_wal=000000010000000000000002
end_wal=000000010000000000000003
begin_time=2026-03-02 03:00:00.000000+00:00
end_time=2026-03-02 03:01:00.000000+00:00
tablespaces=None
"""
BASE = "20260302T030000"
SPEC = {
    "inheritedMetadata": {"labels": {"k8s-dr/drill": "database"}},
    "bootstrap": {"recovery": {"source": NAME}},
    "externalClusters": [{"name": NAME, "plugin": {"parameters": {"barmanObjectName": NAME}}}],
}
CHECKS_JOB = {"template": {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "checks", "env": []}]}}}
COUNT = {"sql": "SELECT count(*) FROM orders", "expect": "42", "within": None}
AGE = {"sql": "SELECT max(created_at) FROM orders", "expect": None, "within": 3600}


def database(name: str = "app-database", *checks: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "own": f"{name}-secondary-g1",
        "peer": f"{name}-primary-g1",
        "within": 2 * 86400,
        "mark_within": 900,
        "cluster": SPEC,
        "job": CHECKS_JOB,
        "checks": list(checks),
    }


def task(*databases: dict[str, Any], **changes: Any) -> dict[str, Any]:
    place = {"prefix": "velero/primary", "schedules": []}
    return {
        **BASE_TASK,
        "kind": "database",
        "velero": {"bucket": "velero", "own": place, "peer": place, "secret": None},
        "databases": list(databases) or [database()],
        "archive": {"bucket": BUCKET, "archives": "cnpg", "marks": "freshness"},
        "inventory": "freshness/inventory-primary.json",
        "etcd": None,
        "peer_ready": True,
        "room": 0,
        "cluster": NAME,
        "space": SPACE,
        "back": None,
        "lost": ["Cluster is unrecoverable and needs manual intervention"],
        "patience": 600,
        "seconds": 3600,
        **changes,
    }


class World(DrillCluster):
    """A region whose bucket has an archive: the operator recovers from it, and the Job gets answers."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory, self.clock = directory, Clock()
        self.side: str | None = "peer"
        self.segments = [f"0000000100000000000000{number:02X}" for number in range(2, 6)]
        self.status: dict[str, Any] = {"phase": "Cluster in healthy state", "readyInstances": 1}
        self.pods: list[dict[str, Any]] = [{"metadata": {"name": f"{NAME}-1"}, "status": {"phase": "Running"}}]
        self.answers: list[str] = ["0 =ok", "1 =000000020000000000000006", "2 =7", "3 =ok", "4 =ok"]
        self.message: str | None = None
        self.controllers.append(self._operator)

    def _operator(self) -> None:
        if (cluster := self.objects.get(CLUSTER)) and "status" not in cluster:
            cluster["status"] = self.status
            for pod in self.pods:
                metadata = pod["metadata"]
                labels = {**metadata.get("labels", {}), "cnpg.io/cluster": NAME}
                self.add(f"{PODS}/{metadata['name']}", {**pod, "metadata": {**metadata, "labels": labels}})
            self.add(f"{CLAIMS}/{NAME}-1", {"status": {"phase": "Bound"}}, **{"cnpg.io/cluster": NAME})
            self.add(f"{VOLUMES}/pv-1", volume("pv-1", SPACE))
        if (job := self.objects.get(JOB)) and f"{PODS}/{NAME}-checks-1" not in self.objects:
            labels = {**job["spec"]["template"]["metadata"]["labels"], "batch.kubernetes.io/job-name": f"{NAME}-checks"}
            said = "\n".join(self.answers) if self.message is None else self.message
            state = {"terminated": {"exitCode": 0, "message": said}}
            self.add(
                f"{PODS}/{NAME}-checks-1",
                {"metadata": {"labels": labels}, "status": {"containerStatuses": [{"name": "checks", "state": state}]}},
            )

    def delete(self, path: str) -> None:
        super().delete(path)
        kept = self.objects.get(f"{VOLUMES}/pv-1")
        if f"{CLAIMS}/{NAME}-1" not in self.objects and kept and kept["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            del self.objects[f"{VOLUMES}/pv-1"]

    def fetch(self, server: str = PRIMARY, *, label: str = LABEL_TEXT, bases: bool = True) -> None:
        """What the first containers of the Pod have left."""
        root = f"cnpg/{server}"
        base = [(f"{root}/base/{BASE}/backup.info", 300), (f"{root}/base/{BASE}/data.tar", 9000)] if bases else []
        self._list(f"{root}/base/", base)
        self._list(f"{root}/wals/", [(f"{root}/wals/{each[:16]}/{each}.zst", 500) for each in self.segments])
        self._put(f"{root}/base/{BASE}/backup.info", label)
        self._put(f"freshness/{server}.json", json.dumps(MARK))
        (self.directory / ASKED).write_text(
            json.dumps({"side": self.side, "backups": [], "repositories": [], "kubernetes": "v1.36.0"})
        )

    def _list(self, prefix: str, objects: Sequence[tuple[str, int]]) -> None:
        lines = [f"{key}\t{size}\t2026-03-02T11:00:00+00:00" for key, size in objects]
        self._file("list", prefix, "\n".join(lines) or "None")

    def _put(self, key: str, content: str) -> None:
        self._file("get", key, content)

    def _file(self, what: Any, name: str, content: str) -> None:
        plan = Plan()
        plan.listing(BUCKET, name) if what == "list" else plan.get(BUCKET, name, len(content))
        (self.directory / plan.lines[0].split("\t")[3]).write_text(content)

    def drilled(self, *databases: dict[str, Any], **changes: Any) -> dict[str, Any]:
        told = task(*(databases or (database("app-database", COUNT, AGE),)), **changes)
        return record(
            self.directory,
            told,
            lambda drill: DatabaseDrill(
                api=self,  # type: ignore[arg-type]
                task=told,
                directory=self.directory,
                drill=drill,
                clock=self.clock,
                sleep=self.clock.sleep,
                now=lambda: NOW,
            ).run(),
        )

    @property
    def made(self) -> dict[str, Any]:
        [cluster] = [body for path, body in self.created if path.endswith("/clusters")]
        return dict(cluster)

    @property
    def left(self) -> list[str]:
        places = (f"/namespaces/{SPACE}/", VOLUMES)
        return [path for path in self.objects if any(place in path for place in places) and "/events/" not in path]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.fetch()
    return made


def only(found: dict[str, Any]) -> str:
    assert found["passed"] is False
    [reason] = found["reasons"]
    return str(reason)


@pytest.mark.parametrize(
    ("classes", "stands"),
    [({}, True), ({"storage": {"storageClass": "files"}}, True), ({"storage": {"storageClass": "gp3"}}, False)],
)
def test_nothing_is_recovered_while_a_volume_waits_for_any_claim_of_its_class(
    world: World, classes: dict[str, Any], stands: bool
) -> None:
    spec = {"persistentVolumeReclaimPolicy": "Retain", "storageClassName": "files"}
    world.add(f"{VOLUMES}/of-the-shop", {"spec": spec, "status": {"phase": "Available"}})
    told = database("app-database", COUNT, AGE)
    told["cluster"] |= classes
    found = world.drilled(told)
    assert found["passed"] is not stands
    assert bool([path for path, _ in world.created if path.endswith("/clusters")]) is not stands
    assert not stands or "volume of-the-shop waits for any claim" in only(found)


def pod(phase: str, *, role: str | None = "full-recovery", **more: Any) -> dict[str, Any]:
    labels = {"cnpg.io/jobRole": role} if role else {}
    return {"metadata": {"name": more.pop("name", "recovery-1"), "labels": labels}, "status": {"phase": phase, **more}}


def logged(message: str) -> str:
    lines = ({"level": "info", "msg": "begins"}, {"level": "error", "msg": "Restore failed", "error": message})
    return "\n".join(map(json.dumps, lines))


def test_a_database_that_comes_back_and_answers_passes_and_nothing_of_it_is_left(world: World) -> None:
    found = world.drilled()
    assert found["passed"] is True, found["reasons"]
    assert found["counts"] == {"base backups": 1, "WAL segments": 4, "tables": 7, "answers": 2, "databases": 1}
    assert found["used"] == [{"what": "base-backup", "name": BASE, "time": "2026-03-02T03:00:00Z", "server": PRIMARY}]
    assert found["rpo"]["measured"] == 60.0
    assert found["rto"]["measured"] is not None
    assert found["versions"]["kubernetes"] == "v1.36.0"
    assert world.left == []


def test_it_recovers_from_the_archive_of_the_side_that_serves(world: World) -> None:
    world.drilled()
    [source] = world.made["spec"]["externalClusters"]
    assert source["plugin"]["parameters"] == {"barmanObjectName": NAME, "serverName": PRIMARY}
    assert "recoveryTarget" not in world.made["spec"]["bootstrap"]["recovery"]


def test_in_the_region_that_serves_that_is_its_own(world: World) -> None:
    world.side = "own"
    world.fetch("app-database-secondary-g1")
    world.drilled()
    assert world.made["spec"]["externalClusters"][0]["plugin"]["parameters"]["serverName"] == "app-database-secondary-g1"


def test_all_that_it_makes_names_the_drill_and_the_run(world: World) -> None:
    world.drilled()
    labels = {"k8s-dr/drill": "database", "k8s-dr/drill-run": RUN}
    assert all(labels.items() <= body["metadata"]["labels"].items() for _, body in world.created)
    assert labels.items() <= world.made["spec"]["inheritedMetadata"]["labels"].items()


def test_it_archives_nothing_at_all_for_where_it_goes_on_tells_where_the_recovery_ended(world: World) -> None:
    world.drilled()
    assert world.made["metadata"]["annotations"] == {"cnpg.io/skipWalArchiving": "enabled"}
    assert "plugins" not in world.made["spec"]


def test_a_point_in_time_is_so_long_before_the_drill(world: World) -> None:
    world.drilled(back=86400)
    assert world.made["spec"]["bootstrap"]["recovery"]["recoveryTarget"] == {"targetTime": "2026-03-01T12:00:00Z"}


def test_before_the_other_region_is_deployed_there_is_nothing_to_recover(world: World) -> None:
    world.side = None
    world.fetch()
    assert "peerReady" in world.drilled(peer_ready=False)["skipped"]


def test_without_a_base_backup_it_fails_and_makes_nothing(world: World) -> None:
    world.fetch(bases=False)
    assert "no base backup" in world.drilled()["reasons"][0]
    assert world.created == []


def test_a_missing_segment_fails_although_postgresql_takes_it_for_the_end(world: World) -> None:
    del world.segments[2]
    world.fetch()
    world.answers[1] = "1 =000000020000000000000004"
    reasons = world.drilled()["reasons"]
    assert "the WAL segment 000000010000000000000004 is missing, and what was archived after it cannot be recovered" in reasons[0]
    assert "the recovery ended in WAL segment 000000020000000000000004, and 000000010000000000000005 is archived" in reasons[1]


def test_a_segment_that_is_there_and_cannot_be_read_fails_too(world: World) -> None:
    world.answers[1] = "1 =000000020000000000000003"
    assert "a segment between them cannot be read" in only(world.drilled())


def test_a_wrong_row_fails_with_the_value_and_what_was_expected(world: World) -> None:
    world.answers[3] = "3 =is 41"
    found = world.drilled()
    assert only(found) == "database app-database: SELECT count(*) FROM orders is 41; expected 42"
    assert found["counts"]["answers"] == 1


def test_rows_that_are_too_old_fail(world: World) -> None:
    world.answers[4] = "4 =is of 2026-02-01 00:00:00+00, which is 29 days 12:00:00 before 2026-03-02T12:00:00Z"
    assert "expected no older than 3600 s" in only(world.drilled())


def test_a_question_that_fails_says_postgresqls_words(world: World) -> None:
    world.answers[3] = '3 !ERROR:  relation "orders" does not exist'
    assert 'fails: ERROR: relation "orders" does not exist' in only(world.drilled())


def test_a_database_without_a_table_fails(world: World) -> None:
    world.answers[2] = "2 =0"
    assert only(world.drilled()) == "database app-database: it has no table"


def test_a_database_that_is_still_in_recovery_fails(world: World) -> None:
    world.answers[0] = "0 =is still in recovery"
    assert only(world.drilled()) == "database app-database: it is still in recovery"


@pytest.mark.parametrize("message", ["", "psql: error: connection refused"])
def test_a_database_that_lets_nobody_in_fails(world: World, message: str) -> None:
    world.message = message
    assert f"it cannot be asked: {message or 'psql says nothing'}" in world.drilled()["reasons"][0]


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("no target backup found", "no base backup is in the archive"),
        ("An error occurred (AccessDenied) when calling the HeadBucket operation", "may not read the archive"),
        ("write failed: No space left on device", "its volume is full"),
        ("recovery ended before configured recovery target was reached", "the WAL that is here ends before that time"),
    ],
)
def test_a_recovery_that_fails_says_why(world: World, said: str, meaning: str) -> None:
    world.status = {"phase": "Setting up primary"}
    world.pods = [pod("Failed", name="recovery-1"), pod("Failed", name="recovery-2")]
    for name in ("recovery-1", "recovery-2"):
        world.logs[name, "full-recovery"] = logged(said)
    reason = only(world.drilled())
    assert meaning in reason
    assert said in reason
    assert world.left == []


def test_one_failed_pod_is_tried_again_for_s3_may_have_failed_it(world: World) -> None:
    world.status = {"phase": "Setting up primary"}
    world.pods = [pod("Failed", name="recovery-1"), pod("Running", name="recovery-2")]

    def recovers() -> None:
        if CLUSTER in world.objects:
            world.objects[CLUSTER]["status"] = {"readyInstances": 1}

    world.clock.meanwhile = recovers
    found = world.drilled()
    assert found["passed"] is True, found["reasons"]


def test_a_recovery_that_never_ends_fails_with_the_operators_phase_and_the_last_words(world: World) -> None:
    world.status, world.pods = {"phase": "Setting up primary"}, [pod("Running")]
    world.logs["recovery-1", "plugin-barman-cloud"] = logged("connection timed out")
    reason = only(world.drilled())
    assert "it is not recovered within 3600 s: Setting up primary; Restore failed: connection timed out" in reason
    assert world.left == []


def test_a_lost_cluster_fails_at_once(world: World) -> None:
    world.status = {"phase": "Cluster is unrecoverable and needs manual intervention", "phaseReason": "no PVC"}
    assert "is lost: Cluster is unrecoverable and needs manual intervention: no PVC" in only(world.drilled())
    assert world.clock.now < 60


def test_no_node_has_room(world: World) -> None:
    world.status = {"phase": "Setting up primary"}
    condition = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: insufficient memory"}
    world.pods = [pod("Pending", conditions=[condition])]
    reason = only(world.drilled())
    assert "there is no room for it: Pod recovery-1 has no node: 0/3 nodes are available: insufficient memory" in reason
    assert 600 < world.clock.now < 1000, "an autoscaler has its time, and the drill does not wait for its timeout"


def test_a_quota_that_refuses_the_pod_is_the_reason(world: World) -> None:
    world.status, world.pods = {"phase": "Setting up primary"}, []
    event = {
        "involvedObject": {"kind": "Job", "name": f"{NAME}-1-full-recovery"},
        "reason": "FailedCreate",
        "message": "exceeded quota: requests.memory",
        "lastTimestamp": "2026-03-02T12:00:00Z",
    }
    world.add(f"/api/v1/namespaces/{SPACE}/events/e-1", event)
    assert "FailedCreate: exceeded quota: requests.memory" in only(world.drilled())


def test_a_cluster_that_is_refused_is_a_reason(world: World) -> None:
    world.refused[CLUSTER.rpartition("/")[0]] = ApiError(403, 'admission webhook "vcluster.cnpg.io" denied the request')
    assert "denied the request" in only(world.drilled())


def test_a_drill_that_is_told_to_end_cleans_up_first(world: World) -> None:
    world.status = {"phase": "Setting up primary"}

    def ended() -> None:
        if CLUSTER in world.objects:
            world.controllers.remove(ended)
            os.kill(os.getpid(), signal.SIGTERM)

    world.controllers.append(ended)
    found = world.drilled(database(), database("orders"))
    assert found["reasons"][-1].startswith("the drill was told to end before it was done")
    assert [body["metadata"]["name"] for _, body in world.created] == [NAME]
    assert world.left == []


def test_another_run_that_is_at_work_is_left_alone(world: World) -> None:
    metadata = {"uid": "another", "creationTimestamp": "2026-03-02T11:00:00Z"}
    world.add(
        "/api/v1/namespaces/k8s-dr/pods/by-hand",
        {"metadata": metadata, "status": {"phase": "Running"}},
        **{"k8s-dr/drill": "database"},
    )
    world.add(CLUSTER, {"status": world.status})
    assert "another run of this drill is at work, Pod by-hand" in world.drilled()["reasons"][0]
    assert (world.deleted, world.created) == ([], [])


def test_what_a_killed_drill_left_is_gone_before_the_next_and_told(world: World) -> None:
    world.add(CLUSTER, {"status": {"readyInstances": 1}})
    world.add(f"{CLAIMS}/{NAME}-1", None, **{"cnpg.io/cluster": NAME})
    world.add(f"{VOLUMES}/pv-old", volume("pv-old", "production"))
    found = world.drilled()
    assert found["notes"] == ["an earlier drill has left 2 objects, which were deleted first"]
    assert found["passed"] is True, found["reasons"]
    assert world.left == [f"{VOLUMES}/pv-old"], "nobody else's volume"


def test_what_does_not_go_stops_the_drill_before_it_makes_anything(world: World) -> None:
    world.add(CLUSTER, {"status": {"readyInstances": 1}})
    world.stubborn.add(CLUSTER)
    assert "is still in k8s-dr-drills: clusters/drill-database" in only(world.drilled())
    assert world.created == []


def test_a_cluster_that_does_not_go_ends_the_drill_for_the_next_would_have_its_name(world: World) -> None:
    world.fetch("orders-primary-g1")
    world.stubborn.add(CLUSTER)
    found = world.drilled(database("app-database"), database("orders"))
    assert "is still in k8s-dr-drills: clusters/drill-database" in only(found)
    assert [each["server"] for each in found["used"]] == [PRIMARY]


def test_each_database_has_its_turn_also_after_one_that_fails(world: World) -> None:
    world.fetch("orders-primary-g1")
    world.fetch(PRIMARY, bases=False)
    found = world.drilled(database("app-database"), database("orders"))
    assert found["counts"]["databases"] == 1
    assert "database app-database: no base backup" in found["reasons"][0]
    assert [each["server"] for each in found["used"]] == ["orders-primary-g1"]


def test_a_recovery_that_took_longer_than_the_rto_fails(world: World) -> None:
    world.controllers.insert(0, lambda: setattr(world.clock, "now", world.clock.now + 1))
    assert "its RTO is 1 s" in only(world.drilled(targets={"rpo": 300.0, "rto": 1.0}))


def test_a_cluster_that_cannot_be_asked_what_to_drill_fails(world: World) -> None:
    (world.directory / ASKED).write_text(json.dumps({"error": "the cluster cannot be asked: forbidden"}))
    assert only(world.drilled()) == "the cluster cannot be asked: forbidden"
