"""The step `drill_integrity`: judges whether the backups in this region's buckets could be restored, and leaves the record.

The steps `drill_ask` and `drill_choose` have said what to fetch, and a container with the identity at AWS has fetched it. In the
region that serves, the backups of its own are judged; in the other one the copies of them, from which a failover would restore.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from .api import Api, ApiError
from .drill_archive import judge_archive
from .drill_choice import INVENTORY_BYTES, Choice
from .drill_etcd import container_said, judge_snapshot
from .drill_fetch import Fetched
from .drill_record import ASKED, DIRECTORY, Drill, moment, now_in_utc, run_drill
from .drill_velero import judge_backup, judge_cluster_repositories, judge_repository, judge_schedule
from .failure import StepFailedError
from .password import is_of

OPENS = "opens"
"""The container of etcd's own tool."""

_OPENS_SECONDS = 300
_ANOTHER_PASSWORD = (
    "the password of the repositories of volumes is another one than the other region's, so that no volume of its backups can be "  # noqa: S105
    "read here: docs/runbook.md, backupEncryptionPassword"
)


def run(task: Mapping[str, Any]) -> str:
    """Judge, and leave the record. Returns what the drill found."""
    api = Api.in_cluster(seconds=_OPENS_SECONDS)
    pod = f"/api/v1/namespaces/k8s-dr/pods/{os.environ.get('POD_NAME', '')}"
    return run_drill(task, partial(judge, api, task, DIRECTORY, partial(container_said, api, pod, OPENS, _OPENS_SECONDS)))


def judge(
    api: Api,
    task: Mapping[str, Any],
    directory: Path,
    opened: Callable[[], str | None],
    drill: Drill,
    *,
    now: Callable[[], datetime] = now_in_utc,
) -> None:
    """Judge what came into the directory. `opened` says what etcd's tool said of the snapshot, if it failed."""
    found, fetched = json.loads((directory / ASKED).read_text()), Fetched(directory=directory)
    if "error" in found:
        raise StepFailedError(found["error"])
    choice, began = Choice(task=task, side=found["side"]), now()
    if found["kubernetes"]:
        drill.versions["kubernetes"] = found["kubernetes"]
    if choice.side is None and choice.snapshots is None:
        drill.skip("this region stands by, and the other region's backups are not copied to it yet (peerReady)")
        return
    _judge_velero(api, drill, choice, fetched, found, began)
    for archived in choice.archives:
        with _told(drill):
            judge_archive(drill, fetched, archived, began)
    if choice.snapshots is not None:
        with _told(drill):
            judge_snapshot(drill, fetched, choice.snapshots, began, opened)


def _judge_velero(api: Api, drill: Drill, choice: Choice, fetched: Fetched, found: Mapping[str, Any], began: datetime) -> None:
    for schedule, within in choice.schedules:
        backup = judge_schedule(drill, found["backups"], schedule, within, began, found["coming"])
        if backup is None:
            continue
        if not choice.archives:
            age = (began - moment(backup["status"]["startTimestamp"])).total_seconds()
            drill.rpo_seconds = max(drill.rpo_seconds or 0.0, age)
        with _told(drill):
            moved = judge_backup(drill, fetched, choice.place, backup)
            for namespace, snapshot in sorted(moved.items()):
                with _told(drill):
                    judge_repository(drill, fetched, choice.place, namespace, snapshot, backup["metadata"]["name"])
    if choice.side == "own":
        judge_cluster_repositories(drill, found["repositories"], choice.side)
    elif choice.side == "peer" and choice.task["velero"]["secret"]:
        with _told(drill):
            _judge_password(api, drill, choice.task, fetched)


def _judge_password(api: Api, drill: Drill, task: Mapping[str, Any], fetched: Fetched) -> None:
    """Whether Velero here has the password by which the other region encrypts: of that one there is a fingerprint."""
    bucket, key = task["archive"]["bucket"], task["inventory"]
    if not fetched.has(bucket, key):
        drill.note(f"whether both regions have the same password is not known: s3://{bucket}/{key} has not come")
        return
    path = fetched.file(bucket, key)
    if path.stat().st_size > INVENTORY_BYTES:
        raise StepFailedError(f"s3://{bucket}/{key} is larger than any inventory")
    try:
        fingerprint = json.loads(path.read_text())["password"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StepFailedError(f"s3://{bucket}/{key} is no inventory of this version") from None
    secret = api.find(task["velero"]["secret"])
    if secret is None:
        drill.fail("Velero has no password for the repositories of volumes: the Secret velero-repo-credentials is gone")
    elif fingerprint:
        try:
            if not is_of(base64.b64decode(secret["data"]["repository-password"]).decode(), fingerprint):
                drill.fail(_ANOTHER_PASSWORD)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StepFailedError(f"s3://{bucket}/{key} or the Secret velero-repo-credentials is not what it should be") from None


@contextmanager
def _told(drill: Drill) -> Iterator[None]:
    """What could not be judged is a failure, and the rest is judged all the same."""
    try:
        yield
    except (StepFailedError, ApiError) as failure:
        drill.fail(str(failure))
