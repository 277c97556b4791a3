"""An AlertmanagerConfig fits its definition, and has what prometheus-operator asks for beyond it.

`alertmanagerconfig.json` is what `monitoring.coreos.com_alertmanagerconfigs.yaml` of prometheus-operator 0.92.0 says of the spec
in v1alpha1, its descriptions and the receivers and fields apart that this program never writes. Unknown keys, which an API server
drops in silence, are refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.unit.recorder import run_program

URL = "https://hooks.example.com/abc"
SCHEMA: dict[str, Any] = json.loads((Path(__file__).parent / "alertmanagerconfig.json").read_text())
RECEIVERS: dict[str, dict[str, Any]] = {
    "alerts": {"alerts": URL},
    "watchdog": {"heartbeats": {"watchdog": URL}},
    "both": {"alerts": URL, "heartbeats": {"watchdog": URL}},
}


def spec(receivers: dict[str, Any]) -> dict[str, Any]:
    [config] = run_program("secondary", {"monitoring": {"enabled": True}, "receivers": receivers}).of("AlertmanagerConfig")
    return config.spec


@pytest.mark.parametrize("receivers", RECEIVERS.values(), ids=RECEIVERS)
def test_it_fits_its_definition_and_so_do_the_routes_below_its_route(receivers: dict[str, Any]) -> None:
    """The definition says nothing of the routes below, which have the form of the first (`ChildRoutes` of the operator)."""
    made = spec(receivers)
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(made)] == []
    routes = Draft7Validator(SCHEMA["properties"]["route"])
    assert [error.message for route in made["route"].get("routes", []) for error in routes.iter_errors(route)] == []


@pytest.mark.parametrize("receivers", RECEIVERS.values(), ids=RECEIVERS)
def test_each_route_has_a_receiver_that_is_there(receivers: dict[str, Any]) -> None:
    """The operator refuses another one (pkg/alertmanager/validation/v1alpha1, `validateRoute`), and says so in its log alone."""
    made = spec(receivers)
    named = {route["receiver"] for route in (made["route"], *made["route"].get("routes", []))}
    assert named == {each["name"] for each in made["receivers"]}


def test_a_key_that_the_definition_lacks_is_found() -> None:
    made = spec(RECEIVERS["both"])
    assert list(Draft7Validator(SCHEMA).iter_errors({**made, "route": {**made["route"], "groupedBy": []}}))
