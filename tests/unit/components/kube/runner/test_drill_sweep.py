"""What a killed drill has left is deleted by day, and a drill that runs is left alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.kube.runner.drill_sweep import sweep
from components.kube.runner.failure import StepFailedError
from tests.unit.components.kube.runner import test_drill_database as databases
from tests.unit.components.kube.runner import test_drill_namespace as namespaces
from tests.unit.components.kube.runner.drill_world import NOW, VOLUMES, DrillCluster, volume
from tests.unit.components.kube.runner.test_drill_namespace import CLAIMS, RUNS, SCRATCH, SECRETS, VELERO, a_run

KILLED = f"{VELERO}/restores/drill-production-killed"


def swept(world: Any, task: dict[str, Any]) -> str:
    return sweep(world, task, environment={"POD_UID": "own"}, clock=world.clock, sleep=world.clock.sleep)


@pytest.fixture
def world() -> namespaces.World:
    made = namespaces.World()
    made.add(KILLED, {"status": {"phase": "InProgress"}}, **{"k8s-dr/drill": "namespace"})
    made.add(f"{SECRETS}/key", None, **{"velero.io/restore-name": "drill-production-killed"})
    before = (NOW - timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    made.add(f"{CLAIMS}/data", {"metadata": {"creationTimestamp": before}})
    made.add(f"{VOLUMES}/pv-1", volume("pv-1", SCRATCH))
    return made


def test_what_a_killed_drill_of_a_namespace_left_is_deleted_with_its_volume(world: namespaces.World) -> None:
    world.add(f"{VELERO}/restores/failed", {"status": {"phase": "Failed"}}, **{"k8s-dr/drill": "namespace"})
    world.add(f"{VELERO}/restores/of-a-person", {"status": {}})
    assert swept(world, namespaces.task()) == "deleted 3 objects of a drill that was killed"
    assert world.left == [f"{VELERO}/restores/failed", f"{VELERO}/restores/of-a-person"]
    assert swept(world, namespaces.task()) == "no drill has left anything"


def test_what_a_killed_drill_of_databases_left_is_deleted(tmp_path: Path) -> None:
    world = databases.World(tmp_path)
    world.add(databases.CLUSTER, {"status": {"readyInstances": 1}})
    world.add(f"{databases.CLAIMS}/{databases.NAME}-1", None, **{"cnpg.io/cluster": databases.NAME})
    assert swept(world, databases.task()) == "deleted 2 objects of a drill that was killed"
    assert world.left == []


@pytest.mark.parametrize("phase", ["Running", "Pending"])
def test_a_drill_that_runs_is_left_alone(world: namespaces.World, phase: str) -> None:
    world.add(f"{RUNS}/drill", a_run("drill", phase=phase), **{"k8s-dr/drill": "namespace"})
    assert "another run of this drill is at work, Pod drill" in swept(world, namespaces.task())
    assert world.deleted == []


def test_what_stays_fails_the_step(world: namespaces.World) -> None:
    world.stubborn.add(f"{SECRETS}/key")
    with pytest.raises(StepFailedError, match="is still there"):
        swept(world, namespaces.task())


def test_without_a_drill_the_cluster_is_not_touched() -> None:
    world: Any = DrillCluster()
    world.clock = namespaces.World().clock
    assert swept(world, namespaces.task()) == "no drill has left anything"
    assert (world.deleted, world.patched) == ([], [])
