"""promtool judges the very rules that the program makes: each alert fires where it must, and is silent in both healthy regions.

Every case begins with the metrics of a healthy region, the one that serves or the one that stands by, changes some, and says
which alerts then fire: those and no other.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.monitoring import dashboards
from settings.roles import Role
from tests.contract.alert_cases import CASES, OF_BOTH, PAIR, B
from tests.contract.alert_series import MINUTES, Case, Value, healthy, location
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


@cache
def rules_of(stack: Role, name: str) -> dict[str, Any]:
    [found] = [seen for seen in run_program(stack, CONFIGURATION).of("PrometheusRule") if seen.metadata["name"] == name]
    return found.spec


def _series(values: Mapping[str, Value]) -> list[dict[str, str]]:
    return [
        {"series": series, "values": value if isinstance(value, str) else f"{value}+0x{MINUTES}"}
        for series, value in values.items()
        if value is not None
    ]


def judge(directory: Path, rules: dict[str, Any], series: Mapping[str, Value], case: Case) -> subprocess.CompletedProcess[str]:
    """promtool's judgement: it fails unless those alerts fire that the case names."""
    samples = [{"labels": f'{{alertname="{name}"}}', "value": count} for name, count in case.fires.items()]
    question = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{case.at}m",
        "exp_samples": samples,
    }
    test = {"interval": "1m", "input_series": _series(series), "promql_expr_test": [question]}
    # Evaluating the rules is what a case takes, and these say what is so for many minutes.
    every = "1m" if case.at % 5 else "5m"
    (directory / "rules.yaml").write_text(yaml.safe_dump(rules))
    (directory / "test.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": every, "tests": [test]})
    )
    promtool = tool("prometheus", "promtool")
    return subprocess.run([promtool, "test", "rules", "test.yaml"], cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_these_alerts_fire_and_no_other(case: Case, tmp_path: Path) -> None:
    role: Role = "primary" if case.serves else "secondary"
    base = healthy(role, "primary")
    judged = judge(tmp_path, rules_of(role, "k8s-dr"), {**base, **case.changes}, case)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("case", OF_BOTH, ids=lambda case: case.says)
def test_these_alerts_on_both_regions_fire_and_no_other(case: Case, tmp_path: Path) -> None:
    for role in ("primary", "secondary"):
        judged = judge(tmp_path, rules_of(role, "k8s-dr-both-regions"), {**PAIR, **case.changes}, case)
        assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_a_region_that_serves_after_a_failover_is_as_silent_as_before(role: Role, tmp_path: Path) -> None:
    case = Case(says="after a failover", fires={})
    judged = judge(tmp_path, rules_of(role, "k8s-dr"), healthy(role, "secondary"), case)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    rules = [
        rule
        for name in ("k8s-dr", "k8s-dr-both-regions")
        for group in rules_of("secondary", name)["groups"]
        for rule in group["rules"]
    ]
    assert {rule["alert"] for rule in rules} == {name for case in (*CASES, *OF_BOTH) for name in case.fires}


def test_an_alert_tells_whom_to_wake_and_what_to_read(tmp_path: Path) -> None:
    fires = {
        "exp_labels": {
            "severity": "critical",
            "runbook": "k8s-dr",
            "namespace": "k8s-dr",
            "region": B,
            "backup_location_name": "peer",
        },
        "exp_annotations": {
            "summary": "Velero cannot read its backup location peer",
            "description": "Where it is `peer`, the gate refuses a failover to this region. Where it is `own`, this region "
            "backs up nothing.",
            "runbook_url": "docs/monitoring.md#velerobackuplocationunavailable",
        },
    }
    question = {"eval_time": "30m", "alertname": "VeleroBackupLocationUnavailable", "exp_alerts": [fires]}
    test = {"interval": "1m", "input_series": _series({location("peer"): 0}), "alert_rule_test": [question]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules_of("secondary", "k8s-dr")))
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
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules_of("secondary", name)))
    command = [tool("prometheus", "promtool"), "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
