"""A clock that is wrong is told before any age is judged by it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from components.kube.clock import objections
from tests.unit.fakes import FakeCluster


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (timedelta(hours=1), "this machine's clock is 60 min 0 s behind that of the cluster's API server"),
        (timedelta(hours=-1), "ahead of that of the cluster's API server"),
    ],
)
def test_one_that_is_an_hour_off_is_told_with_the_difference_and_the_way_on(ahead: timedelta, words: str) -> None:
    (told,) = map(str, objections(FakeCluster(ahead=ahead + timedelta(seconds=1)), "primary"))
    assert words in told
    assert told.endswith("to go on all the same: pulumi config set force true -s primary")


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=4), timedelta(minutes=-4), None])
def test_one_that_is_right_or_nearly_or_that_nobody_tells_is_none(ahead: timedelta | None) -> None:
    assert [*objections(FakeCluster(ahead=ahead), "secondary")] == []
