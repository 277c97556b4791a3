"""The step that asks for every right by day, and the ClusterRole that is made of the same list."""

from __future__ import annotations

from typing import Any

import pytest

from components.kube.job_runner import rules
from components.kube.runner import rights
from components.kube.runner.api import ApiError
from components.kube.runner.failure import StepFailedError
from components.kube.runner.rights import NEEDED, Right

SCALE = Right(verb="patch", group="apps", resource="deployments", subresource="scale")
PODS = Right(verb="list", group="", resource="pods")
TASK = {
    "rights": [
        {"verb": "patch", "group": "apps", "resource": "deployments", "subresource": "scale"},
        {"verb": "list", "group": "", "resource": "pods", "subresource": ""},
    ]
}


class Reviewer:
    """An API server that grants all rights but those of some verbs, and remembers what it was asked."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.asked = refused, []

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        attributes = body["spec"]["resourceAttributes"]
        self.asked.append((path, body["kind"], attributes))
        return {"status": {"allowed": attributes["verb"] not in self.refused}}


def reviewed(monkeypatch: pytest.MonkeyPatch, *refused: str) -> Reviewer:
    reviewer = Reviewer(*refused)
    monkeypatch.setattr(rights.Api, "in_cluster", lambda: reviewer)
    return reviewer


def test_the_api_server_is_asked_for_each_right_of_the_pods_own_account(monkeypatch: pytest.MonkeyPatch) -> None:
    reviewer = reviewed(monkeypatch)
    assert rights.run(TASK) == "may patch deployments.apps/scale, list pods"
    where = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert reviewer.asked == [
        (where, "SelfSubjectAccessReview", {"verb": "patch", "group": "apps", "resource": "deployments", "subresource": "scale"}),
        (where, "SelfSubjectAccessReview", {"verb": "list", "resource": "pods"}),
    ]


def test_every_right_that_is_missing_is_named_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    reviewed(monkeypatch, "patch")
    with pytest.raises(StepFailedError, match=r"^the account of this Pod may not patch deployments\.apps/scale; somebody has "):
        rights.run(TASK)


def test_an_api_server_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> None:
        raise ApiError(None, "the API server at 10.0.0.1 does not answer: timed out")

    monkeypatch.setattr(reviewed(monkeypatch), "create", silent)
    with pytest.raises(
        StepFailedError, match=r"^the rights could not be asked for: the API server at 10\.0\.0\.1 does not answer"
    ):
        rights.run(TASK)


def test_a_clusterrole_has_the_rights_and_no_other() -> None:
    given = [
        SCALE,
        Right(verb="get", group="apps", resource="deployments"),
        Right(verb="list", group="apps", resource="deployments"),
        PODS,
    ]
    assert rules(given) == [
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]


def test_no_right_is_asked_for_twice_and_none_makes_removes_or_reads_a_secret() -> None:
    assert len(NEEDED) == len(set(NEEDED))
    assert {right.verb for right in NEEDED} == {"get", "list", "watch", "patch"}
    assert not [right for right in NEEDED if "*" in (right.group, right.resource) or right.resource == "secrets"]
