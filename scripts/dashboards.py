"""Writes components/monitoring/dashboards/, the two Grafana dashboards, by Grafana's own builders of its schema.

python -m scripts.dashboards
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import DataSourceRef, LegendDisplayMode
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync

from components.monitoring.alert import OURS
from components.monitoring.dashboards import FAILOVER, FOLDER, READINESS, REGION
from settings.names import PROGRAM_NAMESPACE

_HERE = f'namespace="{PROGRAM_NAMESPACE}"'
_JOBS = f'namespace=~"{PROGRAM_NAMESPACE}|kube-system",cronjob=~"guard|freshness|etcd-backup|drill-.*"'
_OURS = ",".join(f'{label}="{value}"' for label, value in OURS.items())
_OF_A_REGION = f"{{{{{REGION}}}}}"


def _by_database(how: str, expression: str) -> str:
    """An instance's Pod is called as its database, with a number."""
    return f'{how} by ({REGION}, database) (label_replace({expression}, "database", "$1", "pod", "(.+)-[0-9]+"))'


_FENCED = _by_database("max", "cnpg_collector_fencing_on")
_WRITES = (
    _by_database(
        "min",
        f"cnpg_pg_replication_in_recovery unless on ({REGION}, namespace, pod) (cnpg_collector_fencing_on == 1)",
    )
    + " == bool 0"
)
_OF_A_DATABASE = f"{_OF_A_REGION}: {{{{database}}}}"
_SERVES = f'count by ({REGION}) (kube_configmap_created{{{_HERE},configmap="serving"}})'

Panel = Any
"""Grafana's builder of a panel: each kind has one of its own, and nothing in common but its methods."""


def texts() -> dict[str, str]:
    """The text of each dashboard, by its file's name."""
    return {READINESS: _text(_readiness()), FAILOVER: _text(_failover())}


def _text(dashboard: Dashboard) -> str:
    return json.dumps(dashboard.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _new(title: str, uid: str, since: str, description: str) -> Dashboard:
    source = DatasourceVariable("datasource").type("prometheus").label("Prometheus")
    return (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["k8s-dr"])
        .timezone("utc")
        .time(since, "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(source)
    )


def _panel(panel: Panel, title: str, says: str, expression: str, legend: str, *, unit: str = "", width: int = 12) -> Panel:
    if isinstance(panel, TimeSeries):
        panel = panel.legend(VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST))
    query = Dataquery().expr(expression).legend_format(legend)
    made = panel.title(title).description(says).datasource(DataSourceRef(type_val="prometheus", uid="${datasource}"))
    return (made.unit(unit) if unit else made).span(width).height(7).with_target(query)


def _readiness() -> Dashboard:
    made = _new(
        "Disaster recovery: could a region take over now?",
        "k8s-dr-readiness",
        "now-24h",
        "What a failover depends on, in each region whose metrics are in this Prometheus. docs/monitoring.md has each alert.",
    )
    for name, panels in (("Now", _now()), ("What a failover would bring", _data()), ("What is tried by itself", _jobs())):
        made = made.with_row(Row(name))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _now() -> Iterator[Panel]:
    firing = f'count by (region, severity) (ALERTS{{alertstate="firing",{_OURS}}})'
    yield _panel(Stat(), "Alerts", "Alerts of this program that fire.", firing, "{{region}} {{severity}}", width=8)
    yield _panel(Stat(), "Serves", "The region that has the record that it serves.", _SERVES, _OF_A_REGION, width=8)
    yield _panel(Stat(), "Takes writes", "1 where an instance of the database takes writes.", _WRITES, _OF_A_DATABASE, width=8)


