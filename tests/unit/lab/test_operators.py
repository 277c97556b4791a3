"""The operators' own manifests, with what a region without registry and certificate manager needs changed, and nothing else."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lab import operators
from lab.tools.images import Image

OPERATOR_IMAGE, PLUGIN_IMAGE = "docker.io/local/cloudnative-pg:1.30.0", "docker.io/local/plugin-barman-cloud:0.14.0"

# The shapes of the projects' manifests of the pinned versions, without what is not looked at.
OPERATOR = """
apiVersion: v1
kind: Namespace
metadata: {name: cnpg-system}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cnpg-controller-manager, namespace: cnpg-system}
spec:
  template:
    spec:
      containers:
      - name: manager
        command: [/manager]
        env:
        - {name: OPERATOR_IMAGE_NAME, value: "ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0"}
        - {name: OPERATOR_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        image: ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0
        imagePullPolicy: Always
        livenessProbe: {httpGet: {path: /readyz, port: 9443, scheme: HTTPS}}
        readinessProbe: {httpGet: {path: /readyz, port: 9443, scheme: HTTPS}}
        startupProbe: {failureThreshold: 6, periodSeconds: 5, httpGet: {path: /readyz, port: 9443, scheme: HTTPS}}
        resources: {limits: {cpu: 100m, memory: 200Mi}, requests: {cpu: 100m, memory: 100Mi}}
---
"""
PLUGIN = """
apiVersion: v1
kind: Secret
metadata: {name: plugin-barman-cloud-8tfddg42gf, namespace: cnpg-system}
type: Opaque
data:
  SIDECAR_IMAGE: |
    Z2hjci5pby9jbG91ZG5hdGl2ZS1wZy9wbHVnaW4tYmFybWFuLWNsb3VkLXNpZGVjYXItdG
    VzdGluZzptYWlu
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: barman-cloud, namespace: cnpg-system}
spec:
  template:
    spec:
      containers:
      - name: barman-cloud
        image: ghcr.io/cloudnative-pg/plugin-barman-cloud-testing:main
        env:
        - {name: SIDECAR_IMAGE, valueFrom: {secretKeyRef: {key: SIDECAR_IMAGE, name: plugin-barman-cloud-8tfddg42gf}}}
        readinessProbe: {initialDelaySeconds: 10, periodSeconds: 10, tcpSocket: {port: 9090}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: barman-cloud-client, namespace: cnpg-system}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: selfsigned-issuer, namespace: cnpg-system}
