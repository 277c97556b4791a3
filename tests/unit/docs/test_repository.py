"""What a stranger looks for at the root of a repository: the licence, how to report, who reviews, what is raised by itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from tests.examples import ROOT

GITHUB = ROOT / ".github"


def words(text: str) -> list[str]:
    return text.split()


def test_the_licence_is_the_whole_apache_license_as_another_project_ships_it() -> None:
    distribution = metadata.distribution("jsonpath-ng")
    (theirs,) = [file for file in distribution.files or [] if file.name == "LICENSE"]
    assert words((ROOT / "LICENSE").read_text()) == words(Path(str(theirs.locate())).read_text())
    assert "END OF TERMS AND CONDITIONS" in (ROOT / "LICENSE").read_text()


def test_the_package_states_the_licence_that_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"])
def test_no_page_gives_an_address_that_nobody_reads(page: str) -> None:
    assert not re.search(r"[\w.-]+@[\w-]+\.\w+", (ROOT / page).read_text())


def test_what_has_an_owner_is_there() -> None:
    lines = [line.split() for line in (GITHUB / "CODEOWNERS").read_text().splitlines() if line and not line.startswith("#")]
    assert all(owner.startswith("@") for _, *owners in lines for owner in owners)
    patterns = [pattern for pattern, *_ in lines if pattern != "*"]
    assert patterns
    assert [pattern for pattern in patterns if not any(ROOT.glob(pattern.strip("/")))] == []


def test_dependabot_watches_every_action_and_every_pinned_requirement() -> None:
    updates = {
        each["package-ecosystem"]: each["directories"]
        for each in yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    }
    assert updates["github-actions"] == ["/", "/.github/actions/*"]
    pinned = {
        f"/{file.parent.relative_to(ROOT)}".rstrip(".")
        for folder in ("", "policy", "lab/tools/requirements")
        for file in (ROOT / folder).glob("*.txt")
    }
    assert set(updates["pip"]) == pinned


@pytest.mark.parametrize("form", sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda form: form.stem)
def test_a_form_asks_something_and_has_no_two_questions_of_one_name(form: Path) -> None:
    body = yaml.safe_load(form.read_text())["body"]
    asked = [each["id"] for each in body if each["type"] != "markdown"]
    assert asked
    assert len(asked) == len(set(asked))


def test_the_commands_that_a_contributor_is_told_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = set(re.findall(r"make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text()))
    assert told
    assert told <= targets


@pytest.mark.parametrize("environment", [".venv", "policy/.venv"])
def test_an_environment_that_other_checkouts_share_is_not_cleared(environment: str, tmp_path: Path) -> None:
    """`venv --clear` follows a link."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "theirs").touch()
    checkout = tmp_path / "checkout"
    (checkout / "policy").mkdir(parents=True)
    for name in ("Makefile", "requirements-dev.txt", "policy/requirements.txt"):
        shutil.copy(ROOT / name, checkout / name)
    if environment != ".venv":
        (checkout / ".venv").mkdir()
        (checkout / ".venv" / ".ready").touch()
    (checkout / environment).symlink_to(shared)
    made = subprocess.run(
        ["make", "--silent", f"{environment}/.ready"], cwd=checkout, capture_output=True, text=True, timeout=60, check=False
    )
    assert made.returncode != 0
    refused = made.stderr.splitlines()[0]
    assert refused.startswith(f"{environment} is a link to {shared}, which other checkouts share")
    assert refused.endswith(f"or have one here: rm {environment}")
    assert [file.name for file in shared.iterdir()] == ["theirs"]
