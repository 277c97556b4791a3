"""What every test shares: the order from fast to slow, and how hard hypothesis tries."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ORDER = ("unit", "contract", "engine", "lab")
"""Folders of tests, from seconds to minutes: what is cheap to find is found first."""

settings.register_profile(
    "default",
    deadline=None,  # a busy machine is not a failure
    max_examples=100,
    derandomize=True,  # a change is what makes a test fail, not the day
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    # The AWS SDK imports all of its modules, deprecated ones too, whatever a program uses.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:pulumi_aws.*")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.path))


def _rank(path: Path) -> int:
    folder = path.relative_to(Path(__file__).parent).parts[0]
    return ORDER.index(folder) if folder in ORDER else len(ORDER)
