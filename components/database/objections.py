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
from components.database.mark import Mark
from components.database.specs import HEALTHY, PLUGIN
from components.database.stopping import UNFENCED, annotate, is_fenced
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.objection import Objection, judged
from components.kube.records import FRESHNESS_RECORD
from settings.database import DatabaseSettings
from settings.durations import longest_gap, parse_duration, spoken
from settings.images import OLDEST_PLUGIN

MARK_SLACK = timedelta(minutes=5)
"""How old a mark may be where nothing is behind: it is written every two minutes, one run may fail, and S3 takes a while."""

QUIET = timedelta(minutes=15)
"""S3 usually copies within this time. By day a mark that is older says that replication has stopped, whatever the RPO."""

_STANDBY_UP = (
    "pulumi config rm active -s secondary && pulumi up -s secondary --target '**dr:failover:Failover$**' "
    "--target '**dr:failover:Failover::**'"
)
_SEE_REPLICATION = "pulumi up -s primary says what S3 failed to copy"


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
    yield from _against_standbys(cluster, [database for database in databases if database.standby])
    recovered = [database for database in databases if not database.standby]
    try:
        found = [objection_to_creation(cluster, archive, archive, database, "secondary") for database in recovered]
        yield from (objection for objection in found if objection)
    except ArchiveUnreadableError as error:
        yield Objection(reason=str(error), passing=True)
        return
    lost = partial(_lost, cluster, archive, databases, rpo)
    yield from judged(lost, passing=True, told=(ArchiveUnreadableError,))


def _against_standbys(cluster: ClusterApi, standbys: Sequence[DatabaseSettings]) -> Iterator[Objection]:
    """What stands against a promotion by what the cluster says."""
    unfinished = begun(cluster) if standbys else ()
    for database in standbys:
        if objection := _fenced(cluster, database) or _not_ready(cluster, database):
            yield objection
        if database.name in unfinished and cluster.read_database(database.namespace, database.name) is not None:
            reason = (
                f"database {database.name}: an up that was killed has left its standby behind, and this stack may not know it, "
                "so that a promotion would stop half-way with already exists; have it taken over first: "
                f"{_STANDBY_UP}; then fail over again"
            )
            yield Objection(reason=reason, judgement=True)
        if old := _old_plugin(cluster, database):
            yield Objection(reason=old, judgement=True)


def _lost(cluster: ClusterApi, archive: Archive, databases: Sequence[DatabaseSettings], rpo: timedelta) -> list[str]:
    """What would be lost beyond the RPO, by what this region's archive says, a line each."""
    standbys = [database for database in databases if database.standby]
    recovered = [database for database in databases if not database.standby]
    now, lived = datetime.now(UTC), last_answer(cluster)
    found = [_too_far_behind(archive, database, rpo) for database in standbys]
    found += [_beyond_a_gap(archive, database, rpo) for database in recovered]
    found += [_stale(archive, database, rpo, lived, now) for database in databases]
    found += [old_base(archive, database, rpo, lived or now) for database in recovered]
    return [reason for reason in found if reason]


def remarks(cluster: ClusterApi, archive: Archive, databases: Sequence[DatabaseSettings], rpo: timedelta) -> list[str]:
    """What a person should know of standbys that are promoted, and what stands against none of them, a line each. It never
    raises: what cannot be asked is a line."""
    try:
        then = last_answer(cluster) or datetime.now(UTC)
        found = [old_base(archive, database, rpo, then) for database in databases if database.standby]
    except Exception as error:  # noqa: BLE001 - nothing depends on it
        return [f"how old the base backups are is not known: {' '.join(str(error).split())}"]
    return [f"{old}; the standby that runs here is promoted without it" for old in found if old]


def promoted(cluster: ClusterApi, settings: DatabaseSettings) -> bool:
    """Whether this region's side was promoted, or is being recovered: then it may have taken writes that exist nowhere else."""
    found = cluster.read_database(settings.namespace, settings.name) or {}
    replica = (found.get("spec") or {}).get("replica") or {}
    return bool(replica.get("primary") == settings.member("secondary"))


