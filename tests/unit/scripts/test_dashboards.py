"""The dashboards in the repository are what Grafana's own builders make, and every field of them is in Grafana's schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

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
    """Its models keep what they know and drop all else, at every place: of a panel, a query, an override."""
    register_default_plugins()
    committed = json.loads((FOLDER / file).read_text())
    assert known(committed) == committed
    places = [*objects(committed)]
    assert len(places) > 50
    for place in places:
        place["colour"] = "red"
        assert known(committed) != committed, place
        del place["colour"]


def known(dashboard: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))


def objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from objects(each)


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
