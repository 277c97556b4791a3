"""Each tier fails over in the lab, and its rows are counted. `make test` does this for the default tier."""

from __future__ import annotations

import pytest

from lab import databases, demo
from lab.world import Lab
from report import model
from settings.presets import DEFAULT, PRESETS
from settings.tiers import Tier
from tests.lab.conftest import deployed


@pytest.mark.parametrize("tier", [tier for tier in PRESETS if tier != DEFAULT])
def test_a_region_of_this_tier_dies_and_the_other_serves_with_every_row_accounted_for(tier: Tier) -> None:
    plan = databases.Plan(tier=tier, replication="streaming" if PRESETS[tier].streams else "archive")
    with deployed(Lab(plan=plan)) as lab:
        report = demo.fail(lab)
    assert model.verdict(report) == []
    assert report.served_by == "secondary"
    assert report.calls_to_dead_region == 0
    assert report.rows_acknowledged is not None
    assert report.rows_acknowledged > 100
    assert report.counting_proven is not None
    assert report.counting_proven.holds
