"""Alerts on Velero: its backups, of whichever region makes them, and what a restore needs.

Velero's own sample alert is not among them: `velero_backup_last_status` is set to 1 each minute, whatever happened
(vmware-tanzu/velero#9374), so that it never fires.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from components.monitoring.alert import Alert, any_of, grew
from components.velero.age import COPIED
from components.velero.specs import VELERO_NAMESPACE
from settings.backup import Backup
from settings.durations import format_duration, longest_gap, spoken
from settings.model import Settings
from settings.names import Names
from settings.roles import ROLES

UNEVEN = timedelta(minutes=15)
"""One backup may take so much longer than the one before it."""

_RUNS = f'up{{namespace="{VELERO_NAMESPACE}",container="velero"}} == 1'


def due(backup: Backup, rpo_seconds: float) -> timedelta:
    """How old the newest Completed backup may be: as old as the cron line lets it be, and S3 copies it until then."""
    return longest_gap(backup.cron) + max(timedelta(seconds=rpo_seconds), COPIED) + UNEVEN


def alerts(names: Names, settings: Settings) -> Iterator[Alert]:
    yield Alert(
        name="VeleroDown",
        expression=f"absent({_RUNS})",
        lasting="10m",
        severity="critical",
        summary="Velero's server does not run, or Prometheus does not reach it",
        meaning="No backup is made or read here, and a failover to this region would restore nothing.",
    )
    for backup in settings.backups:
        yield from _of_a_schedule(names, backup, settings.objectives.rpo_seconds)
    yield Alert(
        name="VeleroBackupFailed",
        expression=any_of(
            *(grew(f"velero_backup_{kind}_total", 'schedule!=""', by="schedule") for kind in ("failure", "validation_failure"))
        ),
        lasting="0m",
        severity="warning",
        summary="A backup of schedule {{ $labels.schedule }} has failed",
        meaning="A failover would restore the one before it: what was written since then would be lost.",
    )
    yield Alert(
        name="VeleroBackupPartiallyFailed",
        expression=grew("velero_backup_partial_failure_total", 'schedule!=""', by="schedule"),
        lasting="0m",
        severity="warning",
        summary="A backup of schedule {{ $labels.schedule }} ended PartiallyFailed",
        meaning="A failover passes it over and restores the Completed one before it, unless somebody names it (backups[].from).",
    )
    yield Alert(
        name="VeleroBackupLocationUnavailable",
        expression="min by (backup_location_name) (velero_backup_location_status_gauge) == 0",
        lasting="10m",
        severity="critical",
        summary="Velero cannot read its backup location {{ $labels.backup_location_name }}",
        meaning="Where it is `peer`, the gate refuses a failover to this region. Where it is `own`, this region backs up "
        "nothing.",
    )
    yield Alert(
        name="VeleroRestoreFailed",
        expression=any_of(*(grew(f"velero_restore_{kind}_total") for kind in ("failed", "partial_failure", "validation_failed"))),
        lasting="0m",
        severity="critical",
        summary="A restore has failed, or ended PartiallyFailed",
        meaning="A failover stops there, before users come. In a drill, it says that the next failover would.",
    )
    yield Alert(
        name="VeleroDataMoverFailed",
        expression=any_of(*(grew(f"podVolume_data_{way}_failure_total", by="node") for way in ("upload", "download"))),
        lasting="0m",
        severity="warning",
        summary="A volume was not moved to or from S3 on node {{ $labels.node }}",
        meaning="The backup or restore that it belongs to is without the files of that volume, and ends PartiallyFailed.",
    )
    yield Alert(
        name="VeleroRepositoryMaintenanceFailed",
        expression=grew("velero_repo_maintenance_failure_total", by="repository_name"),
        lasting="0m",
        severity="warning",
        summary="The maintenance of backup repository {{ $labels.repository_name }} has failed",
        meaning="Backups go on. What expired is not deleted, so that they cost more and take longer, and a damaged repository "
        "shows itself so first.",
    )


def _of_a_schedule(names: Names, backup: Backup, rpo_seconds: float) -> Iterator[Alert]:
    """The newer of both regions' schedules counts: only the region that serves makes backups, and S3 brings them to the other."""
    both = "|".join(names.schedule(backup.name, role) for role in ROLES)
    succeeded, limit = f'velero_backup_last_successful_timestamp{{schedule=~"{both}"}}', due(backup, rpo_seconds)
    labels = {"backup": backup.name}
    yield Alert(
        name="VeleroBackupStale",
        expression=f"time() - max({succeeded}) > {limit.total_seconds():.0f}",
        lasting="5m",
        severity="critical",
        summary=f"The newest Completed backup of {backup.name} that is here is older than {spoken(limit)}",
        meaning="A failover would lose what was written since, and the gate objects to it. In the region that serves no backup "
        "ends well; or, in the other one alone, S3 does not copy them.",
        labels=labels,
    )
    yield Alert(
        name="VeleroBackupMissing",
        expression=f"absent({succeeded}) and on () ({_RUNS})",
        lasting=format_duration(limit),
        severity="critical",
        summary=f"There is no Completed backup of {backup.name} here",
        meaning="A failover would have nothing to restore of it, and the gate refuses it.",
        labels=labels,
    )
