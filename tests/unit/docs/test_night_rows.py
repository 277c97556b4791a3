"""Each row of the runbook's table is seen by a test: by the words of its message, or by a test that is named here.

A message that a row quotes stands in a test that expects it, so the row goes stale only with a test that fails.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.examples import ROOT

_ENGINE, _UNIT = "tests/engine", "tests/unit/components"
NAMED = {
    "database …: Cluster is unrecoverable …": f"{_ENGINE}/test_databases.py::a_promotion_that_fails_moves_no_traffic_says_why",
    "…-promoted": f"{_ENGINE}/test_databases.py::a_promotion_that_fails_moves_no_traffic_says_why",
    "scale-…": f"{_ENGINE}/test_flip.py::a_job_that_could_not_scale_is_made_anew_with_what_is_configured_by_then",
    "verify-…": f"{_ENGINE}/test_restores.py::a_failed_job_is_replaced_by_the_next_up",
    "the newest backup is broken": f"{_UNIT}/velero/test_choice.py::an_older_or_partly_failed_backup_that_a_person_names",
    "a workload is at zero there": f"{_UNIT}/kube/runner/test_scale.py::what_was_switched_off_in_the_other_region_stays_off",
    "… by what Route 53 finds in it": f"{_UNIT}/traffic/test_flag_object.py::a_flag_that_says_something_else_is_refused_with",
    "backups were deleted or overwritten": "tests/lab/test_data.py::backups_that_their_own_writer_destroyed_are_brought_back",
    "something else of the stack is broken": f"{_ENGINE}/test_break_glass.py::break_glass_fails_over_and_touches_nothing_else",
    "was killed half-way": f"{_ENGINE}/test_flip.py::an_up_that_was_killed_before_it_could_note_the_record_goes_on",
}
"""Rows without words of their own that a test could expect: a part of the row, and the test that comes to it."""

SHORTEST = 12
"""Characters that words must have to be a message's own."""


def rows() -> list[str]:
    """The first cells of the table, in which a person looks for what the screen says."""
    table = (ROOT / "docs" / "runbook.md").read_text().split("## When it does not go through")[1].split("\n\n")[1]
    return [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]]


def told(row: str) -> list[str]:
    """What a row quotes, or the row itself if it quotes nothing."""
    return re.findall(r"`([^`]+)`", row) or [row]


@cache
def expected() -> str:
    """Every text in the tests, as it is printed: those of regular expressions without their backslashes."""
    return "\n".join(
        text.replace("\\", "") for file in (ROOT / "tests").rglob("*.py") if file != Path(__file__) for text in texts(file)
    )


def texts(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def own_words(quoted: str) -> str:
    """The longest clause of a message that is the same each time."""
    return max(re.split(r"…|NAME|KIND/|BACKUP|; ", quoted), key=len).strip(" :,")


@pytest.mark.parametrize("row", rows())
def test_a_row_of_the_runbook_is_come_to_by_a_test(row: str) -> None:
    if any(part in row for part in NAMED):
        return
    for quoted in told(row):
        words = own_words(quoted)
        if len(words) >= SHORTEST:
            assert words in expected(), f"no test expects {words!r}; write one, or name one that comes to this row"


@pytest.mark.parametrize("part", NAMED)
def test_what_is_named_here_is_there(part: str) -> None:
    assert [row for row in rows() if part in row], "the runbook has no such row any more"
    file, _, name = NAMED[part].partition("::")
    assert f"def test_{name}" in (ROOT / file).read_text()


def test_there_are_rows_and_most_have_words_of_their_own() -> None:
    assert len(rows()) > 30
    assert len(NAMED) < len(rows()) / 3
