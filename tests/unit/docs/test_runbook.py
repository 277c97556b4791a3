"""The page for the night begins with its checklists and ends with the proof, and its commands are the ones that are tested."""

from __future__ import annotations

import re

from tests.documented import blocks
from tests.examples import ROOT

PAGE = ROOT / "docs" / "runbook.md"
TEXT = PAGE.read_text()
SECTIONS = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)


def commands(text: str) -> list[str]:
    """The Pulumi commands of an indented block, without their comments."""
    return re.findall(r"^    (pulumi .*?)(?: +#.*)?$", text, re.MULTILINE)


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_it_begins_with_the_night_and_the_quiet_day_and_ends_with_the_proof() -> None:
    assert SECTIONS[:4] == ["Tonight", "On a quiet day", "Fail over", "When it does not go through"]
    assert SECTIONS[-1] == "The proof, and what to tell users"


def test_each_point_of_the_night_leads_on_to_what_it_needs() -> None:
    points = re.findall(r"^(\d)\. (.*(?:\n(?!\d\.).*)*)", section("Tonight").split("\n### ")[0], re.MULTILINE)
    assert [number for number, _ in points] == [str(number) for number in range(1, 8)]
    said = dict(points)
    assert "git pull" in said["1"]
    assert "aws sts get-caller-identity" in said["2"]
    assert "(#should-i)" in said["4"]
    assert "(#fail-over)" in said["5"]
    assert "(#the-proof-and-what-to-tell-users)" in said["6"]


def test_the_failover_is_the_two_commands_of_the_first_page() -> None:
    assert commands(section("Fail over")) == commands((ROOT / "README.md").read_text())
    assert "Run workflow" in section("Fail over"), "the button"


def test_no_page_has_a_preview_write_what_it_only_asks_about_into_the_stack_file() -> None:
    """`-c` is stored, by a preview too: whoever decides against the failover would commit it, or deploy it by the next `up`."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    previews = [found for page in pages for found in re.findall(r"pulumi preview [^\n`]*", page.read_text())]
    asked = [line for line in previews if re.search(r" (-c|--config) ", line)]
    assert len(asked) >= 3
    assert not [line for line in asked if '--config-file "$copy"' not in line]


def test_what_is_asked_before_and_proven_after_it_is_run_by_a_test() -> None:
    run = [block.commands for block in blocks(PAGE) if block.excuse is None]
    assert 'pulumi preview -s secondary --config-file "$copy" -c active=secondary' in run[0]
    assert "pulumi stack output serving -s secondary" in run[-1]
