"""Each chart knows the values that the program gives it, and renders with them what the program intends.

The tests check each pinned archive that `make charts` has fetched. They check the check itself with a chart of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charts import archives
from settings.images import Images
from settings.model import OperatorsSettings
from tests.contract.charts import Release, faults
from tests.contract.conftest import tool
from tests.contract.small_chart import CRD, VALUES, archive, definition, templated
from tests.unit.components.operators.installed import installed

IMAGES = Images()
DEFINITIONS = {
    "cert-manager": {"certificates.cert-manager.io", "issuers.cert-manager.io"},
    "cloudnative-pg": {f"{name}.postgresql.cnpg.io" for name in ("backups", "clusters", "scheduledbackups")},
    "plugin-barman-cloud": {"objectstores.barmancloud.cnpg.io"},
}
"""CRDs that databases need. Any other CRD of a chart must meet the same conditions."""

REFERENCES = {
    "cert-manager": set[str](),  # its images are the chart's own
    "cloudnative-pg": {IMAGES.cloudnative_pg},
    "plugin-barman-cloud": {IMAGES.barman_cloud_plugin, IMAGES.barman_cloud_sidecar},
}


@pytest.fixture(scope="session")
def helm() -> Path:
    return tool("helm", "helm")


@pytest.mark.parametrize("chart", archives.read_lock().values(), ids=lambda chart: chart.name)
def test_the_pinned_chart_does_with_the_programs_values_what_the_program_means(chart: archives.Chart, helm: Path) -> None:
    if reason := archives.fault(chart, archives.DIRECTORY):
        pytest.skip(f"charts/{chart.file} {reason}: make charts")
    settings = OperatorsSettings(cert_manager=True, cloudnative_pg=True, barman_cloud=True)
    seen = installed(settings, IMAGES)
    inputs = seen[f"operators-{chart.name}"].inputs
    release = Release(
        name=inputs["name"],
        namespace=inputs["namespace"],
        values=inputs["values"],
        definitions=frozenset(DEFINITIONS[chart.name]),
        references=frozenset(REFERENCES[chart.name]),
    )
    assert faults(helm, archives.DIRECTORY / chart.file, release) == []


# The check itself

RELEASE = Release(
    name="operator",
    namespace="operators",
    values={"crds": {"create": True}, "image": {"repository": "mirror.example.com/operator", "tag": "v2"}},
    definitions=frozenset({CRD}),
    references=frozenset({"mirror.example.com/operator:v2"}),
)


def test_a_chart_that_fits_has_no_fault(helm: Path, tmp_path: Path) -> None:
    assert faults(helm, archive(tmp_path), RELEASE) == []


def test_a_default_that_is_empty_takes_anything(helm: Path, tmp_path: Path) -> None:
    assert faults(helm, archive(tmp_path), replace(RELEASE, values={**RELEASE.values, "podLabels": {"app": "x"}})) == []


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"installCRDs": True}, "installCRDs is not in the chart's values.yaml: it would be ignored"),
        ({"crds": {"create": True, "keep": True}}, "crds.keep is not in the chart's values.yaml: it would be ignored"),
        ({"image": {**RELEASE.values["image"], "tag": {"name": "v2"}}}, "image.tag.name is not in the chart's values.yaml"),
        ({"crds": {"create": "yes"}}, "at '/crds/create': got string, want boolean"),
        ({"crds": {"create": False}}, f"{CRD} is not among the templates: no upgrade of the release would upgrade it"),
        ({"image": {}}, "mirror.example.com/operator:v2 is in no rendered object: the chart takes its image from other values"),
    ],
)
def test_values_that_do_not_fit_are_told(helm: Path, tmp_path: Path, values: dict[str, Any], fault: str) -> None:
    found = faults(helm, archive(tmp_path), replace(RELEASE, values={**RELEASE.values, **values}))
    assert any(fault in line for line in found), found


GOES = f"{CRD} has no annotation helm.sh/resource-policy: keep: with the release it would go, and every object of its kind"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"templates/crds/crds.yaml": templated(definition("size", annotations=""))}, [GOES]),
        (
            {"templates/crds/crds.yaml": templated(definition("size", annotations="annotations: {helm.sh/resource-policy: no}"))},
            [GOES],
        ),
        (
            {"templates/crds/crds.yaml": None, "crds/crds.yaml": definition("size")},
            [
                f"{CRD} is not among the templates: no upgrade of the release would upgrade it",
                "the archive has a directory crds: Helm installs what is in it and never upgrades it",
            ],
        ),
        (
            {"values.yaml": VALUES.replace("crds", "customResources")},
            ["crds is not in the chart's values.yaml: it would be ignored"],
        ),
    ],
    ids=["not kept", "kept by another word", "beside the templates", "a renamed key"],
)
def test_a_chart_that_changed_is_told(helm: Path, tmp_path: Path, changes: Mapping[str, str | None], expected: list[str]) -> None:
    assert faults(helm, archive(tmp_path, changes=changes), RELEASE) == expected
