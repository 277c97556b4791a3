"""docs/configuration.md is what the models say, every key of them."""

from __future__ import annotations

from settings.load import KEYS
from settings.reference import REGION_KEYS, page
from tests.examples import ROOT


def rows() -> dict[str, str]:
    """Key to its row."""
    lines = [line for line in page().splitlines() if line.startswith("| `")]
    return {line.split("`")[1]: line for line in lines}


def test_the_committed_reference_is_fresh() -> None:
    committed = (ROOT / "docs" / "configuration.md").read_text()
    assert committed == page(), "run: .venv/bin/python -m settings.reference > docs/configuration.md"


def test_every_key_has_a_row_with_a_meaning() -> None:
    assert {key for key in rows() if "." not in key} == set(KEYS)
    assert not [row for row in rows().values() if "|  |" in row]


def test_what_differs_from_region_to_region_is_a_key() -> None:
    assert set(REGION_KEYS) <= set(KEYS)


def test_keys_below_objects_lists_and_alternatives_have_rows() -> None:
    assert {"topology.regions.primary", "backups[].cron", "workloads[].check.port", "endpoint.zoneId"} <= rows().keys()


def test_a_row_says_what_is_required_what_is_allowed_and_what_it_is_else() -> None:
    assert "| required | a duration, as in 720h" in rows()["backups[].keep"]
    assert "| `60` | a whole number, 1 to 86400 |" in rows()["dns.ttl"]
    assert "| required | a whole number, 1 or more |" in rows()["workloads[].replicas"]
    assert "| `standby-takes-over` | `standby-takes-over`, `record`, `both-regions` |" in rows()["dns.mode"]
