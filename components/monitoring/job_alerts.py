"""Alerts on the program's own Jobs, as kube-state-metrics shows them.

A Job that has failed stays until its CronJob has failed again, so that `kube_job_failed` alone would go on for days. What
counts is how long ago a CronJob last succeeded, and whether a Job has failed since.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from components.database import freshness
from components.drills.pods import name_of
from components.etcd import backup as etcd
from components.failover import guard_specs
from components.monitoring.alert import KNOWN, Alert, failed_last, succeeded_long_ago
from settings.drills import Kind
from settings.durations import longest_gap, parse_duration, spoken
from settings.model import Settings
from settings.names import PROGRAM_NAMESPACE

_LATE = timedelta(minutes=4)
"""A look of the guard, or a mark, may fail or come late a few times; then something is wrong."""


_TRIES: Mapping[Kind, str] = {
    "integrity": "whether the backups that are here are whole and new",
    "namespace": "the restore of a namespace",
    "database": "the recovery of each database from its archive",
}


MARKS_OLDEST = timedelta(minutes=10)
"""How long ago the last marks of what databases have archived may have been made: they come every two minutes."""


def guard_oldest(settings: Settings) -> timedelta:
    """How long ago the guard may have found everything in order."""
    return longest_gap(settings.guard.schedule) + _LATE


def etcd_oldest(settings: Settings) -> timedelta:
    """How long ago etcd's newest snapshot may have been uploaded."""
    return longest_gap(settings.etcd.cron) + parse_duration(settings.etcd.timeout) + timedelta(minutes=15)


def alerts(settings: Settings) -> Iterator[Alert]:
    yield Alert(
        name="RecoveryMetricsMissing",
        expression=f"absent({KNOWN})",
        lasting="15m",
        severity="warning",
        summary=f"kube-state-metrics tells nothing of namespace {PROGRAM_NAMESPACE}",
        meaning="Whether the guard, drills and etcd snapshots work, and whether this region serves, is not known: the alerts on "
        "them cannot fire.",
    )
    if settings.guarded:
        yield _guard(settings)
    if settings.databases:
        yield Alert(
            name="FreshnessMarksStale",
            expression=succeeded_long_ago(PROGRAM_NAMESPACE, freshness.NAME, MARKS_OLDEST.total_seconds()),
            lasting="5m",
            severity="warning",
            summary="For ten minutes nothing has marked what this region's databases have archived",
            meaning="The other region's gate would not know whether its copy of the archive is whole, and would object to a "
            "failover. In the secondary, nobody asks either whether the primary still answers.",
        )
    if settings.backs_up_etcd:
        yield _etcd(settings)
    for kind in settings.drilled:
        yield from _drill(settings, kind)


def _drill(settings: Settings, kind: Kind) -> Iterator[Alert]:
    name, longest = name_of(kind), settings.drills.overdue_after(kind)
    labels = {"drill": name}
    yield Alert(
        name="DrillFailed",
        expression=failed_last(PROGRAM_NAMESPACE, name),
        lasting="0m",
        severity="critical",
        summary=f"{name} has failed: it tries {_TRIES[kind]}",
        meaning="What the drill tried would not have worked in a recovery. Its record, and the termination message of its Pod, "
        "say why.",
        labels=labels,
    )
    yield Alert(
        name="DrillStale",
        expression=succeeded_long_ago(PROGRAM_NAMESPACE, name, longest.total_seconds()),
        lasting="1h",
        severity="warning",
        summary=f"{name} has not passed for {spoken(longest)}: it tries {_TRIES[kind]}",
        meaning="Nobody has seen for so long that a recovery works.",
        labels=labels,
    )


def _guard(settings: Settings) -> Alert:
    limit = guard_oldest(settings)
    return Alert(
        name="GuardFailing",
        expression=succeeded_long_ago(PROGRAM_NAMESPACE, guard_specs.NAME, limit.total_seconds()),
        lasting="1m",
        severity="critical",
        summary=f"The guard has found nothing in order for {spoken(limit)}",
        meaning="The log of its last Job says which it is. The other region has taken over, and the guard has stopped this one; "
        "or the traffic flag disagrees with what runs here; or the guard cannot read the flag or lacks a right, and would not "
        "stop this region if it were replaced.",
    )


def _etcd(settings: Settings) -> Alert:
    limit = etcd_oldest(settings)
    return Alert(
        name="EtcdBackupStale",
        expression=succeeded_long_ago(etcd.ETCD_NAMESPACE, etcd.NAME, limit.total_seconds()),
        lasting="5m",
        severity="warning",
        summary=f"No snapshot of etcd has been uploaded for {spoken(limit)}",
        meaning="A control plane that is lost comes back as it was then. A failover does not need it.",
    )
