"""Whether this region's side of a database can be made now. Each of its parts asks before it is created."""

from __future__ import annotations

import json

from components.database.archive import Archive, ArchiveUnreadableError, LiveArchive
from components.database.side_role import server_of
from components.database.specs import PLUGIN
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.objection import Objection
from settings.aws import Aws
from settings.database import DatabaseSettings
from settings.names import Names
from settings.roles import DatabaseRole, Role, peer_of

OPERATORS = {
    "postgresql.cnpg.io": "the operator CloudNativePG (k8s-dr:operators.cloudnativePg)",
    "barmancloud.cnpg.io": "its Barman Cloud plugin (k8s-dr:operators.barmanCloud)",
}
"""By API group, which operator serves it and which setting installs it."""


class CreationRefusedError(Exception):
    """The database must not be made now; the message says why, and what to run."""


def missing_operators(cluster: ClusterApi) -> str | None:
    """Which operators the cluster lacks; None if it has both."""
    missing = [operator for group, operator in OPERATORS.items() if not cluster.serves(group)]
    return f"{' and '.join(missing)} is not installed in this cluster" if missing else None


def objection_to_creation(
    cluster: ClusterApi, archive: Archive, source: Archive | None, settings: DatabaseSettings, role: Role
) -> Objection | None:
    """Why region `role`'s side of a database cannot be made now, and what to run; None if it can. `archive` is the archive that
    the side will write, `source` the one that it is made from, or None if it is made from nothing, or not made now.

    What it lacks by its mark alone is a matter of judgement: a mark says nothing that a recovery reads.
    """
    if missing := missing_operators(cluster):
        reason = f"database {settings.name}: {missing}; install it, or set that key to true, then pulumi up -s {role}"
        return Objection(reason=reason)
    live = cluster.read_database(settings.namespace, settings.name)
    if live is not None and server_of(live) in (settings.server(role), None):
        return None  # the Cluster exists: the program only makes a part again that somebody deleted by hand
    if archive.used(settings.server(role)):
        reason = (
            f"database {settings.name}: there is an archive of {settings.server(role)} already, and only the database that wrote "
            f"it may go on with it; raise its generation: k8s-dr:databases[].generations.{role}: "
            f"{settings.generations.of(role) + 1}, in Pulumi.yaml"
        )
        return Objection(reason=reason)
    if source is None:
        return None
    peer = peer_of(role)
    lacking, judgement = source.missing_for_a_standby(settings.server(peer)), False
    if not lacking:
        lacking, judgement = source.missing_by_mark(settings.server(peer)), True
    if not lacking:
        return None
    if not settings.standby:
        reason = (
            f"database {settings.name} is recovered from the {peer}'s archive in this region, and {lacking}; what is not here "
            f"yet comes only while the {peer}'s S3 answers: see docs/recovery.md, Recovered at a failover"
        )
        return Objection(reason=reason, judgement=judgement, passing=True)
    if role == "primary":
        reason = (
            f"database {settings.name}: it is made anew from a base backup of the secondary, and {lacking}; nothing was given "
            "up; take one there, wait until S3 has copied it, and run the same pulumi up: kubectl create -f - <<< "
            f"'{_base_backup(settings)}'"
        )
        return Objection(reason=reason, judgement=judgement, passing=True)
    reason = (
        f"database {settings.name}: a standby is made from the primary's first backup, and {lacking}; run, with peerReady "
        "true in both stacks and each with its own PULUMI_BACKEND_URL: pulumi up -s primary; then, once S3 has copied "
        "it: pulumi up -s secondary"
    )
    return Objection(reason=reason, judgement=judgement, passing=True)


def _base_backup(settings: DatabaseSettings) -> str:
    """A CloudNativePG Backup, as kubectl takes it."""
    spec = {"cluster": {"name": settings.name}, "method": "plugin", "pluginConfiguration": {"name": PLUGIN}}
    metadata = {"generateName": f"{settings.name}-by-hand-", "namespace": settings.namespace}
    return json.dumps({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Backup", "metadata": metadata, "spec": spec})


def refuse_creation(
    settings: DatabaseSettings,
    database_role: DatabaseRole,
    names: Names,
    cluster: ClusterApi,
    archive: Archive,
    aws: Aws,
    *,
    force: bool = False,
) -> None:
    """Raise CreationRefusedError if the side cannot be made now. `archive` is the one in this region's bucket. `force` passes
    over what is a matter of judgement.

    A side that follows or is recovered is made from the other region's archive: from its replica in this region's bucket or,
    where the settings say so, from the other region's own bucket. Any other is made from nothing.
    """
    source = archive if database_role in ("replica", "recovered") else None
    if source is not None and settings.source == "primary-bucket":
        source = LiveArchive(names.peer_bucket("database"), names.peer_region, aws)
    try:
        objection = objection_to_creation(cluster, archive, source, settings, names.role)
    except (ArchiveUnreadableError, ClusterUnreachableError) as error:
        raise CreationRefusedError(f"database {settings.name} cannot be made: {error}") from None
    if objection and not (force and objection.judgement):
        raise CreationRefusedError(str(objection))
