"""What a restore did with volumes is told by claim, with Velero's reason, and no later restore passes over what it lacks."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.kube.cluster_api import ClusterUnreachableError
from components.velero.claims import claims_in_the_way, delete_ownerless, empty_claims, failed_volumes, unfilled_claims
from components.velero.restores import RestoreFailedError, judge_restore
from components.velero.selection import chosen
from settings.backup import Backup
from tests.unit.fakes import FakeCluster

OF_RESTORE = {"labels": {"velero.io/restore-name": "restore-1"}}
NO_PART = "data path restore failed: error to restore: unable to open object: BLOB not found"
PARTLY = {"metadata": {"name": "restore-1"}, "status": {"phase": "PartiallyFailed", "errors": 1}}


def backup(**changes: Any) -> Backup:
    return Backup.model_validate({"name": "a", "cron": "0 * * * *", "keep": "24h", **changes})


def download(phase: str, claim: str, message: str = "") -> dict[str, Any]:
    target = {"namespace": "production", "pvc": claim}
    return {"metadata": OF_RESTORE, "spec": {"targetVolume": target}, "status": {"phase": phase, "message": message}}


def by_files(phase: str, message: str = "") -> dict[str, Any]:
    pod = {"namespace": "uploads", "name": "web-0"}
    return {"metadata": OF_RESTORE, "spec": {"pod": pod, "volume": "files"}, "status": {"phase": phase, "message": message}}


def pod_with(*volumes: dict[str, Any]) -> dict[str, Any]:
    return {"/api/v1/namespaces/uploads/pods/web-0": {"spec": {"volumes": list(volumes)}}}


FILES = {"name": "files", "persistentVolumeClaim": {"claimName": "uploaded"}}
TOKEN = {"name": "token", "projected": {}}


def test_each_volume_that_got_no_data_is_told_with_what_veleros_reason_means() -> None:
    cluster = FakeCluster(
        velero={
            "datadownloads": [
                download("Failed", "data-0", NO_PART),
                download("Completed", "data-1"),
                download("Canceled", "data-2", "timeout on\npreparing data download"),
                download("Failed", "data-3", "backup repository is not ready: connect: invalid repository password"),
            ],
            "podvolumerestores": [by_files("Failed")],
        }
    )
    assert failed_volumes(cluster, "restore-1") == [
        "claim production/data-0 has not got its data (Failed: a part of the repository is not in this region's bucket: "
        f"{NO_PART})",
        "claim production/data-2 has not got its data (Canceled: timeout on preparing data download)",
        "claim production/data-3 has not got its data (Failed: the peer's repository was made with another "
        "backupEncryptionPassword than this stack has: backup repository is not ready: connect: invalid repository password)",
        "volume files of Pod uploads/web-0 has not got its data (Failed: Velero gives no reason)",
    ]
    assert failed_volumes(FakeCluster(), "restore-1") == []


def test_a_failed_restore_names_its_volumes_and_an_older_backup_as_the_way_on() -> None:
    cluster = FakeCluster(velero={"datadownloads": [download("Failed", "data-0", NO_PART)]})
    with pytest.raises(RestoreFailedError) as failed:
        judge_restore(cluster, backup(), "backups[1]", PARTLY)
    told = str(failed.value)
    assert "; claim production/data-0 has not got its data (Failed: a part of the repository is not in this region's" in told
    assert "an older backup may be whole: write from: BACKUP to k8s-dr:backups[1]; to go on with" in told
    assert "\n" not in told
    with pytest.raises(RestoreFailedError) as other:
        judge_restore(FakeCluster(), backup(), "backups[1]", PARTLY)
    assert "older backup" not in str(other.value)


def test_volumes_that_cannot_be_asked_for_hide_no_failure() -> None:
    class Silent(FakeCluster):
        def list_velero(self, plural: str, selector: str = "", *, version: str = "v1") -> list[dict[str, Any]] | None:
            if plural == "datadownloads":
                raise ClusterUnreachableError("cluster prod does not answer")
            return super().list_velero(plural, selector, version=version)

    with pytest.raises(RestoreFailedError, match=r"PartiallyFailed.*could not be asked: cluster prod does not answer"):
        judge_restore(Silent(), backup(), "backups[0]", PARTLY)


def test_a_claim_that_a_failed_restore_could_not_fill_stops_the_next_one() -> None:
    moved = [download("Failed", "data-0"), download("Completed", "data-1"), download("Canceled", "gone")]
    cluster = FakeCluster(velero={"datadownloads": moved}, claims=[("production", "data-0"), ("production", "data-1")])
    told = unfilled_claims(cluster, "restore-1")
    assert told
    assert told.startswith("claims without their data are here (production/data-0): Restore restore-1 made them")
    assert "kubectl delete pvc data-0 -n production" in told
    cluster.claims = [("production", "data-1")]
    assert unfilled_claims(cluster, "restore-1") is None
    assert unfilled_claims(FakeCluster(), "restore-1") is None


def test_a_claim_that_was_to_be_filled_through_its_pod_stops_the_next_restore_too() -> None:
    cluster = FakeCluster(
        velero={"podvolumerestores": [by_files("Failed")]}, claims=[("uploads", "uploaded")], paths=pod_with(TOKEN, FILES)
    )
    told = unfilled_claims(cluster, "restore-1") or ""
    assert told.startswith("claims without their data are here (uploads/uploaded)")
    cluster.velero["podvolumerestores"] = [by_files("Completed")]
    assert unfilled_claims(cluster, "restore-1") is None
    for gone in ({}, pod_with(TOKEN), pod_with({"name": "files", "emptyDir": {}})):
        cluster = FakeCluster(velero={"podvolumerestores": [by_files("Failed")]}, claims=[("uploads", "uploaded")], paths=gone)
        assert unfilled_claims(cluster, "restore-1") is None


def test_claims_that_came_without_data_are_told_of_a_restore_that_completed() -> None:
    claims = [("production", "cache"), ("production", "data-0"), ("uploads", "files")]
    moved = {"datadownloads": [download("Completed", "data-0")], "podvolumerestores": [by_files("Completed")]}
    cluster = FakeCluster(velero=moved, claims=claims)
    told = empty_claims(cluster, "restore-1") or ""
    assert told.startswith(
        "Restore restore-1 brought claims without data (production/cache): their volumes are not in the backup"
    )
    cluster.claims = claims[1:]
    assert empty_claims(cluster, "restore-1") is None
    assert empty_claims(FakeCluster(), "restore-1") is None


def test_the_label_of_a_restore_with_a_long_name_is_the_one_that_velero_shortens_it_to() -> None:
    cluster, name = FakeCluster(), "failover-restores-" + "x" * 60
    unfilled_claims(cluster, name)
    assert cluster.asked[0].endswith(f"velero.io/restore-name={name[:57]}71be2e")


SCRATCH = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
EPHEMERAL = {
    "volumes": [
        {"name": "data", "persistentVolumeClaim": {}},
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "gp3", **SCRATCH}}}},
    ]
}


def with_ephemeral_volumes() -> FakeCluster:
    """What a restore brought of a StatefulSet at zero, of a bare Pod, and of a Pod of a Deployment in the other region."""
    names = ("data-db-0", "db-0-scratch", "db-12-scratch", "db-0-scratch-2", "tool-scratch", "web-5d4f8c-x2x9z-scratch")
    paths: dict[str, Any] = {
        f"/api/v1/namespaces/production/persistentvolumeclaims/{name}": {
            "metadata": {"name": name, "uid": f"uid-{name}"},
            "spec": {**SCRATCH, "volumeName": f"pvc-{name}"},
        }
        for name in names
    }
    paths["/api/v1/namespaces/production/pods"] = {"items": [{"metadata": {"name": "tool"}, "spec": EPHEMERAL}]}
    sets = [{"metadata": {"name": "db"}, "spec": {"template": {"spec": EPHEMERAL}}}]
    paths["/apis/apps/v1/namespaces/production/statefulsets"] = {"items": sets}
    return FakeCluster(paths=paths, claims=[("production", name) for name in names])


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What people are told. Where it goes otherwise depends on whether a program ran before in this process."""
    lines: list[str] = []
    for level in ("info", "warn"):
        monkeypatch.setattr(pulumi.log, level, lines.append)
    return lines


