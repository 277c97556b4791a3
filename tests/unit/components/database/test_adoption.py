"""A Cluster that a killed `up` left behind: what the program remembers of it, and when it goes on with it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from components.database import adoption, specs
from components.database.adoption import Adoption, begun
from components.database.specs import DatabaseSide
from components.kube.cluster_api import ClusterUnreachableError
from settings.roles import Role
from tests.unit.components.database.sides import side
from tests.unit.fakes import FakeCluster

BEGUN = {"creating": {"app-database": "begun"}}


def adopted(cluster: FakeCluster, ours: DatabaseSide) -> Adoption:
    return Adoption(cluster, ours, begun(cluster))


def left(stack: Role = "secondary", active: Role = "secondary", *, standby: bool = False, **changes: Any) -> Adoption:
    """What is known of the Cluster that this side's own creation has left in the cluster, with defaults of the operator and
    `changes` to its spec."""
    ours = side(stack, active, standby=standby)
    live = copy.deepcopy(specs.cluster_spec(ours))
    live |= {"enablePDB": True, **changes}
    live["bootstrap"] = {kind: {**begin, "encoding": "UTF8"} for kind, begin in live["bootstrap"].items()}
    database = {"spec": live, "status": {"phase": specs.HEALTHY}}
    return adopted(FakeCluster(records=copy.deepcopy(BEGUN), databases={"app-database": database}), ours)


@pytest.mark.parametrize(
    ("stack", "active", "standby"),
    [("primary", "primary", True), ("secondary", "primary", True), ("secondary", "secondary", False)],
    ids=["primary", "replica", "recovered"],
)
def test_what_an_up_began_and_did_not_end_is_imported_as_it_is(stack: Role, active: Role, standby: bool) -> None:
    found = left(stack, active, standby=standby)
    assert found.left_behind
    assert found.options is not None
    assert (found.options.import_, found.options.ignore_changes) == ("databases/app-database", ["metadata", "spec"])


@pytest.mark.parametrize(("stack", "active"), [("secondary", "secondary"), ("primary", "secondary")], ids=["promoted", "fenced"])
def test_a_change_of_a_cluster_is_never_left_out(stack: Role, active: Role) -> None:
    found = left(stack, active, standby=True)
    assert not found.left_behind
    assert found.options is None


@pytest.mark.parametrize(
    "other",
    [
        {"bootstrap": {"initdb": {"database": "app"}}},
        {"replica": None},
        {"plugins": []},
        {"plugins": [{"name": specs.PLUGIN, "parameters": {"serverName": "somebody-else"}}]},
    ],
)
def test_a_cluster_that_is_not_exactly_ours_is_left_alone(other: dict[str, Any]) -> None:
    ours = side("secondary", "secondary", standby=False)
    live = {**specs.cluster_spec(ours), **other}
    cluster = FakeCluster(records=copy.deepcopy(BEGUN), databases={"app-database": {"spec": live}})
    assert not adopted(cluster, ours).left_behind


def test_nothing_is_left_behind_where_nothing_has_begun_or_all_has_ended() -> None:
    ours = side("secondary", "secondary", standby=False)
    live = {"app-database": {"spec": specs.cluster_spec(ours)}}
    assert not adopted(FakeCluster(databases=live), ours).left_behind
    cluster = FakeCluster(databases=live)
    remembered = adopted(cluster, ours)
    remembered.begin()
    assert adopted(cluster, ours).left_behind
    remembered.end()
    assert not adopted(cluster, ours).left_behind
    assert not adopted(FakeCluster(records=copy.deepcopy(BEGUN)), ours).left_behind, "somebody has deleted it"


def test_a_preview_without_a_cluster_leaves_all_as_it_is() -> None:
    silent = FakeCluster(error=ClusterUnreachableError("cluster prod-usw2 does not answer"))
    assert not adopted(silent, side("secondary", "secondary", standby=False)).left_behind


def test_its_recovery_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, database = side("secondary", "secondary", standby=False), {"status": {"phase": "Setting up primary"}}
    waiting = adopted(FakeCluster(databases={"app-database": database}), ours)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        database["status"] = {"phase": specs.RECOVERED[1]}

    monkeypatch.setattr(adoption.time, "sleep", nap)
    assert waiting.wait(60) == {"phase": specs.RECOVERED[1]}
    assert naps == [5.0]
    database["status"] = {"phase": "Setting up primary"}
    assert waiting.wait(0) == {"phase": "Setting up primary"}
