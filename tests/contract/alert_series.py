"""The metrics of a healthy region, as Prometheus stores them and as promtool is told them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from settings.roles import Role

MINUTES = 600
"""How long the longest case lasts. The clock begins at 0, so a timestamp is the seconds since the beginning."""

NOW = f"0+60x{MINUTES}"
"""A timestamp that is always now."""

LONG_AGO = -10_000_000

Value = float | str | None
"""Of a series: a number that stays, promtool's notation, or None for a series that is not there."""


def from_minute(minute: int, before: float, after: float) -> str:
    return f"{before}+0x{minute - 1} {after}+0x{MINUTES - minute}"


def appears(minute: int, value: float = 1) -> str:
    """A series that is first seen then, as Velero makes one when it first counts."""
    return f"_x{minute} {value}+0x{MINUTES - minute}"


def ends(minute: int) -> str:
    """A timestamp that is always now until then, and stays."""
    return f"0+60x{minute} {60 * minute}+0x{MINUTES - minute}"


def cron_job(metric: str, name: str, namespace: str = "k8s-dr") -> str:
    return f'kube_cronjob_{metric}{{namespace="{namespace}",cronjob="{name}"}}'


def succeeded(name: str, namespace: str = "k8s-dr") -> str:
    return cron_job("status_last_successful_time", name, namespace)


def pod(metric: str, name: str, more: str = "") -> str:
    return f'{metric}{{namespace="data",pod="{name}"{more}}}'


def up(namespace: str, container: str) -> str:
    return f'up{{namespace="{namespace}",container="{container}",pod="{container}-0"}}'


def newest(region: str) -> str:
    return f'velero_backup_last_successful_timestamp{{schedule="hourly-{region}",pod="velero-0"}}'


def location(name: str) -> str:
    return f'velero_backup_location_status_gauge{{backup_location_name="{name}",pod="velero-0"}}'


RECOVERY, LAG = "cnpg_pg_replication_in_recovery", "cnpg_pg_replication_lag"
RECEIVER, FENCED = "cnpg_pg_replication_is_wal_receiver_up", "cnpg_collector_fencing_on"
SINCE = "cnpg_pg_stat_archiver_seconds_since_last_archival"
ARCHIVED, FAILED = "cnpg_pg_stat_archiver_last_archived_time", "cnpg_pg_stat_archiver_last_failed_time"
READY, SEGMENT = "cnpg_collector_pg_wal_archive_status", "cnpg_pg_stat_archiver_last_archived_wal_start_lsn"
BACKUP = "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp"
BACKUP_FAILED = "barman_cloud_cloudnative_pg_io_last_failed_backup_timestamp"
RECOVERABLE = "barman_cloud_cloudnative_pg_io_first_recoverability_point"
WAITS = ',value="ready"'
SERVING = 'kube_configmap_created{namespace="k8s-dr",configmap="serving"}'
KNOWN = 'kube_configmap_created{namespace="k8s-dr",configmap="cluster"}'
PLUGIN = 'kube_pod_container_status_ready{namespace="cnpg-system",container="plugin-barman-cloud",pod="barman-cloud-0"}'
JOBS = (
    ("guard", "k8s-dr"),
    ("freshness", "k8s-dr"),
    ("etcd-backup", "kube-system"),
    ("drill-integrity", "k8s-dr"),
    ("drill-namespace", "k8s-dr"),
    ("drill-database", "k8s-dr"),
)


def instance(name: str, *, writes: bool, follows: bool, streams: bool) -> dict[str, Value]:
    """One instance. It has archived nothing for a day, for nobody writes: that is no fault."""
    return {
        pod(RECOVERY, name): 0 if writes else 1,
        pod(LAG, name): 60 if follows and not streams else 0,
        pod(RECEIVER, name): 0 if writes or (follows and not streams) else 1,
        pod(FENCED, name): 0,
        pod(SINCE, name): 86400,
        pod(ARCHIVED, name): 100,
        pod(FAILED, name): -1,
        pod(READY, name, WAITS): 0,
        pod(READY, name, ',value="done"'): 4,
        pod(BACKUP, name): NOW,
        pod(BACKUP_FAILED, name): 0,
        pod(RECOVERABLE, name): 1,
    }


def healthy(role: Role, serving: Role) -> dict[str, Value]:
    """Every series of a region in which nothing is wrong."""
    serves = role == serving
    away = "us-west-2" if serving == "primary" else "us-east-1"
    found: dict[str, Value] = {
        up("velero", "velero"): 1,
        up("velero", "node-agent"): 1,
        up("cnpg-system", "manager"): 1,
        PLUGIN: 1,
        KNOWN: 1,
        newest("us-east-1"): NOW,
        newest("us-west-2"): NOW,
        # The region that stands by pauses its schedules.
        newest(away): LONG_AGO,
        location("own"): 1,
        location("peer"): 1,
    }
    for database in ("app", "orders"):
        for number in (1, 2):
            leads = number == 1
            streams = database == "orders" or not leads
            found |= instance(f"{database}-{number}", writes=serves and leads, follows=not serves and leads, streams=streams)
    for name, namespace in JOBS:
        found |= {cron_job("created", name, namespace): 0, succeeded(name, namespace): NOW}
    return found | ({SERVING: 1} if serves else {})


@dataclass(frozen=True, kw_only=True)
class Case:
    """`fires`: the alerts that fire at the minute `at`, and how many of each."""

    says: str
    fires: Mapping[str, int]
    serves: bool = False
    changes: Mapping[str, Value] = field(default_factory=dict)
    at: int = 60


def failed_job(name: str, created: float, *, owner: str = "drill-integrity") -> dict[str, Value]:
    labels = f'namespace="k8s-dr",job_name="{name}"'
    return {
        f"kube_job_created{{{labels}}}": created,
        f'kube_job_owner{{{labels},owner_kind="CronJob",owner_name="{owner}",owner_is_controller="true"}}': 1,
        f'kube_job_failed{{{labels},condition="true"}}': 1,
        f'kube_job_failed{{{labels},condition="false"}}': 0,
    }


def both(metric: str, value: Value, database: str = "app") -> dict[str, Value]:
    return {pod(metric, f"{database}-{number}"): value for number in (1, 2)}


GONE = {series: None for series in healthy("secondary", "primary") if 'pod="app-' in series}
COUNTED = '{schedule="hourly-us-east-1",pod="velero-0"}'