"""


def documents(manifest: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(manifest) if document]


def container(of: list[dict[str, Any]]) -> dict[str, Any]:
    (deployment,) = (document for document in of if document["kind"] == "Deployment")
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return only


def test_the_operator_runs_the_labs_image_and_puts_it_into_its_pods() -> None:
    manager = container(operators.cloudnative_pg(documents(OPERATOR), OPERATOR_IMAGE))
    assert (manager["image"], manager["imagePullPolicy"]) == (OPERATOR_IMAGE, "IfNotPresent")
    assert manager["env"] == [
        {"name": "OPERATOR_IMAGE_NAME", "value": OPERATOR_IMAGE},
        {"name": "OPERATOR_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    ]
    assert "limits" not in manager["resources"]


def test_the_plugin_runs_the_labs_image_and_gives_it_to_its_sidecars_without_a_certificate_manager() -> None:
    changed = operators.plugin_barman_cloud(documents(PLUGIN), PLUGIN_IMAGE)
    assert [document["kind"] for document in changed] == ["Secret", "Deployment"]
    assert container(changed)["image"] == PLUGIN_IMAGE
    assert base64.b64decode(changed[0]["data"]["SIDECAR_IMAGE"]).decode() == PLUGIN_IMAGE


def test_probes_ask_each_second_and_are_as_patient_as_before() -> None:
    manager = container(operators.cloudnative_pg(documents(OPERATOR), OPERATOR_IMAGE))
    plugin = container(operators.plugin_barman_cloud(documents(PLUGIN), PLUGIN_IMAGE))
    probes = [manager["startupProbe"], manager["livenessProbe"], plugin["readinessProbe"]]
    assert [(probe["periodSeconds"], probe["initialDelaySeconds"]) for probe in probes] == [(1, 0)] * 3
    assert [probe["failureThreshold"] for probe in probes] == [30, 30, 40]


def test_the_manifests_that_are_given_stay_as_they_are() -> None:
    for manifest, change in ((OPERATOR, operators.cloudnative_pg), (PLUGIN, operators.plugin_barman_cloud)):
        given = documents(manifest)
        before = deepcopy(given)
        change(given, "docker.io/local/it:1")
        assert given == before


def test_a_certificate_names_its_host_and_is_signed_by_its_own_key() -> None:
    made = operators.secret("barman-cloud-server-tls", "barman-cloud")
    assert (made["type"], made["metadata"]) == (
        "kubernetes.io/tls",
        {"name": "barman-cloud-server-tls", "namespace": "cnpg-system"},
    )
    data = {name: base64.b64decode(content) for name, content in made["data"].items()}
    assert data["ca.crt"] == data["tls.crt"]
    certificate = x509.load_pem_x509_certificate(data["tls.crt"])
    certificate.verify_directly_issued_by(certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["barman-cloud"]
    key = load_pem_private_key(data["tls.key"], password=None)
    assert key.public_key() == certificate.public_key()


class Region:
    """Stands for kubectl against a region: what was asked, what was applied, and which secrets there are."""

    def __init__(self, secrets: str = "", refusals: int = 0) -> None:
        self.secrets, self.refusals = secrets, refusals
        self.asked: list[tuple[str, ...]] = []
        self.applied: list[dict[str, Any]] = []

    def kubectl(self, region: str, *arguments: str, stdin: str | None = None) -> str:
        assert region == "primary"
        self.asked.append(arguments)
        if arguments[0] == "get":
            return self.secrets
        if arguments[0] == "apply" and "--dry-run=server" in arguments and self.refusals:
            self.refusals -= 1
            raise OSError("connection refused")
        if stdin is not None:
            self.applied += documents(stdin)
        return "applied"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    for name, manifest in zip(operators.MANIFESTS, (OPERATOR, PLUGIN), strict=True):
        (tmp_path / name).write_text(manifest)
    return {name: tmp_path / name for name in operators.MANIFESTS}


@pytest.fixture
def images(tmp_path: Path) -> dict[str, Image]:
    references = {"cloudnative-pg": OPERATOR_IMAGE, "plugin-barman-cloud": PLUGIN_IMAGE}
    return {name: Image(reference=reference, archive=tmp_path / name) for name, reference in references.items()}


def test_both_operators_are_applied_with_the_plugins_certificates(files: dict[str, Path], images: dict[str, Image]) -> None:
    region = Region()
    operators.install(region.kubectl, "primary", images, files)
    assert [(document["kind"], document["metadata"]["name"]) for document in region.applied] == [
        ("Namespace", "cnpg-system"),
        ("Deployment", "cnpg-controller-manager"),
        ("Secret", "plugin-barman-cloud-8tfddg42gf"),
        ("Deployment", "barman-cloud"),
        ("Secret", "barman-cloud-server-tls"),
        ("Secret", "barman-cloud-client-tls"),
    ]
    assert "--server-side" in region.asked[-1]


def test_certificates_that_the_plugin_has_read_are_not_replaced(files: dict[str, Path], images: dict[str, Image]) -> None:
    region = Region(secrets="secret/barman-cloud-server-tls\nsecret/barman-cloud-client-tls\nsecret/cnpg-ca-secret\n")
    operators.install(region.kubectl, "primary", images, files)
    assert "kubernetes.io/tls" not in json.dumps(region.applied)


def test_operators_are_ready_when_a_cluster_passes_their_webhooks() -> None:
    region = Region(refusals=2)
    operators.wait_ready(region.kubectl, "primary", timeout=5)
    rollouts = [arguments[4] for arguments in region.asked if arguments[:2] == ("rollout", "status")]
    assert rollouts == ["deployment/cnpg-controller-manager", "deployment/barman-cloud"]
    assert region.refusals == 0
    (cluster,) = region.applied
    assert cluster["kind"] == "Cluster"
