"""A takeover ends the drills that run in its region, for Velero works on one Restore after the other.

A drill's CronJob stays, so nothing here is in the plan. The Pods of the Jobs have a grace, in which they delete what they made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.runner.drill_record import LABEL
from components.velero.specs import VELERO_NAMESPACE
from settings.names import PROGRAM_NAMESPACE

_JOBS = f"/apis/batch/v1/namespaces/{PROGRAM_NAMESPACE}/jobs"
_RESTORES = f"/apis/velero.io/v1/namespaces/{VELERO_NAMESPACE}/restores"
_KINDS = ("namespace", "database")
"""The drills that restore. The third one only reads."""


def end_drills(cluster: ClusterApi) -> list[str]:
    """Delete the Jobs of drills that have not ended, and the Restores of drills. Returns a line for each, and for what could not
    be deleted: no failover waits for a drill, and none ends by it."""
    told = []
    for kind in _KINDS:
        try:
            told += _end(cluster, kind)
        except ClusterUnreachableError as error:
            told.append(
                f"whether drill {kind} runs here, and stands before the Restores of this failover, is not known: {error}; see "
                'docs/drills.md, "It and a failover"'
            )
    return told


def _has_ended(job: Mapping[str, Any]) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions)


def _end(cluster: ClusterApi, kind: str) -> list[str]:
    selector = f"{LABEL}={kind}"
    jobs = (cluster.read(f"{_JOBS}?labelSelector={selector}") or {}).get("items") or ()
    found = [(_JOBS, "Job", job) for job in jobs if not _has_ended(job)]
    if kind == "namespace":
        found += [(_RESTORES, "Restore", restore) for restore in cluster.list_velero("restores", selector) or ()]
    told = []
    for place, what, each in found:
        name = each["metadata"]["name"]
        cluster.delete(f"{place}/{name}", each["metadata"]["uid"])
        told.append(f"{what} {name} of drill {kind} was deleted: this region takes over")
    return told
