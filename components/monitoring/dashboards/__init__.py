"""Grafana's dashboards, as scripts/dashboards.py has written them, in ConfigMaps that its sidecar finds by their label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
READINESS, FAILOVER = "readiness.json", "failover.json"

REGION = "REGION_LABEL"
"""Stands in the files for the label that tells the regions apart."""

LABEL = {"grafana_dashboard": "1"}
"""By this label the sidecar of Grafana's chart finds dashboards."""


def config_maps(region_label: str | None) -> dict[str, dict[str, Any]]:
    """Data of the ConfigMaps, by name. Where nothing tells regions apart there is one of them, and its series have no name."""
    label = region_label or "region"
    return {
        f"dashboard-{file.removesuffix('.json')}": {f"k8s-dr-{file}": (FOLDER / file).read_text().replace(REGION, label)}
        for file in (READINESS, FAILOVER)
    }