def test_claims_of_ephemeral_volumes_go_again_for_a_pod_never_starts_beside_one_that_it_does_not_own(told: list[str]) -> None:
    cluster = with_ephemeral_volumes()
    judge_restore(cluster, backup(), "backups[0]", {"metadata": {"name": "restore-1"}, "status": {"phase": "Completed"}})
    gone = ["db-0-scratch", "db-12-scratch", "tool-scratch"]
    assert [each for each in cluster.asked if each.startswith("delete")] == [
        f"delete /api/v1/namespaces/production/persistentvolumeclaims/{name}" for name in gone
    ]
    [line] = [line for line in told if "are deleted again" in line]
    assert "(production/db-0-scratch, production/db-12-scratch, production/tool-scratch)" in line


def test_a_claim_that_a_pod_here_owns_is_its_own_whatever_label_a_restore_has_put_on_it() -> None:
    cluster = with_ephemeral_volumes()
    path = "/api/v1/namespaces/production/persistentvolumeclaims/db-0-scratch"
    cluster.paths[path]["metadata"]["ownerReferences"] = [{"kind": "Pod", "name": "db-0", "controller": True}]
    assert delete_ownerless(cluster, "restore-1") == ["production/db-12-scratch", "production/tool-scratch"]
    assert path in cluster.paths


