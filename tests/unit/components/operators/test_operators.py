"""CloudNativePG, its plugin and cert-manager: from pinned archives on disk, in order, and never taken away again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pulumi
import pytest
from pydantic import ValidationError

from charts.archives import Chart, digest, read_lock
from components.operators import operators
from components.operators.operators import planned
from settings.images import Images
from settings.model import OperatorsSettings
from tests.unit.components.operators.installed import installed
from tests.unit.recorder import Recorder

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
ALL = OperatorsSettings(cert_manager=True, cloudnative_pg=True, barman_cloud=True)
ARCHIVE = b"an archive"


def install(settings: OperatorsSettings = ALL, images: Images | None = None, charts: Path = Path("charts")) -> Recorder:
    return installed(settings, images, charts)


def refusal(settings: OperatorsSettings, charts: Path, images: Images | None = None) -> str:
    with pytest.raises(pulumi.RunError) as caught:
        planned(settings, images or Images(), charts)
    return str(caught.value)


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the three archives, and a lock that pins them."""
    pinned: dict[str, Chart] = {}
    for name, chart in read_lock().items():
        (tmp_path / chart.file).write_bytes(ARCHIVE)
        pinned[name] = Chart(**{**vars(chart), "sha256": digest(ARCHIVE)})
    monkeypatch.setattr(operators, "read_lock", lambda: pinned)
    return tmp_path


def test_nothing_is_installed_where_the_cluster_has_it_all() -> None:
    assert not install(OperatorsSettings()).custom()


def test_charts_are_archives_on_disk_and_no_repository_is_named() -> None:
    releases = install().of("Release")
    assert [release.inputs["chart"] for release in releases] == [
        "./charts/cert-manager-v1.21.2.tgz",
        "./charts/cloudnative-pg-0.29.0.tgz",
        "./charts/plugin-barman-cloud-0.7.0.tgz",
    ]
    for release in releases:
        assert release.type == "kubernetes:helm.sh/v3:Release"
        assert not {"repositoryOpts", "version", "dependencyUpdate"} & set(release.inputs)


def test_archives_may_be_somewhere_else(tmp_path: Path) -> None:
    release = install(OperatorsSettings(cert_manager=True), charts=tmp_path)["operators-cert-manager"]
    assert release.inputs["chart"] == f"{tmp_path}/cert-manager-v1.21.2.tgz"


def test_the_plugin_comes_after_the_operator_and_after_cert_manager() -> None:
    seen = install()
    before = {"operators-cert-manager", "operators-cloudnative-pg", "operators-cloudnative-pg-namespace"}
    assert before <= seen["operators-plugin-barman-cloud"].depends_on


def test_what_comes_next_waits_until_a_release_serves() -> None:
    for release in install().of("Release"):
        assert release.inputs["skipAwait"] is False
        assert release.inputs["timeout"] == 600


def test_plugin_and_operator_share_a_namespace() -> None:
    seen = install()
    names = ("operators-cloudnative-pg", "operators-plugin-barman-cloud")
    assert {seen[name].inputs["namespace"] for name in names} == {"cnpg-system"}


def test_a_release_is_called_as_its_chart_so_that_a_second_one_is_refused() -> None:
    for release in install().of("Release"):
        assert release.name == f"operators-{release.inputs['name']}"


def test_namespaces_and_releases_stay_when_the_program_forgets_them() -> None:
    seen = install()
    assert len(seen.of("Namespace")) == 2
    assert all(one.retain_on_delete for one in seen.custom())
    assert not any(one.protect for one in seen.custom()), "protected, they could not be forgotten"


def test_the_namespace_of_an_operator_that_was_there_is_left_alone() -> None:
    seen = install(OperatorsSettings(barman_cloud=True))
    assert seen.names() == {"operators-plugin-barman-cloud"}
    assert seen["operators-plugin-barman-cloud"].inputs["createNamespace"] is False


def test_custom_resource_definitions_are_installed_and_outlive_a_release() -> None:
    seen = install()
    assert seen["operators-cert-manager"].inputs["values"]["crds"] == {"enabled": True, "keep": True}
    for name in ("operators-cloudnative-pg", "operators-plugin-barman-cloud"):
        assert seen[name].inputs["values"]["crds"] == {"create": True}  # these two charts always keep them
        assert "skipCrds" not in seen[name].inputs