def _not_ready(cluster: ClusterApi, settings: DatabaseSettings) -> Objection | None:
    """Why the standby cannot be promoted; None if it can. One ready instance is enough for who says so."""
    standby = cluster.read_database(settings.namespace, settings.name)
    if standby is None:
        reason = (
            f"database {settings.name} has no standby in this cluster; where its archive is in this region it can still be made, "
            "without the primary: docs/recovery.md, Without a standby"
        )
        return Objection(reason=reason)
    status = standby.get("status") or {}
    if status.get("phase") == HEALTHY:
        return None
    why = f": {status['phaseReason']}" if status.get("phaseReason") else ""
    reason = f"database {settings.name} is not healthy here: {status.get('phase', 'without a phase')}{why}"
    return Objection(reason=reason, judgement=bool(status.get("readyInstances")), passing=True)


def _fenced(cluster: ClusterApi, settings: DatabaseSettings) -> Objection | None:
    """Why a standby that somebody has fenced is none; None if it is not fenced. The operator may call it healthy all the same."""
    standby = cluster.read_database(settings.namespace, settings.name)
    if standby is None or not is_fenced(standby):
        return None
    reason = (
        f"database {settings.name} is fenced in this cluster: it follows nobody, and would not be promoted; lift that: "
        f"{annotate(settings, UNFENCED)}"
    )
    return Objection(reason=reason)


def _old_plugin(cluster: ClusterApi, settings: DatabaseSettings) -> str | None:
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
        f"RPO is {spoken(rpo)}; wait if the standby still catches up; if not, a WAL segment is missing"
    )


def _beyond_a_gap(archive: Archive, settings: DatabaseSettings, rpo: timedelta) -> str | None:
    """Why a recovery would lose more than the RPO. S3 replicates in no order, and replay ends at the first missing segment."""
    lost = archive.beyond_a_gap(settings.server("primary"))
    if lost <= rpo:
        return None
    return (
        f"database {settings.name}: a WAL segment is missing in this region's archive, so {spoken(lost)} of WAL after it cannot "
        f"be recovered, and the RPO is {spoken(rpo)}; the segment may still come while the primary's S3 answers"
    )


def last_answer(cluster: ClusterApi) -> datetime | None:
    """When the primary last answered; None if nobody can tell, because nobody has asked for a while."""
    record = cluster.read_record(FRESHNESS_RECORD) or {}
    if "asked" not in record or "answered" not in record:
        return None
    asked, answered = (datetime.fromisoformat(record[key]) for key in ("asked", "answered"))
    return answered if datetime.now(UTC) - asked < QUIET else None


def _stale(archive: Archive, settings: DatabaseSettings, rpo: timedelta, lived: datetime | None, now: datetime) -> str | None:
    """Why this region would lose more than the RPO of what the primary had archived; None if it would not. `lived` is when the
    primary last answered.

    The mark's age is judged as of then: an outage that people discuss for an hour is no lag, replication that had stopped before
    it is. An idle primary writes marks too, so it is never behind. A standby that streams has what it has archived again,
    whatever has become of S3 replication.
    """
    if settings.source != "replica-bucket":
        return None  # what the standby reads is in the dead region, and must not be asked
    name, then = settings.name, lived or now
    streamed = archive.last_archived(settings.server("secondary")) if settings.standby and settings.streaming else None
    if streamed and then - streamed <= rpo + MARK_SLACK:
        return None
    mark = archive.mark(settings.server("primary"))
    if mark is None:
        return f"database {name}: the primary's mark of what it has archived has not come: nobody knows what is missing"
    if lost := _missing(archive, settings, mark, rpo):
        return f"database {name}: {lost}, and the RPO is {spoken(rpo)}"
    behind = then - mark.written
    if behind <= rpo + MARK_SLACK:
        return None
    when = "when the primary last answered" if lived else "now, and nobody knows when the primary last answered"
    return (
        f"database {name}: the primary's last mark, of what it had archived, was {spoken(behind)} old {when}: S3 replication had "
        f"stopped or was behind, and the RPO is {spoken(rpo)}"
    )


