"""Rows that were deleted in both regions come back as docs/recovery.md has it, in either region that serves.

First in the primary, whose standby follows all the while. Then the primary dies, and the survivor, which nobody follows, does it
alone: what users wrote has one copy then, and this is the only way back to what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import databases, demo
from lab.world import Lab
from tests.lab.conftest import deployed
from tests.lab.point_in_time import WayBack, comes_back


@pytest.fixture(scope="module")
def serving() -> Iterator[Lab]:
    """The primary serves, and the secondary has a standby that follows."""
    with deployed(Lab(plan=databases.Plan())) as lab:
        yield lab


@pytest.fixture(scope="module")
def survivor(serving: Lab) -> Lab:
    """The primary is dead, and the secondary serves."""
    demo.fail(serving, cache=False, at_worst=False)
    return serving


def test_rows_come_back_in_the_primary_and_in_the_standby_that_follows_it(serving: Lab, tmp_path: Path) -> None:
    comes_back(WayBack(lab=serving, region="primary", directory=tmp_path))


def test_rows_come_back_in_the_survivor_of_a_failover(survivor: Lab, tmp_path: Path) -> None:
    comes_back(WayBack(lab=survivor, region="secondary", directory=tmp_path, standby=False))
