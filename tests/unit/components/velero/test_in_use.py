"""Pods that stand by and use claims of an earlier time close the gate of a takeover, before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest

from components.velero.in_use import objections
from components.velero.selection import chosen
from settings.backup import Backup
from tests.unit.components.failover.test_handover import follower, token
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import run_program
from tests.unit.volumes import claims_path

HOURLY = Backup.model_validate({"name": "hourly", "cron": "0 * * * *", "keep": "24h", "include": ["production"]})


def pod(name: str, claim: str, owner: tuple[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    owners = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else []
    return {
        "metadata": {"namespace": "production", "name": name, "ownerReferences": owners, **metadata},
        "spec": {"nodeName": "node-1", "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]},
        "status": {"phase": "Running"},
    }


def with_pods(cluster: FakeCluster, *pods: dict[str, Any], claims: tuple[str, ...] = ("data-0",)) -> FakeCluster:
    there = [{"metadata": {"namespace": "production", "name": name}} for name in claims]
    cluster.paths[claims_path("production")] = {"items": there}
    cluster.paths["/api/v1/namespaces/production/pods"] = {"items": list(pods)}
    return cluster


def against(*pods: dict[str, Any], without: frozenset[tuple[str, str]] = frozenset()) -> list[tuple[str, bool]]:
    (each,) = chosen([HOURLY], [])
    found = objections(with_pods(FakeCluster(), *pods), each, without)
    return [(str(each), each.passing) for each in found]


@pytest.mark.parametrize(
    ("owner", "command"),
    [
        (("StatefulSet", "data"), "kubectl scale statefulset data --replicas=0 -n production"),
        (("ReplicaSet", "my-web-5d4f8c"), "kubectl scale deployment my-web --replicas=0 -n production"),
        (None, "kubectl delete pod data-0 -n production"),
    ],
)
def test_a_claim_that_a_pod_uses_is_named_with_what_stops_the_pod(owner: tuple[str, str] | None, command: str) -> None:
    assert against(pod("data-0", "data-0", owner)) == [
        (
            "claims of an earlier time are set aside before hourly is restored, and Pods use some of them: in namespace "
            f"production, data-0 (data-0); stop them first, as in: {command}. The up scales what k8s-dr:workloads names once it "
            "has restored; where no Pods with claims shall stand by, write standbyReplicas: 0",
            False,
        )
    ]


def test_a_stateful_set_that_would_take_its_claims_along_is_told_to_keep_them_first() -> None:
    cluster = with_pods(FakeCluster(), pod("data-0", "data-0", ("StatefulSet", "data")))
    policy = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}
    cluster.paths["/apis/apps/v1/namespaces/production/statefulsets/data"] = {"spec": policy}
    (each,) = chosen([HOURLY], [])
    (found,) = objections(cluster, each, frozenset())
    patch = '{"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Retain"}}}'
    assert (
        f"stop them first, as in: kubectl patch statefulset data -n production -p '{patch}' && kubectl scale statefulset data "
        "--replicas=0 -n production."
    ) in str(found)


@pytest.mark.parametrize("ends", [{"deletionTimestamp": "2026-03-01T02:00:00Z"}, {"owner": ("Job", "import")}])
def test_pods_that_go_by_themselves_are_waited_for(ends: dict[str, Any]) -> None:
    ((told, passing),) = against(pod("data-0", "data-0", **ends))
    assert passing
    assert "they are about to end" in told


def test_pods_that_use_what_stays_or_nothing_are_in_nobodys_way() -> None:
    assert against(pod("web-0", "elsewhere")) == []
    assert against(pod("data-0", "data-0"), without=frozenset({("production", "data-0")})) == []


class TestTheGate:
    def ask(self, stack: str, cluster: FakeCluster, **changes: Any) -> str:
        told = run_program(stack, {"active": stack, "peerReady": True, **changes}, cluster=cluster).call_hook("failover-gate")
        return told if "Pods use some of them" in told else ""

    def test_it_refuses_in_a_planned_takeover_and_in_each_later_failover(self) -> None:
        by_token = with_pods(follower("secondary"), pod("data-0", "data-0"))
        assert "data-0 (data-0)" in self.ask("secondary", by_token, handover=token().text)
        served = with_pods(FakeCluster(records={"restore-attempts": {"served": "true"}}), pod("data-0", "data-0"))
        assert "data-0 (data-0)" in self.ask("secondary", served)

    def test_it_says_nothing_where_no_claim_is_set_aside(self) -> None:
        """In a first failover claims stay as they are, and in a region that serves already they are its own."""
        assert self.ask("secondary", with_pods(FakeCluster(), pod("data-0", "data-0"))) == ""
        serves = follower("secondary")
        serves.records["serving"] = {}
        assert self.ask("secondary", with_pods(serves, pod("data-0", "data-0")), handover=token().text) == ""
