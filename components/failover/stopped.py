"""What the guard has stopped here, as the `up` that makes the region serve again has to know it."""

from __future__ import annotations

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.records import GUARD_RECORD
from settings.roles import Duties


def stopped_by_guard(cluster: ClusterApi, duties: Duties) -> str | None:
    """The traffic flag by which the guard last stopped this region, as the time at which it was written; None if it never did,
    or if the region does not serve now.

    Whatever serves again is made again by this time: what the guard has changed since is no longer what the engine's state
    says, and without a new input the engine would leave it stopped. The record keeps it, so the next `up` changes nothing. A
    cluster that does not answer is asked by the `up` before all else, and a preview changes nothing.
    """
    if not duties.serves:
        return None
    try:
        return (cluster.read_record(GUARD_RECORD) or {}).get("stopped")
    except ClusterUnreachableError:
        return None
