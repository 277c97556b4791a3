"""Every link of every page leads somewhere: to a file that is there, and to a heading that it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples import ROOT

PAGES = sorted(
    page
    for folder in ("", "docs", "docs/decisions", "lab/standins", ".github", "policy", "charts", "tests")
    for page in (ROOT / folder).glob("*.md")
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?<=\))\]\(([^)\s]+)\)")
"""A link, and what stands around a picture that is one."""
ACTIONS = "../../actions/workflows/"
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def links(text: str) -> list[str]:
    """The targets of a page's links; what stands in code is none."""
    return [plain or around for plain, around in _LINK.findall(_CODE.sub("", text))]


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken(page: Path, target: str) -> str | None:
    """Why a link of `page` leads nowhere; None if it leads somewhere. Of other sites only the address's form is looked at."""
    if target.startswith(("https://", "http://")):
        return None if re.fullmatch(r"https?://[\w.-]+(:\d+)?(/\S*)?", target) else "not an address"
    if target.startswith(ACTIONS):  # GitHub's page of a workflow, seen from the README of whichever copy
        workflow = target.removeprefix(ACTIONS).removesuffix("/badge.svg")
        return None if (ROOT / ".github" / "workflows" / workflow).is_file() else "no such workflow"
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return "no such file"
    if anchor and anchor not in anchors(file.read_text()):
        return f"{file.name} has no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    found = {target: broken(page, target) for target in links(page.read_text())}
    assert {target: why for target, why in found.items() if why} == {}


def test_every_page_of_docs_is_linked_from_another() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in links(page.read_text())
        if "://" not in target and not target.startswith("#")
    }
    pages = {page.resolve() for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert sorted(str(page.relative_to(ROOT)) for page in pages - linked) == []


@pytest.mark.parametrize(
    "target", ["nowhere.md", "runbook.md#no-such-heading", "#no-such-heading", "https://", f"{ACTIONS}no.yml"]
)
def test_a_link_that_leads_nowhere_is_found(target: str) -> None:
    assert broken(ROOT / "docs" / "state.md", target)
