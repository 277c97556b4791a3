"""The first page keeps what it claims: its picture and figures are a real run's, and its index has every page."""

from __future__ import annotations

import re
import tomllib

import pytest

from report import model, picture, wording
from tests.examples import ROOT
from tests.unit.docs.test_links import links

README = (ROOT / "README.md").read_text()
SAMPLE = ROOT / "docs" / "report" / "sample.json"
PARTS = (
    "# k8s-dr",
    "badge.svg",
    "**Status.**",
    "<picture>",
    "    pulumi up -s secondary",
    "## Choose a tier",
    "## Try it",
    "## Pages",
)


def test_what_a_stranger_looks_for_stands_in_the_order_in_which_it_is_looked_for() -> None:
    places = [README.index(part) for part in (*PARTS, "## How it works")]
    assert places == sorted(places)
    assert "has not met AWS" in README[: README.index("<picture>")]


def test_the_index_has_every_page() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} | {"docs/decisions/README.md"}
    assert pages - set(links(README)) == set()


@pytest.mark.parametrize("scheme", picture.SCHEMES)
def test_the_picture_is_drawn_from_the_sample(scheme: picture.Scheme) -> None:
    file = ROOT / "docs" / "report" / f"{scheme}.svg"
    assert f'"docs/report/{scheme}.svg"' in README
    fresh = picture.render(model.read(SAMPLE), scheme)
    assert file.read_text() == fresh, "run: .venv/bin/python -m report docs/report/sample.json --picture docs/report"


def test_the_sample_is_a_failover_that_held_between_two_regions_of_the_lab_with_a_database() -> None:
    sample = model.read(SAMPLE)
    assert sample.kind == "lab"
    assert sample.has_ledger
    assert sample.files
    assert model.verdict(sample) == []
    assert sample.witnesses.wan_packets_from_engine == 0
    assert sample.engine.cli.startswith("real ")


def test_the_figures_below_the_picture_are_the_samples() -> None:
    sample = model.read(SAMPLE)
    assert sample.rpo_seconds
    assert sample.rto_seconds
    assert sample.targets
    assert sample.files
    assert sample.files.rpo_seconds
    for said in (
        f"of files on a volume the last {round(sample.files.rpo_seconds)} s",
        f"in tier `{sample.targets.tier}`",
        f"the last {round(sample.rpo_seconds)} s of writes",
        f"after {wording.duration(sample.rto_seconds)}",
        f"`pulumi up` took {wording.duration(sample.commands[-1].seconds)}",
        f"touched {len(sample.flip.resources)} resources",
    ):
        assert said in " ".join(README.split()), said


def test_the_commands_of_the_failover_are_those_that_the_lab_typed() -> None:
    typed = [command.command for command in model.read(SAMPLE).commands[-2:]]
    shown = [re.sub(r" +#.*", "", line.strip()) for line in README.splitlines() if line.startswith("    pulumi ")]
    assert [command.removesuffix(" --yes") for command in typed] == shown


def test_the_badges_are_true() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"badge/python-{project['requires-python'].removeprefix('>=')}%2B-" in README
    assert f"badge/licence-{project['license'].replace('-', '--')}-" in README
