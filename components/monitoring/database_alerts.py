"""Alerts on databases, right for the side that takes writes and for the one that follows.

Four of the alerts that CloudNativePG and its chart ship are not among them, for they are always wrong on a side that follows an
archive: ReplicaFailingReplication, PGReplication, CNPGClusterHighReplicationLag, CNPGClusterPhysicalReplicationLagCritical. It
has no WAL receiver, and its lag counts from the last commit, so that it grows while nobody writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from components.monitoring.alert import KNOWN, SERVES, Alert, any_of
from components.operators.operators import CNPG_NAMESPACE
from settings.database import DatabaseSettings
from settings.durations import longest_gap, parse_duration, spoken
from settings.model import Settings

BACKUP_TAKES = timedelta(hours=6)
"""How long a base backup may take; as long as the program waits for the first one."""

_LEAST_SECONDS = 120
"""Prometheus asks once or twice a minute: no alert can be quicker than a few of its answers."""

_BARMAN = "barman_cloud_cloudnative_pg_io"


def instances(database: DatabaseSettings) -> str:
    """Label matchers of all its instances. Whoever scrapes them by a Prometheus operator has these labels."""
    return f'namespace="{database.namespace}",pod=~"{database.name}-[0-9]+"'


def in_recovery(database: DatabaseSettings, region: str = "") -> str:
    """Whether each instance follows, as PostgreSQL itself says. A fenced one does not run, and says what it said last.

    `region` is the label that tells regions apart, where there are metrics of both."""
    these = instances(database)
    pods = ", ".join(each for each in (region, "namespace", "pod") if each)
    return f"cnpg_pg_replication_in_recovery{{{these}}} unless on ({pods}) (cnpg_collector_fencing_on{{{these}}} == 1)"


def alerts(settings: Settings) -> Iterator[Alert]:
    if not settings.databases:
        return
    yield Alert(
        name="CloudNativePGDown",
        expression=f'absent(up{{namespace="{CNPG_NAMESPACE}",container="manager"}} == 1)',
        lasting="10m",
        severity="critical",
        summary="CloudNativePG's operator does not run, or Prometheus does not reach it",
        meaning="Databases go on as they are. None can be promoted, so a failover to this region would not end, and no instance "
        "takes over from one that dies.",
    )
    yield Alert(
        name="BarmanCloudDown",
        expression=f'absent(kube_pod_container_status_ready{{namespace="{CNPG_NAMESPACE}",'
        'container=~"(plugin-)?barman-cloud"} == 1)',
        lasting="10m",
        severity="critical",
        summary="CloudNativePG's Barman Cloud plugin is not ready",
        meaning="The operator does nothing with a Cluster whose plugin is away: no promotion, and no base backup.",
    )
    for database in settings.databases:
        labels = {"database": database.name, "database_namespace": database.namespace}
        for alert in (*_state(database, settings), *_archive(database, settings), *_replay(database, settings)):
            yield replace(alert, labels=labels)


def _state(database: DatabaseSettings, settings: Settings) -> Iterator[Alert]:
    name, following = database.name, in_recovery(database)
    yield Alert(
        name="DatabaseNotWritable",
        expression=f"{SERVES} unless on () (min({following}) == 0)",
        lasting="5m",
        severity="critical",
        summary=f"This region serves, and no instance of database {name} takes writes",
        meaning="Users cannot write. If the guard has stopped this region, the other one has taken over (see RegionStopped); "
        "else this is what a failover is for, once the operator does not heal it.",
    )
    yield Alert(
        name="RegionStopped",
        expression=f"max(cnpg_collector_fencing_on{{{instances(database)}}}) == 1 and on () {SERVES}",
        lasting="1m",
        severity="critical",
        summary=f"Database {name} is fenced in a region that serves by its own record: the guard has acted",
        meaning="The traffic flag named the other region when this one came back, so the guard has stopped what ran here. "
        "Nothing starts again by itself: the log of the Job `guard` has the command.",
    )
    yield Alert(
        name="WritesWithoutRecord",
        expression=f"min({following}) == 0 unless on () {SERVES} and on () {KNOWN}",
        lasting="30m",
        severity="critical",
        summary=f"Database {name} takes writes in a region that has no record that it serves",
        meaning="Either a takeover has begun and not ended, or this side runs beside the one that serves, and what is written "
        "here is lost. The guard stops nothing without that record. A first deployment looks so until its base backup ends.",
    )
    if database.standby and (settings.role == "primary" or settings.peer_ready):
        yield Alert(
            name="DatabaseDown",
            expression=f"absent({following})",
            lasting="15m",
            severity="warning",
            summary=f"No instance of database {name} runs here, or Prometheus does not reach any",
            meaning="In the region that stands by, there is nothing to promote: the data are in one region and in archives. So "
            "it is after a failover, until the old region rejoins.",
        )


def _archive(database: DatabaseSettings, settings: Settings) -> Iterator[Alert]:
    name, these = database.name, instances(database)
    since = f"cnpg_pg_stat_archiver_seconds_since_last_archival{{{these}}}"
    waits = f'cnpg_collector_pg_wal_archive_status{{{these},value="ready"}} > 0'
    timeout = parse_duration(database.archive_timeout).total_seconds()
    limit = max(settings.objectives.rpo_seconds, 2 * timeout, _LEAST_SECONDS)
    yield Alert(
        name="DatabaseArchivingStalled",
        expression=f"({any_of(f'{since} > {limit:.0f}', f'{since} == -1')}) and on (namespace, pod) ({waits})",
        lasting="2m",
        severity="critical",
        summary=f"Database {name} has WAL to archive, and has archived none for {spoken(timedelta(seconds=limit))}",
        meaning="In the region that serves, a failover now would lose more than the RPO where changes go by the archive, and the "
        "volume of the WAL fills until PostgreSQL stops. In the other region, its own archive stands still.",
    )
    yield Alert(
        name="DatabaseArchivingFailing",
        expression=f"cnpg_pg_stat_archiver_last_failed_time{{{these}}} - cnpg_pg_stat_archiver_last_archived_time{{{these}}} > 1",
        lasting="5m",
        severity="warning",
        summary=f"The last attempt of database {name} to archive WAL has failed",
        meaning="If it goes on, DatabaseArchivingStalled follows. The log of the container plugin-barman-cloud has the reason.",
    )
    newest, gap = f"max({_BARMAN}_last_available_backup_timestamp{{{these}}})", longest_gap(database.backup_cron)
    yield Alert(
        name="DatabaseBackupStale",
        expression=f"time() - {newest} > {(gap + BACKUP_TAKES).total_seconds():.0f} and {newest} > 0",
        lasting="5m",
        severity="warning",
        summary=f"The newest base backup of database {name} is older than {spoken(gap + BACKUP_TAKES)}",
        meaning="A recovery from this archive replays more WAL, and takes longer than the last drill did.",
    )
    yield Alert(
        name="DatabaseBackupMissing",
        expression=f"max({_BARMAN}_first_recoverability_point{{{these}}}) == 0",
        lasting="6h",
        severity="critical",
        summary=f"There is no base backup of database {name} in this region's archive",
        meaning="WAL alone recovers nothing: no point in time, no new standby, and with backup-restore no failover.",
    )
    yield Alert(
        name="DatabaseBackupFailed",
        expression=f"max({_BARMAN}_last_failed_backup_timestamp{{{these}}}) > {newest}",
        lasting="1m",
        severity="warning",
        summary=f"The last base backup of database {name} has failed",
        meaning="The one before it and the WAL since then still recover the database.",
    )


def _replay(database: DatabaseSettings, settings: Settings) -> Iterator[Alert]:
    """How far a side is behind that follows, as far as it can know by itself."""
    name, these = database.name, instances(database)
    limit: float | None = None
    if database.replication == "streaming":
        limit = max(settings.objectives.rpo_seconds, _LEAST_SECONDS / 2)
        yield Alert(
            name="DatabaseStreamingDown",
            expression=f"min(cnpg_pg_replication_is_wal_receiver_up{{{these}}}) == 0 and "
            f"min(cnpg_pg_replication_in_recovery{{{these}}}) == 1",
            lasting="10m",
            severity="warning",
            summary=f"Database {name} follows by its archive alone: no connection to the other region's",
            meaning="A failover would lose up to databases[].archiveTimeout of rows, and no longer the RPO of the tier.",
        )
    elif settings.monitoring.replay_within:
        limit = parse_duration(settings.monitoring.replay_within).total_seconds()
    if limit:
        yield Alert(
            name="DatabaseStandbyBehind",
            expression=f"min(cnpg_pg_replication_lag{{{these}}}) > {limit:.0f}",
            lasting="2m",
            severity="critical",
            summary=f"Database {name} follows, and has replayed no commit for {spoken(timedelta(seconds=limit))}",
            meaning="A failover would lose what was committed since, and the gate refuses one that would lose more than the RPO.",
        )
