"""Whether the newest snapshot of etcd could be restored: for the drill `integrity`.

Two things are asked: whether the file is what etcd has written, by the SHA-256 that etcd appends to it, and whether etcd's own
tool opens it. The tool's image has no shell, so it runs as a container of its own whose status is read.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .api import Api
from .drill_fetch import Fetched, Object
from .drill_record import Drill
from .failure import StepFailedError

FILE = "etcd.db"
"""The snapshot, under a name that the container of etcd's tool knows beforehand."""

_NAME = re.compile(r"etcd-snapshot-(\d{8}T\d{6}Z)-.*-r(\d+)\.db")
_DIGEST, _BLOCK = 32, 512
_PIECE = 1 << 20
_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """Where this region's snapshots are, and how old the newest may be."""

    bucket: str
    prefix: str
    within: timedelta

    def newest(self, fetched: Fetched) -> Object | None:
        named = {each.key.rpartition("/")[2]: each for each in fetched.objects(self.bucket, f"{self.prefix}/")}
        timed = [(match[1], name) for name in named if (match := _NAME.fullmatch(name))]
        return named[max(timed)[1]] if timed else None


def judge_snapshot(drill: Drill, fetched: Fetched, snapshots: Snapshots, now: datetime, opened: Callable[[], str | None]) -> None:
    """Say what stands against a restore. `opened` waits for etcd's tool, and returns what it said if it failed."""
    found = snapshots.newest(fetched)
    if found is None:
        drill.fail(f"there is no snapshot of etcd in s3://{snapshots.bucket}/{snapshots.prefix}/")
        return
    name = found.key.rpartition("/")[2]
    taken = datetime.strptime(_NAME.fullmatch(name)[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)  # type: ignore[index]
    drill.use("etcd-snapshot", name, taken)
    if now - taken > snapshots.within:
        drill.fail(f"the newest snapshot of etcd, {name}, is stale: by etcd.cron a newer one should be here")
    path = fetched.file(snapshots.bucket, found.key)
    if (size := path.stat().st_size) != found.size:
        drill.fail(f"the snapshot {name} has {size} bytes, and the bucket lists {found.size}")
    elif told := not_as_written(path):
        drill.fail(f"the snapshot {name} is corrupt: {told}")
    elif said := opened():
        drill.fail(f"etcdutl does not open the snapshot {name}: {said}")
    else:
        drill.count("etcd snapshots")


def not_as_written(path: Path) -> str | None:
    """What is wrong with a snapshot by the digest that etcd has appended (etcdctl snapshot save); None if nothing is."""
    size = path.stat().st_size
    if size % _BLOCK != _DIGEST:
        return f"it is truncated: {size} bytes are not whole blocks of {_BLOCK} bytes and a digest of {_DIGEST}"
    digest, left = hashlib.sha256(), size - _DIGEST
    with path.open("rb") as file:
        while left and (piece := file.read(min(_PIECE, left))):
            digest.update(piece)
            left -= len(piece)
        appended = file.read()
    return None if appended == digest.digest() else f"its SHA-256 is {digest.hexdigest()}, and etcd wrote {appended.hex()}"


def container_said(
    api: Api,
    pod: str,
    container: str,
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:
    """Wait for a container of this Pod; what it said if it failed, None if it has succeeded."""
    end = clock() + seconds
    while True:
        statuses = (api.get(pod).get("status") or {}).get("containerStatuses") or ()
        state = next((each.get("state") or {} for each in statuses if each.get("name") == container), {})
        if ended := state.get("terminated"):
            said = " ".join(str(ended.get("message") or "").split())
            return None if ended.get("exitCode") == 0 else said or f"it ended with {ended.get('exitCode')} and gave no reason"
        if clock() >= end:
            waiting = (state.get("waiting") or {}).get("reason") or "it has not ended"
            raise StepFailedError(f"the container {container} was waited for in vain: {waiting}")
        sleep(_PAUSE_SECONDS)