def test_a_claim_that_a_person_gave_such_a_name_and_another_size_stays() -> None:
    cluster = with_ephemeral_volumes()
    path = "/api/v1/namespaces/production/persistentvolumeclaims/db-12-scratch"
    cluster.paths[path]["spec"]["resources"] = {"requests": {"storage": "500Gi"}}
    assert delete_ownerless(cluster, "restore-1") == ["production/db-0-scratch", "production/tool-scratch"]
    assert path in cluster.paths


def test_a_cluster_that_refuses_to_delete_such_a_claim_does_not_fail_the_restore(told: list[str]) -> None:
    class Refusing(FakeCluster):
        def delete(self, path: str, uid: str) -> None:
            raise ClusterUnreachableError("cluster prod refused: 403 Forbidden")

    cluster = Refusing(paths=with_ephemeral_volumes().paths, claims=[("production", "db-0-scratch")])
    judge_restore(cluster, backup(), "backups[0]", {"metadata": {"name": "restore-1"}, "status": {"phase": "Completed"}})
    assert "claims of ephemeral volumes that it brought are not deleted: cluster prod refused" in told[0]


def claim(name: str, namespace: str = "production", owner: str | None = None, **labels: str) -> dict[str, Any]:
    owners = [{"kind": owner, "name": "web-0"}] if owner else []
    return {"metadata": {"namespace": namespace, "name": name, "labels": labels, "ownerReferences": owners}}


def there(*claims: dict[str, Any]) -> FakeCluster:
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for each in claims:
        by_namespace.setdefault(each["metadata"]["namespace"], []).append(each)
    paths = {f"/api/v1/namespaces/{name}/persistentvolumeclaims": {"items": found} for name, found in by_namespace.items()}
    return FakeCluster(paths={**paths, "/api/v1/persistentvolumeclaims": {"items": list(claims)}})


def in_the_way(cluster: FakeCluster, **changes: Any) -> list[tuple[str, str]]:
    (each,) = chosen([backup(**{"include": ["production", "uploads"], **changes})], [])
    return claims_in_the_way(cluster, each)


def test_each_claim_in_the_namespaces_of_a_restore_is_in_its_way_also_one_that_no_restore_brought() -> None:
    cluster = there(claim("data-1"), claim("data-0"), claim("uploaded", "uploads"), claim("data-0", "other"))
    assert in_the_way(cluster) == [("production", "data-0"), ("production", "data-1"), ("uploads", "uploaded")]
    everything = {"include": [], "exclude": ["uploads"], "restore": "everything"}
    assert in_the_way(cluster, **everything) == [("other", "data-0"), ("production", "data-0"), ("production", "data-1")]


def test_claims_that_no_restore_brings_stay_where_they_are() -> None:
    cluster = there(
        claim("database-1", **{"cnpg.io/cluster": "database"}),
        claim("database-2", **{"app.kubernetes.io/managed-by": "cloudnative-pg"}),
        claim("kept", **{"velero.io/exclude-from-backup": "true"}),
        claim("of-a-pod", owner="Pod"),
        claim(
            "of-a-set", owner="StatefulSet", **{"app.kubernetes.io/managed-by": "Helm", "velero.io/exclude-from-backup": "false"}
        ),
    )
    assert in_the_way(cluster) == [("production", "of-a-set")]


def test_where_somebody_decided_about_what_is_here_no_claim_is_set_aside() -> None:
    for changes in ({"existing": "update"}, {"existing": "keep"}, {"excludeResources": ["persistentvolumeclaims"]}):
        assert in_the_way(there(claim("data-0")), **changes) == []


def test_a_claim_whose_data_a_rule_keeps_out_of_the_backup_stays() -> None:
    (each,) = chosen([backup(include=["production"])], [])
    cluster = there(claim("data-0"), claim("cache"))
    assert claims_in_the_way(cluster, each, without_data={("production", "cache")}) == [("production", "data-0")]
