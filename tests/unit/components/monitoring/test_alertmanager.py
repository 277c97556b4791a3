"""Whom Alertmanager tells of this program's alerts, and what keeps its heartbeat going."""

from __future__ import annotations

import json
from typing import Any

import pytest

from settings.roles import ROLES, Role
from tests.unit.recorder import Recorder, deployed, is_secret, revealed, run_program

URL = "https://hooks.example.com/hush"
BOTH: dict[str, Any] = {"alerts": f"{URL}/alerts", "heartbeats": {"watchdog": f"{URL}/watchdog"}}


def told(receivers: dict[str, Any], stack: Role = "secondary", **changes: Any) -> Recorder:
    monitoring = {"enabled": True, "labels": {"release": "prometheus"}}
    return run_program(stack, {"peerReady": True, "monitoring": monitoring, "receivers": receivers, **changes})


def rules(recorder: Recorder) -> list[dict[str, Any]]:
    return [rule for seen in recorder.of("PrometheusRule") for group in seen.spec["groups"] for rule in group["rules"]]


def matched(route: dict[str, Any]) -> dict[str, str]:
    assert {each["matchType"] for each in route["matchers"]} == {"="}
    return {each["name"]: each["value"] for each in route["matchers"]}


def test_nothing_is_routed_where_nobody_has_set_a_url() -> None:
    without = told({})
    assert not without.of("AlertmanagerConfig")
    assert "RecoveryWatchdog" not in {rule["alert"] for rule in rules(without)}


def test_every_alert_of_this_program_goes_to_the_webhook_and_so_does_its_end() -> None:
    region = told(BOTH)
    [config] = region.of("AlertmanagerConfig")
    route = config.spec["route"]
    assert config.type == "kubernetes:monitoring.coreos.com/v1alpha1:AlertmanagerConfig"
    assert config.metadata["labels"]["release"] == "prometheus"
    assert route["receiver"] == "alerts"
    for rule in rules(region):
        assert matched(route).items() <= rule["labels"].items()
    receivers = {each["name"]: each["webhookConfigs"] for each in config.spec["receivers"]}
    key = {"name": "alertmanager-receivers", "key": "alerts"}
    assert receivers["alerts"] == [{"urlSecret": key, "sendResolved": True}]


def test_an_alert_that_always_fires_keeps_the_heartbeat_going_each_minute() -> None:
    region = told(BOTH)
    [config] = region.of("AlertmanagerConfig")
    [route] = config.spec["route"]["routes"]
    [watchdog] = [rule for rule in rules(region) if rule["alert"] == "RecoveryWatchdog"]
    assert watchdog["expr"] == "vector(1)"
    assert matched(route) == {"alertname": "RecoveryWatchdog"}
    assert (route["receiver"], route["groupInterval"], route["repeatInterval"]) == ("watchdog", "1m", "1m")
    [receiver] = [each for each in config.spec["receivers"] if each["name"] == "watchdog"]
    assert receiver["webhookConfigs"][0]["sendResolved"] is False


def test_one_of_the_two_does_without_the_other() -> None:
    [config] = told({"alerts": URL}).of("AlertmanagerConfig")
    assert "routes" not in config.spec["route"]
    assert [each["name"] for each in config.spec["receivers"]] == ["alerts"]
    [config] = told({"heartbeats": {"watchdog": URL}}).of("AlertmanagerConfig")
    assert matched(config.spec["route"]) == {"alertname": "RecoveryWatchdog"}
    assert [each["name"] for each in config.spec["receivers"]] == ["watchdog"]


def test_each_alert_has_the_namespace_without_which_an_alertmanager_routes_nothing_by_its_config() -> None:
    region = told(BOTH)
    [config] = region.of("AlertmanagerConfig")
    assert {rule["labels"]["namespace"] for rule in rules(region)} == {config.metadata["namespace"]}


def test_the_urls_are_in_a_secret_that_no_backup_takes_along_and_nowhere_else() -> None:
    region = told(BOTH)
    secret = region["monitoring-receivers"]
    assert is_secret(secret.inputs["stringData"])
    assert revealed(secret.inputs["stringData"]) == {"alerts": f"{URL}/alerts", "watchdog": f"{URL}/watchdog"}
    assert secret.metadata["labels"]["velero.io/exclude-from-backup"] == "true"
    assert "hush" not in json.dumps([seen.inputs for seen in region.seen if seen.name != "monitoring-receivers"])


@pytest.mark.parametrize("stack", ROLES)
def test_a_flip_changes_nothing_of_it(stack: Role) -> None:
    before, after = (
        {seen.name: seen.inputs for seen in told(BOTH, stack, **deployed(serving)).seen if seen.parent.endswith("::monitoring")}
        for serving in ROLES
    )
    assert before == after
