"""What must hold of a database before it is promoted or recovered here, and before it goes back to standing by.

This module only decides, by what the region's cluster and bucket say; `failover` calls it from the engine's hooks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from components.database.adoption import begun
from components.database.archive import Archive, ArchiveUnreadableError
from components.database.creation import missing_operators, objection_to_creation
from components.database.lost import beyond_a_gap, lived_until, old_base, stale, too_far_behind
from components.database.specs import HEALTHY, PLUGIN
from components.database.stopping import UNFENCED, annotate, is_fenced
from components.kube.cluster_api import ClusterApi
from components.kube.objection import Objection, judged
from settings.database import DatabaseSettings
from settings.images import OLDEST_PLUGIN
from settings.roles import Role

_STANDBY_UP = (
    "pulumi config rm active -s secondary && pulumi up -s secondary --target '**dr:failover:Failover$**' "
    "--target '**dr:failover:Failover::**'"
)


def objections(
    cluster: ClusterApi, archive: Archive, databases: Sequence[DatabaseSettings], rpo: timedelta
) -> Iterator[Objection]:
    """Why standbys must not be promoted now, or databases without a standby not be recovered; nothing if nothing is against it.
    `archive` is this region's. If it cannot be read, that is one more objection, and it is asked no further."""
    if not databases:
        return
    if missing := missing_operators(cluster):
        reason = f"{missing}; install it, or set that key to true, then again: pulumi up -s secondary"
        yield Objection(reason=reason)
        return
    yield from against_standbys(cluster, [database for database in databases if database.standby])
    recovered = [database for database in databases if not database.standby]
    try:
        found = [objection_to_creation(cluster, archive, archive, database, "secondary") for database in recovered]
        yield from (objection for objection in found if objection)
    except ArchiveUnreadableError as error:
        yield Objection(reason=str(error), passing=True)
        return
    lost = partial(_lost, cluster, archive, databases, rpo)
    yield from judged(lost, passing=True, told=(ArchiveUnreadableError,))


def against_standbys(cluster: ClusterApi, standbys: Sequence[DatabaseSettings]) -> Iterator[Objection]:
    """What stands against a promotion by what the cluster says."""
    unfinished = begun(cluster) if standbys else ()
    for database in standbys:
        if objection := fenced(cluster, database) or not_ready(cluster, database):
            yield objection
        if database.name in unfinished and cluster.read_database(database.namespace, database.name) is not None:
            reason = (
                f"database {database.name}: an up that was killed has left its standby behind, and this stack may not know it, "
                "so that a promotion would stop half-way with already exists; have it taken over first: "
                f"{_STANDBY_UP}; then fail over again"
            )
            yield Objection(reason=reason, judgement=True)
        if old := old_plugin(cluster, database):
            yield Objection(reason=old, judgement=True)


def _lost(cluster: ClusterApi, archive: Archive, databases: Sequence[DatabaseSettings], rpo: timedelta) -> list[str]:
    """What would be lost beyond the RPO, by what this region's archive says, a line each."""
    standbys = [database for database in databases if database.standby]
    recovered = [database for database in databases if not database.standby]
    now, lived = datetime.now(UTC), lived_until(cluster, archive, databases)
    found = [too_far_behind(archive, database, rpo) for database in standbys]
    found += [beyond_a_gap(archive, database, rpo) for database in recovered]
    found += [stale(archive, database, rpo, lived, now) for database in databases]
    found += [old_base(archive, database, rpo, lived or now) for database in recovered]
    return [reason for reason in found if reason]


def remarks(cluster: ClusterApi, archive: Archive, databases: Sequence[DatabaseSettings], rpo: timedelta) -> list[str]:
    """What a person should know of standbys that are promoted, and what stands against none of them, a line each. It never
    raises: what cannot be asked is a line."""
    try:
        then = lived_until(cluster, archive, databases) or datetime.now(UTC)
        found = [old_base(archive, database, rpo, then) for database in databases if database.standby]
    except Exception as error:  # noqa: BLE001 - nothing depends on it
        return [f"how old the base backups are is not known: {' '.join(str(error).split())}"]
    return [f"{old}; the standby that runs here is promoted without it" for old in found if old]


def promoted(cluster: ClusterApi, settings: DatabaseSettings, role: Role = "secondary") -> bool:
    """Whether region `role`'s side was promoted, or is being recovered: then it may have taken writes that exist nowhere else."""
    found = cluster.read_database(settings.namespace, settings.name) or {}
    replica = (found.get("spec") or {}).get("replica") or {}
    return bool(replica.get("primary") == settings.member(role))


def not_ready(cluster: ClusterApi, settings: DatabaseSettings) -> Objection | None:
    """Why the standby cannot be promoted; None if it can. One ready instance is enough for who says so."""
    standby = cluster.read_database(settings.namespace, settings.name)
    if standby is None:
        reason = (
            f"database {settings.name} has no standby in this cluster; where its archive is in this region it can still be made, "
            f"without the primary: pulumi config set peerReady true -s secondary && {_STANDBY_UP}; then fail over again: pulumi "
            "config set active secondary -s secondary && pulumi up -s secondary; see docs/recovery.md, Without a standby"
        )
        return Objection(reason=reason)
    status = standby.get("status") or {}
    if status.get("phase") == HEALTHY:
        return None
    why = f": {status['phaseReason']}" if status.get("phaseReason") else ""
    reason = f"database {settings.name} is not healthy here: {status.get('phase', 'without a phase')}{why}"
    return Objection(reason=reason, judgement=bool(status.get("readyInstances")), passing=True)


def fenced(cluster: ClusterApi, settings: DatabaseSettings) -> Objection | None:
    """Why a standby that somebody has fenced is none; None if it is not fenced. The operator may call it healthy all the same."""
    standby = cluster.read_database(settings.namespace, settings.name)
    if standby is None or not is_fenced(standby):
        return None
    reason = (
        f"database {settings.name} is fenced in this cluster: it follows nobody, and would not be promoted; lift that: "
        f"{annotate(settings, UNFENCED)}"
    )
    return Objection(reason=reason)


def old_plugin(cluster: ClusterApi, settings: DatabaseSettings) -> str | None:
    """Why the plugin that the standby runs with is too old for a promotion; None if it is not, or if nobody says its version."""
    status = (cluster.read_database(settings.namespace, settings.name) or {}).get("status") or {}
    version = next((str(each.get("version")) for each in status.get("pluginStatus") or () if each.get("name") == PLUGIN), "")
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) >= OLDEST_PLUGIN:
        return None
    return (
        f"database {settings.name} runs with version {version} of the Barman Cloud plugin, and one below "
        f"{'.'.join(map(str, OLDEST_PLUGIN))} reads the wrong archive in a promotion, which then fails; upgrade the plugin and "
        "restart the database's instances"
    )


def refusal_to_stand_by(cluster: ClusterApi, databases: Sequence[DatabaseSettings]) -> str | None:
    """Why this secondary must not go back to standing by; None if it may. A promoted database has taken writes that exist nowhere
    else, and from its own timeline it cannot follow the primary again."""
    for database in databases:
        live = cluster.read_database(database.namespace, database.name)
        if promoted(cluster, database) and not (live and is_fenced(live)):
            return (
                f"database {database.name} was promoted here and has taken writes that the primary region does not have; it "
                "cannot follow that one again. Keep it: pulumi config set active secondary -s secondary"
            )
    return None
