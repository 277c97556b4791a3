"""Whether a database has stopped: hibernated or fenced, and never on the word of an annotation alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from components.database.stopping import NotStoppedError, accepts_nothing, is_fenced, wait_until_stopped
from components.kube.cluster_api import ClusterUnreachableError
from tests.unit.components.database.sides import side

ALL = {"cnpg.io/fencedInstances": '["*"]'}
READY = {"type": "Ready", "status": "True"}


def cluster(annotations: dict[str, str] | None = None, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "app-database", "annotations": annotations or {}}, "status": status}


def hibernation(status: str) -> list[dict[str, str]]:
    return [READY, {"type": "cnpg.io/hibernation", "status": status}]


@pytest.mark.parametrize(
    ("found", "stopped"),
    [
        (None, True),
        (cluster(), False),
        (cluster(readyInstances=0), False),
        (cluster({"cnpg.io/hibernation": "on"}, conditions=hibernation("True")), True),
        (cluster({"cnpg.io/hibernation": "on"}, conditions=hibernation("False"), readyInstances=1), False),
        (cluster({"cnpg.io/hibernation": "on"}, readyInstances=2), False),
        (cluster(ALL, readyInstances=1), False),
        (cluster(ALL, readyInstances=0), True),
        (cluster(ALL, phase="Cluster in healthy state"), True),
        (cluster({"cnpg.io/fencedInstances": '["app-database-1"]'}), False),
        (cluster({"cnpg.io/fencedInstances": "[]"}), False),
        # What the operator cannot read fences nothing.
        (cluster({"cnpg.io/fencedInstances": "*"}), False),
        (cluster({"cnpg.io/fencedInstances": "7"}), False),
        (cluster({"cnpg.io/fencedInstances": '"*"'}), False),
        # An `up` asked for hibernation, and the fence keeps the operator from it.
        (cluster({**ALL, "cnpg.io/hibernation": "on"}, conditions=hibernation("False")), True),
    ],
)
def test_it_has_stopped_if_it_hibernates_or_is_fenced_with_no_instance_ready(found: Any, stopped: bool) -> None:
    assert accepts_nothing(found) is stopped


def test_an_object_without_annotations_is_not_fenced() -> None:
    assert not is_fenced({"metadata": {"name": "app-database"}})
    assert not is_fenced({})


def wait(*answers: Any, seconds: float = 60) -> str:
    left = list(answers)

    def live() -> Any:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return asyncio.run(wait_until_stopped(side("primary", "secondary"), live, seconds=seconds, pause=0))


def test_it_is_waited_for_until_nothing_accepts_connections() -> None:
    assert wait(cluster(ALL, readyInstances=1), cluster(ALL, readyInstances=1), cluster(ALL)) == "app-database"


def test_one_that_does_not_stop_is_told_with_the_command_that_fences_it() -> None:
    with pytest.raises(NotStoppedError) as refused:
        wait(cluster(readyInstances=1, phase="Creating a new replica"), seconds=0)
    told = str(refused.value)
    assert told.startswith(" still accepts connections (Creating a new replica)")
    assert (
        "kubectl annotate cluster.postgresql.cnpg.io app-database -n databases --overwrite cnpg.io/fencedInstances='[\"*\"]'"
        in told
    )
    assert told.endswith("pulumi up --refresh --run-program -s primary")


def test_a_cluster_that_does_not_answer_is_no_sign_that_it_has_stopped() -> None:
    with pytest.raises(NotStoppedError, match="is not known: cluster prod does not answer; then pulumi up again"):
        wait(ClusterUnreachableError("cluster prod does not answer"))
