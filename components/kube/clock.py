"""Whether this machine's clock agrees with the cluster's.

The gate judges ages, of backups, marks and what Velero has read, by the clock of the machine that runs Pulumi. One that is behind
makes what is old look new, and one that is ahead keeps the gate closed for reasons that are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from components.kube.cluster_api import ClusterApi
from components.kube.objection import Objection
from settings.durations import spoken
from settings.roles import Role

APART = timedelta(minutes=5)
"""AWS refuses what was signed by a clock that is farther off."""


def objections(cluster: ClusterApi, role: Role) -> Iterator[Objection]:
    """Why ages cannot be judged here."""
    theirs = cluster.clock()
    if theirs is None:
        return
    ahead = datetime.now(UTC) - theirs
    if abs(ahead) <= APART:
        return
    where = "ahead of" if ahead > timedelta(0) else "behind"
    yield Objection(
        reason=f"this machine's clock is {spoken(abs(ahead))} {where} that of the cluster's API server, so no age can be judged, "
        "and AWS refuses what the wrong one of them signs; set this machine's clock (timedatectl set-ntp true, or sntp -sS "
        "time.apple.com), and run the same command again",
        judgement=True,
        stack=role,
    )
