"""The provider ends its wait for a failed Job only where the Job ran out of attempts or of time: none of ours fails otherwise."""

from __future__ import annotations

import re

import pytest

from settings.roles import Role
from tests.unit.components.conftest import Program
from tests.unit.recorder import COMBINATIONS, Seen

OTHER_ENDS = ("podFailurePolicy", "backoffLimitPerIndex", "maxFailedIndexes", "successPolicy")
"""What gives a Job's failure another reason: PodFailurePolicy, FailedIndexes, MaxFailedIndexesExceeded."""
DEFAULT = 600
"""Seconds that the provider waits where nothing else is said."""


def patience(job: Seen) -> int:
    return int(re.sub(r"s$", "", job.timeout)) if job.timeout else DEFAULT


@pytest.mark.parametrize(("stack", "serving"), COMBINATIONS)
def test_every_job_fails_by_its_own_limits_before_the_wait_for_it_ends(stack: Role, serving: Role, program: Program) -> None:
    jobs = program(stack, serving).of("Job")
    assert jobs
    for job in jobs:
        assert job.spec["backoffLimit"] >= 0
        assert 0 < job.spec["activeDeadlineSeconds"] < patience(job), job.name
        assert not set(OTHER_ENDS) & set(job.spec), job.name
        assert job.spec["template"]["spec"]["restartPolicy"] == "Never", "a container that starts again hides that it failed"
