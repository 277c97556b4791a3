"""What must hold of a database before it is made here, before it is promoted, and before it would be given up again.

Pure decisions on what the region's own cluster and its own bucket say; `failover` hangs them on the engine's hooks.
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
FORCE = "to go on all the same: pulumi config set force true -s secondary"


def missing_operators(cluster: ClusterApi) -> str | None:
    """Which operator the cluster does not have; None if it has both."""
    missing = [what for group, what in OPERATORS.items() if not cluster.serves(group)]
    return f"{' and '.join(missing)} is not installed in this cluster" if missing else None


def objection_to_creation(
    cluster: ClusterApi, archive: Archive, source: Archive | None, settings: DatabaseSettings, role: Role
) -> str | None:
    """Why this region's side of a database cannot be made now, and what to run; None if it can. `archive` is where it will
    write, `source` what the secondary's is made from: None while none is made."""
    if missing := missing_operators(cluster):
        return f"database {settings.name}: {missing}; install it, or set that key to true, then pulumi up -s {role}"
    if cluster.read_database(settings.namespace, settings.name) is not None:
        return None  # it is there, and a part of it that was deleted by hand is made again
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
    """Why the standbys in this cluster must not be promoted now, nor those recovered that have none; nothing if they may.
    `archive`: this region's. `force` overrides what is a matter of judgement, and not what cannot work."""
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
    found = cluster.read_database(settings.namespace, settings.name)
    if found is None:
        return (
            f"database {settings.name} has no standby in this cluster; where its archive is in this region it can still be made, "
            "without the primary: docs/recovery.md, Without a standby"
        )
    status = found.get("status") or {}
    if status.get("phase") == HEALTHY or (force and status.get("readyInstances")):
        return None
    reason = f": {status['phaseReason']}" if status.get("phaseReason") else ""
    way_on = f"; {FORCE}" if status.get("readyInstances") else ""  # one instance is enough to be promoted
    return f"database {settings.name} is not healthy here: {status.get('phase', 'without a phase')}{reason}{way_on}"


def _too_far_behind(archive: Archive, settings: DatabaseSettings, rpo: timedelta) -> str | None:
    """WAL of how long has come into the standby's archive, and not been replayed: a gap in it, or more than it can follow.

    Not behind the clock: what was committed long before the primary died is old, and complete all the same.
    """
    if settings.source != "replica-bucket":
        return None  # the archive it follows may be in the dead region, and must not be asked
    behind = archive.backlog(settings.server("primary"), settings.server("secondary"))
    if behind <= rpo:
        return None
    return (
        f"database {settings.name}: WAL of {spoken(behind)} has come into the archive that the standby has not replayed, and the "
        f"RPO is {spoken(rpo)}; is a segment missing in between, or does it still catch up? {FORCE}"
    )


def _beyond_a_gap(archive: Archive, settings: DatabaseSettings, rpo: timedelta) -> str | None:
    """WAL of how long a recovery would not reach. S3 replicates objects in no order, and replay ends at the first that is not
    there."""
    lost = archive.beyond_a_gap(settings.server("primary"))
    if lost <= rpo:
        return None
    return (
        f"database {settings.name}: a WAL segment is missing in this region's archive, and {spoken(lost)} of WAL behind it would "
        f"not be recovered, and the RPO is {spoken(rpo)}; it may still come while the primary's S3 answers; {FORCE}"
    )


def refusal_to_stand_by(cluster: ClusterApi, databases: Sequence[DatabaseSettings]) -> str | None:
    """Why this secondary must not be sent back to standing by: its databases have taken writes that exist nowhere else, and on a
    timeline of its own a database cannot follow the old one again."""
    for database in databases:
        found = cluster.read_database(database.namespace, database.name) or {}
        replica = (found.get("spec") or {}).get("replica") or {}
        if replica.get("primary") == database.member("secondary"):
            return (
                f"database {database.name} was promoted here and has taken writes that the primary region does not have; it "
                "cannot follow that one again. Keep it: pulumi config set active secondary -s secondary"
            )
    return None


def spoken(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min {seconds % 60} s"
