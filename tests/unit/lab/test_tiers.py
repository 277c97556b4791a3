"""The demo in each tier: what its options mean, and that the program takes what the lab then configures."""

from __future__ import annotations

from typing import get_args

import pytest

from lab import project
from lab.__main__ import _parser, _plan
from lab.databases import NAME, OWNER, Plan
from settings import load
from settings.load import SECRETS
from settings.tiers import Tier
from tests.examples import PASSWORD, example

TIERS: tuple[Tier, ...] = get_args(Tier)


def planned(*options: str) -> Plan:
    return _plan(_parser().parse_args(["demo", *options]))


def test_a_demo_is_of_the_default_tier_and_its_rows_go_by_the_archive() -> None:
    assert planned() == Plan(tier="pilot-light", replication="archive", source="replica-bucket")


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_brings_the_connection_that_it_needs_unless_somebody_says_how_rows_go(tier: Tier) -> None:
    streams = tier in ("warm-standby", "active-active")
    assert planned("--tier", tier).replication == ("streaming" if streams else "archive")
    assert planned("--tier", tier, "--replication", "archive").replication == "archive"


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_what_the_lab_configures_is_taken_and_is_the_tiers(tier: Tier, stack: str) -> None:
    plan = planned("--tier", tier)
    changes = {
        "tier": tier,
        "databases": [plan.configuration("docker.io/local/postgresql:15.18")],
        "databasePasswords": {NAME: PASSWORD},
        "failover": {"probe": f"http://{project.load_balancer('primary')}/"},
    }
    settings = load(stack, example(stack, changes), SECRETS)
    (database,), (workload,) = settings.databases, settings.workloads
    assert database.owner == OWNER
    assert database.standby is plan.preset.standby
    assert workload.standby_replicas == {"none": 0, "one": 1, "all": workload.replicas}[plan.preset.workloads]
