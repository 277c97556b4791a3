"""Every path of this repository that a page names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples import ROOT
from tests.unit.docs.test_links import PAGES

FOLDERS = ("components", "settings", "drctl", "tests", "lab", "policy", "scripts", "charts", "schemas", "docs", r"\.github")
_CODE = re.compile(r"^```.*?^```|^ {4,}.*?$|`[^`]*`", re.MULTILINE | re.DOTALL)
_PATH = re.compile(rf"(?<![\w./:>-])(?:{'|'.join(FOLDERS)})/[\w./*{{}},-]*")
_ALTERNATIVES = re.compile(r"\{([\w,]+)\}")


def named(text: str) -> set[str]:
    """The paths of the repository in a page's code. A sentence's own punctuation ends none, for it is outside of the code."""
    return {path for code in _CODE.findall(text) for path in _PATH.findall(code) if ".venv" not in path}


def exists(path: str) -> bool:
    """Whether all that `path` means is there: it may have `*`, and alternatives in braces."""
    if found := _ALTERNATIVES.search(path):
        return all(exists(path.replace(found[0], one, 1)) for one in found[1].split(","))
    return any(ROOT.glob(path.rstrip("/"))) if "*" in path else (ROOT / path).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_is_there(page: Path) -> None:
    assert sorted(path for path in named(page.read_text()) if not exists(path)) == []


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("`components/etcd/backup.py` makes it", {"components/etcd/backup.py"}),
        ("    .venv/bin/python scripts/recover_prefix.py velero/primary", {"scripts/recover_prefix.py"}),
        ("```sh\nscripts/etcd-restore.sh --latest s3://bucket/etcd\n```", {"scripts/etcd-restore.sh"}),
        ("`arn:aws:iam::123456789012:policy/boundary`", set()),
        ("`.lab/report.json` and `policy/.venv/.ready` are made, and components/gone.py is no code", set()),
    ],
)
def test_paths_are_found_in_code_alone(text: str, paths: set[str]) -> None:
    assert named(text) == paths


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("components/etcd/", True),
        ("components/etcd.py", False),
        ("tests/unit/components/test_etcd*.py", False),
        ("lab/cloud/{permissions,policies}.py", True),
        ("lab/cloud/{permissions,gone}.py", False),
    ],
)
def test_a_path_that_is_not_there_is_found(path: str, there: bool) -> None:
    assert exists(path) is there