def _missing(archive: Archive, settings: DatabaseSettings, mark: Mark, limit: timedelta) -> str | None:
    """What of the WAL before a mark has not come, by S3 or to the standby; None if all has that was written `limit` before it."""
    follower = settings.server("secondary") if settings.standby else None
    missing = archive.missing_wal(settings.server("primary"), mark, follower, parse_duration(settings.archive_timeout))
    if missing <= limit:
        return None
    extent = "no WAL of it is here" if missing == timedelta.max else f"WAL from {spoken(missing)} before its last mark is missing"
    return f"segment {mark.segment}, which the primary had archived, has not come, and {extent}"


def old_base(archive: Archive, settings: DatabaseSettings, rpo: timedelta, then: datetime) -> str | None:
    """Why the newest base backup that is whole here was too old at the moment `then`; None if it was not, or if nobody can tell.

    One that began in time may come as late as it takes to make, and S3 to copy.
    """
    if settings.source != "replica-bucket":
        return None
    newest = archive.newest_base(settings.server("primary"))
    gap = longest_gap(settings.backup_cron)
    if newest is None or then - newest.began <= gap + (newest.ended - newest.began) + max(rpo, QUIET):
        return None
    return (
        f"database {settings.name}: the newest base backup that is whole here is {spoken(datetime.now(UTC) - newest.began)} old, "
        f"and by backupCron ({settings.backup_cron}) one begins every {spoken(gap)} at the latest: newer ones failed or have not "
        "come, and a recovery replays all WAL since"
    )


def warnings_by_day(cluster: ClusterApi, archive: Archive, databases: Sequence[DatabaseSettings], rpo: timedelta) -> list[str]:
    """What a failover of this standby region would lose if it were now, one line each; empty if nothing is late. It asks what the
    gate asks at night, with limits for the day."""
    try:
        answered = last_answer(cluster)
        standbys = [database for database in databases if database.standby]
        told = [fenced.reason for database in standbys if (fenced := _fenced(cluster, database))]
        told += [old for database in standbys if (old := _old_plugin(cluster, database))]
        told += [each for database in databases if database.source == "replica-bucket" for each in _late(archive, database, rpo)]
    except (ArchiveUnreadableError, ClusterUnreachableError) as error:
        return [f"whether this region has what the primary archives is not known: {error}"]
    if answered is None or datetime.now(UTC) - answered > QUIET:
        told.append(
            "the primary has not answered this region within 15 min, so on the night nobody could tell an outage from lag; see: "
            "kubectl logs -n k8s-dr -l app.kubernetes.io/name=freshness, and k8s-dr:failover.probe"
        )
    return told


def _late(archive: Archive, settings: DatabaseSettings, rpo: timedelta) -> Iterator[str]:
    """What of one database is late, by day."""
    server, limit = settings.server("primary"), min(rpo, QUIET)
    mark = archive.mark(server)
    if mark is None:
        yield f"database {settings.name}: the primary's mark has not come; {_SEE_REPLICATION}"
        return
    age = datetime.now(UTC) - mark.written
    if age > limit + MARK_SLACK:
        yield f"database {settings.name}: the primary's last mark is {spoken(age)} old; {_SEE_REPLICATION}"
    if lost := _missing(archive, settings, mark, limit):
        yield f"database {settings.name}: {lost}; {_SEE_REPLICATION}"
    if old := old_base(archive, settings, rpo, datetime.now(UTC)):
        yield f"{old}; {_SEE_REPLICATION}"
    if lacking := archive.missing_for_a_standby(server) or archive.missing_by_mark(server):
        yield f"database {settings.name}: no standby could be made now: {lacking}; {_SEE_REPLICATION}"


def refusal_to_stand_by(cluster: ClusterApi, databases: Sequence[DatabaseSettings]) -> str | None:
    """Why this secondary must not go back to standing by; None if it may. A promoted database has taken writes that exist nowhere
    else, and from its own timeline it cannot follow the primary again."""
    for database in databases:
        if promoted(cluster, database):
            return (
                f"database {database.name} was promoted here and has taken writes that the primary region does not have; it "
                "cannot follow that one again. Keep it: pulumi config set active secondary -s secondary"
            )
    return None
