"""The dashboards in the repository are what Grafana's own builders make, and every field of them is in Grafana's schema."""

from __future__ import annotations

import json

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from components.monitoring.dashboards import FAILOVER, FOLDER, LABEL, READINESS, REGION, config_maps
from scripts.dashboards import texts

FILES = (READINESS, FAILOVER)


def test_the_committed_dashboards_are_fresh() -> None:
    assert set(texts()) == set(FILES) == {file.name for file in FOLDER.glob("*.json")}
    for file, text in texts().items():
        assert (FOLDER / file).read_text() == text, "run: .venv/bin/python -m scripts.dashboards"


@pytest.mark.parametrize("file", FILES)
def test_every_field_is_in_grafanas_schema(file: str) -> None:
    """Its models keep what they know and drop all else."""
    register_default_plugins()
    committed = json.loads((FOLDER / file).read_text())
    assert json.loads(json.dumps(Dashboard.from_json(committed), cls=JSONEncoder)) == committed
    unknown = {**committed, "colour": "red"}
    assert json.loads(json.dumps(Dashboard.from_json(unknown), cls=JSONEncoder)) != unknown


@pytest.mark.parametrize("file", FILES)
def test_panels_do_not_lie_on_each_other_and_say_what_they_show(file: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((FOLDER / file).read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"]


def test_regions_are_told_apart_by_the_label_that_the_settings_name() -> None:
    for data in config_maps("cluster").values():
        for text in data.values():
            assert REGION not in text
            assert "by (cluster" in text
    assert "by (region" in str(config_maps(None))


def test_grafanas_sidecar_finds_them() -> None:
    assert LABEL == {"grafana_dashboard": "1"}
