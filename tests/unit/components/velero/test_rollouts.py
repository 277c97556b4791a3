"""Deployments that serve by a ReplicaSet that does not come along: found where they run, and told by day where B stands by."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from components.velero.inventory import Inventory, Needs, inventory_of, take_inventory
from components.velero.lacking import Standby, findings, warnings_by_day
from tests.unit.components.velero.test_lacking import region, standby
from tests.unit.fakes import FakeCluster, FakeFiles

OVER = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
UNDER_WAY = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}
SERVES = {"type": "Available", "status": "True"}


def deployment(name: str = "web", *conditions: dict[str, str], namespace: str = "shop", **parts: Any) -> dict[str, Any]:
    """One of which an old Pod serves beside a new one that does not start, unless `parts` say otherwise."""
    spec = {key: parts.pop(key) for key in ("paused", "replicas") if key in parts}
    status = {"observedGeneration": 4, "replicas": 2, "updatedReplicas": 1, "conditions": [SERVES, *conditions], **parts}
    template = {"spec": {"containers": [{"image": "x"}]}}
    return {
        "metadata": {"name": name, "namespace": namespace, "generation": 4},
        "spec": {"replicas": 1, "template": template, **spec},
        "status": {key: value for key, value in status.items() if value is not None},
    }


def taken(*deployments: dict[str, Any], **sets: Any) -> Inventory:
    """An inventory as the other region reads it: from its text."""
    paths = {"/apis/apps/v1/deployments": {"items": [*deployments]}, "/apis/apps/v1/statefulsets": {"items": [*sets.values()]}}
    return inventory_of(json.loads(json.dumps(take_inventory(FakeCluster(paths=paths), []).document())))


def needs(*deployments: dict[str, Any]) -> Needs:
    return taken(*deployments).namespaces["shop"]


def test_a_paused_deployment_is_noted_unless_it_is_switched_off() -> None:
    assert needs(deployment(paused=True, updatedReplicas=2)).paused == {"shop deployment/web"}
    assert needs(deployment(paused=True, replicas=0)).paused == set()
    assert needs(deployment(paused=False)).paused == set()
    assert needs(deployment(paused=True)).stopped == set(), "one line is enough for each"


@pytest.mark.parametrize(
    ("found", "stopped"),
    [
        (deployment("web", OVER), True),
        (deployment("web"), True),  # without a deadline Kubernetes writes no such condition
        (deployment("web", OVER, replicas=3, updatedReplicas=None), True),
        (deployment("web", UNDER_WAY), False),
        (deployment("web", {"type": "Progressing", "status": "Unknown", "reason": "DeploymentResumed"}), False),
        (deployment("web", OVER, updatedReplicas=2), False),
        (deployment("web", OVER, observedGeneration=3), False),  # the next rollout has just begun
        (deployment("web", OVER, replicas=0), False),
    ],
)
def test_a_rollout_that_has_stopped_is_noted_and_one_that_progresses_is_not(found: dict[str, Any], stopped: bool) -> None:
    assert needs(found).stopped == ({"shop deployment/web"} if stopped else set())


def test_a_statefulset_has_neither() -> None:
    found = taken(queue=deployment("queue", OVER, paused=True)).namespaces["shop"]
    assert (found.paused, found.stopped) == (set(), set())


def said(inventory: Inventory, of: Standby | None = None) -> list[str]:
    lines = warnings_by_day(region(), FakeFiles(needs=inventory), of or standby())
    return [line for line in lines if line.startswith("Deployments ")]


def test_the_standby_names_them_and_says_what_to_do() -> None:
    assert said(taken(deployment("api", paused=True), deployment("web", OVER))) == [
        "Deployments are paused in us-east-1 (shop deployment/api): Kubernetes makes no ReplicaSet for a paused one, and no "
        "restore brings any, so that restored here they have no Pods: resume them there (kubectl rollout resume deployment/NAME "
        "-n NAMESPACE), or write to velero.modifiers a rule for deployments.apps with "
        'mergePatches: [{patchData: "spec: {paused: null}"}]',
        "Deployments run older Pods in us-east-1, where their rollout has stopped (shop deployment/web): a restore brings the "
        "newest template alone, so that here they may never be available: let the rollout end there, or take it back (kubectl "
        "rollout undo deployment/NAME -n NAMESPACE)",
    ]
    (many,) = said(taken(*(deployment(f"web-{number}", OVER) for number in range(7))))
    assert "shop deployment/web-4 and 2 more)" in many
    (back,) = said(taken(deployment(paused=True)), replace(standby(), peer="secondary", modified=True))
    assert "have no Pods, unless your rules in velero.modifiersBack change that: resume" in back
    assert "write to velero.modifiersBack a rule" in back


def test_of_a_namespace_that_is_not_restored_nothing_is_said() -> None:
    assert said(taken(deployment(paused=True, namespace="elsewhere"))) == []


def test_they_stop_no_failover() -> None:
    judged = findings(region(), FakeFiles(needs=taken(deployment(paused=True))), standby())
    assert (judged.problems, judged.unknown, len(judged.later)) == ([], [], 1)


def test_an_inventory_of_an_earlier_version_has_neither_and_is_read() -> None:
    document = taken(deployment(paused=True)).document()
    for each in document["namespaces"].values():
        del each["paused"], each["stopped"]
    assert said(inventory_of(document)) == []
    assert Inventory(written=datetime.now(UTC), namespaces={"shop": Needs()}).document()["namespaces"]["shop"]["paused"] == []
