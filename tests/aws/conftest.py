from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.tools import toolbox
from tests.aws.world import World, world


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both regions as they are deployed: the primary serves, and each copies to the other."""
    pulumi = toolbox.ensure(["pulumi"]).path("pulumi")
    with world(tmp_path_factory.mktemp("aws"), pulumi) as made:
        made.deploy()
        yield made
