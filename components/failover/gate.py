"""What must hold before a region takes over. The gate asks before anything is touched, and in a preview too.

It judges what the live cluster says, waits while that may still change, and touches nothing. `failover` calls it from the
engine's hooks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pulumi

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.objection import Objection
from components.kube.records import SERVING_RECORD
from components.velero.choice import Choice, objection
from components.velero.specs import PEER
from settings.roles import Duties

DEPLOY_FIRST = "deploy the standby first: pulumi config rm active -s secondary && pulumi up -s secondary"

STALE = timedelta(minutes=10)
"""Velero reads a location once a minute. If the last time is longer ago than this, Velero does not work."""

Asks = Callable[[], Iterable[Objection]]
"""A question of the gate: what it answers stands against a takeover."""


class GateClosedError(Exception):
    """The region must not take over now; the message says why, and what to do."""


def objections(cluster: ClusterApi, choices: Sequence[Choice]) -> list[Objection]:
    """Why the Backups that `choices` mean cannot be restored here now; empty if they can."""
    locations = cluster.list_velero("backupstoragelocations")
    if locations is None:
        return [Objection(reason=f"Velero is not installed in this cluster; {DEPLOY_FIRST}")]
    peer = next((location for location in locations if location["metadata"]["name"] == PEER), None)
    if peer is None:
        return [Objection(reason=f"there is no location of the peer's backups; {DEPLOY_FIRST}")]
    status = peer.get("status") or {}
    if status.get("phase") != "Available":
        said = status.get("message") or "Velero has not looked yet"
        reason = f"the location of the peer's backups is {status.get('phase', 'unchecked')}: {said}"
        return [Objection(reason=f"{reason}; see: velero backup-location get", passing=True)]
    synced = status.get("lastSyncedTime")
    if not synced or datetime.now(UTC) - datetime.fromisoformat(synced.replace("Z", "+00:00")) > STALE:
        reason = f"the peer's backups were last read {synced or 'never'}; see: kubectl logs -n velero deploy/velero"
        return [Objection(reason=reason, passing=True)]
    return [problem for choice in choices if (problem := objection(cluster, choice))]


class Gate:
    """The gate of one `up`. With `force` it passes over objections that are a matter of judgement, and says each of them."""

    def __init__(self, *, force: bool) -> None:
        self._force = force
        self._told: set[str] = set()

    def refuse(self, found: Iterable[Objection]) -> None:
        """Raise GateClosedError if one of these stands."""
        if problems := self._standing(found):
            raise GateClosedError("; ".join(map(str, problems)))

    def wait_until_open(self, again: Asks, once: Asks = list, *, seconds: float, interval: float = 5.0) -> None:
        """Ask `again` every `interval` seconds until nothing stands against it. After `seconds`, or at once if something stands
        that no waiting ends, raise GateClosedError with all that stands. What `once` answers stays the same.

        Velero reads the peer's location once a minute, so an objection may go away by itself.
        """
        deadline, until = time.monotonic() + seconds, datetime.now(UTC) + timedelta(seconds=seconds)
        problems, settled = self._standing(again()), self._standing(once())
        while problems or settled:
            lasting = settled or not all(problem.passing for problem in problems)
            if lasting or time.monotonic() >= deadline:
                raise GateClosedError("; ".join(map(str, [*problems, *settled])))
            for problem in problems:
                self._tell_once(f"asked again until {until:%H:%M:%S} UTC, for it may pass", problem, pulumi.log.info)
            time.sleep(interval)
            problems = self._standing(again())

    def _standing(self, found: Iterable[Objection]) -> list[Objection]:
        """What closes the gate. What `force` passes over is said, once for each."""
        standing = []
        for problem in found:
            if self._force and problem.judgement:
                self._tell_once("k8s-dr:force passes over this", problem, pulumi.log.warn)
            else:
                standing.append(problem)
        return standing

    def _tell_once(self, what: str, problem: Objection, log: Callable[[str], None]) -> None:
        if problem.subject not in self._told:
            self._told.add(problem.subject)
            log(f"{what}: {problem.reason}")


def begins_to_serve(cluster: ClusterApi, duties: Duties) -> bool:
    """Whether this region takes over and does not serve yet: in the `up` of a failover, and in the next if that one stopped."""
    if not duties.takes_over:
        return False
    try:
        return cluster.read_record(SERVING_RECORD) is None
    except ClusterUnreachableError:
        return True
