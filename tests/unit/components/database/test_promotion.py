"""What confirms a promotion is tried as a dry run before the night on which it runs for the first time."""

from __future__ import annotations

from typing import Any

import pytest

from components.database.promotion import refusals, warnings_by_day
from components.database.specs import confirmation_job
from tests.unit.components.database.sides import side
from tests.unit.fakes import FakeCluster

JOBS, PODS = "/apis/batch/v1/namespaces/databases/jobs", "/api/v1/namespaces/databases/pods"
QUOTA = 'cluster prod-usw2 refused: 403 pods "confirm-app-database-x" is forbidden: exceeded quota: small'
LIMITS = 'cluster prod-usw2 refused: 403 pods "confirm-x" is forbidden: minimum memory usage per Container is 64Mi'
NO_RIGHT = (
    'cluster prod-usw2 refused: 403 pods is forbidden: User "check" cannot create resource "pods" in API group "" in the '
    'namespace "databases"'
)


class Trying(FakeCluster):
    """Keeps what is tried, by path."""

    def refuses(self, path: str, body: dict[str, Any]) -> str | None:
        self.__dict__.setdefault("tried", {})[path] = body
        return super().refuses(path, body)


def test_the_job_is_tried_as_it_will_be_made_and_its_pod_as_the_controller_makes_it() -> None:
    cluster, standby = Trying(), side("secondary")
    assert list(refusals(cluster, [standby])) == []
    spec = confirmation_job(standby)
    job, pod = cluster.__dict__["tried"][JOBS], cluster.__dict__["tried"][PODS]
    assert job["spec"] == spec
    assert pod["spec"] == spec["template"]["spec"]
    assert pod["metadata"]["labels"].items() >= spec["template"]["metadata"]["labels"].items()
    assert pod["metadata"]["annotations"] == spec["template"]["metadata"]["annotations"]
    assert [(owner["kind"], owner["controller"]) for owner in pod["metadata"]["ownerReferences"]] == [("Job", True)]
    names = {job["metadata"]["name"], pod["metadata"]["name"], pod["metadata"]["ownerReferences"][0]["name"]}
    assert names == {"confirm-promotion-dry-run"}, "a refusal names it, and must read alike each time"


def test_databases_of_one_namespace_and_image_are_tried_once() -> None:
    cluster = FakeCluster()
    others = [side("secondary", name="orders"), side("secondary", name="stock", namespace="other")]
    assert list(refusals(cluster, [side("secondary"), *others])) == []
    assert [each for each in cluster.asked if each.startswith("dry run")] == [
        f"dry run {JOBS}",
        f"dry run {PODS}",
        "dry run /apis/batch/v1/namespaces/other/jobs",
        "dry run /api/v1/namespaces/other/pods",
    ]


@pytest.mark.parametrize(("said", "passing"), [(QUOTA, True), (LIMITS, False), ("refused: 500 failed calling webhook", True)])
def test_a_pod_that_the_namespace_does_not_take_is_told_by_day_and_a_matter_of_judgement_on_the_night(
    said: str, passing: bool
) -> None:
    cluster = FakeCluster(refused_kinds={"Pod": said})
    (told,) = refusals(cluster, [side("secondary")])
    assert told.reason == (
        f"namespace databases would not take the Pod that confirms the promotion of database app-database: {said}; without it a "
        "failover promotes the database, and stops before users are moved; let it in (docs/pods.md)"
    )
    assert (told.judgement, told.passing) == (True, passing)
    assert list(warnings_by_day(cluster, [side("secondary")])) == [told.reason]


def test_where_the_job_is_refused_its_pod_is_not_asked_for() -> None:
    cluster = FakeCluster(refused_kinds={"Job": "refused: 403 no jobs here", "Pod": LIMITS})
    (told,) = refusals(cluster, [side("secondary")])
    assert "would not take the Job that confirms" in told.reason


def test_whoever_has_no_right_to_make_pods_learns_that_by_day_and_is_refused_nothing_on_the_night() -> None:
    cluster = FakeCluster(refused_kinds={"Pod": NO_RIGHT})
    assert list(refusals(cluster, [side("secondary")])) == []
    (told,) = warnings_by_day(cluster, [side("secondary")])
    assert told.startswith(
        "whether namespace databases takes the Pod that confirms the promotion of database app-database could not"
    )
