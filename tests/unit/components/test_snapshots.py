"""Everything that each stack registers, as a reviewer reads it: one YAML file for each combination.

After a wanted change: `pytest tests/unit/components/test_snapshots.py --snapshot-update`, and review the diff.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from tests.unit.recorder import Recorder, snapshot_of


class YamlFile(SingleFileSnapshotExtension):
    """One readable file for each combination."""

    _write_mode = WriteMode.TEXT
    file_extension = "yaml"

    def serialize(self, data: Any, **_: Any) -> str:
        return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(YamlFile)


def test_the_stack_registers(recorder: Recorder, snapshot: SnapshotAssertion) -> None:
    assert list(snapshot_of(recorder)) == snapshot
