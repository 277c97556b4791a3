"""What of the primary's data would be lost, by what this region's archive says and when the primary last answered.

This module only decides. The gate asks it at night, and each `up` of the standby by day. `role` is the region that stands by, and
asks: the secondary, or the primary once it follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from components.database.archive import Archive, ArchiveUnreadableError
from components.kube.cluster_api import ClusterApi
from components.kube.records import FRESHNESS_RECORD
from components.kube.runner.mark import Mark
from settings.database import DatabaseSettings
from settings.durations import longest_gap, parse_duration, spoken
from settings.roles import Role, peer_of

MARK_SLACK = timedelta(minutes=5)
"""How old a mark may be where nothing is behind: it is written every two minutes, one run may fail, and S3 takes a while."""

QUIET = timedelta(minutes=15)
"""S3 usually copies within this time. By day a mark that is older says that replication has stopped, whatever the RPO."""


def too_far_behind(
    archive: Archive, settings: DatabaseSettings, rpo: timedelta, limit: timedelta | None = None, role: Role = "secondary"
) -> str | None:
    """Why the standby has replayed too little of the WAL in its source archive: a segment is missing, or it still catches up.
    `limit` is how much it may lack, by default the RPO.

    Not compared with the wall clock: an idle primary is not lagging.
    """
    if settings.source != "replica-bucket":
        return None  # the source archive may be in the dead region, and must not be asked
    behind = archive.backlog(settings.server(peer_of(role)), settings.server(role))
    if behind <= (limit or rpo):
        return None
    return (
        f"database {settings.name}: WAL of {spoken(behind)} has come into the archive that the standby has not replayed, and the "
        f"RPO is {spoken(rpo)}; wait if the standby still catches up; if not, a WAL segment is missing"
    )


def beyond_a_gap(
    archive: Archive, settings: DatabaseSettings, rpo: timedelta, limit: timedelta | None = None, role: Role = "secondary"
) -> str | None:
    """Why a recovery would lose more than `limit`, by default the RPO. S3 replicates in no order, and replay ends at
    the first missing segment."""
    lost = archive.beyond_a_gap(settings.server(peer_of(role)))
    if lost <= (limit or rpo):
        return None
    return (
        f"database {settings.name}: a WAL segment is missing in this region's archive, so {spoken(lost)} of WAL from it on "
        f"cannot be recovered, and the RPO is {spoken(rpo)}; the segment may still come while the {peer_of(role)}'s S3 answers"
    )


def last_answer(cluster: ClusterApi) -> datetime | None:
    """When the primary last answered; None if nobody can tell, because nobody has asked for a while."""
    record = cluster.read_record(FRESHNESS_RECORD) or {}
    if "asked" not in record or "answered" not in record:
        return None
    asked, answered = (datetime.fromisoformat(record[key]) for key in ("asked", "answered"))
    return answered if datetime.now(UTC) - asked < QUIET else None


def lived_until(cluster: ClusterApi, archive: Archive, databases: Sequence[DatabaseSettings]) -> datetime | None:
    """When the primary last answered; None if nobody can tell, because nobody has asked for a while, or because it has written a
    mark long after it: then the question had ceased to work, and the primary lived on."""
    answered = last_answer(cluster)
    try:
        marks = [archive.mark(each.server("primary")) for each in databases if answered and each.source == "replica-bucket"]
    except ArchiveUnreadableError:
        return answered
    return None if answered and any(mark and mark.written > answered + MARK_SLACK for mark in marks) else answered


def stale(archive: Archive, settings: DatabaseSettings, rpo: timedelta, lived: datetime | None, now: datetime) -> str | None:
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
    if lost := missing(archive, settings, mark, rpo):
        return f"database {name}: {lost}, and the RPO is {spoken(rpo)}"
    if ahead := still_to_come(settings, mark, now):
        return ahead
    behind = then - mark.written
    if behind <= rpo + MARK_SLACK:
        return None
    when = "when the primary last answered" if lived else "now, and nobody knows when the primary last answered"
    return (
        f"database {name}: the primary's last mark, of what it had archived, was {spoken(behind)} old {when}: S3 replication had "
        f"stopped or was behind, and the RPO is {spoken(rpo)}"
    )


def still_to_come(settings: DatabaseSettings, mark: Mark, now: datetime, role: Role = "secondary") -> str | None:
    """Why nobody knows how old the peer's mark is: the peer's clock was ahead of this machine's when it wrote it."""
    if mark.written <= now + MARK_SLACK:
        return None
    peer = peer_of(role)
    return (
        f"database {settings.name}: the {peer}'s last mark, of what it had archived, is of {mark.written:%Y-%m-%dT%H:%M:%SZ}, "
        f"which is still to come: the {peer}'s clock is {spoken(mark.written - now)} ahead or more, and how far S3 replication "
        "was behind is not known"
    )


def missing(archive: Archive, settings: DatabaseSettings, mark: Mark, limit: timedelta, role: Role = "secondary") -> str | None:
    """What of the WAL before a mark has not come, by S3 or to the standby; None if all has that was written `limit` before it."""
    follower, peer = settings.server(role) if settings.standby else None, peer_of(role)
    lost = archive.missing_wal(settings.server(peer), mark, follower, parse_duration(settings.archive_timeout))
    if lost <= limit:
        return None
    extent = "no WAL of it is here" if lost == timedelta.max else f"WAL from {spoken(lost)} before its last mark is missing"
    return f"of what the {peer} had archived, up to segment {mark.segment}, not all has come, and {extent}"


def old_base(
    archive: Archive, settings: DatabaseSettings, rpo: timedelta, then: datetime, role: Role = "secondary"
) -> str | None:
    """Why the newest base backup that is whole here was too old at the moment `then`; None if it was not, or if nobody can tell.

    One that began in time may come as late as it takes to make, and S3 to copy.
    """
    if settings.source != "replica-bucket":
        return None
    newest = archive.newest_base(settings.server(peer_of(role)))
    gap = longest_gap(settings.backup_cron)
    if newest and newest.began > then + MARK_SLACK:
        then = datetime.now(UTC)  # the primary lived on
    if newest is None or then - newest.began <= base_allowed(settings, rpo) + (newest.ended - newest.began):
        return None
    return (
        f"database {settings.name}: the newest base backup that is whole here is {spoken(datetime.now(UTC) - newest.began)} old, "
        f"and by backupCron ({settings.backup_cron}) one begins every {spoken(gap)} at the latest: newer ones failed or have not "
        "come, and a recovery replays all WAL since"
    )


def base_allowed(settings: DatabaseSettings, rpo: timedelta) -> timedelta:
    """How long ago the newest base backup may have begun, beside the time that it took."""
    return longest_gap(settings.backup_cron) + max(rpo, QUIET)
