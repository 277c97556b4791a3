"""What must hold before a region takes over. The gate asks before anything is touched, and in a preview too.

It judges what the live cluster says, waits while that may still change, and touches nothing. `failover` calls it from the
engine's hooks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.records import SERVING_RECORD
from components.velero.choice import Choice, objection
from components.velero.specs import PEER
from settings.roles import Duties

DEPLOY_FIRST = "deploy the standby first: pulumi config rm active -s secondary && pulumi up -s secondary"

STALE = timedelta(minutes=10)
"""Velero reads a location once a minute. If the last time is longer ago than this, Velero does not work."""


class GateClosedError(Exception):
    """The region must not take over now; the message says why, and what to do."""


def objections(cluster: ClusterApi, choices: Sequence[Choice]) -> list[str]:
    """Why the Backups that `choices` mean cannot be restored here now; empty if they can."""
    locations = cluster.list_velero("backupstoragelocations")
    if locations is None:
        return [f"Velero is not installed in this cluster; {DEPLOY_FIRST}"]
    peer = next((location for location in locations if location["metadata"]["name"] == PEER), None)
    if peer is None:
        return [f"there is no location of the peer's backups; {DEPLOY_FIRST}"]
    status = peer.get("status") or {}
    if status.get("phase") != "Available":
        reason = status.get("message") or "Velero has not looked yet"
        return [
            f"the location of the peer's backups is {status.get('phase', 'unchecked')}: {reason}; see: velero backup-location get"
        ]
    synced = status.get("lastSyncedTime")
    if not synced or datetime.now(UTC) - datetime.fromisoformat(synced.replace("Z", "+00:00")) > STALE:
        return [f"the peer's backups were last read {synced or 'never'}; see: kubectl logs -n velero deploy/velero"]
    return [problem for choice in choices if (problem := objection(cluster, choice))]


def wait_until_open(probe: Callable[[], list[str]], *, seconds: float, interval: float = 5.0) -> None:
    """Ask `probe` every `interval` seconds until it has no objection. After `seconds`, raise GateClosedError with those it has.

    Velero reads the peer's location once a minute, so an objection may go away by itself.
    """
    deadline = time.monotonic() + seconds
    while problems := probe():
        if time.monotonic() >= deadline:
            raise GateClosedError("; ".join(problems))
        time.sleep(interval)


def begins_to_serve(cluster: ClusterApi, duties: Duties) -> bool:
    """Whether this region takes over and does not serve yet: in the `up` of a failover, and in the next if that one stopped."""
    if not duties.takes_over:
        return False
    try:
        return cluster.read_record(SERVING_RECORD) is None
    except ClusterUnreachableError:
        return True