def test_plugin_and_sidecar_are_newer_than_the_chart_says() -> None:
    values = install()["operators-plugin-barman-cloud"].inputs["values"]
    assert values["image"] == {"registry": "ghcr.io", "repository": "cloudnative-pg/plugin-barman-cloud", "tag": "v0.14.0"}
    assert values["sidecarImage"]["repository"] == "cloudnative-pg/plugin-barman-cloud-sidecar"
    assert values["sidecarImage"]["tag"] == "v0.14.0"


def test_the_operator_is_the_version_that_its_chart_was_made_for() -> None:
    image = install()["operators-cloudnative-pg"].inputs["values"]["image"]
    assert image == {"repository": "ghcr.io/cloudnative-pg/cloudnative-pg", "tag": read_lock()["cloudnative-pg"].app_version}


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("registry.example.com:5000/db/plugin:v1", ("registry.example.com:5000", "db/plugin", "v1")),
        ("localhost/plugin:v1", ("localhost", "plugin", "v1")),
        ("local/plugin:v1", ("docker.io", "local/plugin", "v1")),
        ("plugin:v1", ("docker.io", "plugin", "v1")),
        (f"ghcr.io/db/plugin:v1@{DIGEST}", ("ghcr.io", "db/plugin", f"v1@{DIGEST}")),
    ],
)
def test_an_image_of_ones_own_registry_reaches_the_chart(image: str, parts: tuple[str, str, str]) -> None:
    values = install(images=Images(barman_cloud_plugin=image, cloudnative_pg=image)).of("Release")
    plugin, operator = values[2].inputs["values"]["image"], values[1].inputs["values"]["image"]
    assert (plugin["registry"], plugin["repository"], plugin["tag"]) == parts
    assert (operator["repository"], operator["tag"]) == (f"{parts[0]}/{parts[1]}", parts[2])


@pytest.mark.parametrize("image", ["ghcr.io/db/plugin", "registry.example.com:5000/plugin", f"ghcr.io/db/plugin@{DIGEST}"])
def test_an_image_without_a_tag_is_refused_for_the_chart_would_choose_one(image: str) -> None:
    with pytest.raises(ValidationError, match=r"does not say its version|has no tag beside its digest"):
        Images(barman_cloud_sidecar=image)


def test_what_is_not_installed_needs_no_archive(tmp_path: Path) -> None:
    assert planned(OperatorsSettings(), Images(), tmp_path) == []


def test_pinned_archives_are_accepted(archives: Path) -> None:
    installations = planned(ALL, Images(), archives)
    assert [one.archive for one in installations] == [archives / read_lock()[one.chart].file for one in installations]
    assert [one.chart for one in installations] == ["cert-manager", "cloudnative-pg", "plugin-barman-cloud"]


def test_a_missing_archive_is_one_line_that_names_key_file_and_command(archives: Path) -> None:
    missing = archives / "cloudnative-pg-0.29.0.tgz"
    missing.unlink()
    error = refusal(ALL, archives)
    assert error == (
        f"k8s-dr:operators: cloudnativePg needs {missing}, which is not there: "
        "run make charts, or set to false what the cluster has"
    )


def test_an_archive_that_is_not_the_pinned_one_is_refused(archives: Path) -> None:
    (archives / "plugin-barman-cloud-0.7.0.tgz").write_bytes(b"another")
    error = refusal(ALL, archives)
    assert (
        f"barmanCloud needs {archives / 'plugin-barman-cloud-0.7.0.tgz'}, which has the sha256 {digest(b'another')[:12]}…"
        in error
    )
    assert "run make charts" in error


def test_all_missing_archives_are_one_error(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)
    error = refusal(ALL, tmp_path)
    assert all(key in error for key in ("certManager needs", "cloudnativePg needs", "barmanCloud needs"))
    assert "\n" not in error


def test_an_unreadable_lock_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(operators, "read_lock", lambda: read_lock(tmp_path / "charts.lock"))
    assert refusal(ALL, tmp_path).startswith(f"{tmp_path}/charts.lock: ")
