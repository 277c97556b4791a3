"""Claims that are set aside: no data are lost, whatever interrupts it, and the end is the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.kube import aside
from components.kube.aside import Kept, NotKeptError, bind, keep, release, set_aside
from components.kube.cluster_api import ClusterRefusedError, ClusterUnreachableError
from components.kube.kept import KEPT_CLAIM, KEPT_OF, MARK
from tests.unit.volumes import ClusterWithVolumes

OF = "app-database-primary-g1"
NAMES = ("app-database-1", "app-database-1-wal")
OLD = {"cnpg.io/cluster": "app-database", "cnpg.io/instanceRole": "primary", "velero.io/restore-name": "r"}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> ClusterWithVolumes:
    """Two claims of an instance, bound, and one that never was."""
    made = ClusterWithVolumes()
    made.claim("databases", NAMES[0], "pv-data", labels=OLD, annotations={"cnpg.io/nodeSerial": "1"})
    made.claim("databases", NAMES[1], "pv-wal", labels=OLD)
    made.claim("databases", "pending")
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        made.pause(seconds)

    monkeypatch.setattr(aside.time, "sleep", sleep)
    monkeypatch.setattr(aside.time, "monotonic", lambda: now[0])
    return made


def everything(cluster: ClusterWithVolumes, seconds: float = 5) -> list[Kept]:
    return set_aside(cluster, "databases", [*NAMES, "pending", "nobody's"], of=OF, seconds=seconds)


def world(cluster: ClusterWithVolumes) -> dict[str, Any]:
    """What is there, without what differs from run to run."""

    def plain(each: Any) -> Any:
        if isinstance(each, dict):
            return {key: plain(value) for key, value in each.items() if key not in ("uid", "resourceVersion")}
        return each

    return {path: plain(each) for path, each in cluster.paths.items()}


def test_the_volumes_stay_under_claims_of_another_name_and_the_old_names_are_free(cluster: ClusterWithVolumes) -> None:
    kept = everything(cluster)
    assert [(each.namespace, each.claim, each.volume) for each in kept] == [
        ("databases", NAMES[0], "pv-data"),
        ("databases", NAMES[1], "pv-wal"),
    ]
    assert not any(cluster.pvc("databases", name) for name in (*NAMES, "pending"))
    assert not cluster.lost
    for each in kept:
        claim, volume = cluster.pvc("databases", each.kept_as), cluster.pv(each.volume)
        assert claim is not None
        assert claim["status"]["phase"] == volume["status"]["phase"] == "Bound"
        assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        assert claim["spec"] == {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "2Gi"}},
            "storageClassName": "gp3",
            "volumeMode": "Filesystem",
            "volumeName": each.volume,
        }


def test_the_new_claim_has_nothing_of_the_old_one_by_which_an_operator_or_the_program_would_find_it(
    cluster: ClusterWithVolumes,
) -> None:
    kept, _ = everything(cluster)
    claim = cluster.pvc("databases", kept.kept_as)
    assert claim is not None
    assert claim["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "k8s-dr",
        "k8s-dr/kept-of": OF,
        "velero.io/exclude-from-backup": "true",
    }
    assert claim["metadata"]["annotations"] == {KEPT_CLAIM: NAMES[0]}
    assert "ownerReferences" not in claim["metadata"]
    assert cluster.pv("pv-data")["metadata"]["labels"]["velero.io/exclude-from-backup"] == "true"


def test_a_volume_says_all_of_the_movement_before_its_claim_goes(cluster: ClusterWithVolumes) -> None:
    uid = cluster.paths[f"/api/v1/namespaces/databases/persistentvolumeclaims/{NAMES[0]}"]["metadata"]["uid"]
    kept = keep(cluster, "databases", [NAMES[0]], of=OF)
    volume = cluster.pv("pv-data")
    assert volume["metadata"]["labels"] == {KEPT_OF: OF}
    assert json.loads(volume["metadata"]["annotations"][MARK]) == {
        "of": OF,
        "namespace": "databases",
        "claim": NAMES[0],
        "kept_as": kept[0].kept_as,
        "uid": uid,
        "modes": ["ReadWriteOnce"],
        "size": "1Gi",
        "storage_class": "gp3",
        "volume_mode": "Filesystem",
        "labels": OLD,
        "policy": "Delete",
    }
    assert cluster.pvc("databases", NAMES[0])


@pytest.mark.parametrize("took_effect", [False, True])
def test_whichever_call_fails_the_next_run_comes_to_the_same_end(cluster: ClusterWithVolumes, took_effect: bool) -> None:
    def fresh() -> ClusterWithVolumes:
        made = ClusterWithVolumes(took_effect=took_effect)
        made.claim("databases", NAMES[0], "pv-data", labels=OLD)
        made.claim("databases", NAMES[1], "pv-wal", labels=OLD)
        made.claim("databases", "pending")
        return made

    whole = fresh()
    kept = everything(whole)
    end, failed = world(whole), 0
    for number in range(whole.calls):
        broken = fresh()
        broken.fails_at = number
        try:
            everything(broken)
        except ClusterUnreachableError:
            failed += 1
        assert everything(broken) == kept, number
        assert world(broken) == end, number
        assert not broken.lost
    changes = [each for each in whole.asked if not each.startswith("path")]
    assert failed == (len(changes) if took_effect else whole.calls)


def test_what_is_done_is_left(cluster: ClusterWithVolumes) -> None:
    kept, end = everything(cluster), world(cluster)
    cluster.asked.clear()
    assert everything(cluster) == kept
    assert world(cluster) == end
    assert not [each for each in cluster.asked if not each.startswith("path")]


def test_a_volume_that_has_its_mark_and_policy_is_not_changed_again(cluster: ClusterWithVolumes) -> None:
    first = keep(cluster, "databases", NAMES, of=OF)
    cluster.asked.clear()
    assert keep(cluster, "databases", NAMES, of=OF) == first
    assert not [each for each in cluster.asked if each.startswith("patch")]


def test_a_claim_that_only_names_a_volume_of_somebody_elses_has_nothing_to_keep(cluster: ClusterWithVolumes) -> None:
    cluster.claim("databases", "other")["spec"]["volumeName"] = "pv-data"
    assert keep(cluster, "databases", ["other", "pending", "gone"], of=OF) == []
    assert cluster.pv("pv-data")["spec"]["persistentVolumeReclaimPolicy"] == "Delete"


def test_a_kept_claim_is_neither_kept_again_nor_released(cluster: ClusterWithVolumes) -> None:
    kept = everything(cluster)
    names = [each.kept_as for each in kept]
    assert keep(cluster, "databases", names, of="another") == []
    release(cluster, "databases", names, seconds=1)
    assert all(cluster.pvc("databases", name) for name in names)


def test_a_volume_that_does_not_take_the_policy_is_an_error_and_its_claim_stays(
    cluster: ClusterWithVolumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "patch", lambda path, body: cluster.paths.get(path))
    with pytest.raises(NotKeptError, match="volume pv-data of claim databases/app-database-1 did not take the reclaim policy"):
        everything(cluster)
    assert cluster.pvc("databases", NAMES[0])


def test_a_claim_is_not_deleted_while_a_pod_uses_it_and_the_error_names_the_pod(cluster: ClusterWithVolumes) -> None:
    cluster.pod("databases", "web-0", NAMES[0])
    with pytest.raises(NotKeptError) as raised:
        everything(cluster)
    assert str(raised.value) == (
        "claim databases/app-database-1 is still there after 5 s (Pods that use it: web-0); its volume is safe; stop them, then "
        "pulumi up again"
    )
    claim = cluster.pvc("databases", NAMES[0])
    assert claim is not None
    assert "deletionTimestamp" not in claim["metadata"]


@pytest.mark.parametrize(("node", "phase"), [("", "Pending"), ("node-1", "Succeeded"), ("node-1", "Failed")])
def test_pods_that_hold_no_claim_hinder_nothing(cluster: ClusterWithVolumes, node: str, phase: str) -> None:
    cluster.pod("databases", "web-0", NAMES[0], node=node, phase=phase)
    assert len(everything(cluster)) == 2


def test_a_pod_that_ends_in_time_is_waited_for(cluster: ClusterWithVolumes) -> None:
    cluster.pod("databases", "web-0", NAMES[0])
    cluster.soon = [lambda: None, lambda: cluster.paths.pop("/api/v1/namespaces/databases/pods/web-0") and None]
    assert len(everything(cluster)) == 2


def test_a_pods_own_ephemeral_claim_counts_as_used(cluster: ClusterWithVolumes) -> None:
    cluster.pod("databases", "web-0", "none")
    cluster.claim("databases", "web-0-cache", "pv-cache")
    cluster.paths["/api/v1/namespaces/databases/pods/web-0"]["spec"]["volumes"] = [{"name": "cache", "ephemeral": {}}]
    with pytest.raises(NotKeptError, match="Pods that use it: web-0"):
        set_aside(cluster, "databases", ["web-0-cache"], of=OF, seconds=1)


def test_a_claim_whose_volume_is_not_set_aside_is_never_deleted(cluster: ClusterWithVolumes) -> None:
    with pytest.raises(NotKeptError, match="is bound to volume pv-data, which is not set aside and would be deleted with it"):
        release(cluster, "databases", NAMES, seconds=1)
    keep(cluster, "databases", NAMES, of=OF)
    cluster.pv("pv-data")["spec"]["persistentVolumeReclaimPolicy"] = "Delete"
    with pytest.raises(NotKeptError, match="is bound to volume pv-data, which is not set aside"):
        release(cluster, "databases", NAMES, seconds=1)
    assert not cluster.lost


def test_a_claim_that_somebody_makes_anew_is_not_deleted_again(cluster: ClusterWithVolumes) -> None:
    keep(cluster, "databases", NAMES, of=OF)
    cluster.soon = [lambda: cluster.claim("databases", NAMES[0]) and None]
    with pytest.raises(
        NotKeptError, match="claim databases/app-database-1 was deleted, and somebody has made it anew: stop what"
    ):
        release(cluster, "databases", NAMES, seconds=5)
    assert cluster.pvc("databases", NAMES[0])


def test_a_claim_that_a_finalizer_holds_is_named_with_it(cluster: ClusterWithVolumes, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = cluster.pvc("databases", "pending")
    assert claim is not None
    claim["metadata"]["finalizers"] = ["example.com/held"]
    monkeypatch.setattr(cluster, "delete", lambda path, uid: None)
    with pytest.raises(NotKeptError) as raised:
        release(cluster, "databases", ["pending"], seconds=2)
    assert str(raised.value) == (
        "claim databases/pending is still there after 2 s, held by example.com/held (kubectl describe pvc pending -n databases); "
        "pulumi up again goes on from here"
    )


def test_a_claim_that_its_owner_takes_along_later_is_waited_for(cluster: ClusterWithVolumes) -> None:
    """The claims of a Cluster go with it, by the garbage collector."""
    keep(cluster, "databases", NAMES, of=OF)

    def collected() -> None:
        for name in NAMES:
            del cluster.paths[f"/api/v1/namespaces/databases/persistentvolumeclaims/{name}"]

    cluster.soon = [lambda: None, collected]
    assert [each.claim for each in bind(cluster, "databases", of=OF, seconds=10)] == list(NAMES)
    assert not cluster.lost


def test_a_claim_that_does_not_go_is_named_with_the_pods_that_use_it(cluster: ClusterWithVolumes) -> None:
    keep(cluster, "databases", NAMES, of=OF)
    cluster.pod("databases", "app-database-1", NAMES[0])
    with pytest.raises(NotKeptError) as raised:
        bind(cluster, "databases", of=OF, seconds=2)
    assert str(raised.value) == (
        "claim databases/app-database-1, whose volume pv-data is to be set aside, is still there (Pods that use it: "
        "app-database-1) after 2 s; pulumi up again goes on from here"
    )


def test_a_new_claim_of_the_old_name_does_not_hinder_the_binding(cluster: ClusterWithVolumes) -> None:
    keep(cluster, "databases", NAMES, of=OF)
    release(cluster, "databases", NAMES, seconds=1)
    cluster.claim("databases", NAMES[0], "pv-new")
    assert len(bind(cluster, "databases", of=OF, seconds=1)) == 2
    assert cluster.pv("pv-new")["spec"]["claimRef"]["name"] == NAMES[0]


@pytest.mark.parametrize(
    "held",
    [
        {"namespace": "databases", "name": "another", "uid": "uid-x"},
        {"namespace": "databases", "name": "another"},
        {"namespace": "elsewhere", "name": NAMES[0], "uid": "uid-x"},
        {"namespace": "databases", "name": NAMES[0], "uid": "uid-of-a-later-claim"},
        {"namespace": "databases", "name": NAMES[0]},
    ],
)
def test_a_volume_that_is_somebody_elses_meanwhile_is_not_touched(cluster: ClusterWithVolumes, held: dict[str, str]) -> None:
    keep(cluster, "databases", NAMES, of=OF)
    release(cluster, "databases", NAMES, seconds=1)
    cluster.pv("pv-data")["spec"]["claimRef"] = dict(held)
    assert [each.volume for each in bind(cluster, "databases", of=OF, seconds=1)] == ["pv-wal"]
    assert cluster.pv("pv-data")["spec"]["claimRef"] == held


def test_a_volume_that_changes_after_it_was_read_is_looked_at_again(cluster: ClusterWithVolumes) -> None:
    keep(cluster, "databases", NAMES, of=OF)
    release(cluster, "databases", NAMES, seconds=1)
    patch, theirs = cluster.patch, {"namespace": "databases", "name": "theirs"}
    stolen_already: list[str] = []

    def stolen(path: str, body: dict[str, Any]) -> Any:
        volume = cluster.pv("pv-data")
        if path.endswith("pv-data") and not stolen_already:
            stolen_already.append(path)
            volume["spec"]["claimRef"], volume["metadata"]["resourceVersion"] = dict(theirs), "changed"
        return patch(path, body)

    cluster.patch = stolen  # type: ignore[method-assign]
    assert [each.volume for each in bind(cluster, "databases", of=OF, seconds=5)] == ["pv-wal"]
    assert cluster.pv("pv-data")["spec"]["claimRef"] == theirs


def test_what_the_cluster_refuses_passes_through(cluster: ClusterWithVolumes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, body: Any) -> None:
        raise ClusterRefusedError("cluster fake refused: 403 exceeded quota")

    monkeypatch.setattr(cluster, "create", refuse)
    with pytest.raises(ClusterRefusedError, match="exceeded quota"):
        everything(cluster)


def test_a_volume_whose_reservation_somebody_took_away_gets_its_claim(cluster: ClusterWithVolumes) -> None:
    keep(cluster, "databases", NAMES, of=OF)
    release(cluster, "databases", NAMES, seconds=1)
    del cluster.pv("pv-data")["spec"]["claimRef"]
    assert len(bind(cluster, "databases", of=OF, seconds=1)) == 2


def test_a_kept_claim_that_was_deleted_without_its_volume_comes_back(cluster: ClusterWithVolumes) -> None:
    kept = everything(cluster)
    path = f"/api/v1/namespaces/databases/persistentvolumeclaims/{kept[0].kept_as}"
    cluster.delete(path, cluster.paths[path]["metadata"]["uid"])
    assert cluster.pv("pv-data")["status"]["phase"] == "Released"
    assert everything(cluster) == kept
    assert cluster.pv("pv-data")["status"]["phase"] == "Bound"


def test_a_volume_that_somebody_deletes_is_left_out(cluster: ClusterWithVolumes) -> None:
    everything(cluster)
    cluster.pv("pv-data")["metadata"]["deletionTimestamp"] = "2026-03-04T05:06:07Z"
    assert [each.volume for each in everything(cluster)] == ["pv-wal"]


def test_another_movement_and_another_namespace_are_no_part_of_this_one(cluster: ClusterWithVolumes) -> None:
    cluster.claim("shop", "data", "pv-shop")
    set_aside(cluster, "shop", ["data"], of=OF, seconds=1)
    set_aside(cluster, "databases", NAMES[:1], of="another", seconds=1)
    assert [each.volume for each in bind(cluster, "databases", of=OF, seconds=1)] == []
    assert [each.volume for each in bind(cluster, "shop", of=OF, seconds=1)] == ["pv-shop"]


def test_a_claim_that_is_never_bound_is_named(cluster: ClusterWithVolumes) -> None:
    cluster.binds = False
    with pytest.raises(NotKeptError, match=r"claim databases/kept-app-database-1-\w{8} of volume pv-data is not bound \(kubectl"):
        everything(cluster)
    cluster.binds = True
    assert len(everything(cluster)) == 2


def test_a_claim_of_the_new_name_that_is_somebody_elses_is_an_error(cluster: ClusterWithVolumes) -> None:
    kept = keep(cluster, "databases", NAMES, of=OF)
    cluster.claim("databases", kept[0].kept_as, "pv-theirs")
    with pytest.raises(NotKeptError, match="is there and is not of volume pv-data, which was to be bound to it"):
        everything(cluster)
    assert not cluster.lost


def test_a_mark_that_somebody_has_spoilt_is_named(cluster: ClusterWithVolumes) -> None:
    keep(cluster, "databases", NAMES, of=OF)
    cluster.pv("pv-data")["metadata"]["annotations"][MARK] = "{}"
    with pytest.raises(NotKeptError, match="annotation k8s-dr/kept of volume pv-data is not as this program wrote it"):
        bind(cluster, "databases", of=OF, seconds=1)


def test_a_namespace_that_is_gone_is_named(cluster: ClusterWithVolumes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "create", lambda path, body: None)
    with pytest.raises(NotKeptError, match="namespace databases, in which volume pv-data is to be kept, is gone"):
        everything(cluster)


@pytest.mark.parametrize("name", ["a", "a" * 63, "a" * 200, f"{'a' * 45}.{'b' * 10}"])
def test_a_new_name_is_valid_says_the_old_one_and_is_the_same_each_time(cluster: ClusterWithVolumes, name: str) -> None:
    cluster.claim("databases", name, "pv-x")
    (kept,) = keep(cluster, "databases", [name], of=OF)
    assert len(kept.kept_as) <= 63
    assert kept.kept_as.startswith(f"kept-{name[:30]}")
    assert kept.kept_as[-1].isalnum()
    assert keep(cluster, "databases", [name], of=OF) == [kept]


def test_claims_of_one_name_with_different_volumes_are_kept_under_different_names(cluster: ClusterWithVolumes) -> None:
    first = everything(cluster)
    cluster.claim("databases", NAMES[0], "pv-later")
    later = set_aside(cluster, "databases", NAMES, of="app-database-primary-g2", seconds=1)
    assert [each.volume for each in later] == ["pv-later"]
    assert later[0].kept_as not in {each.kept_as for each in first}


def test_a_volume_without_a_class_gets_a_claim_without_one(cluster: ClusterWithVolumes) -> None:
    """A claim without the field would get the cluster's default class, and never be bound."""
    del cluster.pv("pv-data")["spec"]["storageClassName"]
    kept, _ = everything(cluster)
    claim = cluster.pvc("databases", kept.kept_as)
    assert claim is not None
    assert claim["spec"]["storageClassName"] == ""


def test_what_is_kept_of_something_with_a_long_name_fits_a_label(cluster: ClusterWithVolumes) -> None:
    keep(cluster, "databases", NAMES, of="x" * 90)
    release(cluster, "databases", NAMES, seconds=1)
    assert [each.claim for each in bind(cluster, "databases", of="x" * 90, seconds=1)] == list(NAMES)
    assert len(cluster.pv("pv-data")["metadata"]["labels"][KEPT_OF]) <= 63
