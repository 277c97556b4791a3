"""A figure is a median with its spread, and a ratio compares what ran in the same repetition."""

from __future__ import annotations

import pytest

from tests.bench.figures import Spread, ratios, short, spread


def test_a_spread_is_the_median_with_the_least_and_the_most() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(median=2.0, least=1.0, most=3.0)
    assert spread([]) is None


def test_a_ratio_is_of_one_repetition_and_not_of_two_medians() -> None:
    # By the medians it would be 2.0; each repetition says 4, 2 or 1.
    assert ratios([4.0, 4.0, 4.0], [1.0, 2.0, 4.0]) == [4.0, 2.0, 1.0]
    assert ratios([4.0, 9.0], [2.0]) == [2.0], "a repetition that has only one of the two is left out"


@pytest.mark.parametrize(("value", "text"), [(0.214, "0.21"), (1.734, "1.73"), (41.26, "41.3"), (118.4, "118")])
def test_a_figure_has_no_more_digits_than_mean_something(value: float, text: str) -> None:
    assert short(value) == text
