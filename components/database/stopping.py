"""Whether a database has stopped, so that no client can write to it any more, whichever way that was done.

The stack of a primary that was replaced hibernates its database: no instance is left. The guard fences it, which works in any
phase, while hibernation waits until the Cluster is healthy: a region that lost a node may never be, and a fenced Cluster is
not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from components.database.specs import DatabaseSide
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.runner.fencing import EVERY_INSTANCE, FENCED, HIBERNATION, fences_all
from settings.database import DatabaseSettings

_SECONDS, _PAUSE_SECONDS = 900, 1.0
"""The operator deletes the Pods of a Cluster that hibernates one after the other."""


FENCED_WHOLLY = f"--overwrite {FENCED}='{EVERY_INSTANCE}'"
UNFENCED = f"{FENCED}-"


class NotStoppedError(Exception):
    """It still accepts connections, or nobody knows. The message goes on where the database's name ends."""


def accepts_nothing(cluster: Mapping[str, Any] | None) -> bool:
    """Whether no client can connect to a live Cluster: it hibernates, or all of its instances are fenced and none is ready any
    more. One that does not exist has stopped too."""
    if cluster is None:
        return True
    status = cluster.get("status") or {}
    if any(each.get("type") == HIBERNATION and each.get("status") == "True" for each in status.get("conditions") or ()):
        return True
    return is_fenced(cluster) and not status.get("readyInstances")


def is_fenced(cluster: Mapping[str, Any]) -> bool:
    """Whether an annotation fences every instance of a live Cluster."""
    return fences_all(((cluster.get("metadata") or {}).get("annotations") or {}).get(FENCED))


def annotate(settings: DatabaseSettings, change: str) -> str:
    """The command that changes an annotation of a database's Cluster."""
    return f"kubectl annotate cluster.postgresql.cnpg.io {settings.name} -n {settings.namespace} {change}"


async def wait_until_stopped(
    side: DatabaseSide, live: Callable[[], Mapping[str, Any] | None], *, seconds: float = _SECONDS, pause: float = _PAUSE_SECONDS
) -> str:
    """The name of the side's Cluster, once `live`, as it is now, accepts nothing. Raises NotStoppedError."""
    settings, deadline = side.settings, time.monotonic() + seconds
    while True:
        try:
            cluster = await asyncio.to_thread(live)
        except ClusterUnreachableError as error:
            raise NotStoppedError(f": whether it has stopped is not known: {error}; then pulumi up again") from None
        if accepts_nothing(cluster):
            return settings.name
        if time.monotonic() > deadline:
            phase = ((cluster or {}).get("status") or {}).get("phase", "without a phase")
            raise NotStoppedError(
                f" still accepts connections ({phase}), and the other region has taken over; fence it: "
                f"{annotate(settings, FENCED_WHOLLY)}, then pulumi up --refresh --run-program -s {side.names.role}"
            )
        await asyncio.sleep(pause)
