"""The drill `namespace` against a cluster in memory: what passes, each way in which it must fail, and that nothing is left."""

from __future__ import annotations

import gzip
import json
import os
import signal
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.kube.runner.api import ApiError
from components.kube.runner.ask import Answer
from components.kube.runner.drill_alone import refuse_beside_another
from components.kube.runner.drill_namespace import NamespaceDrill
from components.kube.runner.failure import StepFailedError
from components.kube.runner.restored import ResultsUnavailableError
from tests.unit.components.kube.runner.drill_world import BASE_TASK, NOW, RUN, SERVING, VOLUMES, DrillCluster, record, volume
from tests.unit.components.kube.runner.steps import Clock

SCRATCH = "k8s-dr-drills-scratch"
RUNS = "/api/v1/namespaces/k8s-dr/pods"
VELERO = "/apis/velero.io/v1/namespaces/velero"
DOWNLOADS = "/apis/velero.io/v2alpha1/namespaces/velero/datadownloads"
CLAIMS = f"/api/v1/namespaces/{SCRATCH}/persistentvolumeclaims"
PODS = f"/api/v1/namespaces/{SCRATCH}/pods"
SECRETS = f"/api/v1/namespaces/{SCRATCH}/secrets"
WEB = f"/apis/apps/v1/namespaces/{SCRATCH}/deployments/web"
SCHEDULE, BACKUP = "hourly-critical-us-east-1", "hourly-critical-us-east-1-20260302110000"
RESTORE = f"drill-production-{RUN}"
HOLDS = {
    "apps/v1/Deployment": ["production/web", "other/api"],
    "v1/Secret": ["production/web-tls"],
    "v1/ConfigMap": ["production/kube-root-ca.crt"],
    "v1/PersistentVolumeClaim": ["production/data"],
    "v1/Namespace": ["production"],
    "keda.sh/v1alpha1/ScaledObject": ["production/web"],
}
MOVED = [
    {"pvcNamespace": "production", "pvcName": "data", "backupMethod": "CSISnapshot", "snapshotDataMoved": True},
    {"pvcNamespace": "production", "pvcName": "cache", "snapshotDataMoved": False, "skipped": True},
    {"pvcNamespace": "other", "pvcName": "data-of-another", "backupMethod": "CSISnapshot", "snapshotDataMoved": True},
]
KINDS = [
    {"kind": "Deployment", "plural": "deployments", "group": "apps", "version": "v1"},
    {"kind": "ConfigMap", "plural": "configmaps", "group": "", "version": "v1"},
    {"kind": "Secret", "plural": "secrets", "group": "", "version": "v1"},
    {"kind": "PersistentVolumeClaim", "plural": "persistentvolumeclaims", "group": "", "version": "v1"},
]
FENCE = {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {}}, "spec": {"containers": [{"name": "fence"}]}}


def task(**changes: Any) -> dict[str, Any]:
    return {
        **BASE_TASK,
        "kind": "namespace",
        "namespace": "production",
        "scratch": SCRATCH,
        "schedule": SCHEDULE,
        "location": "peer",
        "within": 3600 + 900,
        "restore": {"includedNamespaces": ["production"], "namespaceMapping": {"production": SCRATCH}},
        "kinds": KINDS,
        "fence": None,
        "probe": None,
        "seconds": 1800,
        **changes,
    }


