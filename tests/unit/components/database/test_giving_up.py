"""An old side is given up: its volumes are kept, its Cluster goes, and only what was named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.database import giving_up
from components.database.creation import CreationRefusedError
from components.database.giving_up import give_up
from components.database.specs import DatabaseSide
from components.kube.kept import Kept, NotKeptError
from components.kube.runner.stop import cluster_path
from tests.unit.components.database.sides import live, side
from tests.unit.fakes import FakeCluster

OLD, SERVER = side("primary", "secondary"), "app-database-primary-g1"
CLAIMS = "/api/v1/namespaces/databases/persistentvolumeclaims"
PATH = cluster_path("databases", "app-database")
ASLEEP = {"readyInstances": 0, "conditions": [{"type": "cnpg.io/hibernation", "status": "True"}]}


def anew() -> DatabaseSide:
    made = side("primary", "secondary", generations={"primary": 2})
    return replace(made, database_role="replica")


class Region(FakeCluster):
    """A cluster in which an object of CloudNativePG takes its claims with it."""

    def delete(self, path: str, uid: str) -> None:
        super().delete(path, uid)
        if path == PATH:
            self.databases.clear()
            self.paths[CLAIMS] = {"items": []}


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of the volumes, in order."""
    asked: list[Any] = []

    def keep(cluster: Region, namespace: str, claims: list[str], *, of: str) -> list[Kept]:
        asked.append(("keep", namespace, claims, of, "deleted" if PATH not in cluster.paths else "there"))
        return []

    def bind(cluster: Region, namespace: str, *, of: str, seconds: float) -> list[Kept]:
        asked.append(("bind", namespace, of, "deleted" if PATH not in cluster.paths else "there"))
        return [Kept(namespace=namespace, claim="app-database-1", kept_as="kept-app-database-1", volume="pv-1")]

    monkeypatch.setattr(giving_up, "keep", keep)
    monkeypatch.setattr(giving_up, "bind", bind)
    return asked


def region(cluster: dict[str, Any] | None) -> Region:
    found = Region(databases={"app-database": cluster} if cluster else {})
    found.paths = {CLAIMS: {"items": [{"metadata": {"name": "app-database-1"}}]}}
    if cluster:
        found.paths[PATH] = cluster
    return found


def given_up(**status: Any) -> dict[str, Any]:
    body = live(replace(OLD, given_up=True), **{**ASLEEP, **status})
    return {**body, "metadata": {**body["metadata"], "annotations": {"k8s-dr/given-up": SERVER}}}


def test_its_volumes_are_marked_before_the_cluster_goes_and_bound_after(moved: list[Any]) -> None:
    cluster = region(given_up())
    give_up(cluster, anew(), {SERVER}, seconds=1)
    assert moved == [("keep", "databases", ["app-database-1"], SERVER, "there"), ("bind", "databases", SERVER, "deleted")]
    assert PATH not in cluster.paths


def test_an_interrupted_one_goes_on_from_the_volumes_alone(moved: list[Any]) -> None:
    give_up(region(None), anew(), {SERVER, "orders-primary-g1"}, seconds=1)
    assert moved == [("bind", "databases", SERVER, "deleted")], "and nothing of another database"


def test_the_side_that_runs_is_left_alone(moved: list[Any]) -> None:
    cluster = region(live(anew()))
    give_up(cluster, anew(), {SERVER}, seconds=1)
    assert moved == []
    assert PATH in cluster.paths


@pytest.mark.parametrize(
    ("cluster", "named", "reason"),
    [
        (live(OLD, **ASLEEP), set(), "nobody has given it up; run: pulumi config set rejoin app-database-primary-g1 -s primary"),
        (live(OLD, **ASLEEP), {SERVER}, "nobody has given it up"),
        (given_up(), {"app-database-primary-g7"}, "nobody has given it up"),
        (given_up(readyInstances=1, conditions=[]), {SERVER}, "still takes writes, so it is not given up"),
    ],
    ids=["not named", "not let go by the engine", "another one named", "awake"],
)
def test_what_is_not_named_or_takes_writes_is_refused(
    cluster: dict[str, Any], named: set[str], reason: str, moved: list[Any]
) -> None:
    there = region(cluster)
    with pytest.raises(CreationRefusedError, match=reason):
        give_up(there, anew(), named, seconds=1)
    assert moved == []
    assert PATH in there.paths


def test_a_volume_that_cannot_be_kept_keeps_the_cluster(moved: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> list[Kept]:
        raise NotKeptError("volume pv-1 is gone")

    monkeypatch.setattr(giving_up, "keep", refuse)
    there = region(given_up())
    with pytest.raises(CreationRefusedError, match="is not made anew: volume pv-1 is gone; then run the same pulumi up again"):
        give_up(there, anew(), {SERVER}, seconds=1)
    assert PATH in there.paths
    assert moved == []
