"""The machine, shortly. tests/long/test_pair.py runs it for longer."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.model.machine import Pair, PairWithoutDatabases


def test_two_regions_never_write_at_once_and_there_is_always_a_way_forward() -> None:
    run_state_machine_as_test(Pair, settings=settings(max_examples=60, stateful_step_count=12))


def test_a_pair_without_databases_leaves_nobody_without_a_region_and_no_file_behind() -> None:
    run_state_machine_as_test(PairWithoutDatabases, settings=settings(max_examples=40, stateful_step_count=12))
