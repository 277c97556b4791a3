"""Installs the database operators in a region of the lab: CloudNativePG and its Barman Cloud plugin.

Their official manifests are changed only where a region without an image registry and without cert-manager requires it. The
program in `components/` knows nothing of these changes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lab.tools.images import Image
from lab.waiting import until

CNPG_NAMESPACE = "cnpg-system"
DEPLOYMENTS = ("cnpg-controller-manager", "barman-cloud")
MANIFESTS = ("cloudnative-pg.yaml", "plugin-barman-cloud.yaml")
_PLUGIN_SERVICE = "barman-cloud"
_CERTIFICATES = {"barman-cloud-server-tls": _PLUGIN_SERVICE, "barman-cloud-client-tls": "barman-cloud-client"}
_VALID = timedelta(days=30)
_CLOCK_SKEW = timedelta(minutes=5)
_TRIAL = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "trial"},
    "spec": {"instances": 1, "storage": {"size": "1Gi"}},
}
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")

Document = dict[str, Any]
Kubectl = Callable[..., str]  # like Lab.kubectl: takes the region, arguments, and `stdin`


def install(kubectl: Kubectl, region: str, images: Mapping[str, Image], files: Mapping[str, Path]) -> None:
    """Apply both operators' manifests to a region that has their images. Safe to repeat. Does not wait until they run.

    `files` has the path of each of MANIFESTS, as `Toolbox.files` does.
    """
    operator, plugin = (_read(files[name]) for name in MANIFESTS)
    documents = [
        *cloudnative_pg(operator, images["cloudnative-pg"].reference),
        *plugin_barman_cloud(plugin, images["plugin-barman-cloud"].reference),
    ]
    existing = kubectl(region, "get", "secrets", "-n", CNPG_NAMESPACE, "-o", "name").split()
    # Existing certificates stay: a running plugin read them at its start and would not notice new ones.
    documents += [secret(name, host) for name, host in _CERTIFICATES.items() if f"secret/{name}" not in existing]
    apply = ("apply", "--server-side", "--force-conflicts", "--field-manager=k8s-dr-lab", "-f", "-")
    kubectl(region, *apply, stdin=yaml.safe_dump_all(documents))


def wait_ready(kubectl: Kubectl, region: str, timeout: float = 120) -> None:
    """Wait until both operators run, and until their webhooks, which start a moment later, admit a Cluster."""
    for name in DEPLOYMENTS:
        kubectl(region, "rollout", "status", "-n", CNPG_NAMESPACE, f"deployment/{name}", f"--timeout={timeout:g}s")
    apply = ("apply", "--dry-run=server", "-n", CNPG_NAMESPACE, "-f", "-")
    until(f"{region} to admit a Cluster", lambda: kubectl(region, *apply, stdin=yaml.safe_dump(_TRIAL)), timeout=timeout)


def cloudnative_pg(documents: Iterable[Document], image: str) -> list[Document]:
    """The operator's manifest with the lab's image. The operator also uses that image in each PostgreSQL pod."""
    changed = deepcopy(list(documents))
    for container in _containers(changed):
        container.update(image=image, imagePullPolicy="IfNotPresent", resources={"requests": {"cpu": "10m", "memory": "64Mi"}})
        for variable in container["env"]:
            if variable["name"] == "OPERATOR_IMAGE_NAME":
                variable["value"] = image
        _probe_often(container)
    return changed


def plugin_barman_cloud(documents: Iterable[Document], image: str) -> list[Document]:
    """The plugin's manifest with the lab's image for the plugin and its sidecars, and without the cert-manager objects."""
    changed = [deepcopy(document) for document in documents if not document["apiVersion"].startswith("cert-manager.io/")]
    for container in _containers(changed):
        container.update(image=image, imagePullPolicy="IfNotPresent")
        _probe_often(container)
    for document in changed:
        if document["kind"] == "Secret" and "SIDECAR_IMAGE" in document["data"]:
            document["data"]["SIDECAR_IMAGE"] = base64.b64encode(image.encode()).decode()
    return changed


def secret(name: str, host: str) -> Document:
    """A TLS secret with a new self-signed certificate for `host`. The operator and the plugin trust each other's directly."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = certificate.public_bytes(pem)
    data = {"tls.crt": public, "tls.key": private, "ca.crt": public}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": CNPG_NAMESPACE},
        "data": {entry: base64.b64encode(content).decode() for entry, content in data.items()},
    }


def _read(path: Path) -> list[Document]:
    # The C loader reads CloudNativePG's CRDs, a megabyte of YAML, ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(path.read_text(), Loader=loader) if document]


def _containers(documents: Iterable[Document]) -> list[Document]:
    deployments = [document for document in documents if document["kind"] == "Deployment"]
    return [container for document in deployments for container in document["spec"]["template"]["spec"]["containers"]]


def _probe_often(container: Document) -> None:
    """Probe every second, so that the lab notices a ready pod at once. A pod may still take as long to start as before."""
    for probe in (container[name] for name in _PROBES if name in container):
        patience = probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3) + probe.get("initialDelaySeconds", 0)
        probe.update(periodSeconds=1, initialDelaySeconds=0, failureThreshold=patience)
