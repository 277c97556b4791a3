"""The way back to a point in time: the lab finds each step of the page, and the runbook has the same commands."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.documented import blocks
from tests.examples import ROOT
from tests.lab.point_in_time import STEPS, documented

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
LINE = re.compile(r"^\s*(?!#)(\S.*)$", re.MULTILINE)


def short_form() -> str:
    section = RUNBOOK.split("\n## Data destroyed in both regions\n")[1].split("\n## ")[0]
    return "".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


def lines(commands: str) -> list[str]:
    """The lines of a block that are no comment, and without those that set up the shell."""
    return [line for line in LINE.findall(commands) if not re.match(r"(to|table)=|umask ", line)]


@pytest.mark.parametrize("step", STEPS)
def test_the_lab_finds_each_step_of_the_page_and_a_shell_can_read_it(step: str) -> None:
    ran = subprocess.run(["bash", "-n"], input=documented(step), capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_every_command_names_its_context_first_for_the_lab_puts_another_one_there() -> None:
    for step in STEPS:
        for command in re.findall(r"\bkubectl (.*)", documented(step)):
            assert command.startswith("--context prod-use1 "), command


def test_the_steps_of_the_page_are_all_its_commands() -> None:
    section = [
        block
        for block in blocks(ROOT / "docs" / "recovery.md")
        if "app-database-rw" in block.commands or "pitr" in block.commands
    ]
    assert {block.commands for block in section} == {documented(step) for step in STEPS}


def test_the_runbook_has_the_commands_of_the_page_in_their_order() -> None:
    told = [line for step in STEPS if step not in ("whole", "exchange") for line in lines(documented(step))]
    assert lines(short_form()) == told


def test_nothing_is_written_and_nothing_deleted_in_the_same_breath_as_it_is_looked_at() -> None:
    pasted = [block.commands for block in blocks(ROOT / "docs" / "runbook.md") if "pitr" in block.commands]
    assert len(pasted) == 3
    assert "INSERT" not in pasted[0]
    assert "delete" not in pasted[0] + pasted[1]
