"""Each row of the runbook's table is seen by a test: by the words of its message, or by a test that is named here.

A message that a row quotes stands in a test that expects it, so the row goes stale only with a test that fails.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
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

ASSERTING = ("told_plainly", "refused_flip", "refused_up")
"""Helpers that assert that a command says the words which they are given."""

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
    """Every text that a test expects, as it is printed: those of regular expressions without their backslashes."""
    files = (file for file in (ROOT / "tests").rglob("*.py") if file != Path(__file__))
    return "\n".join(text.replace("\\", "") for file in files for text in expectations(ast.parse(file.read_text())))


def expectations(module: ast.Module) -> Iterator[str]:
    """The texts of a module's assertions: those that stand in them, and those of the names that they use."""
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef):
            known = {**values(module.body), **parameters(function), **values(list(ast.walk(function)))}
            for asserted in assertions(function):
                yield from texts(asserted, known, set())


def assertions(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """What is asserted, `match=` of pytest.raises, and what helpers are given that assert. What an assertion says when it fails
    is no expectation."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            yield node.test
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ASSERTING:
            yield from node.args
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.raises":
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "match")


def texts(node: ast.AST, known: dict[str, ast.expr], seen: set[str]) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
        elif isinstance(part, ast.Name) and part.id in known and part.id not in seen:
            seen.add(part.id)
            if not _came_back(known[part.id]):
                yield from texts(known[part.id], known, seen)


def _came_back(value: ast.expr) -> bool:
    """Whether a name stands for what a call answered: its arguments are inputs. A pattern's own words are no input."""
    return isinstance(value, ast.Call) and not ast.unparse(value.func).startswith("re.")


def values(statements: Sequence[ast.AST]) -> dict[str, ast.expr]:
    """What names stand for, as they are assigned."""
    found = {}
    for node in statements:
        if isinstance(node, ast.Assign):
            found |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


def parameters(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """What the parameters of a test stand for, by pytest.mark.parametrize: their columns, or the whole table if it has none."""
    found: dict[str, ast.expr] = {}
    for mark in function.decorator_list:
        if not (isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.parametrize"):
            continue
        names, table = ast.literal_eval(mark.args[0]), mark.args[1]
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
        for place, name in enumerate(names):
            found[name] = table
            if len(names) > 1 and isinstance(table, ast.List) and all(isinstance(row, ast.Tuple) for row in table.elts):
                found[name] = ast.List(elts=[row.elts[place] for row in table.elts if isinstance(row, ast.Tuple)])
    return found


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


def test_a_text_counts_only_where_an_assertion_reads_it() -> None:
    source = """
TABLE = ["of the table"]

@pytest.mark.parametrize(("given", "told"), [("an input", "a column")])
def test_this(given, told):
    "a docstring"
    unread = "a value that nothing reads"
    said = "a value"
    run(given, "an argument")
    with pytest.raises(ValueError, match="a match"):
        run(TABLE)
    ran = run("an argument of what is judged")
    told_plainly(ran, "a word of a helper", said)
    assert told in TABLE, "what is said when it fails"
"""
    found = set(expectations(ast.parse(source)))
    assert found == {"of the table", "a column", "a match", "a word of a helper", "a value"}
