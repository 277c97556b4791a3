"""The page on plans past the lab's size: its tables are fresh, what it counts of the program is so, each figure has a source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import pytest
import yaml

from components.database.freshness import DEADLINE, EVERY, TURN
from scripts.scale import PAGE, block, holds_up_to, replaced, rows
from scripts.scale_plan import (
    INPUTS,
    Plan,
    between_marks,
    job_seconds,
    load_figures,
    load_rate,
    object_seconds,
    replicated_gbit,
    runs_until_marked,
    state_bytes,
    state_seconds,
    volume_seconds,
)
from settings.roles import Role
from tests.examples import PASSWORD
from tests.unit.recorder import Seen, run_program

FIGURES, RATE, PLAN = load_figures(), load_rate(), Plan()


def test_the_tables_of_the_page_are_fresh() -> None:
    page = PAGE.read_text()
    assert replaced(page, block(PLAN, FIGURES, RATE)) == page, "run: .venv/bin/python -m scripts.scale --write"


def test_every_figure_has_a_kind_a_unit_and_a_source_and_says_whether_it_was_read() -> None:
    for name, entry in yaml.safe_load(INPUTS.read_text()).items():
        assert set(entry) == {"value", "kind", "unit", "source", "checked"}, name
        assert entry["value"] > 0
        assert entry["kind"] in ("limit", "measured", "counted", "assumed"), name
        assert entry["checked"] is None or isinstance(entry["checked"], date)
        assert entry["checked"] is None or entry["source"].startswith("https://"), f"{name} was read nowhere"


@cache
def registered(stack: Role, namespaces: int, databases: int, active: Role | None = None) -> Mapping[str, Seen]:
    """What the program registers, by URN."""
    names = [f"ns-{number}" for number in range(namespaces)]
    changes: dict[str, Any] = {
        "peerReady": True,
        "workloads": [{"namespace": name, "replicas": 1} for name in names],
        "backups": [{"name": "all", "include": names, "cron": "0 * * * *", "keep": "24h"}],
        "databases": [{"name": f"db-{number}", "namespace": f"dbs-{number}"} for number in range(databases)],
        "databasePasswords": {f"db-{number}": PASSWORD for number in range(databases)},
        "drills": {"namespace": {"namespace": "ns-0"}},
    }
    return {seen.urn: seen for seen in run_program(stack, changes | ({"active": active} if active else {})).seen}


def of_type(seen: Mapping[str, Seen], kind: str) -> int:
    return sum(each.type == kind for each in seen.values())


def flip(namespaces: int, databases: int) -> int:
    """How many resources a flip creates or updates."""
    before, after = (registered("secondary", namespaces, databases, active) for active in (None, "secondary"))
    return sum(urn not in before or before[urn].inputs != seen.inputs for urn, seen in after.items())  # type: ignore[comparison-overlap]


def kilobytes(namespaces: int, databases: int) -> float:
    seen = registered("secondary", namespaces, databases, "secondary").values()
    return sum(len(json.dumps(each.inputs, default=str)) for each in seen) / 1000


def test_the_resources_of_a_stack_and_of_each_database_are_counted() -> None:
    stack = len(registered("secondary", 1, 1))
    assert stack == FIGURES["stack_resources"]
    assert len(registered("secondary", 1, 4)) - stack == 3 * FIGURES["database_resources"]
    assert len(registered("secondary", 4, 1)) == stack, "a namespace costs nothing before the flip"


def test_what_a_flip_changes_is_counted() -> None:
    one = flip(1, 1)
    assert one == FIGURES["flip_changes"]
    assert flip(4, 1) - one == 3 * FIGURES["flip_changes_of_a_namespace"]
    assert flip(1, 4) - one == 3 * FIGURES["flip_changes_of_a_database"]


def test_the_size_of_the_inputs_is_counted() -> None:
    """Within a tenth: each change of a script or a page changes it a little."""
    one = kilobytes(1, 1)
    assert one == pytest.approx(FIGURES["stack_kilobytes"], rel=0.1)
    assert (kilobytes(1, 4) - one) / 3 == pytest.approx(FIGURES["database_kilobytes"], rel=0.1)
    assert (kilobytes(4, 1) - one) / 3 == pytest.approx(FIGURES["namespace_kilobytes"], rel=0.1)


def test_what_counts_against_quotas_is_counted() -> None:
    primary, secondary = registered("primary", 1, 1), registered("secondary", 1, 1)
    for stack in (primary, secondary):
        assert of_type(stack, "aws:iam/role:Role") == FIGURES["iam_roles_of_a_stack"]
    buckets = [of_type(stack, "aws:s3/bucket:Bucket") for stack in (primary, secondary)]
    assert sum(buckets) == FIGURES["buckets_of_a_pair"]
    associations = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
    assert of_type(secondary, associations) == FIGURES["associations_of_a_stack"]
    assert of_type(registered("secondary", 1, 4), associations) == FIGURES["associations_of_a_stack"] + 3


@pytest.mark.parametrize("row", rows(FIGURES, RATE), ids=lambda row: row.what)
def test_a_row_reaches_its_limit_where_the_page_says(row: Any) -> None:
    factor = holds_up_to(row, PLAN)
    assert row.value(PLAN.times(factor * 0.98)) < row.limit < row.value(PLAN.times(factor * 1.02))


def test_what_breaks_first_comes_first() -> None:
    held = [holds_up_to(row, PLAN) for row in rows(FIGURES, RATE)]
    table = [line for line in block(PLAN, FIGURES, RATE).splitlines() if "RTO, " in line or "a cluster" in line]
    first = min(rows(FIGURES, RATE), key=lambda row: holds_up_to(row, PLAN))
    assert table[0].startswith(f"| {first.what} |")
    assert min(held) < 1 < max(held)


def test_the_writes_of_the_state_grow_faster_than_the_plan() -> None:
    assert state_bytes(PLAN.times(2), FIGURES) < 2 * state_bytes(PLAN, FIGURES)
    assert state_seconds(PLAN.times(2), FIGURES) > 3 * state_seconds(PLAN, FIGURES)


def test_a_restore_of_objects_goes_at_the_pace_of_the_client_or_of_the_api_server() -> None:
    one = replace(PLAN, namespaces=10, objects=100)
    assert object_seconds(one, FIGURES, 20) == pytest.approx(1000 * 2 / 20)
    assert object_seconds(one, FIGURES, 1e6) == pytest.approx(1000 * 2 * FIGURES["api_request_seconds"])


@pytest.mark.parametrize(("databases", "reached"), [(110, 110), (150, 110), (250, 110), (500, 110), (500, 37), (7, 2)])
def test_no_database_waits_for_its_mark_longer_than_so_many_runs(databases: int, reached: int) -> None:
    """Over runs that begin as the script has them begin."""
    most, last, longest = runs_until_marked(reached / databases), dict.fromkeys(range(databases), 0), 0
    for run in range(1, 500):
        first = run * TURN % 1_000_000 * databases // 1_000_000
        for number in range(first, first + reached):
            longest = max(longest, run - last[number % databases])
            last[number % databases] = run
    assert longest == most
    assert most < 2 * databases / reached + 1, "no order could have it below databases / reached"


def test_a_mark_is_older_where_a_round_has_no_time_for_all() -> None:
    few, many = replace(PLAN, databases=10), replace(PLAN, databases=500)
    assert between_marks(few, FIGURES) == EVERY + 10
    assert between_marks(many, FIGURES) == runs_until_marked(DEADLINE / 500) * EVERY + DEADLINE
    assert between_marks(replace(PLAN, databases=0), FIGURES) == EVERY


def test_twice_the_nodes_bring_the_volumes_in_half_the_time_and_a_slow_network_bounds_them() -> None:
    assert volume_seconds(replace(PLAN, nodes=100), RATE) == pytest.approx(volume_seconds(PLAN, RATE) / 2)
    assert volume_seconds(replace(PLAN, node_gbit=0.1), RATE) > 5 * volume_seconds(PLAN, RATE)


def test_the_arithmetic_of_the_rest() -> None:
    alone = replace(PLAN, databases=0, volumes_tb=54, changed=0.2)
    assert replicated_gbit(alone) == pytest.approx(1.0)
    assert job_seconds(replace(PLAN, namespaces=60, databases=100), FIGURES) == pytest.approx(100)
    assert PLAN.pairs == 5
