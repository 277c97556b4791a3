"""The step `drill_choose`: the second of the drill `integrity`. By the first listings it plans what is fetched whole.

It ends with 0 whatever happens, and asks nobody: the last step says what went wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .drill_archive import LABEL_BYTES
from .drill_choice import Choice
from .drill_etcd import FILE
from .drill_fetch import Fetched, Object, Plan
from .drill_record import ASKED, DIRECTORY
from .failure import StepFailedError

SECOND = "plan-2"

_REPOSITORIES = 1000
"""Repositories of volumes that are listed: each takes some seconds."""


def run(task: Mapping[str, Any]) -> str:
    """Write down the second plan."""
    return choose(task, DIRECTORY)


def choose(task: Mapping[str, Any], directory: Path) -> str:
    """As `run`, in this directory."""
    found = json.loads((directory / ASKED).read_text())
    plan = Plan()
    if "error" not in found:
        backups = [each for each in found["backups"] if each["metadata"]["name"] not in found["coming"]]
        plan = second_plan(Choice(task=task, side=found["side"]), backups, Fetched(directory=directory))
    plan.write(directory / SECOND)
    return f"fetches {len(plan.lines)}"


def second_plan(choice: Choice, backups: list[dict[str, Any]], fetched: Fetched) -> Plan:
    """The objects of the backups and of etcd, as far as there is room; the labels of base backups; and kopia's indexes."""
    plan, left = Plan(), int(choice.task["room"])
    for bucket, stored in _whole(choice, backups, fetched):
        if stored.size <= left:
            left -= stored.size
            plan.get(bucket, stored.key, stored.size)
            if choice.snapshots and bucket == choice.snapshots.bucket:
                plan.link(bucket, stored.key, FILE)
    for archived in choice.archives:
        with suppress(StepFailedError):
            for label in archived.labels(fetched):
                if label.size <= LABEL_BYTES:
                    plan.get(archived.bucket, label.key, label.size)
    if choice.schedules:
        with suppress(StepFailedError):
            for directory in fetched.directories(choice.place.bucket, choice.place.repositories)[:_REPOSITORIES]:
                namespace = directory.removeprefix(choice.place.repositories).rstrip("/")
                for prefix in choice.place.repository(namespace):
                    plan.listing(choice.place.bucket, prefix)
    return plan


def _whole(choice: Choice, backups: list[dict[str, Any]], fetched: Fetched) -> Iterator[tuple[str, Object]]:
    """What is read to its last byte, with its bucket."""
    for backup in backups if choice.side is not None else ():
        with suppress(StepFailedError):
            for each in choice.place.files(fetched, backup["metadata"]["name"]):
                yield choice.place.bucket, each
    if snapshots := choice.snapshots:
        with suppress(StepFailedError):
            if newest := snapshots.newest(fetched):
                yield snapshots.bucket, newest
