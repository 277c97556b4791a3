"""Causes of alerts, each as a change of the metrics of a healthy region, or of a healthy pair; and what fires then."""

from __future__ import annotations

from collections.abc import Mapping

from tests.contract.alert_series import (
    BACKUP,
    BACKUP_FAILED,
    COUNTED,
    FAILED,
    FENCED,
    GONE,
    KNOWN,
    LAG,
    LONG_AGO,
    MINUTES,
    PLUGIN,
    READY,
    RECEIVER,
    RECOVERABLE,
    RECOVERY,
    SEGMENT,
    SERVING,
    SINCE,
    WAITS,
    Case,
    Value,
    appears,
    both,
    ends,
    failed_job,
    from_minute,
    healthy,
    location,
    newest,
    pod,
    succeeded,
    up,
)

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
