"""How many files were lost: acknowledged documents held against those that are on the survivor's volume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.files import count, lost, whole
from lab.samples import rfc3339
from tests.lab.soak import files_lost
from tests.unit.lab.test_ledger import DIED, entry, refused, written

BEFORE = [written(1, -30), written(2, -20), written(3, -10)]
AFTER = [refused(4, 3), written(5, 12, "secondary")]


def test_what_was_written_after_the_backup_is_lost_and_its_oldest_file_is_the_volume_s_rpo() -> None:
    found = count([*BEFORE, *AFTER], {1, 5}, DIED)
    assert (found.acknowledged_before_death, found.lost, found.lost_by_survivor) == (3, 2, 0)
    assert found.newest_surviving == entry(1, -30)
    assert found.rpo_seconds == 20


def test_a_file_that_the_survivor_acknowledged_must_be_there() -> None:
    assert count([*BEFORE, *AFTER], {1, 2, 3}, DIED).lost_by_survivor == 1


def test_a_region_that_acknowledges_while_it_dies_makes_the_loss_no_smaller() -> None:
    found = count([*BEFORE, written(4, 2)], {1, 2}, DIED)
    assert found.rpo_seconds == 12
    assert found.newest_surviving is not None
    assert found.newest_surviving.age_seconds == 22


def test_nothing_is_lost_where_all_is_there() -> None:
    found = count(BEFORE, {1, 2, 3}, DIED)
    assert (found.lost, found.rpo_seconds) == (0, 0.0)


def test_a_volume_that_came_back_empty_has_no_newest_file() -> None:
    assert count(BEFORE, set(), DIED).newest_surviving is None


def test_what_nobody_acknowledged_is_not_lost() -> None:
    assert [write.sequence for write in lost([*BEFORE, *AFTER], {2})] == [1, 3, 5]


def test_a_cycle_of_faults_may_lose_what_was_acknowledged_since_the_backup_and_nothing_else() -> None:
    told, began = [*BEFORE, *AFTER], BEFORE[1].time
    assert files_lost(told, {1, 5}, backed_up=began) == {2, 3}
    assert files_lost(told, {1, 2, 3, 5}, backed_up=began) == set()
    with pytest.raises(AssertionError, match="the backup had"):
        files_lost(told, {2, 3, 5}, backed_up=began)
    with pytest.raises(AssertionError, match="the survivor acknowledged"):
        files_lost(told, {1}, backed_up=began)


def document(**changes: object) -> str:
    """A document as the application writes it, which drops zeros at the end of a time."""
    sent = rfc3339(BEFORE[0].sent).removesuffix("Z").rstrip("0") + "Z"
    content = {"sequence": 1, "client_time": sent, "recorded_at": sent, "written_in": "primary", "written_by": "archive-0"}
    return json.dumps({**content, **changes}) + "\n"


def test_a_document_that_holds_what_was_acknowledged_is_whole(tmp_path: Path) -> None:
    (tmp_path / "00000001.json").write_text(document())
    (tmp_path / "00000004.json").write_text(document(sequence=4))
    assert whole(tmp_path, [*BEFORE, *AFTER]) == {1}, "nobody acknowledged 4, and 2 and 3 are not there"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\0" * 100,
        "{}",
        "[]",
        document()[:40],
        document(sequence=2),
        document(client_time="2020-01-01T00:00:00Z"),
        document(written_in="secondary"),
    ],
)
def test_a_document_that_is_empty_cut_off_or_another_one_did_not_survive(tmp_path: Path, content: str) -> None:
    (tmp_path / "00000001.json").write_text(content)
    assert whole(tmp_path, BEFORE) == set()
