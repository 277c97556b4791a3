"""A large directory goes with all in it, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.deletion import AT_ONCE, delete_tree


def test_a_directory_goes_with_more_files_than_one_hand_takes_and_what_its_links_lead_to_stays(tmp_path: Path) -> None:
    kept, tree = tmp_path / "kept", tmp_path / "tree"
    (kept / "below").mkdir(parents=True)
    (kept / "file").touch()
    for name in ("a", "b/c"):
        (tree / name).mkdir(parents=True)
        for number in range(AT_ONCE + 1):
            (tree / name / str(number)).touch()
    (tree / "directory").symlink_to(kept)
    (tree / "file").symlink_to(kept / "file")
    (tree / "nowhere").symlink_to("gone")
    delete_tree(tree)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["below", "file", "kept"]


def test_what_is_not_there_is_told_unless_nobody_minds(tmp_path: Path) -> None:
    delete_tree(tmp_path / "gone", ignore_errors=True)
    with pytest.raises(FileNotFoundError):
        delete_tree(tmp_path / "gone")
