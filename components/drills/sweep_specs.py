"""What deletes by day what a killed drill has left, as plain data: a CronJob beside that of each drill that restores.

It has the account of the drill, so it needs no right that is not there already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.drills import database_specs, namespace_specs
from components.drills.pods import DrillsArgs, cron_job, judge, pod
from components.kube.pods import LABELS
from components.kube.runner.drill_space import CLEANING_SECONDS
from settings.drills import Kind

SWEPT: tuple[Kind, ...] = ("namespace", "database")
CRON = "50 6 * * *"
"""Each day, in a minute in which no drill begins by default."""

_START_SECONDS = 300


def name_of(kind: Kind) -> str:
    return f"drill-{kind}-sweep"


def labels(kind: Kind) -> dict[str, str]:
    """Labels of the CronJob and its Jobs. They have not the drill's: an `up` takes no Job of these for one of the drill."""
    return {**LABELS, "app.kubernetes.io/name": name_of(kind)}


def _task(args: DrillsArgs, kind: Kind) -> Mapping[str, Any]:
    if kind == "database":
        return database_specs.task(args)
    found = namespace_specs.source(args.settings)
    assert found is not None
    return namespace_specs.task(args, found)


def spec(args: DrillsArgs, kind: Kind) -> dict[str, Any]:
    """Spec of the CronJob. Its Pod has the labels of the drill's, by which a drill sees that it is at work."""
    made = cron_job(
        args,
        kind,
        cron=CRON,
        timeout=f"{int(CLEANING_SECONDS) + _START_SECONDS}s",
        does=f"deletes what a drill {kind} that was killed has left; does nothing while one runs",
        spec=pod(
            args,
            kind,
            before=[],
            last=[judge(args, "drill_sweep", _task(args, kind), kind, token=True)],
            room="1Mi",
            cleaning=CLEANING_SECONDS,
        ),
    )
    made["jobTemplate"]["metadata"]["labels"] = labels(kind)
    return {**made, "successfulJobsHistoryLimit": 1}
