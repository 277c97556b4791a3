"""What a takeover of the databases would meet or lose if it were now: asked by day in each `up` of the secondary that stands by,
and by `drctl status` of whichever region stands by."""

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
from components.kube.runner.fencing import follows
from settings.database import DatabaseSettings
from settings.durations import spoken
from settings.roles import Role, peer_of


def warnings_by_day(
    cluster: ClusterApi, archive: Archive, databases: Sequence[DatabaseSettings], rpo: timedelta, role: Role = "secondary"
) -> list[str]:
    """What a takeover by region `role`, which stands by, would lose if it were now, one line each; empty if nothing is late. It
    asks what the gate asks at night, with limits for the day."""
    try:
        answered = last_answer(cluster)
        standbys = [database for database in databases if database.standby]
        there, told = _followers(cluster, standbys, role)
        told += [old for database in standbys if (old := old_plugin(cluster, database))]
        for database in databases:
            if database.source == "replica-bucket":
                told += _late(archive, database, rpo, role)
                told += _stuck(archive, database, rpo, role) if database in there or not database.standby else ()
    except (ArchiveUnreadableError, ClusterUnreachableError) as error:
        return [f"whether this region has what the {peer_of(role)} archives is not known: {error}"]
    # Only the secondary asks the other region, and keeps when that one last answered.
    if role == "secondary" and (answered is None or datetime.now(UTC) - answered > QUIET):
        told.append(
            "the primary has not answered this region within 15 min, so on the night nobody could tell an outage from lag; see: "
            "kubectl logs -n k8s-dr -l app.kubernetes.io/name=freshness, and k8s-dr:failover.probe"
        )
    return told


def _followers(cluster: ClusterApi, standbys: Sequence[DatabaseSettings], role: Role) -> tuple[list[DatabaseSettings], list[str]]:
    """Those that are there to follow, and what stands against their promotion, a line each."""
    there, told = [], []
    for database in standbys:
        live = cluster.read_database(database.namespace, database.name)
        if role == "primary" and (live is None or not follows(live)):
            # Its old data, stopped: a person who lifted that would have two regions that write.
            told.append(f"database {database.name} follows nobody in the primary region: docs/runbook.md, Rejoin")
        elif live is not None:  # the `up` that asks may be the one that makes the standby
            there.append(database)
            if objection := fenced(cluster, database) or not_ready(cluster, database):
                told.append(objection.reason)
    return there, told


def _late(archive: Archive, settings: DatabaseSettings, rpo: timedelta, role: Role) -> Iterator[str]:
    """What of one database is late, by day."""
    peer, server, limit = peer_of(role), settings.server(peer_of(role)), min(rpo, QUIET)
    see = f"pulumi up -s {peer} says what S3 failed to copy"
    mark = archive.mark(server)
    if mark is None:
        yield f"database {settings.name}: the {peer}'s mark has not come; {see}"
        return
    now = datetime.now(UTC)
    age = now - mark.written
    if ahead := still_to_come(settings, mark, now, role):
        yield f"{ahead}; set the clocks of the {peer}'s nodes"
    if age > limit + MARK_SLACK:
        yield f"database {settings.name}: the {peer}'s last mark is {spoken(age)} old; {see}"
    if lost := missing(archive, settings, mark, limit, role):
        yield f"database {settings.name}: {lost}; {see}"
    if old := old_base(archive, settings, rpo, datetime.now(UTC), role):
        yield f"{old}; {see}"
    if lacking := archive.missing_for_a_standby(server) or archive.missing_by_mark(server):
        yield f"database {settings.name}: no standby could be made now: {lacking}; {see}"


def _stuck(archive: Archive, settings: DatabaseSettings, rpo: timedelta, role: Role) -> Iterator[str]:
    """What the standby has not replayed, or a recovery would not reach, though it has come."""
    ask = too_far_behind if settings.standby else beyond_a_gap
    if stuck := ask(archive, settings, rpo, min(rpo, QUIET), role):
        yield stuck
