"""What every test shares: the order from fast to slow, and how hard hypothesis tries."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lab.regions import preflight
from tests import reliability, times

ORDER = ("unit", "contract", "engine", "lab", "long")
"""Folders of tests, from seconds to minutes: what is cheap to find is found first."""
IN_THE_LAB = ("lab", "long")

settings.register_profile(
    "default",
    deadline=None,  # a busy machine is not a failure
    max_examples=100,
    derandomize=True,  # a change is what makes a test fail, not the day
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    times.register(config)
    reliability.register(config)
    # The AWS SDK imports all of its modules, deprecated ones too, whatever a program uses.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:pulumi_aws.*")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests, and skip those of the lab if this machine cannot run it."""
    items.sort(key=lambda item: ORDER.index(_folder(item)) if _folder(item) in ORDER else len(ORDER))
    in_the_lab = [item for item in items if _folder(item) in IN_THE_LAB]
    if in_the_lab and (obstacles := preflight.obstacles()):
        for item in in_the_lab:
            item.add_marker(pytest.mark.skip(reason=f"the lab cannot run here: {'; '.join(obstacles)}"))


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]
