"""The model of the pair (tests/unit/model), with more and longer histories than `make test` has time for."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.model.machine import Pair, PairWithoutDatabases


def test_two_regions_never_write_at_once_and_there_is_always_a_way_forward_in_long_histories() -> None:
    run_state_machine_as_test(Pair, settings=settings(max_examples=3000, stateful_step_count=30))


def test_a_pair_without_databases_leaves_nobody_without_a_region_in_long_histories() -> None:
    run_state_machine_as_test(PairWithoutDatabases, settings=settings(max_examples=2000, stateful_step_count=30))
