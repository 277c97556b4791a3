"""Alerts that compare the two regions, for a Prometheus that has the metrics of both.

`region_label` tells the regions apart there. It is a label that each region's Prometheus adds to what it sends
(`externalLabels`), so that no Prometheus of one region alone ever sees it.
"""

from __future__ import annotations

from collections.abc import Iterator

from components.kube.records import SERVING_RECORD
from components.monitoring.alert import Alert
from components.monitoring.database_alerts import in_recovery, instances
from settings.database import DatabaseSettings
from settings.model import Settings
from settings.names import PROGRAM_NAMESPACE

_ARCHIVES_AND_SCRAPES = 120
"""Seconds. What the primary has archived is seen a scrape later, and so is what the standby has."""


def alerts(settings: Settings, label: str) -> Iterator[Alert]:
    record = f'kube_configmap_created{{namespace="{PROGRAM_NAMESPACE}",configmap="{SERVING_RECORD}"}}'
    yield Alert(
        name="NotOneRegionServes",
        expression=f"(count(count by ({label}) ({record})) or vector(0)) != 1",
        lasting="15m",
        severity="critical",
        summary="{{ $value }} regions serve by their own records, and not one",
        meaning="Two: a region that was replaced has come back, and its guard has not stopped it yet, or has, and nobody has "
        "made it follow. None: a switchover or a takeover was begun and not ended, or a region's metrics do not come.",
    )
    for database in settings.databases:
        yield from _of(database, settings, label)


def _of(database: DatabaseSettings, settings: Settings, label: str) -> Iterator[Alert]:
    labels = {"database": database.name, "database_namespace": database.namespace}
    follows = f"min by ({label}) ({in_recovery(database, label)})"
    yield Alert(
        name="TwoWritableRegions",
        expression=f"count({follows} == 0) > 1",
        lasting="1m",
        severity="critical",
        summary=f"Database {database.name} takes writes in two regions",
        meaning="What users write to one of them will be lost. The guard of the region that was replaced fences it within a "
        "minute or two, if it can read the traffic flag; if this goes on, fence it by hand.",
        labels=labels,
    )
    yield Alert(
        name="NoWritableRegion",
        expression=f"(count({follows} == 0) or vector(0)) == 0",
        lasting="5m",
        severity="critical",
        summary=f"Database {database.name} takes writes in no region",
        meaning="Users cannot write, and the RTO runs: it is an outage, a failover that has not ended, or a region whose metrics "
        "do not come.",
        labels=labels,
    )
    if database.standby:
        # Of equal timelines or not, the number of a segment only grows: the metric has it without the timeline.
        archived = f"cnpg_pg_stat_archiver_last_archived_wal_start_lsn{{{instances(database)}}}"
        behind = max(settings.objectives.rpo_seconds, 60) + _ARCHIVES_AND_SCRAPES
        yield Alert(
            name="StandbyBehindPrimary",
            expression=f"max(max by ({label}) ({archived} offset {behind:.0f}s) and on ({label}) ({follows} == 0)) > "
            f"max(max by ({label}) ({archived}) and on ({label}) ({follows} == 1))",
            lasting="2m",
            severity="critical",
            summary=f"The standby of database {database.name} lacks WAL that the primary had archived {behind:.0f} s ago",
            meaning="A failover now would lose more than the RPO, and the gate refuses it. S3 does not copy the archive, or the "
            "standby does not replay it.",
            labels=labels,
        )