def _data() -> Iterator[Panel]:
    newest = f'max by ({REGION}, schedule) (velero_backup_last_successful_timestamp{{schedule!=""}})'
    yield _panel(
        TimeSeries(),
        "Age of the newest Completed backup",
        "Of each schedule, as it is seen in each region: the copy of the other region's too.",
        f"time() - {newest}",
        f"{_OF_A_REGION}: {{{{schedule}}}}",
        unit="s",
    )
    location = f"min by ({REGION}, backup_location_name) (velero_backup_location_status_gauge)"
    yield _panel(
        TimeSeries(),
        "Backup locations that Velero can read",
        "`peer` is this region's copy of the other one's.",
        location,
        f"{_OF_A_REGION}: {{{{backup_location_name}}}}",
    )
    yield _panel(
        TimeSeries(),
        "WAL that waits to be archived",
        "Segments.",
        f'max by ({REGION}, namespace, pod) (cnpg_collector_pg_wal_archive_status{{value="ready"}})',
        f"{_OF_A_REGION}: {{{{pod}}}}",
    )
    yield _panel(
        TimeSeries(),
        "Since WAL was archived",
        "It grows while nobody writes: it counts where something waits.",
        _by_database("min", "cnpg_pg_stat_archiver_seconds_since_last_archival >= 0"),
        _OF_A_DATABASE,
        unit="s",
    )
    yield _panel(
        TimeSeries(),
        "Since the standby has replayed a commit",
        "Of a side that follows an archive it grows while nobody writes.",
        _by_database("min", "cnpg_pg_replication_lag"),
        _OF_A_DATABASE,
        unit="s",
    )
    backup = "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp"
    yield _panel(
        TimeSeries(),
        "Age of the newest base backup",
        "In each region's own archive.",
        f"time() - {_by_database('max', f'{backup} > 0')}",
        _OF_A_DATABASE,
        unit="s",
    )


def _jobs() -> Iterator[Panel]:
    yield _panel(
        TimeSeries(),
        "Since each Job last succeeded",
        "The guard comes each minute, marks of the archives every two; drills by their calendar.",
        f"time() - max by ({REGION}, cronjob) (kube_cronjob_status_last_successful_time{{{_JOBS}}})",
        f"{_OF_A_REGION}: {{{{cronjob}}}}",
        unit="s",
        width=24,
    )


def _failover() -> Dashboard:
    made = _new(
        "Disaster recovery: a failover's timeline",
        "k8s-dr-failover",
        "now-1h",
        "What changed in which order: restores, databases, workloads, and the record that a region serves.",
    )
    for panel in _steps():
        made = made.with_panel(panel)
    return made


def _steps() -> Iterator[Panel]:
    begun, ended = (f"sum by ({REGION}) (velero_restore_{what}_total)" for what in ("attempt", "success"))
    yield _panel(TimeSeries(), "Restores that have begun", "Of Velero.", begun, _OF_A_REGION)
    yield _panel(TimeSeries(), "Restores that have ended well", "Of Velero.", ended, _OF_A_REGION)
    yield _panel(StateTimeline(), "Database takes writes", "1 where it does.", _WRITES, _OF_A_DATABASE)
    yield _panel(StateTimeline(), "Fenced", "1 where the guard, or somebody, has stopped it.", _FENCED, _OF_A_DATABASE)
    ready = f"sum by ({REGION}, namespace) (kube_deployment_status_replicas_available)"
    yield _panel(
        TimeSeries(), "Available replicas", "Of Deployments, by namespace.", ready, f"{_OF_A_REGION}: {{{{namespace}}}}", width=24
    )
    jobs = f"sum by ({REGION}, job_name) (kube_job_status_active{{{_HERE}}}) > 0"
    yield _panel(StateTimeline(), "Jobs of the program", "Those that run.", jobs, f"{_OF_A_REGION}: {{{{job_name}}}}", width=24)
    yield _panel(StateTimeline(), "Serves", "The record is written last, once users may come.", _SERVES, _OF_A_REGION, width=24)


if __name__ == "__main__":
    for file, text in texts().items():
        (FOLDER / file).write_text(text)
