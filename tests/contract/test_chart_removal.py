"""Helm with a real API server. Helm upgrades the CRDs among a chart's templates. A CRD that is marked outlives the release.

So the program leaves its operators' CRDs to their charts. charts.py checks both conditions for the pinned charts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.waiting import until
from tests.api_server import ApiServer, running
from tests.contract.charts import run
from tests.contract.conftest import tool
from tests.contract.small_chart import CRD, archive, definition, templated

DEFINITION = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": CRD}}
WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "precious", "namespace": "default"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    etcd, kube_apiserver = tool("region", "etcd"), tool("region", "kube-apiserver")
    with running(etcd, kube_apiserver, tmp_path_factory.mktemp("api-server")) as server:
        yield server


class Helm:
    """Helm, which installs a chart of the test's own on that server."""

    def __init__(self, server: ApiServer, directory: Path) -> None:
        self._server, self._directory, self._program = server, directory, tool("helm", "helm")
        self._kubeconfig = directory / "kubeconfig"
        self._kubeconfig.write_text(yaml.safe_dump(server.kubeconfig()))

    def upgrade(self, version: str, *fields: str, **options: str) -> None:
        """Install or upgrade the release. Its CRD then has these fields."""
        changes = {"templates/crds/crds.yaml": templated(definition(*fields, **options))}
        self._run("upgrade", "--install", "operator", str(archive(self._directory, version, changes)))

    def uninstall(self) -> None:
        self._run("uninstall", "operator", "--wait")

    def _run(self, *args: str) -> None:
        run(self._program, *args, "--kubeconfig", str(self._kubeconfig), "--namespace", "default")


@pytest.fixture
def helm(server: ApiServer, tmp_path: Path) -> Iterator[Helm]:
    helm = Helm(server, tmp_path)
    helm.upgrade("1.0.0", "size")
    server.define([yaml.safe_load(definition("size"))])
    server.ensure({**WIDGET, "spec": {"size": "large"}})
    yield helm
    helm.upgrade("9.0.0", "size")
    helm.uninstall()
    server.delete(DEFINITION)
    # It ends with the last of its kind. Whoever applied it meanwhile would change one that is going, and then have none.
    until("the definition to be gone", lambda: server.read(DEFINITION) is None, timeout=30)


def identity(server: ApiServer, item: dict[str, Any]) -> str | None:
    """The UID of an object; None if there is no such object."""
    found = server.read(item)
    return str(found["metadata"]["uid"]) if found else None


def fields(server: ApiServer) -> set[str]:
    found = server.read(DEFINITION)
    assert found
    return set(found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])


def test_an_upgrade_of_the_release_upgrades_the_crd_and_keeps_what_is_of_its_kind(helm: Helm, server: ApiServer) -> None:
    before = identity(server, DEFINITION), identity(server, WIDGET)
    helm.upgrade("1.0.1", "size", "colour")
    assert fields(server) == {"size", "colour"}
    assert (identity(server, DEFINITION), identity(server, WIDGET)) == before


def test_a_release_that_is_uninstalled_leaves_a_marked_crd_and_what_is_of_its_kind(helm: Helm, server: ApiServer) -> None:
    before = identity(server, DEFINITION), identity(server, WIDGET)
    helm.uninstall()
    assert None not in before
    assert (identity(server, DEFINITION), identity(server, WIDGET)) == before


def test_a_release_that_is_installed_again_takes_over_the_crd_that_it_left(helm: Helm, server: ApiServer) -> None:
    before = identity(server, WIDGET)
    helm.uninstall()
    helm.upgrade("1.0.2", "size", "weight")
    assert fields(server) == {"size", "weight"}
    assert identity(server, WIDGET) == before


def test_without_the_mark_everything_of_the_kind_would_go_with_the_release(helm: Helm, server: ApiServer) -> None:
    helm.upgrade("1.0.3", "size", annotations="annotations: {}")
    helm.uninstall()
    assert identity(server, DEFINITION) is None
    assert identity(server, WIDGET) is None
