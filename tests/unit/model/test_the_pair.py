"""The machine, shortly. tests/long/test_pair.py runs it for longer."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.model.machine import Pair


def test_two_regions_never_write_at_once_and_there_is_always_a_way_forward() -> None:
    run_state_machine_as_test(Pair, settings=settings(max_examples=60, stateful_step_count=12))
