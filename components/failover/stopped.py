"""What the guard has stopped here, as the `up` that makes the region serve again has to know it."""

from __future__ import annotations

from dataclasses import dataclass

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.records import GUARD_RECORD
from settings.roles import Duties


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """That the guard has stopped this region. `flag` is when the traffic flag was written that made it do so, and `newest`
    whether the guard has seen no newer one since: then the other region serves, as far as this one knows."""

    flag: str
    newest: bool


def stopped_by_guard(cluster: ClusterApi, duties: Duties) -> Stopped | None:
    """What the guard last did to this region; None if it never stopped it, or if the region is not to serve now.

    Whatever serves again is made again by the time of that flag: what the guard has changed since is no longer what the engine's
    state says, and without a new input the engine would leave it stopped. The record keeps it, so the next `up` changes nothing.
    A cluster that does not answer is asked by the `up` before all else, and a preview changes nothing.
    """
    if not duties.serves:
        return None
    try:
        record = cluster.read_record(GUARD_RECORD) or {}
    except ClusterUnreachableError:
        return None
    return Stopped(flag=record["stopped"], newest=record["stopped"] == record.get("seen")) if "stopped" in record else None
