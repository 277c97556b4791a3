"""Whether a node takes Velero's data movers, which get two tolerations of the node agent's alone."""

from __future__ import annotations

from typing import Any

import pytest

from components.velero.movers import Movers
from settings.volumes import Toleration

DEDICATED = {"key": "dedicated", "value": "app", "effect": "NoSchedule"}
CRITICAL = {"key": "CriticalAddonsOnly", "effect": "NoExecute"}


def node(*taints: dict[str, str], unschedulable: bool = False, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "n", "labels": labels}, "spec": {"taints": list(taints), "unschedulable": unschedulable}}


def movers(*tolerations: dict[str, str], **nodes: str) -> Movers:
    return Movers(nodes=nodes, tolerations=[Toleration.model_validate(each) for each in tolerations])


@pytest.mark.parametrize(
    ("nodes", "asked", "why"),
    [
        ([node()], movers(), None),
        ([node(DEDICATED), node()], movers(), None),
        ([node({**DEDICATED, "effect": "PreferNoSchedule"})], movers(), None),
        (
            [node(DEDICATED), node(CRITICAL)],
            movers(),
            "each node has a taint that they do not tolerate (dedicated=app:NoSchedule, CriticalAddonsOnly:NoExecute)",
        ),
        (
            [node(DEDICATED)],
            movers({"key": "dedicated", "operator": "Exists"}),
            "each node has a taint that they do not tolerate (dedicated=app:NoSchedule)",
        ),
        ([node(CRITICAL)], movers({"key": "CriticalAddonsOnly", "operator": "Exists"}), None),
        (
            [node(CRITICAL)],
            movers({"key": "CriticalAddonsOnly", "operator": "Exists", "effect": "NoSchedule"}),
            "each node has a taint that they do not tolerate (CriticalAddonsOnly:NoExecute)",
        ),
        (
            [node({**CRITICAL, "value": "x"})],
            movers({"key": "CriticalAddonsOnly", "value": "y"}),
            "each node has a taint that they do not tolerate (CriticalAddonsOnly=x:NoExecute)",
        ),
        ([node(unschedulable=True)], movers(), "each node has a taint that they do not tolerate (cordoned)"),
        ([node(pool="storage"), node(DEDICATED)], movers(pool="storage"), None),
        ([node()], movers(pool="storage"), "no node has the labels of velero.dataMovers.nodes (pool=storage)"),
        ([], movers(), "there is no node"),
    ],
)
def test_why_no_node_takes_them(nodes: list[dict[str, Any]], asked: Movers, why: str | None) -> None:
    assert asked.why_on_none(nodes) == why
