"""A failover's change of each database, tried as a dry run: the API server, and every webhook that it asks, judge it.

Where the operator or its webhook is away, the API server refuses the promotion. Tried only on the night, that would come when
restores run already, and applications would start beside a read-only database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from components.database import specs
from components.database.specs import DatabaseSide
from components.kube.cluster_api import ClusterApi
from components.kube.objection import Objection
from settings.names import EXCLUDED_FROM_BACKUP

_SEE = "is the operator running? see: kubectl get pods -A -l app.kubernetes.io/name=cloudnative-pg"


_PASSING = re.compile(r"refused: (429|5\d\d) ")
"""What an API server says while a webhook does not answer it, or while it has too much to do. Any other refusal is a decision."""


def refusals(cluster: ClusterApi, sides: Sequence[DatabaseSide]) -> Iterator[Objection]:
    """Why databases would not be promoted, or not be made where they have no standby. It takes the rights that the change itself
    takes: to patch Clusters, and to create them."""
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
