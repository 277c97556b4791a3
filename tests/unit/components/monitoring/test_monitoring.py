"""What a Prometheus operator is given. tests/contract/test_alerts.py has promtool judge the rules themselves."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from components.monitoring.metrics import METRICS
from settings.roles import Role
from tests.examples import PASSWORD, ROOT
from tests.unit.components.database.sides import STREAMING
from tests.unit.recorder import COMBINATIONS, Recorder, deployed, run_program

ALL: dict[str, Any] = {
    "peerReady": True,
    "cluster": {"context": "prod", "name": "prod", "distribution": "self-managed", "oidcIssuer": "oidc.example.com/id/EXAMPLE"},
    "identity": "irsa",
    "databases": [
        {"name": "app-database", "namespace": "databases"},
        {"name": "orders", "namespace": "databases", **STREAMING},
    ],
    "databasePasswords": {"app-database": PASSWORD, "orders": PASSWORD},
    "monitoring": {"enabled": True, "regionLabel": "region", "replayWithin": "30m"},
    "receivers": {"heartbeats": {"watchdog": "https://hooks.example.com/abc"}},
}
_OPERATORS = {"and", "or", "unless", "on", "by", "bool", "offset"}
_FUNCTIONS = {"time", "max", "min", "count", "sum", "absent", "vector", "increase", "label_replace"}

DASHBOARDS = {"monitoring-dashboard-readiness", "monitoring-dashboard-failover"}


def monitored(stack: Role = "secondary", **changes: Any) -> Recorder:
    return run_program(stack, {"peerReady": True, "monitoring": {"enabled": True, **changes}})


def rules(recorder: Recorder) -> list[dict[str, Any]]:
    return [rule for seen in recorder.of("PrometheusRule") for group in seen.spec["groups"] for rule in group["rules"]]


def of_monitoring(recorder: Recorder) -> dict[str, Any]:
    return {seen.name: seen.inputs for seen in recorder.custom() if seen.parent.endswith("::monitoring")}


def read(expression: str) -> set[str]:
    """The metrics that an expression reads."""
    bare = re.sub(r"\{[^}]*\}|\"[^\"]*\"|\b(?:by|on) ?\([^)]*\)|\[[^\]]*\]|offset \d+\w", " ", expression)
    return set(re.findall(r"[A-Za-z_]\w*", bare)) - _OPERATORS - _FUNCTIONS


def test_nothing_is_made_where_nobody_asked_for_it() -> None:
    assert of_monitoring(run_program("secondary", {"peerReady": True})) == {}


def test_each_kind_has_a_switch() -> None:
    assert set(of_monitoring(monitored())) == {
        "monitoring-rules",
        "monitoring-velero",
        "monitoring-node-agent",
        "monitoring-cloudnative-pg",
        *DASHBOARDS,
    }
    assert set(of_monitoring(monitored(scrape=False))) == {"monitoring-rules", *DASHBOARDS}
    assert not DASHBOARDS & set(of_monitoring(monitored(dashboards=False)))
    assert "monitoring-rules" not in of_monitoring(monitored(alerts=False))
    assert "monitoring-both-regions" in of_monitoring(monitored(regionLabel="region"))


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_a_flip_changes_nothing_of_it(stack: Role) -> None:
    before, after = (of_monitoring(run_program(stack, {**ALL, **deployed(serving)})) for serving in ("primary", "secondary"))
    assert before
    assert before == after


def test_both_stacks_make_the_same_rules_on_both_regions() -> None:
    texts = {
        str(of_monitoring(run_program(stack, {**ALL, **deployed(serving)}))["monitoring-both-regions"])
        for stack, serving in COMBINATIONS
    }
    assert len(texts) == 1


def test_every_metric_that_is_read_is_in_the_list_and_no_other() -> None:
    recorder = run_program("secondary", ALL)
    expressions = [rule["expr"] for rule in rules(recorder)] + [
        target["expr"]
        for seen in recorder.of("ConfigMap")
        if "grafana_dashboard" in seen.metadata["labels"]
        for text in seen.inputs["data"].values()
        for panel in json.loads(text)["panels"]
        for target in panel.get("targets", [])
    ]
    assert set().union(*map(read, expressions)) == set(METRICS)


def test_every_alert_says_what_is_wrong_what_it_means_and_what_to_read() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    headings = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    found = rules(run_program("secondary", ALL))
    assert {rule["alert"] for rule in found} == headings
    for rule in found:
        assert rule["labels"]["severity"] in (("none",) if rule["alert"] == "RecoveryWatchdog" else ("critical", "warning"))
        assert rule["labels"]["runbook"] == "k8s-dr"
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith(".")
        assert rule["annotations"]["runbook_url"] == f"docs/monitoring.md#{rule['alert'].lower()}"


def test_links_begin_where_the_pages_can_be_read() -> None:
    found = rules(monitored(runbooks="https://wiki.example.com/dr"))
    assert {rule["annotations"]["runbook_url"].partition("#")[0] for rule in found} == {
        "https://wiki.example.com/dr/monitoring.md"
    }


def test_the_region_is_on_each_alert_that_it_alone_judges() -> None:
    assert {rule["labels"].get("region") for rule in rules(monitored())} == {"us-west-2"}


def test_an_alert_is_made_only_of_what_the_region_has() -> None:
    nothing: dict[str, Any] = {"databases": [], "databasePasswords": {}, "guard": {"enabled": False}}
    bare = run_program("secondary", {**nothing, "monitoring": {"enabled": True}})
    names = {rule["alert"] for rule in rules(bare)}
    assert "VeleroBackupStale" in names
    assert not {name for name in names if name.startswith(("Database", "Guard", "Etcd", "Freshness", "CloudNativePG"))}


def test_a_database_without_a_standby_may_be_away_from_the_region_that_stands_by() -> None:
    alone = run_program("secondary", {"tier": "backup-restore", "peerReady": True, "monitoring": {"enabled": True}})
    names = {rule["alert"] for rule in rules(alone)}
    assert "DatabaseDown" not in names
    assert "DatabaseNotWritable" in names


def test_how_old_may_be_what_the_settings_say() -> None:
    found = {rule["alert"]: rule["expr"] for rule in rules(run_program("secondary", {**ALL, "targets": {"rpo": "1h"}}))}
    assert f"> {3600 + 3600 + 900}" in found["VeleroBackupStale"]
    assert "> 3600" in found["DatabaseArchivingStalled"]
    assert found["StandbyBehindPrimary"].count("offset 3720s") == 1


def test_a_quiet_database_that_follows_an_archive_makes_no_alert_unless_somebody_says_that_it_is_never_quiet() -> None:
    assert "DatabaseStandbyBehind" not in {rule["alert"] for rule in rules(monitored())}
    assert "DatabaseStandbyBehind" in {rule["alert"] for rule in rules(monitored(replayWithin="30m"))}


def test_what_is_shipped_and_wrong_on_a_standby_is_not_among_them() -> None:
    text = str(rules(run_program("secondary", ALL)))
    assert "velero_backup_last_status" not in text
    assert "in_recovery > cnpg_pg_replication_is_wal_receiver_up" not in text


def test_velero_that_others_installed_has_their_monitors() -> None:
    others = run_program("secondary", {"velero": {"managed": False}, "monitoring": {"enabled": True}})
    assert set(of_monitoring(others)) == {"monitoring-rules", "monitoring-cloudnative-pg", *DASHBOARDS}


def test_prometheus_finds_all_of_it_by_the_labels_that_it_selects_by() -> None:
    labels = {"release": "prometheus", "velero.io/exclude-from-backup": "false"}
    recorder = monitored(labels=labels)
    found = [seen for kind in ("PodMonitor", "PrometheusRule") for seen in recorder.of(kind)]
    assert len(found) == 5
    for seen in found:
        assert seen.metadata["labels"]["release"] == "prometheus"
        assert seen.metadata["labels"]["velero.io/exclude-from-backup"] == "true"


def of_drills(recorder: Recorder) -> dict[str, str]:
    """Each drill and when its alert says that it is overdue."""
    return {rule["labels"]["drill"]: rule["expr"] for rule in rules(recorder) if rule["alert"] == "DrillStale"}


def test_a_drill_is_stale_by_its_own_cron_line() -> None:
    daily = run_program("secondary", ALL | {"drills": {"integrity": {"cron": "0 6 * * *"}}})
    found = of_drills(daily)
    day = 24 * 60 * 60
    for name, days in {"drill-integrity": 2, "drill-namespace": 2 * 31, "drill-database": 2 * 31}.items():
        assert f"> {days * day} or" in found[name]


def test_the_alerts_know_each_drill_that_runs_and_no_other() -> None:
    """A drill that is off has no CronJob; one of its name that is left over is nobody's."""
    for changes in ({}, {"database": {"enabled": False}}, {"enabled": False}):
        recorder = run_program("secondary", ALL | {"drills": changes})
        made = {seen.metadata["name"] for seen in recorder.of("CronJob")}
        assert of_drills(recorder).keys() == made & {"drill-integrity", "drill-namespace", "drill-database"}
