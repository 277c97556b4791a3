"""This cluster and no other: what a stack remembers of its cluster, and what it refuses. The engine's part is in
tests/engine/test_this_cluster.py."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.kube.cluster_api import ClusterUnreachableError
from tests.unit.components.failover.test_handover import follower
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import Recorder, attempt_program, run_program

OWN = FakeCluster().identity
OTHER = "22222222-2222-4222-8222-222222222222"
GONE = ClusterUnreachableError("cluster prod-usw2 does not answer: timed out")


def location(role: str, region: str, mode: str = "ReadWrite") -> dict[str, Any]:
    storage = {"bucket": f"acme-velero-{region}-123456789012", "prefix": f"velero/{role}"}
    return {"metadata": {"name": "own"}, "spec": {"accessMode": mode, "objectStorage": storage}}


def component(region: Recorder, kind: str) -> Any:
    (found,) = region.of(kind)
    return found


def pinned(uid: str) -> dict[str, Any]:
    return {"cluster": {"context": "prod-usw2", "name": "prod-usw2", "distribution": "eks", "uid": uid}}


def compare(region: Recorder, old: str | None, new: str | None) -> str:
    """What the hook says when the remembered UID would change."""
    before, after = ({"clusterUid": uid} if uid else {} for uid in (old, new))
    return region.call_update_hook("region-cluster", old=before, new=after)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", told.append)
    return told


class TestWhatIsRemembered:
    def test_the_region_and_the_failover_carry_the_uid_and_ask_before_it_changes_in_previews_too(self) -> None:
        region = run_program("secondary")
        for kind, hook in (("Region", "region-cluster"), ("Failover", "failover-gate")):
            assert component(region, kind).inputs["clusterUid"] == OWN
            assert component(region, kind).hooks == {"before_create": [hook], "before_update": [hook]}
            assert component(region, kind).ignore_changes == ()
        assert {"region-cluster", "failover-gate", "cluster-read"} <= region.hooks_on_preview

    def test_an_object_in_the_cluster_carries_the_uid_too(self) -> None:
        record = run_program("secondary")["cluster"]
        assert record.metadata["annotations"] == {"k8s-dr/cluster-uid": OWN}
        assert (record.metadata["name"], record.metadata["namespace"]) == ("cluster", "k8s-dr")
        assert "job-runner-namespace" in record.depends_on

    def test_a_preview_that_reaches_no_cluster_keeps_what_is_remembered_and_says_so(self, warnings: list[str]) -> None:
        region = run_program("secondary", preview=True, cluster=FakeCluster(error=GONE))
        for kind in ("Region", "Failover"):
            assert "clusterUid" not in component(region, kind).inputs
            assert component(region, kind).ignore_changes == ("clusterUid",)
        assert "annotations" not in region["cluster"].metadata
        assert region["cluster"].ignore_changes == ("metadata.annotations",)
        assert warnings == [f"{GONE}: whether this is the cluster that the stack was deployed into was not checked"]

    def test_an_up_that_reaches_no_cluster_registers_nothing(self) -> None:
        reached, error = attempt_program("secondary", cluster=FakeCluster(error=GONE))
        assert str(error) == f"{GONE}; nothing was touched"
        assert not reached.of("Region")


class TestTheHook:
    def test_a_stack_that_remembers_nothing_learns_its_cluster(self) -> None:
        assert compare(run_program("secondary"), None, OWN) == ""

    def test_the_same_cluster_and_a_preview_without_one_ask_nothing_more(self) -> None:
        region = run_program("secondary")
        assert compare(region, OWN, OWN) == ""
        assert compare(region, OWN, None) == ""

    def test_another_cluster_is_refused_with_both_uids_and_what_to_do(self) -> None:
        assert compare(run_program("secondary"), OTHER, OWN) == (
            "k8s-dr:cluster.context: prod-usw2 leads to another cluster than the one that this stack was deployed into (UID of "
            f"its kube-system: {OWN}, and not {OTHER}); nothing was touched; mend the kubeconfig, or, if the cluster was "
            "rebuilt, see docs/runbook.md#a-cluster-that-was-rebuilt"
        )

    def test_a_cluster_that_was_rebuilt_is_taken_once_its_uid_is_written_down(self) -> None:
        assert compare(run_program("secondary", pinned(OWN)), OTHER, OWN) == ""

    @pytest.mark.parametrize("remembered", [None, OTHER])
    @pytest.mark.parametrize("written", [False, True])
    def test_the_peers_cluster_is_refused_whatever_is_remembered_or_written_down(
        self, remembered: str | None, written: bool
    ) -> None:
        theirs = FakeCluster(velero={"backupstoragelocations": [location("primary", "us-east-1")]})
        region = run_program("secondary", pinned(OWN) if written else None, cluster=theirs)
        refused = compare(region, remembered, OWN)
        assert refused.startswith("k8s-dr:cluster.context: prod-usw2 leads to the cluster of the primary region")
        assert "nothing was touched" in refused

    def test_the_peers_backups_in_this_clusters_own_bucket_are_no_sign_of_the_peer(self) -> None:
        replicated = [location("secondary", "us-west-2"), location("primary", "us-west-2", "ReadOnly")]
        region = run_program("secondary", cluster=FakeCluster(velero={"backupstoragelocations": replicated}))
        assert compare(region, None, OWN) == ""

    def test_a_failover_alone_as_the_target_is_refused_in_another_cluster(self) -> None:
        region = run_program("secondary", {"active": "secondary"})
        old, new = ({"active": active, "clusterUid": uid} for active, uid in (("primary", OTHER), ("secondary", OWN)))
        assert "leads to another cluster" in region.call_update_hook("failover-gate", old=old, new=new)

    def test_a_stack_of_the_first_release_learns_its_cluster_without_asking_the_gate(self) -> None:
        closed = FakeCluster(velero={})
        region = run_program("secondary", {"active": "secondary"}, cluster=closed)
        old, new = {"active": "secondary"}, {"active": "secondary", "clusterUid": OWN}
        assert region.call_update_hook("failover-gate", old=old, new=new) == ""


class TestTheObjectInTheCluster:
    @staticmethod
    def read(old: str | None, new: str | None) -> str:
        before, after = ({"metadata": {"annotations": {"k8s-dr/cluster-uid": uid}} if uid else {}} for uid in (old, new))
        return run_program("secondary").call_update_hook("cluster-read", old=before, new=after)

    def test_a_state_that_still_has_what_another_cluster_had_is_refused(self) -> None:
        refused = self.read(OTHER, OWN)
        assert refused.startswith("the state of stack secondary was read from another cluster")
        assert "pulumi refresh -s secondary" in refused
        assert "docs/state.md#when-the-state-is-damaged-or-gone" in refused

    @pytest.mark.parametrize(("old", "new"), [(OWN, OWN), (None, OWN), (OWN, None)])
    def test_any_other_change_is_let_through(self, old: str | None, new: str | None) -> None:
        assert self.read(old, new) == ""


class TestTheWrittenUid:
    def test_the_clusters_own_is_taken(self) -> None:
        assert component(run_program("secondary", pinned(OWN)), "Region").inputs["clusterUid"] == OWN

    @pytest.mark.parametrize("preview", [False, True])
    def test_another_is_refused_before_anything_is_registered(self, preview: bool) -> None:
        reached, error = attempt_program("secondary", pinned(OTHER), preview=preview)
        assert str(error) == (
            f"k8s-dr:cluster.uid: {OTHER} is not the cluster that context prod-usw2 leads to (UID of its kube-system: {OWN}); "
            "nothing was touched; mend the kubeconfig, or, if the cluster was rebuilt, see "
            "docs/runbook.md#a-cluster-that-was-rebuilt"
        )
        assert not reached.of("Region")


class TestBeforeAnyRefusal:
    """A refusal by the state of another cluster would send people to mend what is well."""

    @staticmethod
    def refused(*locations: dict[str, Any], stack: str = "primary") -> str:
        """What a primary says whose database follows the secondary."""
        cluster = follower("primary")
        cluster.velero = {"backupstoragelocations": list(locations)}
        reached, error = attempt_program(stack, {"active": "primary"}, cluster=cluster)
        assert isinstance(error, pulumi.RunError)
        assert not reached.identities()
        return str(error)

    def test_the_peers_cluster_is_named_and_not_what_its_databases_are(self) -> None:
        assert self.refused(location("secondary", "us-west-2")) == (
            "k8s-dr:cluster.context: prod-use1 leads to the cluster of the secondary region (its Velero writes to "
            "s3://acme-velero-us-west-2-123456789012/velero/secondary); nothing was touched; mend the kubeconfig or the context"
        )

    def test_so_is_that_of_another_pair(self) -> None:
        assert self.refused(location("primary", "eu-west-1")) == (
            "k8s-dr:cluster.context: prod-use1 leads to the cluster of another stack (its Velero writes to "
            "s3://acme-velero-eu-west-1-123456789012/velero/primary, and this stack's to "
            "s3://acme-velero-us-east-1-123456789012/velero/primary); nothing was touched; mend the kubeconfig or the context"
        )

    @pytest.mark.parametrize("locations", [[location("primary", "us-east-1")], []], ids=["own", "without-velero"])
    def test_in_its_own_cluster_the_refusal_is_what_it_was(self, locations: list[dict[str, Any]]) -> None:
        replicated = location("secondary", "us-west-2", "ReadOnly")
        assert self.refused(*locations, replicated).startswith(
            "k8s-dr:active: primary: database app-database follows the secondary, which may serve"
        )

    def test_the_written_uid_is_compared_before_anything_else_is_read(self) -> None:
        cluster = follower("primary")
        _, error = attempt_program("primary", {"active": "primary", **pinned(OTHER)}, cluster=cluster)
        assert str(error).startswith(f"k8s-dr:cluster.uid: {OTHER} is not the cluster")
        assert not [asked for asked in cluster.asked if asked.startswith("database ")]
