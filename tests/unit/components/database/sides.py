"""One region's side of the committed database, with changes to it, for tests of what is made from it."""

from __future__ import annotations

import json
from typing import Any

from components.database.specs import HEALTHY, DatabaseSide, cluster_spec
from settings.database import DatabaseSettings
from settings.names import Names
from settings.roles import Role, duties
from settings.topology import Topology
from tests.examples import example

TOPOLOGY = Topology.model_validate(json.loads(example("primary")["topology"]))
STREAMING: dict[str, Any] = {
    "replication": "streaming",
    "streaming": {
        "hosts": {"primary": "pg.us-east-1.example.com", "secondary": "pg.us-west-2.example.com"},
        "certificates": {
            "server": "server-tls",
            "serverCa": "server-ca",
            "clientCa": "client-ca",
            "replication": "replication-tls",
        },
        "serviceAnnotations": {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"},
    },
}


def database(**changes: Any) -> dict[str, Any]:
    """The key `databases` with the committed database and `changes` to it."""
    return {"databases": [{"name": "app-database", "namespace": "databases", **changes}]}


def settings(**changes: Any) -> DatabaseSettings:
    return DatabaseSettings.model_validate(database(**changes)["databases"][0])


def side(stack: Role, active: Role = "primary", *, endpoint: str | None = None, **changes: Any) -> DatabaseSide:
    """The side of `stack` while `active` serves."""
    return DatabaseSide(
        names=Names(topology=TOPOLOGY, role=stack),
        settings=settings(**changes),
        database_role=duties(stack, active).database_role(standby=changes.get("standby", True)),
        endpoint=endpoint,
    )


def live(of: DatabaseSide, **status: Any) -> dict[str, Any]:
    """The side's Cluster as the API server has it, with this status."""
    return {
        "metadata": {"name": of.settings.name, "namespace": of.settings.namespace, "uid": "a-uid", "annotations": {}},
        "spec": cluster_spec(of),
        "status": {"phase": HEALTHY, "readyInstances": 1, **status},
    }
