"""The step `drill_ask`: the first of the drill `integrity`. It asks the cluster what to look at, and plans the first fetch.

It ends with 0 whatever happens: the last step says what went wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from .api import Api, ApiError
from .drill_choice import INVENTORY_BYTES, Choice, asked
from .drill_fetch import Plan
from .drill_record import ASKED, DIRECTORY, now_in_utc
from .mark import MARK_BYTES

FIRST = "plan-1"


def run(task: Mapping[str, Any]) -> str:
    """Ask, and write down the answer and the plan."""
    return ask(Api.in_cluster(seconds=_SECONDS), task, DIRECTORY)


_SECONDS = 120


def ask(api: Api, task: Mapping[str, Any], directory: Path, *, now: Callable[[], datetime] = now_in_utc) -> str:
    """As `run`, of this API server, in this directory."""
    try:
        found = asked(api, task, now())
    except ApiError as error:
        (directory / ASKED).write_text(json.dumps({"error": f"the cluster cannot be asked: {error}"}))
        (directory / FIRST).write_text("")
        return f"the cluster cannot be asked: {error}"
    (directory / ASKED).write_text(json.dumps(found))
    first_plan(Choice(task=task, side=found["side"]), found["backups"]).write(directory / FIRST)
    return f"looks at {found['side'] or 'no'} backups: {len(found['backups'])}"


def first_plan(choice: Choice, backups: list[dict[str, Any]]) -> Plan:
    """The listings, and the small files whose names are known."""
    plan, task = Plan(), choice.task
    if choice.side is not None:
        place = choice.place
        for backup in backups:
            plan.listing(place.bucket, place.directory(backup["metadata"]["name"]))
        if choice.schedules:
            plan.directories(place.bucket, place.repositories)
    for each in choice.archives:
        plan.listing(each.bucket, each.bases)
        plan.listing(each.bucket, each.wals)
        plan.get(each.bucket, each.mark, MARK_BYTES)
    if choice.side == "peer" and task["velero"]["secret"]:
        plan.get(task["archive"]["bucket"], task["inventory"], INVENTORY_BYTES)
    if snapshots := choice.snapshots:
        plan.listing(snapshots.bucket, f"{snapshots.prefix}/")
    return plan
