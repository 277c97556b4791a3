"""A failover's change of each database, tried as a dry run: the API server, and every webhook that it asks, judge it.

Where the operator or its webhook is away, the API server refuses the promotion. Tried only on the night, that would come when
restores run already, and applications would start beside a read-only database.

The Job that confirms it is tried too, and its Pod, whom LimitRanges, quotas and Pod Security judge. No other Pod of the program's
runs in that namespace before the night.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from components.database import specs
from components.database.specs import DatabaseSide
from components.kube.cluster_api import ClusterApi
from components.kube.objection import Objection
from components.kube.pods import LABELS
from settings.names import EXCLUDED_FROM_BACKUP

_SEE = "is the operator running? see: kubectl get pods -A -l app.kubernetes.io/name=cloudnative-pg"


_PASSING = re.compile(r"refused: (429|5\d\d) ")
"""What an API server says while a webhook does not answer it, or while it has too much to do. Any other refusal is a decision."""

_FULL = "exceeded quota"
"""Where a quota is full, Pods that end make room."""

_NO_RIGHT = 'cannot create resource "pods"'
"""What an API server says to whoever has not the right. It says nothing of the Pod, which the Job's controller makes."""

_TRIED_AS = "confirm-promotion-dry-run"
"""The name of what is tried. It stays the same, for a refusal names it, and one that is made again must be told once."""

_OWNER = {"apiVersion": "batch/v1", "kind": "Job", "controller": True, "uid": "00000000-0000-0000-0000-000000000000"}
"""Of the Pod that is tried. Policies refuse Pods that nobody owns."""


def refusals(cluster: ClusterApi, sides: Sequence[DatabaseSide]) -> Iterator[Objection]:
    """Why databases would not be promoted, not be made where they have no standby, or not be confirmed. It takes the rights that
    the change itself takes: to patch Clusters, and to create them and Jobs; and to create Pods in the databases' namespaces."""
    yield from _of_clusters(cluster, sides)
    yield from (refused for refused in _of_confirmations(cluster, sides) if isinstance(refused, Objection))


def warnings_by_day(cluster: ClusterApi, sides: Sequence[DatabaseSide]) -> Iterator[str]:
    """The same by day, a line each, and what could not be tried."""
    for found in (*_of_clusters(cluster, sides), *_of_confirmations(cluster, sides)):
        yield found.reason if isinstance(found, Objection) else found


def _of_clusters(cluster: ClusterApi, sides: Sequence[DatabaseSide]) -> Iterator[Objection]:
    for side in sides:
        settings = side.settings
        if settings.standby:
            what = "promoted"
            refused = cluster.refuses_promotion(settings.namespace, settings.name, settings.member(side.names.role))
        else:
            what, refused = "recovered", cluster.refuses_database(_recovered(side))
        if refused:
            reason = f"database {settings.name} would not be {what}: {refused}; {_SEE}"
            yield Objection(reason=reason, passing=_PASSING.search(refused) is not None)


def _of_confirmations(cluster: ClusterApi, sides: Sequence[DatabaseSide]) -> Iterator[Objection | str]:
    """Why confirmations would not run: an objection each, and a text where nobody can tell. Those of one namespace and image are
    alike. It is a matter of judgement, for a policy may judge this Pod otherwise than the controller's."""
    tried: set[tuple[str, str]] = set()
    for side in sides:
        alike = (side.settings.namespace, side.settings.image)
        if alike in tried:
            continue
        tried.add(alike)
        for kind, path, body in _confirmation(side):
            if not (refused := cluster.refuses(path, body)):
                continue
            of = f"the {kind} that confirms the promotion of database {side.settings.name}"
            if _NO_RIGHT in refused:
                yield f"whether namespace {side.settings.namespace} takes {of} could not be tried: {refused}"
                continue
            reason = (
                f"namespace {side.settings.namespace} would not take {of}: {refused}; without it a failover promotes the "
                "database, and stops before users are moved; let it in (docs/pods.md)"
            )
            yield Objection(reason=reason, judgement=True, passing=_PASSING.search(refused) is not None or _FULL in refused)
            break


def _confirmation(side: DatabaseSide) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Kind, path and body of the Job that confirms a promotion, and of its Pod, as its controller makes it."""
    namespace, spec = side.settings.namespace, specs.confirmation_job(side)
    job = {"metadata": {"name": _TRIED_AS, "labels": LABELS}, "spec": spec}
    yield "Job", f"/apis/batch/v1/namespaces/{namespace}/jobs", {"apiVersion": "batch/v1", "kind": "Job", **job}
    metadata = {**spec["template"]["metadata"], "name": _TRIED_AS, "ownerReferences": [{**_OWNER, "name": _TRIED_AS}]}
    pod = {"metadata": metadata, "spec": spec["template"]["spec"]}
    yield "Pod", f"/api/v1/namespaces/{namespace}/pods", {"apiVersion": "v1", "kind": "Pod", **pod}


def _recovered(side: DatabaseSide) -> dict[str, object]:
    """The Cluster that a failover makes where there is no standby."""
    recovered = replace(side, database_role="recovered")
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {
            "name": side.settings.name,
            "namespace": side.settings.namespace,
            "labels": EXCLUDED_FROM_BACKUP,
            "annotations": specs.cluster_annotations(recovered),
        },
        "spec": specs.cluster_spec(recovered),
    }
