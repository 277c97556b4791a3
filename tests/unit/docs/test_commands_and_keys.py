"""What the pages name: no command that is pasted needs drctl, and each key of the settings is one that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples import ROOT

OF_DRCTL = ROOT / "docs" / "drctl.md"
OF_EARLIER_VERSIONS = ROOT / "docs" / "upgrading.md"
"""Has keys that are gone, too."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCED = re.compile(r"```.*?```", re.DOTALL)
_INDENTED = re.compile(r"(?:^ {4,}(?![-*|\[ ]).*\n?)+", re.MULTILINE)
_ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
_DOTTED = re.compile(r"[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)+")
_NO_KEYS = (".io", ".yml", ".yaml", ".amazonaws.com")
"""How a kind's name, a file's and a service's end that begin as a key does."""


def pasted(text: str) -> str:
    return "\n".join(_FENCED.findall(text) + _INDENTED.findall(_FENCED.sub("", text)))


def keys_in(text: str) -> Iterator[str]:
    """What looks like a key below a key, without places in lists: `databases[].cron`, `receivers.alerts: …`."""
    for code in re.findall(r"`([^`\n]+)`", _FENCED.sub("", text)):
        key = re.sub(r"\[[^\]]*\]", "", re.split(r"[: =]", code)[0])
        if _DOTTED.fullmatch(key) and not key.endswith(_NO_KEYS):
            yield key


def settings() -> set[str]:
    """All keys, with those above them."""
    rows = _ROW.findall((ROOT / "docs" / "configuration.md").read_text())
    found = {row.replace("[]", "").replace(".NAME", "") for row in rows}
    return found | {key.rpartition(".")[0] for key in found if "." in key}


@pytest.mark.parametrize("page", [page for page in PAGES if page != OF_DRCTL], ids=lambda page: page.stem)
def test_no_command_that_is_pasted_needs_drctl(page: Path) -> None:
    assert "drctl" not in pasted(page.read_text())


def test_a_command_in_a_block_is_found() -> None:
    assert "drctl" in pasted(OF_DRCTL.read_text())
    assert "drctl" in pasted("Then:\n\n```sh\npython -m drctl failover\n```\n")


@pytest.mark.parametrize("page", [page for page in PAGES if page != OF_EARLIER_VERSIONS], ids=lambda page: page.stem)
def test_a_key_that_a_page_names_is_one_of_the_settings(page: Path) -> None:
    known = settings()
    tops = {key.partition(".")[0] for key in known}
    unknown = [key for key in keys_in(page.read_text()) if key.partition(".")[0] in tops and key not in known]
    assert unknown == []


def test_a_key_is_found_in_each_way_of_writing_it() -> None:
    text = "`velero.clientQps`, `databases[].cron`, `drills.enabled: false`, `backups.velero.io`, `workloads[].check.via: a`"
    assert [*keys_in(text)] == ["velero.clientQps", "databases.cron", "drills.enabled", "workloads.check.via"]
