"""The way back in the runbook: its commands name the right stack's backend and cluster, and its tables quote the code."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache

import pytest

from tests.documented import Block, blocks
from tests.examples import ROOT

TEXT = (ROOT / "docs" / "runbook.md").read_text()
SECTIONS = ("Rejoin", "Switchover")
REGIONS = {"primary": "us-east-1", "secondary": "us-west-2"}
SHORTEST = 12
"""Characters that words must have to be a message's own."""


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def way_back() -> list[Block]:
    """The blocks of the way back, by the program and by hand."""
    texts = [section(title) for title in SECTIONS] + [section("By hand").split("\n### The way back, by hand\n")[1]]
    return [block for block in blocks(ROOT / "docs" / "runbook.md") if any(block.commands in text for text in texts)]


def quoted() -> list[str]:
    """What the tables of refusals quote."""
    tables = [table for title in SECTIONS for table in section(title).split("| what you see | what to do |\n")[1:]]
    rows = [line for table in tables for line in table.split("\n\n")[0].splitlines()[1:]]
    return [text for row in rows for text in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


@cache
def said() -> str:
    """Every text of the program, with `…` where it puts something in."""
    files = [file for folder in ("components", "settings") for file in (ROOT / folder).rglob("*.py")]
    return "\n".join(text for file in files for text in map(_text, ast.walk(ast.parse(file.read_text()))) if text)


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "…" for part in node.values)
    return node.value.replace("{}", "…") if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def clauses(text: str) -> list[str]:
    """The parts of a quoted message that are the same each time."""
    return [clause.strip(" :,;()") for clause in text.split("…") if len(clause.strip(" :,;()")) >= SHORTEST]


@pytest.mark.parametrize("text", quoted())
def test_a_refusal_of_the_way_back_is_one_that_the_program_says(text: str) -> None:
    assert clauses(text), f"{text!r} has no words of its own"
    for clause in clauses(text):
        assert clause in said(), clause


def test_the_tables_are_found() -> None:
    assert len(quoted()) > 20


@pytest.mark.parametrize("block", way_back(), ids=str)
def test_a_shell_can_read_a_block_of_the_way_back(block: Block) -> None:
    ran = subprocess.run(["bash", "-n"], input=block.commands, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("block", [block for block in way_back() if "pulumi " in block.commands], ids=str)
def test_each_command_for_a_stack_works_with_that_stacks_backend(block: Block) -> None:
    backend = None
    for line in block.commands.splitlines():
        if found := re.match(r"export PULUMI_BACKEND_URL='s3://acme-pulumi-([-\w]+)\?region=([-\w]+)'", line):
            assert found[1] == found[2]
            backend = found[1]
        for stack in re.findall(r"pulumi [^#]*-s (\w+)", line):
            assert REGIONS[stack] == backend, line


@pytest.mark.parametrize("block", [block for block in way_back() if "pulumi " not in block.commands], ids=str)
def test_each_command_by_hand_names_its_cluster(block: Block) -> None:
    for command in re.findall(r"(?:kubectl|velero) --?\w.*|(?:kubectl|velero) [a-z].*", block.commands):
        assert re.match(r"(kubectl --context|velero --kubecontext) prod-us[ew][12] |kubectl patch --local ", command), command


def test_a_switchover_is_typed_in_two_ups_there_and_in_three_back() -> None:
    there, back = (section("Switchover").split(f"\n### From {way}\n")[1].split("\n### ")[0] for way in ("A to B", "B to A"))
    assert re.findall(r"^pulumi up -s (\w+)", there, re.MULTILINE) == ["primary", "secondary"]
    assert re.findall(r"^pulumi up -s (\w+)", back, re.MULTILINE) == ["secondary", "primary", "secondary"]
