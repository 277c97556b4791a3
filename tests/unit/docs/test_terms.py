"""A term of this program is explained where it first stands, or leads to its explanation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples import ROOT

README = ROOT / "README.md"
OF_THE_README = ("RPO", "RTO", "WAL", "gate", "flip", "peer", "stand-in")
OF_A_PAGE = ("gate", "WAL", "flip")
EXPLAINED = {
    "gate": r"\[gate\]\(architecture\.md#the-gate\)",
    "WAL": r"\[WAL\]\(architecture\.md#words\)",
    "flip": r"\*flip\*|\(roles\.md#what-a-flip",
}
_NOT_READ = re.compile(
    r"^```.*?^```|^ {4,}.*?$|<!--.*?<!-- end of costs -->|`[^`\n]*`|^#.*?$|alt=\"[^\"]*\"", re.MULTILINE | re.DOTALL
)
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.stem not in {"architecture", "configuration", "etcd"}]
"""Without the page that explains the terms, the one that is generated, and the one whose gates and WAL are etcd's own."""


@pytest.mark.parametrize("term", OF_THE_README)
def test_the_first_page_explains_a_term_where_it_first_stands(term: str) -> None:
    text = _NOT_READ.sub("", README.read_text())
    first = re.search(rf"\b{term}s?\b", text)
    assert first
    assert text[: first.start()].endswith("**"), f"{term} first stands in: {text[first.start() - 60 : first.end() + 60]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.parametrize("term", OF_A_PAGE)
def test_a_page_leads_from_a_term_to_its_explanation(page: Path, term: str) -> None:
    text = _NOT_READ.sub(lambda found: " " * len(found[0]), page.read_text())
    if first := re.search(rf"(?<![\w/#-]){term}\b", text):
        around = page.read_text()[max(first.start() - 40, 0) : first.end() + 40]
        assert re.search(EXPLAINED[term], around), f"{page.name}, where {term} first stands: {around}"


def test_what_the_pages_lead_to_explains_each_term() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    words = page.split("\n## Words\n")[1].split("\n## ")[0]
    assert all(f"**{term}**" in words for term in OF_THE_README)
