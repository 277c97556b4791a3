"""The table of versions says what the code pins, and what the tests run."""

from __future__ import annotations

import re
import sys
import tomllib

import pytest

from charts.archives import read_lock
from lab.tools import versions
from settings.database import DatabaseSettings
from settings.images import Images
from tests.examples import ROOT
from tests.workflows import action

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def default(model: type[Images] | type[DatabaseSettings], field: str) -> str:
    """The version in the tag of a default image."""
    found = re.search(r":v?(\d+(?:\.\d+)+)", str(model.model_fields[field].default))
    assert found, field
    return found[1]


def required(package: str) -> str:
    """The version at which pyproject.toml pins a package."""
    (pin,) = [each.partition("==")[2] for each in PROJECT["dependencies"] if each.partition("==")[0] == package]
    return str(pin)


def chart(name: str) -> str:
    return bare(read_lock()[name].app_version)


def workflow_cli() -> str:
    (step,) = [each for each in action("pulumi")["runs"]["steps"] if each.get("uses", "").startswith("pulumi/actions@")]
    return str(step["with"]["pulumi-version"])


def bare(version: str) -> str:
    return version.removeprefix("v")


ROWS: dict[str, tuple[str | None, str | None]] = {
    "Kubernetes, both regions": (None, bare(versions.KUBERNETES)),
    "Amazon EKS": (None, None),
    "Velero": (default(Images, "velero"), bare(versions.VELERO)),
    "Velero's plugin for AWS": (default(Images, "velero_plugin_for_aws"), bare(versions.VELERO_PLUGIN_FOR_AWS)),
    "CloudNativePG": (default(Images, "cloudnative_pg"), bare(versions.CLOUDNATIVE_PG)),
    "Barman Cloud plugin": (default(Images, "barman_cloud_plugin"), bare(versions.PLUGIN_BARMAN_CLOUD)),
    "cert-manager": (chart("cert-manager"), None),
    "PostgreSQL": (default(DatabaseSettings, "image"), versions.POSTGRESQL_MAJOR),
    "etcd's tools, for snapshots": (default(Images, "etcd"), bare(versions.ETCD)),
    "Python": (PROJECT["requires-python"].removeprefix(">="), None),
    "Pulumi CLI": (workflow_cli(), bare(versions.PULUMI)),
    "Pulumi SDK for Python": (required("pulumi"), required("pulumi")),
    "Pulumi's AWS provider": (required("pulumi-aws"), None),
    "Pulumi's Kubernetes provider": (required("pulumi-kubernetes"), None),
}
"""For each row the version in its columns "set" and "tried". None where the code pins none."""


def table() -> dict[str, list[str]]:
    lines = [line for line in (ROOT / "docs" / "compatibility.md").read_text().splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return {row[0]: row[1:3] for row in cells}


def test_every_part_that_is_pinned_has_a_row() -> None:
    assert table().keys() == ROWS.keys()


@pytest.mark.parametrize("part", ROWS)
def test_the_versions_of_a_row_are_those_of_the_code(part: str) -> None:
    for cell, version in zip(table()[part], ROWS[part], strict=True):
        assert version is None or cell.split()[0] == version, f"docs/compatibility.md, {part}"


def test_cli_and_sdk_have_one_version() -> None:
    policy_pack = (ROOT / "policy" / "requirements.in").read_text().split()
    assert {required("pulumi"), workflow_cli(), bare(versions.PULUMI)} == {policy_pack[0].removeprefix("pulumi==")}


def test_the_tests_run_on_the_oldest_python_that_is_promised_or_a_newer_one() -> None:
    assert sys.version_info[:2] >= tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
