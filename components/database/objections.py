"""What must hold of a database before it is made here, before it is promoted, and before it goes back to standing by.

This module only decides, by what the region's cluster and bucket say; `region` and `failover` call it from the engine's hooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from components.database.archive import Archive
from components.database.specs import HEALTHY
from components.kube.cluster_api import ClusterApi
from settings.database import DatabaseSettings
from settings.roles import Role

OPERATORS = {
    "postgresql.cnpg.io": "the operator CloudNativePG (k8s-dr:operators.cloudnativePg)",
    "barmancloud.cnpg.io": "its Barman Cloud plugin (k8s-dr:operators.barmanCloud)",
}
"""By API group, which operator serves it and which setting installs it."""

FORCE = "to go on all the same: pulumi config set force true -s secondary"


def missing_operators(cluster: ClusterApi) -> str | None:
    """Which operators the cluster lacks; None if it has both."""
    missing = [operator for group, operator in OPERATORS.items() if not cluster.serves(group)]
    return f"{' and '.join(missing)} is not installed in this cluster" if missing else None


def objection_to_creation(
    cluster: ClusterApi, archive: Archive, source: Archive | None, settings: DatabaseSettings, role: Role
) -> str | None:
    """Why this region's side of a database cannot be made now, and what to run; None if it can. `archive` is the archive that the
    side will write, `source` the one that a secondary's side is made from, or None if no Cluster is made now."""
    if missing := missing_operators(cluster):
        return f"database {settings.name}: {missing}; install it, or set that key to true, then pulumi up -s {role}"
    if cluster.read_database(settings.namespace, settings.name) is not None:
        return None  # the Cluster exists: the program only makes a part again that somebody deleted by hand
    if archive.used(settings.server(role)):
        return (
            f"database {settings.name}: there is an archive of {settings.server(role)} already, and only the database that wrote "
            f"it may go on with it; raise its generation: k8s-dr:databases[].generations.{role}: "
            f"{settings.generations.of(role) + 1}, in Pulumi.yaml"
        )
    if role == "primary" or source is None or not (reason := source.missing_for_a_standby(settings.server("primary"))):
        return None
    if not settings.standby:
        return (
            f"database {settings.name} is recovered from the primary's archive in this region, and {reason}; what is not here "
            "yet comes only while the primary's S3 answers: see docs/recovery.md, Recovered at a failover"
        )
    return (
        f"database {settings.name}: a standby is made from the primary's first backup, and {reason}; run, with peerReady "
        "true in both stacks: pulumi up -s primary; then, once S3 has copied it: pulumi up -s secondary"
    )


def objections(
    cluster: ClusterApi, archive: Archive, databases: Sequence[DatabaseSettings], rpo: timedelta, *, force: bool
) -> list[str]:
    """Why standbys must not be promoted now, or databases without a standby not be recovered; empty if nothing is against it.
    `archive` is this region's. `force` overrides what is a matter of judgement, but not what cannot work."""
    if not databases:
        return []
    if missing := missing_operators(cluster):
        return [f"{missing}; install it, or set that key to true, then again: pulumi up -s secondary"]
    standbys = [database for database in databases if database.standby]
    recovered = [database for database in databases if not database.standby]
    problems = [_not_ready(cluster, database, force=force) for database in standbys]
    problems += [objection_to_creation(cluster, archive, archive, database, "secondary") for database in recovered]
    if not force:
        problems += [_too_far_behind(archive, database, rpo) for database in standbys]
        problems += [_beyond_a_gap(archive, database, rpo) for database in recovered]
    return [problem for problem in problems if problem]


def _not_ready(cluster: ClusterApi, settings: DatabaseSettings, *, force: bool) -> str | None:
    """Why the standby cannot be promoted; None if it can. With `force`, one ready instance is enough."""
    standby = cluster.read_database(settings.namespace, settings.name)
    if standby is None:
        return (
            f"database {settings.name} has no standby in this cluster; where its archive is in this region it can still be made, "
            "without the primary: docs/recovery.md, Without a standby"
        )
    status = standby.get("status") or {}
    if status.get("phase") == HEALTHY or (force and status.get("readyInstances")):
        return None
    reason = f": {status['phaseReason']}" if status.get("phaseReason") else ""
    fix = f"; {FORCE}" if status.get("readyInstances") else ""
    return f"database {settings.name} is not healthy here: {status.get('phase', 'without a phase')}{reason}{fix}"


def _too_far_behind(archive: Archive, settings: DatabaseSettings, rpo: timedelta) -> str | None:
    """Why the standby has replayed too little of the WAL in its source archive: a segment is missing, or it still catches up.

    Not compared with the wall clock: an idle primary is not lagging.
    """
    if settings.source != "replica-bucket":
        return None  # the source archive may be in the dead region, and must not be asked
    behind = archive.backlog(settings.server("primary"), settings.server("secondary"))
    if behind <= rpo:
        return None
    return (
        f"database {settings.name}: WAL of {spoken(behind)} has come into the archive that the standby has not replayed, and the "
        f"RPO is {spoken(rpo)}; wait if the standby still catches up; if not, a WAL segment is missing; {FORCE}"
    )


def _beyond_a_gap(archive: Archive, settings: DatabaseSettings, rpo: timedelta) -> str | None:
    """Why a recovery would lose more than the RPO. S3 replicates in no order, and replay ends at the first missing segment."""
    lost = archive.beyond_a_gap(settings.server("primary"))
    if lost <= rpo:
        return None
    return (
        f"database {settings.name}: a WAL segment is missing in this region's archive, so {spoken(lost)} of WAL after it cannot "
        f"be recovered, and the RPO is {spoken(rpo)}; the segment may still come while the primary's S3 answers; {FORCE}"
    )


def refusal_to_stand_by(cluster: ClusterApi, databases: Sequence[DatabaseSettings]) -> str | None:
    """Why this secondary must not go back to standing by; None if it may. A promoted database has taken writes that exist nowhere
    else, and from its own timeline it cannot follow the primary again."""
    for database in databases:
        cluster_object = cluster.read_database(database.namespace, database.name) or {}
        replica = (cluster_object.get("spec") or {}).get("replica") or {}
        if replica.get("primary") == database.member("secondary"):
            return (
                f"database {database.name} was promoted here and has taken writes that the primary region does not have; it "
                "cannot follow that one again. Keep it: pulumi config set active secondary -s secondary"
            )
    return None


def spoken(span: timedelta) -> str:
    """A time span in words: 90 s, 5 min 0 s."""
    seconds = int(span.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min {seconds % 60} s"
