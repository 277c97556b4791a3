"""What the tiers cost: the arithmetic, the list of prices, and the table that is made from both."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
import yaml

from scripts.tier_costs import (
    BEGIN,
    END,
    PAGE,
    PRICES,
    README,
    TIERS,
    Example,
    archives,
    block,
    costs,
    drill_costs,
    load_prices,
    replaced,
    replicated_gb,
    sums,
    unread,
)
from settings.tiers import Tier

ONE = dict.fromkeys(load_prices(), 1.0)
"""A dollar for everything, so that a line is its quantity."""
EXAMPLE = Example()


def test_the_table_of_the_page_is_fresh() -> None:
    page = PAGE.read_text()
    assert replaced(page, block(EXAMPLE, load_prices(), unread())) == page, "run: .venv/bin/python -m scripts.tier_costs --write"


def test_the_tiers_of_the_first_page_are_what_the_program_promises_and_the_prices_make() -> None:
    page, new = README.read_text(), sums(EXAMPLE, load_prices())
    assert replaced(page, new, README.name) == page, "run: .venv/bin/python -m scripts.tier_costs --write"
    assert "| `pilot-light`, the default | a replica of each database | 5 min | 30 min |" in new
    assert "| `active-active` | a replica of each database, each workload in full, and half of the users | 5 s | 2 min |" in new


def test_every_price_has_a_unit_a_source_and_the_day_it_was_read_or_says_that_nobody_has() -> None:
    for name, entry in yaml.safe_load(PRICES.read_text()).items():
        assert set(entry) == {"price", "unit", "source", "checked"}, name
        assert entry["price"] > 0
        assert entry["source"].startswith("https://")
        assert entry["checked"] is None or isinstance(entry["checked"], date)
    assert unread()
    assert all(f"`{name}`" in block(EXAMPLE, load_prices(), unread()) for name in unread())


@pytest.mark.parametrize(
    ("tier", "database", "application", "balancers"),
    [("backup-restore", 0, 0, 1), ("pilot-light", 6, 0, 1), ("warm-standby", 6, 1, 3), ("active-active", 6, 3, 3)],
)
def test_a_tier_pays_for_what_it_keeps(tier: Tier, database: int, application: int, balancers: int) -> None:
    lines = costs(tier, EXAMPLE, ONE).lines
    assert lines["control plane"] == 730
    assert lines["nodes: platform"] == 730 * 2
    assert lines["nodes: database"] == 730 * database, "an m7g.xlarge is two m7g.large"
    assert lines["volumes"] == database / 2 * 120
    assert lines["nodes: application"] == 730 * application
    assert lines["load balancers"] == 730 * balancers, "streaming has one in each region"


def test_an_archive_is_stored_in_both_regions_and_the_primarys_own_copy_is_not_the_second_regions() -> None:
    kept = 30 * (30 + 5)
    assert costs("backup-restore", EXAMPLE, ONE).lines["S3: storage"] == kept + 50
    assert costs("pilot-light", EXAMPLE, ONE).lines["S3: storage"] == 3 * kept + 50
    assert [archives(tier) for tier in TIERS] == [1, 2, 2, 2]


def test_between_the_regions_goes_what_is_archived_by_both_what_velero_adds_and_what_is_streamed() -> None:
    assert replicated_gb("backup-restore", EXAMPLE) == 30 * (35 + 2)
    assert costs("pilot-light", EXAMPLE, ONE).lines["between the regions"] == 30 * (2 * 35 + 2)
    assert costs("warm-standby", EXAMPLE, ONE).lines["between the regions"] == 30 * (2 * 35 + 2) + 30 * 15


def test_both_regions_serving_takes_six_health_checks_and_else_one_with_three_options() -> None:
    key = 1
    assert costs("pilot-light", EXAMPLE, ONE).lines["KMS key, health checks"] == key + 1 + 3
    assert costs("active-active", EXAMPLE, ONE).lines["KMS key, health checks"] == key + 6 + 10


def test_a_drill_pays_for_its_hours_and_its_requests_and_the_namespace_in_one_region_alone() -> None:
    hour = {**ONE, "gp3_gb_month": 730.0, "s3_thousand_gets": 0.0, "s3_thousand_puts": 0.0}
    found = drill_costs(EXAMPLE, hour)
    assert (found["namespace"].nodes, found["namespace"].volumes) == (1, 50)
    assert (found["database"].nodes, found["database"].volumes) == (2 * 2 * 2, 2 * 120 * 2), "an m7g.xlarge is two m7g.large"
    assert found["integrity"].total == 0
    gets = drill_costs(EXAMPLE, {**dict.fromkeys(ONE, 0.0), "s3_thousand_gets": 1000.0})
    assert gets["integrity"].requests == pytest.approx(2 * 30 / 7 * 1000)
    assert gets["namespace"].requests == 50_000 / 4
    assert gets["database"].requests == 2 * (30_000 / 4 + 3000)
    lists = drill_costs(EXAMPLE, {**dict.fromkeys(ONE, 0.0), "s3_thousand_puts": 1000.0})
    assert lists["database"].requests == 2 * (3000 * 30 / 1000 + 1)


def test_drills_cost_the_same_in_every_tier_and_are_in_the_sum() -> None:
    prices = load_prices()
    of = sum(each.total for each in drill_costs(EXAMPLE, prices).values())
    assert {costs(tier, EXAMPLE, prices).lines["drills, in both regions"] for tier in TIERS} == {of}
    assert 0 < of < 5


def test_a_higher_tier_costs_more_and_more_of_anything_never_less() -> None:
    prices = load_prices()
    totals = [costs(tier, EXAMPLE, prices).total for tier in TIERS]
    assert totals == sorted(totals)
    assert totals[0] == pytest.approx(sum(costs("backup-restore", EXAMPLE, prices).lines.values()))
    for more in ({"replicas": 9}, {"instances": 5}, {"wal": 50}, {"base_backup": 300}, {"retention": 60}, {"velero": 500}):
        assert all(
            costs(tier, replace(EXAMPLE, **more), prices).total >= total for tier, total in zip(TIERS, totals, strict=True)
        )


def test_a_page_without_the_block_is_not_written_over() -> None:
    assert replaced(f"a\n{BEGIN}\nold\n{END}\nz", "new") == "a\nnew\nz"
    with pytest.raises(ValueError, match=r"tiers\.md has no block"):
        replaced("nothing", "new")
