"""What the guard has stopped here, as the `up` that makes the region serve again has to know it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pulumi

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.records import GUARD_RECORD
from components.kube.runner.guard_record import moment
from settings.roles import Duties


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """That the guard has stopped this region, as its record says: by the traffic `flag` of this time, and `at` this time last."""

    flag: str
    at: str = ""
    seen: str = ""
    overruled: str = ""

    @property
    def which(self) -> str:
        """Which stop it was. Two stops by the same flag differ."""
        return f"{self.flag}, at {self.at}" if self.at else self.flag

    @property
    def newest(self) -> bool:
        """Whether the guard has seen no newer flag since, and nobody has overruled this one: then the other region serves, as far
        as this one knows."""
        return self.flag == self.seen and self.overruled != self.flag

    def overrules(self, written: datetime | None) -> bool:
        """Whether somebody has made this region serve, with `force`, after a flag of this time was seen here."""
        try:
            return bool(self.overruled) and written is not None and written.replace(microsecond=0) <= moment(self.overruled)
        except ValueError:
            return False


def stopped_by_guard(cluster: ClusterApi, duties: Duties) -> Stopped | None:
    """What the guard last did to this region; None if it never stopped it, or if the region is not to serve now.

    Whatever serves again is made again by the time of that stop: what the guard has changed since is no longer what the engine's
    state says, and without a new input the engine would leave it stopped. The record keeps it, so the next `up` changes nothing.
    A cluster that does not answer is asked by the `up` before all else, and a preview changes nothing.
    """
    if not duties.serves:
        return None
    try:
        return last_stop(cluster)
    except ClusterUnreachableError:
        return None


def last_stop(cluster: ClusterApi) -> Stopped | None:
    """What the guard last did to this region, whatever it is to do now; None if it never stopped it. Raises
    ClusterUnreachableError."""
    record = cluster.read_record(GUARD_RECORD) or {}
    if "stopped" not in record:
        return None
    return Stopped(
        flag=record["stopped"], at=record.get("at", ""), seen=record.get("seen", ""), overruled=record.get("overruled", "")
    )


def was_overruled(cluster: ClusterApi, written: datetime | None) -> bool:
    """Whether somebody has made this region serve, with `force`, after a flag of this time. Raises ClusterUnreachableError."""
    record = cluster.read_record(GUARD_RECORD) or {}
    return Stopped(flag="", overruled=record.get("overruled", "")).overrules(written)


def overrule(cluster: ClusterApi, flag: str) -> None:
    """Record that no flag of this time or older stops the region any more. Raises pulumi.RunError: a region that is woken without
    it is stopped again once the flag can be read."""
    try:
        cluster.write_record(GUARD_RECORD, {"overruled": flag})
    except ClusterUnreachableError as error:
        raise pulumi.RunError(
            f"{error}; that the traffic flag is overruled could not be recorded, so nothing was woken"
        ) from None