class World(DrillCluster):
    """A region that stands by: Velero restores there, a claim gets its volume, and Pods come up."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.holds: Any = HOLDS
        self.moved: Any = MOVED
        self.by_files: list[dict[str, Any]] = []
        self.status: dict[str, Any] = {"phase": "Completed"}
        self.errors: dict[str, Any] = {}
        self.brings = {"web": True, "secret": True, "bound": True}
        self.download: dict[str, Any] | None = {"phase": "Completed"}
        self.fenced, self.answer = True, Answer(status=200, said="HTTP 200 OK")
        self.unreadable: set[str] = set()
        self.backup(BACKUP, age=timedelta(hours=1))
        self.controllers.append(self._velero)

    def backup(self, name: str, *, age: timedelta, phase: str = "Completed", location: str = "peer", **status: Any) -> None:
        began = (NOW - age).isoformat().replace("+00:00", "Z")
        body = {
            "metadata": {"name": name, "labels": {"velero.io/schedule-name": SCHEDULE}},
            "spec": {"storageLocation": location},
            "status": {"phase": phase, "startTimestamp": began, "completionTimestamp": began, **status},
        }
        self.add(f"{VELERO}/backups/{name}", body)

    def _velero(self) -> None:
        for path, body in list(self.objects.items()):
            if path.startswith(f"{VELERO}/downloadrequests/"):
                target = body["spec"]["target"]
                body["status"] = {"phase": "Processed", "downloadURL": f"https://bucket/{target['kind']}"}
            if path.startswith(f"{PODS}/fence-"):
                body["status"] = {"phase": "Succeeded" if self.fenced else "Failed"}
            if path == f"{VELERO}/restores/{RESTORE}" and "status" not in body:
                body["status"] = self.status
                self._restore()

    def _restore(self) -> None:
        label = {"velero.io/restore-name": RESTORE}
        if self.brings["web"]:
            self.add(WEB, {"status": {"availableReplicas": 1}}, **label)
        if self.brings["secret"]:
            self.add(f"{SECRETS}/web-tls", {"data": {"key": "c2VjcmV0"}}, **label)
        self.add(f"{CLAIMS}/data", {"status": {"phase": "Bound" if self.brings["bound"] else "Pending"}}, **label)
        self.add(f"{VOLUMES}/pv-1", volume("pv-1", SCRATCH))
        target = {"targetVolume": {"namespace": SCRATCH, "pvc": "data"}}
        if self.download:
            self.add(f"{DOWNLOADS}/d-1", {"spec": target, "status": self.download}, **label)
        for place, spec in enumerate(self.by_files):
            self.add(f"{VELERO}/podvolumerestores/p-{place}", {"spec": spec, "status": {"phase": "Completed"}}, **label)

    def delete(self, path: str) -> None:
        super().delete(path)
        claim = self.objects.get(f"{VOLUMES}/pv-1")
        if f"{CLAIMS}/data" not in self.objects and claim and claim["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            self.objects.pop(f"{VOLUMES}/pv-1", None)

    def read(self, url: str) -> bytes:
        kind = url.rpartition("/")[2]
        if kind in self.unreadable:
            raise ResultsUnavailableError("the bucket answered 403")
        said = {"BackupResourceList": self.holds, "BackupVolumeInfos": self.moved, "RestoreResults": self.errors}
        return gzip.compress(json.dumps(said[kind]).encode())

    def drilled(self, directory: Path, **changes: Any) -> dict[str, Any]:
        told = task(**changes)
        return record(
            directory,
            told,
            lambda drill: NamespaceDrill(
                api=self,  # type: ignore[arg-type]
                task=told,
                drill=drill,
                clock=self.clock,
                sleep=self.clock.sleep,
                now=lambda: NOW,
                read=self.read,
                ask=lambda _: self.answer,
            ).run(),
        )

    @property
    def left(self) -> list[str]:
        places = (f"/namespaces/{SCRATCH}/", f"{VELERO}/restores/", VOLUMES)
        return [path for path in self.objects if any(place in path for place in places) and "/events/" not in path]


@pytest.fixture
def world() -> World:
    return World()


def only(found: dict[str, Any]) -> str:
    assert found["passed"] is False
    [reason] = found["reasons"]
    return str(reason)


def test_a_namespace_that_comes_back_whole_passes_and_nothing_of_it_is_left(world: World, tmp_path: Path) -> None:
    found = world.drilled(tmp_path)
    assert found["passed"] is True, found["reasons"]
    assert found["counts"] == {"deployments": 1, "secrets": 1, "persistentvolumeclaims": 1, "volumes": 1}
    assert found["rpo"] == {"target": 300.0, "measured": 3600}
    assert found["rto"]["measured"] is not None
    assert [each["name"] for each in found["used"]] == [BACKUP]
    assert world.left == []


def test_the_restore_is_of_the_newest_completed_backup_of_the_peers_location(world: World, tmp_path: Path) -> None:
    world.backup("older", age=timedelta(hours=2))
    world.backup("partial", age=timedelta(minutes=5), phase="PartiallyFailed")
    world.backup("own", age=timedelta(minutes=5), location="own")
    world.drilled(tmp_path)
    [restore] = [body for path, body in world.created if path == f"{VELERO}/restores"]
    assert restore["spec"] == {**task()["restore"], "backupName": BACKUP}
    assert restore["metadata"]["labels"] == {"k8s-dr/drill": "namespace", "k8s-dr/drill-run": RUN}


def test_a_backup_that_may_still_be_copied_is_passed_over_and_told(world: World, tmp_path: Path) -> None:
    world.backup("young", age=timedelta(minutes=10))
    found = world.drilled(tmp_path)
    assert [each["name"] for each in found["used"]] == [BACKUP]
    assert found["notes"] == ["backup young may still be copied, so the one before it is taken"]


def test_the_only_backup_is_taken_though_it_may_still_be_copied(world: World, tmp_path: Path) -> None:
    world.backup(BACKUP, age=timedelta(minutes=10))
    found = world.drilled(tmp_path)
    assert (found["passed"], [each["name"] for each in found["used"]]) == (True, [BACKUP])


def test_the_one_before_is_not_stale_while_a_newer_one_is_coming(world: World, tmp_path: Path) -> None:
    world.backup(BACKUP, age=timedelta(hours=3))
    world.backup("young", age=timedelta(minutes=10))
    assert world.drilled(tmp_path)["passed"] is True


def test_an_expired_one_is_not_taken_for_one_that_is_coming(world: World, tmp_path: Path) -> None:
    world.backup(BACKUP, age=timedelta(hours=1), expiration="2026-03-02T11:59:00Z")
    world.backup("young", age=timedelta(minutes=10))
    found = world.drilled(tmp_path)
    assert (found["passed"], [each["name"] for each in found["used"]]) == (True, ["young"])


def test_a_region_that_serves_restores_nothing(world: World, tmp_path: Path) -> None:
    world.add(SERVING)
    found = world.drilled(tmp_path)
    assert found["passed"] is None
    assert "only in the region that stands by" in found["skipped"]
    assert world.created == []


def test_without_a_completed_backup_it_fails_with_the_phases_that_there_are(world: World, tmp_path: Path) -> None:
    del world.objects[f"{VELERO}/backups/{BACKUP}"]
    world.backup("partial", age=timedelta(minutes=5), phase="PartiallyFailed")
    found = world.drilled(tmp_path)
    assert found["passed"] is False
    assert "has no Completed backup here: only PartiallyFailed" in found["reasons"][0]


def test_an_expired_backup_fails_and_is_not_restored(world: World, tmp_path: Path) -> None:
    world.backup(BACKUP, age=timedelta(hours=1), expiration="2026-03-02T11:59:00Z")
    found = world.drilled(tmp_path)
    assert "has expired at 2026-03-02T11:59:00Z" in found["reasons"][0]
    assert not [path for path, _ in world.created if path.endswith("/restores")]


def test_an_old_backup_fails_and_is_restored_all_the_same(world: World, tmp_path: Path) -> None:
    world.backup(BACKUP, age=timedelta(hours=3))
    found = world.drilled(tmp_path)
    assert "is stale" in only(found)
    assert found["rto"]["measured"] is not None


def test_an_object_that_did_not_come_is_named(world: World, tmp_path: Path) -> None:
    world.brings["web"] = False
    assert only(world.drilled(tmp_path)) == "1 of 1 deployments that the Backup has did not come: web"


def test_a_backup_without_the_namespace_fails(world: World, tmp_path: Path) -> None:
    world.holds = {"apps/v1/Deployment": ["other/api"], "v1/Namespace": ["production"]}
    assert "has nothing of namespace production" in only(world.drilled(tmp_path))


@pytest.mark.parametrize("holds", [[], None, {"v1/Secret": 3}, "text"])
def test_a_list_that_is_not_veleros_fails(world: World, tmp_path: Path, holds: Any) -> None:
    world.holds = holds
    assert world.drilled(tmp_path)["passed"] is False


def test_a_list_that_cannot_be_read_fails_without_the_signed_url(world: World, tmp_path: Path) -> None:
    world.unreadable.add("BackupResourceList")
    reason = only(world.drilled(tmp_path))
    assert "could not be read: the bucket answered 403" in reason
    assert "https://" not in reason


def test_a_failed_restore_fails_with_veleros_words_and_stays_for_a_person_to_see(world: World, tmp_path: Path) -> None:
    world.status = {"phase": "PartiallyFailed", "errors": 1}
    world.errors = {"errors": {"namespaces": {SCRATCH: ["error restoring deployments.apps/web: forbidden by webhook"]}}}
    world.download = {"phase": "Completed"}
    found = world.drilled(tmp_path)
    assert "forbidden by webhook" in only(found)
    assert world.left == [f"{VELERO}/restores/{RESTORE}"]


def test_a_half_replicated_repository_fails_with_what_it_means(world: World, tmp_path: Path) -> None:
    world.status = {"phase": "PartiallyFailed", "errors": 1}
    world.download = {"phase": "Failed", "message": "data path restore failed: BLOB not found"}
    found = world.drilled(tmp_path)
    assert any("a part of the repository is not in this region's bucket" in each for each in found["reasons"]), found["reasons"]


def test_a_wrong_password_fails_with_what_it_means(world: World, tmp_path: Path) -> None:
    world.status = {"phase": "PartiallyFailed", "errors": 1}
    world.download = {"phase": "Failed", "message": "error to connect: invalid repository password"}
    found = world.drilled(tmp_path)
    assert any("another backupEncryptionPassword" in each for each in found["reasons"]), found["reasons"]


def test_a_claim_whose_data_came_and_that_has_no_volume_fails(world: World, tmp_path: Path) -> None:
    world.brings["bound"] = False
    assert only(world.drilled(tmp_path)) == f"claim {SCRATCH}/data should have its data, and is Pending"


def test_a_claim_that_the_backup_has_the_data_of_and_that_velero_left_empty_fails(world: World, tmp_path: Path) -> None:
    world.download = None
    assert only(world.drilled(tmp_path)) == (
        "the Backup has the data of claim data, and Velero brought none: the restore left it empty"
    )


def test_a_volume_that_comes_through_its_pod_must_have_its_data_too(world: World, tmp_path: Path) -> None:
    info = {"podNamespace": "production", "podName": "queue-0", "volumeName": "files"}
    scratch = {"pvcNamespace": "", "backupMethod": "PodVolumeBackup", "pvbInfo": {**info, "volumeName": "an-empty-dir"}}
    files = {"pvcNamespace": "production", "pvcName": "files", "backupMethod": "PodVolumeBackup", "pvbInfo": info}
    world.moved = [*MOVED, files, scratch]
    world.by_files = [{"pod": {"namespace": SCRATCH, "name": "queue-0"}, "volume": "an-empty-dir"}]
    kinds = [*KINDS, {"kind": "Pod", "plural": "pods", "group": "", "version": "v1"}]
    assert "has the data of volume files of Pod queue-0" in only(world.drilled(tmp_path, kinds=kinds))


@pytest.mark.parametrize("listed", [None, [None], [{"snapshotDataMoved": True}], "text"])
def test_a_list_of_volumes_that_is_not_veleros_fails(world: World, tmp_path: Path, listed: Any) -> None:
    world.moved = listed
    assert "which volumes Backup" in only(world.drilled(tmp_path))


def test_claims_that_are_left_out_get_no_data(world: World, tmp_path: Path) -> None:
    world.download = None
    assert world.drilled(tmp_path, kinds=KINDS[:3])["passed"] is True


def test_a_restore_that_finds_no_room_fails_with_the_reason_and_is_gone_for_it_would_go_on(world: World, tmp_path: Path) -> None:
    world.status = {"phase": "WaitingForPluginOperations"}
    world.brings["bound"], world.download = False, {"phase": "Accepted"}
    event = {
        "involvedObject": {"kind": "PersistentVolumeClaim", "name": "data"},
        "reason": "ProvisioningFailed",
        "message": "exceeded quota: volumes",
        "lastTimestamp": "2026-03-02T12:00:00Z",
    }
    world.add(f"/api/v1/namespaces/{SCRATCH}/events/e-1", event)
    reason = only(world.drilled(tmp_path))
    assert "has not ended within 1800 s: it is WaitingForPluginOperations" in reason
    assert "1 of 1 volumes have not got their data: Accepted (Velero's Pod for it has not begun, as where no node" in reason
    assert "claim data has no volume: PersistentVolumeClaim data: ProvisioningFailed: exceeded quota: volumes" in reason
    assert world.left == []


def test_what_a_killed_drill_left_is_gone_before_the_next_and_told(world: World, tmp_path: Path) -> None:
    world.add(f"{VELERO}/restores/drill-production-dead", {"metadata": {"labels": {"k8s-dr/drill": "namespace"}}})
    world.add(f"{VELERO}/restores/of-a-person", {"spec": {}})
    world.add(f"{CLAIMS}/data-queue-0")
    world.add(f"{SECRETS}/old", None, **{"velero.io/restore-name": "drill-production-dead"})
    world.add(f"{VOLUMES}/pv-1", volume("pv-1", SCRATCH))
    found = world.drilled(tmp_path)
    assert found["passed"] is True, found["reasons"]
    assert found["notes"] == ["an earlier drill has left 3 objects, which were deleted first"]
    assert world.left == [f"{VELERO}/restores/of-a-person"]


def test_what_a_killed_drill_left_goes_in_a_region_that_serves_since_then_too(world: World, tmp_path: Path) -> None:
    world.add(SERVING)
    world.add(f"{CLAIMS}/data", None, **{"velero.io/restore-name": "drill-production-dead"})
    world.drilled(tmp_path)
    assert world.left == []


def test_another_run_that_is_at_work_is_left_alone(world: World, tmp_path: Path) -> None:
    world.add(f"{RUNS}/by-hand", a_run("by-hand"), **{"k8s-dr/drill": "namespace"})
    world.add(f"{VELERO}/restores/drill-production-of-it", None, **{"k8s-dr/drill": "namespace"})
    assert "another run of this drill is at work, Pod by-hand" in only(world.drilled(tmp_path))
    assert (world.deleted, world.created) == ([], [])


def test_a_run_that_has_ended_and_another_drills_are_no_others(world: World, tmp_path: Path) -> None:
    world.add(f"{RUNS}/done", a_run("done", phase="Failed"), **{"k8s-dr/drill": "namespace"})
    world.add(f"{RUNS}/databases", a_run("databases"), **{"k8s-dr/drill": "database"})
    assert world.drilled(tmp_path)["passed"] is True


@pytest.mark.parametrize(("own", "alone"), [("2026-03-02T11:00:00Z", True), ("2026-03-02T11:00:02Z", False)])
def test_of_two_that_begin_together_the_first_goes_on(own: str, alone: bool) -> None:
    cluster = DrillCluster()
    for name, made in (("mine", own), ("other", "2026-03-02T11:00:01Z")):
        cluster.add(f"{RUNS}/{name}", a_run(name, phase="Pending", made=made), **{"k8s-dr/drill": "namespace"})
    with nullcontext() if alone else pytest.raises(StepFailedError, match="Pod other"):
        refuse_beside_another(cluster, "namespace", {"POD_UID": "uid-of-mine"})  # type: ignore[arg-type]


def test_what_another_run_made_under_this_name_is_not_taken_for_its_own(world: World, tmp_path: Path) -> None:
    def another_makes_it() -> None:
        if any(path.endswith("/downloadrequests") for path, _ in world.created):
            there = world.objects.get(f"{VELERO}/restores/{RESTORE}")
            if there is None and f"{VELERO}/restores/{RESTORE}" not in world.deleted:
                labels = {"k8s-dr/drill": "other", "k8s-dr/drill-run": "of-another"}
                world.add(f"{VELERO}/restores/{RESTORE}", {"status": {"phase": "Completed"}}, **labels)

    world.controllers.append(another_makes_it)
    assert only(world.drilled(tmp_path)) == f"restores/{RESTORE} is there already, of another run (of-another)"
    assert f"{VELERO}/restores/{RESTORE}" not in world.deleted


def test_its_own_object_whose_answer_was_lost_is_its_own(world: World, tmp_path: Path) -> None:
    create = world.create

    def lost(path: str, body: dict[str, Any]) -> dict[str, Any]:
        made = create(path, body)
        if path.endswith("/restores"):
            raise ApiError(409, "already exists")
        return made

    world.create = lost  # type: ignore[method-assign]
    assert world.drilled(tmp_path)["passed"] is True


# Told to end


def test_a_drill_that_is_told_to_end_cleans_up_first(world: World, tmp_path: Path) -> None:
    world.status = {"phase": "InProgress"}

    def ended() -> None:
        if f"{VELERO}/restores/{RESTORE}" in world.objects:
            world.controllers.remove(ended)
            os.kill(os.getpid(), signal.SIGTERM)

    world.controllers.append(ended)
    assert only(world.drilled(tmp_path)).startswith("the drill was told to end before it was done")
    assert world.left == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_has_begun_to_clean_up_goes_on(world: World, tmp_path: Path) -> None:
    def ended() -> None:
        if f"{VELERO}/restores/{RESTORE}" in world.deleted and ended in world.controllers:
            world.controllers.remove(ended)
            os.kill(os.getpid(), signal.SIGTERM)

    world.controllers.append(ended)
    assert only(world.drilled(tmp_path)).startswith("the drill was told to end before it was done")
    assert world.left == []


def a_run(name: str, *, phase: str = "Running", made: str = "2026-03-02T11:00:00Z") -> dict[str, Any]:
    return {"metadata": {"uid": f"uid-of-{name}", "creationTimestamp": made}, "status": {"phase": phase}}


def test_a_volume_that_its_class_keeps_goes_with_its_claim_and_nobody_elses_does(world: World, tmp_path: Path) -> None:
    world.add(f"{VOLUMES}/pv-of-production", volume("pv-of-production", "production"))
    assert world.drilled(tmp_path)["passed"] is True
    assert {path for path, _ in world.patched} == {f"{VOLUMES}/pv-1"}
    assert world.objects[f"{VOLUMES}/pv-of-production"]["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def _by_hand(name: str, namespace: str | None = None, **spec: Any) -> dict[str, Any]:
    """A volume that somebody has made, as for a file system that another tool replicates."""
    claimed = {"claimRef": {"namespace": namespace, "name": "data"}} if namespace else {}
    metadata = {"name": name, "creationTimestamp": "2026-03-02T12:00:00Z"}
    return {"metadata": metadata, "spec": {"persistentVolumeReclaimPolicy": "Retain", **claimed, **spec}}


def test_nothing_is_restored_while_a_volume_waits_for_any_claim(world: World, tmp_path: Path) -> None:
    world.add(f"{VOLUMES}/files-of-the-shop", {**_by_hand("files-of-the-shop"), "status": {"phase": "Available"}})
    reason = only(world.drilled(tmp_path))
    assert "volume files-of-the-shop waits for any claim" in reason
    assert "set claimRef" in reason
    assert not [path for path, _ in world.created if path.endswith("/restores")]


def test_a_volume_that_waits_for_its_own_claim_and_a_spare_disk_stand_in_no_ones_way(world: World, tmp_path: Path) -> None:
    world.add(f"{VOLUMES}/files", {**_by_hand("files", "production"), "status": {"phase": "Available"}})
    disk = {**_by_hand("disk"), "status": {"phase": "Available"}}
    disk["metadata"]["annotations"] = {"pv.kubernetes.io/provisioned-by": "local-volume-provisioner-node-1-0123"}
    world.add(f"{VOLUMES}/disk", disk)
    assert world.drilled(tmp_path)["passed"] is True


@pytest.mark.parametrize(
    "found", [_by_hand("files", SCRATCH), volume("files", SCRATCH, made=NOW - timedelta(days=30))], ids=["by-hand", "older"]
)
def test_a_volume_that_was_not_made_for_the_drill_is_kept_and_told(world: World, tmp_path: Path, found: dict[str, Any]) -> None:
    world.add(f"{VOLUMES}/files", found)
    assert "volume files" in only(world.drilled(tmp_path))
    assert f"{VOLUMES}/files" not in {path for path, _ in world.patched}


def test_a_volume_that_a_killed_drill_left_goes_with_the_claim_that_it_was_made_for(world: World, tmp_path: Path) -> None:
    world.add(SERVING)  # no restore of this run's hides what is left
    before = NOW - timedelta(days=30)
    claim = {"metadata": {"creationTimestamp": before.isoformat().replace("+00:00", "Z")}}
    world.add(f"{CLAIMS}/data", claim)
    world.add(f"{VOLUMES}/pv-1", volume("pv-1", SCRATCH, made=before + timedelta(minutes=1)))
    world.drilled(tmp_path)
    assert world.left == []


def test_what_cannot_be_deleted_is_a_reason(world: World, tmp_path: Path) -> None:
    world.stubborn.add(f"{SECRETS}/web-tls")
    assert "is still there" in only(world.drilled(tmp_path))


def test_a_right_that_is_missing_is_a_reason_and_no_end(world: World, tmp_path: Path) -> None:
    world.refused[f"{VELERO}/restores"] = ApiError(403, "restores.velero.io is forbidden")
    assert "forbidden" in world.drilled(tmp_path)["reasons"][0]


def test_with_replicas_nothing_is_restored_where_the_network_policy_does_not_hold(world: World, tmp_path: Path) -> None:
    world.fenced = False
    reason = only(world.drilled(tmp_path, fence=FENCE))
    assert "reaches the API server, which its NetworkPolicy forbids, so nothing was restored" in reason
    assert not [path for path, _ in world.created if path.endswith("/restores")]
    assert world.left == []


def test_what_is_probed_must_answer(world: World, tmp_path: Path) -> None:
    probe = {"ready": ["deployment/web"], "service": "web", "port": 80, "scheme": "http", "path": "/healthz"}
    assert world.drilled(tmp_path, fence=FENCE, probe=probe)["passed"] is True


@pytest.mark.parametrize("probed", [{"ready": ["deployment/web"], "service": None}, {"ready": [], "service": "web"}])
def test_a_pod_whose_ephemeral_claim_was_restored_without_its_owner_gets_its_own(
    probed: dict[str, Any], world: World, tmp_path: Path
) -> None:
    scratch, of_the_pod = f"{CLAIMS}/db-0-scratch", [{"kind": "Pod", "name": "db-0", "controller": True}]
    restored: list[str] = []

    def kubernetes() -> None:
        if WEB not in world.objects:
            return
        if not restored:
            restored.append(scratch)
            world.add(f"{PODS}/db-0", {"spec": {"volumes": [{"name": "scratch", "ephemeral": {}}]}})
            world.add(scratch)
        elif f"{PODS}/db-0" in world.objects and scratch not in world.objects:
            world.add(scratch, {"metadata": {"ownerReferences": of_the_pod}})
        owned = bool(world.objects.get(scratch, {}).get("metadata", {}).get("ownerReferences"))
        world.objects[WEB]["status"] = {"availableReplicas": int(owned)}
        world.answer = Answer(status=200 if owned else None, said="HTTP 200 OK" if owned else "nothing")

    world.controllers.append(kubernetes)
    probe = {**probed, "port": 80, "scheme": "http", "path": "/"}
    assert world.drilled(tmp_path, fence=FENCE, probe=probe)["passed"] is True


def test_a_service_that_answers_with_an_error_fails(world: World, tmp_path: Path) -> None:
    world.answer = Answer(status=503, said="HTTP 503 Service Unavailable")
    probe = {"ready": [], "service": "web", "port": 80, "scheme": "http", "path": "/healthz"}
    found = world.drilled(tmp_path, fence=FENCE, probe=probe)
    assert f"http://web.{SCRATCH}.svc:80/healthz said HTTP 503 Service Unavailable" in only(found)
    assert found["rto"]["measured"] is None


def test_a_service_is_asked_by_its_scheme(world: World, tmp_path: Path) -> None:
    world.answer = Answer(status=None, said="nothing")
    probe = {"ready": [], "service": "web", "port": 443, "scheme": "https", "path": "/"}
    assert f"https://web.{SCRATCH}.svc:443/ said nothing" in only(world.drilled(tmp_path, fence=FENCE, probe=probe))


def test_a_workload_that_is_probed_and_does_not_exist_fails(world: World, tmp_path: Path) -> None:
    probe = {"ready": ["deployment/api"], "service": None, "port": 80, "scheme": "http", "path": "/"}
    assert "deployment/api was not restored" in only(world.drilled(tmp_path, fence=FENCE, probe=probe))


def test_a_restore_that_took_longer_than_the_rto_fails(world: World, tmp_path: Path) -> None:
    world.clock.meanwhile = lambda: None
    world.controllers.insert(0, lambda: setattr(world.clock, "now", world.clock.now + 1))
    found = world.drilled(tmp_path, targets={"rpo": 300.0, "rto": 1.0})
    assert "its RTO is" in only(found)
