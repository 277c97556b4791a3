"""Whether this region's side of a database can be made now. Each of its parts asks before it is created."""

from __future__ import annotations

from components.database.archive import Archive, ArchiveUnreadableError, LiveArchive
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.objection import Objection
from settings.aws import Aws
from settings.database import DatabaseSettings
from settings.names import Names
from settings.roles import DatabaseRole, Role

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
    """Why this region's side of a database cannot be made now, and what to run; None if it can. `archive` is the archive that the
    side will write, `source` the one that a secondary's side is made from, or None if no Cluster is made now.

    What it lacks by its mark alone is a matter of judgement: a mark says nothing that a recovery reads.
    """
    if missing := missing_operators(cluster):
        reason = f"database {settings.name}: {missing}; install it, or set that key to true, then pulumi up -s {role}"
        return Objection(reason=reason)
    if cluster.read_database(settings.namespace, settings.name) is not None:
        return None  # the Cluster exists: the program only makes a part again that somebody deleted by hand
    if archive.used(settings.server(role)):
        reason = (
            f"database {settings.name}: there is an archive of {settings.server(role)} already, and only the database that wrote "
            f"it may go on with it; raise its generation: k8s-dr:databases[].generations.{role}: "
            f"{settings.generations.of(role) + 1}, in Pulumi.yaml"
        )
        return Objection(reason=reason)
    if role == "primary" or source is None:
        return None
    lacking, judgement = source.missing_for_a_standby(settings.server("primary")), False
    if not lacking:
        lacking, judgement = source.missing_by_mark(settings.server("primary")), True
    if not lacking:
        return None
    if not settings.standby:
        reason = (
            f"database {settings.name} is recovered from the primary's archive in this region, and {lacking}; what is not here "
            "yet comes only while the primary's S3 answers: see docs/recovery.md, Recovered at a failover"
        )
        return Objection(reason=reason, judgement=judgement, passing=True)
    reason = (
        f"database {settings.name}: a standby is made from the primary's first backup, and {lacking}; run, with peerReady "
        "true in both stacks and each with its own PULUMI_BACKEND_URL: pulumi up -s primary; then, once S3 has copied "
        "it: pulumi up -s secondary"
    )
    return Objection(reason=reason, judgement=judgement, passing=True)


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

    A secondary's side is made from the primary's archive: from its replica in this region's bucket or, where the settings say so,
    from the primary's own bucket. While the side is absent nothing is made from an archive.
    """
    source = archive if database_role != "absent" else None
    if names.role == "secondary" and settings.source == "primary-bucket":
        source = LiveArchive(names.peer_bucket("database"), names.peer_region, aws)
    try:
        objection = objection_to_creation(cluster, archive, source, settings, names.role)
    except (ArchiveUnreadableError, ClusterUnreachableError) as error:
        raise CreationRefusedError(f"database {settings.name} cannot be made: {error}") from None
    if objection and not (force and objection.judgement):
        raise CreationRefusedError(str(objection))
