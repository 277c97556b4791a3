"""What a failover of the databases would meet or lose if it were now, asked by day in each `up` of the standby."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from components.database.archive import Archive, ArchiveUnreadableError
from components.database.lost import (
    MARK_SLACK,
    QUIET,
    beyond_a_gap,
    last_answer,
    missing,
    old_base,
    still_to_come,
    too_far_behind,
)
from components.database.objections import fenced, not_ready, old_plugin
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from settings.database import DatabaseSettings
from settings.durations import spoken

_SEE_REPLICATION = "pulumi up -s primary says what S3 failed to copy"


def warnings_by_day(cluster: ClusterApi, archive: Archive, databases: Sequence[DatabaseSettings], rpo: timedelta) -> list[str]:
    """What a failover of this standby region would lose if it were now, one line each; empty if nothing is late. It asks what the
    gate asks at night, with limits for the day."""
    try:
        answered = last_answer(cluster)
        standbys = [database for database in databases if database.standby]
        # The `up` that asks may be the one that makes the standby.
        there = [each for each in standbys if cluster.read_database(each.namespace, each.name) is not None]
        against = [fenced(cluster, database) or not_ready(cluster, database) for database in there]
        told = [objection.reason for objection in against if objection]
        told += [old for database in standbys if (old := old_plugin(cluster, database))]
        for database in databases:
            if database.source == "replica-bucket":
                told += _late(archive, database, rpo)
                told += _stuck(archive, database, rpo) if database in there or not database.standby else ()
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
    now = datetime.now(UTC)
    age = now - mark.written
    if ahead := still_to_come(settings, mark, now):
        yield f"{ahead}; set the clocks of the primary's nodes"
    if age > limit + MARK_SLACK:
        yield f"database {settings.name}: the primary's last mark is {spoken(age)} old; {_SEE_REPLICATION}"
    if lost := missing(archive, settings, mark, limit):
        yield f"database {settings.name}: {lost}; {_SEE_REPLICATION}"
    if old := old_base(archive, settings, rpo, datetime.now(UTC)):
        yield f"{old}; {_SEE_REPLICATION}"
    if lacking := archive.missing_for_a_standby(server) or archive.missing_by_mark(server):
        yield f"database {settings.name}: no standby could be made now: {lacking}; {_SEE_REPLICATION}"


def _stuck(archive: Archive, settings: DatabaseSettings, rpo: timedelta) -> Iterator[str]:
    """What the standby has not replayed, or a recovery would not reach, though it has come."""
    ask = too_far_behind if settings.standby else beyond_a_gap
    if stuck := ask(archive, settings, rpo, min(rpo, QUIET)):
        yield stuck
