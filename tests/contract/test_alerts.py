"""promtool judges the very rules that the program makes: each alert fires where it must, and is silent in both healthy regions.

Every case begins with the metrics of a healthy region, the one that serves or the one that stands by, changes some, and says
which alerts then fire: those and no other.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.monitoring import dashboards
from settings.roles import Role
from tests.contract.conftest import tool
from tests.examples import PASSWORD
from tests.unit.components.database.sides import STREAMING
from tests.unit.recorder import run_program

CONFIGURATION: dict[str, Any] = {
    "peerReady": True,
    "cluster": {"context": "prod", "name": "prod", "distribution": "self-managed", "oidcIssuer": "oidc.example.com/id/EXAMPLE"},
    "identity": "irsa",
    "backups": [{"name": "hourly", "cron": "0 * * * *", "keep": "168h"}],
    "databases": [
        {"name": "app", "namespace": "data", "backupCron": "0 0 * * * *"},
        {"name": "orders", "namespace": "data", **STREAMING},
    ],
    "databasePasswords": {"app": PASSWORD, "orders": PASSWORD},
    "monitoring": {"enabled": True, "regionLabel": "region", "replayWithin": "30m"},
}
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

CASES = [
    Case(says="a healthy region that stands by is silent", fires={}),
    Case(says="a healthy region that serves is silent", fires={}, serves=True),
    Case(says="it is silent for hours", fires={}, at=400),
    Case(says="Velero is gone", changes={up("velero", "velero"): None}, fires={"VeleroDown": 1}),
    Case(says="Velero does not answer", changes={up("velero", "velero"): from_minute(20, 1, 0)}, fires={"VeleroDown": 1}),
    Case(says="Velero was away for five minutes", changes={up("velero", "velero"): "1x15 0x5 1x580"}, fires={}, at=22),
    Case(says="no backup arrives any more", changes={newest("us-east-1"): ends(20)}, fires={"VeleroBackupStale": 1}, at=118),
    Case(says="a backup is late by less than what a copy takes", changes={newest("us-east-1"): ends(20)}, fires={}, at=108),
    Case(
        says="the region that serves makes no backup",
        changes={newest("us-east-1"): LONG_AGO},
        fires={"VeleroBackupStale": 1},
        serves=True,
    ),
    Case(
        says="there was never a backup",
        changes={newest("us-east-1"): None, newest("us-west-2"): None},
        fires={"VeleroBackupMissing": 1},
        at=100,
    ),
    Case(
        says="there is no backup yet",
        changes={newest("us-east-1"): None, newest("us-west-2"): None},
        fires={},
        at=80,
    ),
    Case(
        says="a backup fails",
        changes={f"velero_backup_failure_total{COUNTED}": from_minute(50, 0, 1)},
        fires={"VeleroBackupFailed": 1},
        serves=True,
    ),
    Case(
        says="a backup was refused, the first that Velero counts",
        changes={f"velero_backup_validation_failure_total{COUNTED}": appears(50)},
        fires={"VeleroBackupFailed": 1},
        serves=True,
    ),
    Case(
        says="a backup failed two hours ago",
        changes={f"velero_backup_failure_total{COUNTED}": appears(20)},
        fires={},
        serves=True,
        at=90,
    ),
    Case(
        says="a backup is partly failed",
        changes={f"velero_backup_partial_failure_total{COUNTED}": appears(50)},
        fires={"VeleroBackupPartiallyFailed": 1},
        serves=True,
    ),
    Case(
        says="the peer's backups cannot be read",
        changes={location("peer"): from_minute(20, 1, 0)},
        fires={"VeleroBackupLocationUnavailable": 1},
    ),
    *(
        Case(
            says=f"a restore ends by {metric}",
            changes={f'{metric}{{schedule="hourly-us-east-1",pod="velero-0"}}': appears(50)},
            fires={"VeleroRestoreFailed": 1},
        )
        for metric in (
            "velero_restore_failed_total",
            "velero_restore_partial_failure_total",
            "velero_restore_validation_failed_total",
        )
    ),
    *(
        Case(
            says=f"a volume does not move: {way}",
            changes={f'podVolume_data_{way}_failure_total{{node="n1",pod="agent-0"}}': from_minute(50, 3, 4)},
            fires={"VeleroDataMoverFailed": 1},
        )
        for way in ("upload", "download")
    ),
    Case(
        says="a volume did not move long ago",
        changes={'podVolume_data_upload_failure_total{node="n1",pod="agent-0"}': 4},
        fires={},
    ),
    Case(
        says="a repository is not maintained",
        changes={'velero_repo_maintenance_failure_total{repository_name="shop-own-kopia",pod="velero-0"}': appears(50)},
        fires={"VeleroRepositoryMaintenanceFailed": 1},
    ),
    Case(says="the operator is gone", changes={up("cnpg-system", "manager"): None}, fires={"CloudNativePGDown": 1}),
    Case(says="the plugin is not ready", changes={PLUGIN: from_minute(20, 1, 0)}, fires={"BarmanCloudDown": 1}),
    Case(
        says="the database of the region that serves has lost its primary",
        changes={pod(RECOVERY, "app-1"): from_minute(20, 0, 1)},
        fires={"DatabaseNotWritable": 1},
        serves=True,
    ),
    Case(
        says="an instance takes over from another",
        changes={pod(RECOVERY, "app-1"): from_minute(20, 0, 1), pod(RECOVERY, "app-2"): from_minute(22, 1, 0)},
        fires={},
        serves=True,
    ),
    Case(
        says="the guard has fenced a region that serves by its record",
        changes=both(FENCED, from_minute(20, 0, 1)),
        fires={"RegionStopped": 1, "DatabaseNotWritable": 1},
        serves=True,
        at=30,
    ),
    Case(
        says="a side is fenced in a region that stands by",
        changes=both(FENCED, from_minute(20, 0, 1)),
        fires={"DatabaseDown": 1},
    ),
    Case(
        says="a database takes writes in a region that does not serve",
        changes={pod(RECOVERY, "app-1"): from_minute(20, 1, 0)},
        fires={"WritesWithoutRecord": 1},
    ),
    Case(
        says="a promotion takes ten minutes",
        changes={pod(RECOVERY, "app-1"): from_minute(20, 1, 0), SERVING: appears(30)},
        fires={},
        at=29,
    ),
    Case(says="there is no standby", changes=GONE, fires={"DatabaseDown": 1}),
    Case(
        says="the database of the region that serves is gone",
        changes=GONE,
        fires={"DatabaseDown": 1, "DatabaseNotWritable": 1},
        serves=True,
    ),
    Case(
        says="WAL waits and none is archived",
        changes={pod(READY, "app-1", WAITS): from_minute(20, 0, 3)},
        fires={"DatabaseArchivingStalled": 1},
        serves=True,
    ),
    Case(
        says="no WAL was ever archived",
        changes={pod(READY, "app-1", WAITS): 3, pod(SINCE, "app-1"): -1},
        fires={"DatabaseArchivingStalled": 1},
        serves=True,
    ),
    Case(
        says="WAL waits and is archived all the time",
        changes={pod(READY, "app-1", WAITS): 3, pod(SINCE, "app-1"): 20},
        fires={},
        serves=True,
    ),
    Case(
        says="the last attempt to archive has failed",
        changes={pod(FAILED, "app-1"): from_minute(20, -1, 500)},
        fires={"DatabaseArchivingFailing": 1},
        serves=True,
    ),
    Case(
        says="no base backup ends",
        changes=both(BACKUP, 60),
        fires={"DatabaseBackupStale": 1},
        at=430,
    ),
    Case(
        says="there is no base backup",
        changes={**both(BACKUP, 0), **both(RECOVERABLE, 0)},
        fires={"DatabaseBackupMissing": 1},
        at=365,
    ),
    Case(
        says="there is no base backup yet",
        changes={**both(BACKUP, 0), **both(RECOVERABLE, 0)},
        fires={},
        at=300,
    ),
    Case(
        says="the last base backup has failed",
        changes={**both(BACKUP, 3000), **both(BACKUP_FAILED, from_minute(20, 0, 3600))},
        fires={"DatabaseBackupFailed": 1},
    ),
    Case(
        says="a base backup has ended since one failed",
        changes={**both(BACKUP, 3000), **both(BACKUP_FAILED, 1000)},
        fires={},
    ),
    Case(
        says="a standby streams no more",
        changes={pod(RECEIVER, "orders-1"): from_minute(20, 1, 0)},
        fires={"DatabaseStreamingDown": 1},
    ),
    Case(
        says="a standby that streams is behind",
        changes=both(LAG, from_minute(20, 0, 400), "orders"),
        fires={"DatabaseStandbyBehind": 1},
    ),
    Case(
        says="a standby that follows the archive has replayed nothing for an hour",
        changes=both(LAG, 3600),
        fires={"DatabaseStandbyBehind": 1},
    ),
    Case(says="a standby has replayed nothing for ten minutes", changes=both(LAG, 600), fires={}),
    Case(says="kube-state-metrics is gone", changes={KNOWN: None}, fires={"RecoveryMetricsMissing": 1}),
    Case(
        says="without kube-state-metrics nobody says that a writer has no record",
        changes={KNOWN: None, SERVING: None},
        fires={"RecoveryMetricsMissing": 1},
        serves=True,
    ),
    Case(says="the guard fails", changes={succeeded("guard"): ends(20)}, fires={"GuardFailing": 1}),
    Case(says="the guard failed for three minutes", changes={succeeded("guard"): ends(20)}, fires={}, at=23),
    Case(says="the guard never succeeded", changes={succeeded("guard"): None}, fires={"GuardFailing": 1}),
    Case(says="nothing marks the archives", changes={succeeded("freshness"): ends(20)}, fires={"FreshnessMarksStale": 1}),
    Case(
        says="no snapshot of etcd is taken",
        changes={succeeded("etcd-backup", "kube-system"): ends(20)},
        fires={"EtcdBackupStale": 1},
        at=435,
    ),
    Case(
        says="the next snapshot of etcd is due",
        changes={succeeded("etcd-backup", "kube-system"): ends(20)},
        fires={},
        at=420,
    ),
    Case(
        says="a drill has failed",
        changes={**failed_job("drill-integrity-1", 6000), succeeded("drill-integrity"): 3000},
        fires={"DrillFailed": 1},
    ),
    Case(
        says="a drill that a person started has failed, and none has ever passed",
        changes={**failed_job("try", 6000, owner="drill-database"), succeeded("drill-database"): None},
        fires={"DrillFailed": 1},
    ),
    Case(
        says="a drill has passed since one failed",
        changes={**failed_job("drill-integrity-1", 3000), succeeded("drill-integrity"): 6000},
        fires={},
    ),
    Case(
        says="a drill has not passed for long",
        changes={succeeded("drill-namespace"): LONG_AGO},
        fires={"DrillStale": 1},
    ),
    Case(
        says="there are no drills",
        changes={
            series: None for series in healthy("secondary", "primary") if 'cronjob="drill-' in series
        },
        fires={},
    ),
]  # fmt: skip


def in_region(region: str, series: Mapping[str, Value]) -> dict[str, Value]:
    return {each.replace("{", f'{{region="{region}",', 1): value for each, value in series.items()}


A, B = "us-east-1", "us-west-2"
PAIR: dict[str, Value] = {
    **in_region(A, healthy("primary", "primary")),
    **in_region(B, healthy("secondary", "primary")),
    **{
        each: value
        for region, behind in ((A, 0), (B, 1))
        for name in ("app-1", "orders-1")
        # One segment a minute; the standby is one behind.
        for each, value in in_region(region, {pod(SEGMENT, name): f"{1000 - behind}+1x{MINUTES}"}).items()
    },
}
OF_BOTH = [
    Case(says="a healthy pair is silent", fires={}),
    Case(
        says="both regions write",
        changes=in_region(B, {pod(RECOVERY, "app-1"): from_minute(20, 1, 0)}),
        fires={"TwoWritableRegions": 1},
    ),
    Case(
        says="both regions write, and the guard has fenced the old one",
        changes={
            **in_region(B, {pod(RECOVERY, "app-1"): 0, pod(RECOVERY, "orders-1"): 0, SERVING: 1}),
            **in_region(A, {**both(FENCED, 1), **both(FENCED, 1, "orders")}),
        },
        fires={"NotOneRegionServes": 1},
    ),
    Case(
        says="nobody writes",
        changes=in_region(A, {pod(RECOVERY, "app-1"): from_minute(20, 0, 1)}),
        fires={"NoWritableRegion": 1},
    ),
    Case(
        says="the metrics of the region that serves are gone",
        changes=dict.fromkeys(in_region(A, healthy("primary", "primary"))),
        fires={"NoWritableRegion": 2, "NotOneRegionServes": 1},
    ),
    Case(says="no region has a record that it serves", changes=in_region(A, {SERVING: None}), fires={"NotOneRegionServes": 1}),
    Case(
        says="the standby stands still",
        changes=in_region(B, {pod(SEGMENT, "app-1"): f"999+1x20 1019+0x{MINUTES}"}),
        fires={"StandbyBehindPrimary": 1},
    ),
    Case(
        says="the primary is quiet",
        changes={
            **in_region(A, {pod(SEGMENT, "app-1"): 1000}),
            **in_region(B, {pod(SEGMENT, "app-1"): 1000}),
        },
        fires={},
    ),
]


@cache
def _rules(stack: Role, name: str) -> dict[str, Any]:
    [found] = [seen for seen in run_program(stack, CONFIGURATION).of("PrometheusRule") if seen.metadata["name"] == name]
    return found.spec


def _series(values: Mapping[str, Value]) -> list[dict[str, str]]:
    return [
        {"series": series, "values": value if isinstance(value, str) else f"{value}+0x{MINUTES}"}
        for series, value in values.items()
        if value is not None
    ]


def _judged(directory: Path, rules: dict[str, Any], series: Mapping[str, Value], case: Case) -> subprocess.CompletedProcess[str]:
    samples = [{"labels": f'{{alertname="{name}"}}', "value": count} for name, count in case.fires.items()]
    question = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{case.at}m",
        "exp_samples": samples,
    }
    test = {"interval": "1m", "input_series": _series(series), "promql_expr_test": [question]}
    (directory / "rules.yaml").write_text(yaml.safe_dump(rules))
    (directory / "test.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]})
    )
    promtool = tool("prometheus", "promtool")
    return subprocess.run([promtool, "test", "rules", "test.yaml"], cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_these_alerts_fire_and_no_other(case: Case, tmp_path: Path) -> None:
    role: Role = "primary" if case.serves else "secondary"
    base = healthy(role, "primary")
    judged = _judged(tmp_path, _rules(role, "k8s-dr"), {**base, **case.changes}, case)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("case", OF_BOTH, ids=lambda case: case.says)
def test_these_alerts_on_both_regions_fire_and_no_other(case: Case, tmp_path: Path) -> None:
    for role in ("primary", "secondary"):
        judged = _judged(tmp_path, _rules(role, "k8s-dr-both-regions"), {**PAIR, **case.changes}, case)
        assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_a_region_that_serves_after_a_failover_is_as_silent_as_before(role: Role, tmp_path: Path) -> None:
    case = Case(says="after a failover", fires={})
    judged = _judged(tmp_path, _rules(role, "k8s-dr"), healthy(role, "secondary"), case)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    rules = [
        rule
        for name in ("k8s-dr", "k8s-dr-both-regions")
        for group in _rules("secondary", name)["groups"]
        for rule in group["rules"]
    ]
    assert {rule["alert"] for rule in rules} == {name for case in (*CASES, *OF_BOTH) for name in case.fires}


def test_an_alert_tells_whom_to_wake_and_what_to_read(tmp_path: Path) -> None:
    fires = {
        "exp_labels": {"severity": "critical", "runbook": "k8s-dr", "region": B, "backup_location_name": "peer"},
        "exp_annotations": {
            "summary": "Velero cannot read its backup location peer",
            "description": "Where it is `peer`, the gate refuses a failover to this region. Where it is `own`, this region "
            "backs up nothing.",
            "runbook_url": "docs/monitoring.md#velerobackuplocationunavailable",
        },
    }
    question = {"eval_time": "30m", "alertname": "VeleroBackupLocationUnavailable", "exp_alerts": [fires]}
    test = {"interval": "1m", "input_series": _series({location("peer"): 0}), "alert_rule_test": [question]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(_rules("secondary", "k8s-dr")))
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    promtool = tool("prometheus", "promtool")
    judged = subprocess.run([promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_promtool_finds_no_fault_in_what_the_dashboards_ask(tmp_path: Path) -> None:
    asked = [
        target["expr"]
        for data in dashboards.config_maps("region").values()
        for text in data.values()
        for panel in json.loads(text)["panels"]
        for target in panel.get("targets", [])
    ]
    rules = [{"record": f"dashboard:question_{number}", "expr": each} for number, each in enumerate(asked)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    command = [tool("prometheus", "promtool"), "check", "rules", "rules.yaml"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


@pytest.mark.parametrize("name", ["k8s-dr", "k8s-dr-both-regions"])
def test_promtool_finds_no_fault_in_the_rules(name: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(_rules("secondary", name)))
    command = [tool("prometheus", "promtool"), "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
