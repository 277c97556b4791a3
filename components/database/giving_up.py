"""Gives up the old side of a database, so that it can be made anew as a follower of the other region.

CloudNativePG rewinds nothing across Clusters: what an old primary wrote after the other region had taken over is on no timeline
that it could follow. So its Cluster goes, and its volumes stay: claims are owned by the Cluster and would go with it, and claims
without an owner that kept its labels would be adopted by the next Cluster in place of its bootstrap.
"""

from __future__ import annotations

import time
from collections.abc import Collection

import pulumi

from components.database.creation import CreationRefusedError
from components.database.side_role import Live, is_given_up, server_of
from components.database.specs import DatabaseSide
from components.database.stopping import accepts_nothing
from components.kube.aside import NotKeptError, bind, keep
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.runner.fencing import follows
from components.kube.runner.stop import cluster_path

_SECONDS, _PAUSE_SECONDS = 600.0, 1.0


def give_up(cluster: ClusterApi, side: DatabaseSide, given_up: Collection[str], *, seconds: float = _SECONDS) -> None:
    """Keep the volumes of the old side under other names, and delete its Cluster. An interrupted one is gone on with.

    Raises CreationRefusedError if the Cluster that is there is not given up, or takes writes.
    """
    settings = side.settings
    try:
        live = cluster.read_database(settings.namespace, settings.name)
        server = server_of(live) if live is not None else None
        if live is not None and (server is None or server == settings.server(side.names.role)):
            return  # it runs already, or it is somebody else's, which the API server says
        if live is not None:
            _delete(cluster, side, live, given_up, seconds)
        for server in sorted(given_up):
            if server.rpartition("-g")[0] == settings.member(side.names.role):
                for kept in bind(cluster, settings.namespace, of=server, seconds=seconds):
                    pulumi.log.info(
                        f"database {settings.name}: what {server} had is kept in claim {kept.namespace}/{kept.kept_as}"
                    )
    except (NotKeptError, ClusterUnreachableError) as error:
        raise CreationRefusedError(
            f"database {settings.name} is not made anew: {error}; then run the same pulumi up again, which goes on"
        ) from None


def _delete(cluster: ClusterApi, side: DatabaseSide, live: Live, given_up: Collection[str], seconds: float) -> None:
    settings, server = side.settings, server_of(live) or "a Cluster without an archive"
    if not is_given_up(live, given_up):
        raise CreationRefusedError(
            f"database {settings.name}: {server} is here, and nobody has given it up; run: pulumi config set rejoin "
            f"{server} -s {side.names.role} && pulumi up -s {side.names.role}"
        )
    if not (accepts_nothing(live) or follows(dict(live))):
        raise CreationRefusedError(
            f"database {settings.name}: {server} still takes writes, so it is not given up; stop it first: pulumi up --refresh "
            f"--run-program -s {side.names.role}"
        )
    claims = f"/api/v1/namespaces/{settings.namespace}/persistentvolumeclaims?labelSelector=cnpg.io/cluster={settings.name}"
    found = [each["metadata"]["name"] for each in (cluster.read(claims) or {}).get("items") or ()]
    keep(cluster, settings.namespace, found, of=server)
    cluster.delete(cluster_path(settings.namespace, settings.name), live["metadata"]["uid"])
    deadline = time.monotonic() + seconds
    while cluster.read_database(settings.namespace, settings.name) or (cluster.read(claims) or {}).get("items"):
        if time.monotonic() > deadline:
            raise NotKeptError(f"the old Cluster {settings.name} or its claims are not gone after {seconds:.0f} s")
        time.sleep(_PAUSE_SECONDS)
