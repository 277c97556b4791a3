"""Tokens and names are state from version 0.1.0 on: what a release registered is still known by its URN or by an alias.

In every configuration, and within seconds. The snapshots show how a registration changed, and are renewed by one flag; what a
release has registered is not.
"""

from __future__ import annotations

import pytest

from tests.engine.states.saved import STATES, versions
from tests.unit.configurations import registered

GIVEN_UP: dict[str, dict[str, str]] = {"0.1.0": {}}
"""By version: what is registered no more, in no configuration, and the reason. Nothing that holds data, access or traffic."""


def released(version: str) -> set[str]:
    return set((STATES / version / "registered.txt").read_text().splitlines())


@pytest.mark.parametrize("version", versions())
def test_what_a_release_registered_is_still_known_by_its_name(version: str) -> None:
    missing = released(version) - {known for seen in registered() for known in seen.known_as}
    assert missing == set(GIVEN_UP[version]), "whoever renames a token or a resource adds an alias: docs/releases.md"


def test_the_first_release_is_saved() -> None:
    assert "0.1.0" in versions()
    assert "dr:storage:BackupBuckets$aws:s3/bucket:Bucket::storage-velero" in released("0.1.0")
