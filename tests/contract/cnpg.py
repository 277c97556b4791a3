"""The real CloudNativePG operator, as a process beside the API server. Its webhooks judge each object. No pod runs."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lab.waiting import until
from tests.api_server import ApiServer, alive, process
from tests.ports import free_port

WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
CNPG_NAMESPACE = "cnpg-system"
PROBE: dict[str, Any] = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "p" * 51, "namespace": "default"},  # one character more than the operator allows
    "spec": {"instances": 1, "storage": {"size": "1Gi"}},
}
"""The CRD admits this Cluster, and only the operator refuses it."""


def _kind_of_the_prometheus_operator(kind: str, version: str = "v1") -> dict[str, Any]:
    """A CRD with only the name of a kind. It admits an object of any shape."""
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


PROMETHEUS_OPERATOR = (
    _kind_of_the_prometheus_operator("PodMonitor"),
    _kind_of_the_prometheus_operator("PrometheusRule"),
    _kind_of_the_prometheus_operator("AlertmanagerConfig", "v1alpha1"),
)


def documents(manifest: Path) -> list[dict[str, Any]]:
    """The objects of one YAML file of a release. The C loader, because the operator's is more than a megabyte."""
    return [item for item in yaml.load_all(manifest.read_text(), yaml.CSafeLoader) if item]


def definitions(manifest: Path) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of a release."""
    return [item for item in documents(manifest) if item["kind"] == "CustomResourceDefinition"]


@contextmanager
def judging(manager: Path, release: Path, server: ApiServer, directory: Path) -> Iterator[None]:
    """The operator of `release` judges every object that `server` gets, until the block ends. Its files are in `directory`.

    The operator watches an empty namespace, so it changes none of a test's objects. Its webhook listens on every address, and no
    option changes that, so the operator runs in the server's own network: see `isolation.alone`.
    """
    port = free_port()
    config = directory / "kubeconfig"
    config.write_text(yaml.safe_dump(server.kubeconfig()))
    environment = {
        **os.environ,
        "KUBECONFIG": str(config),
        "WATCH_NAMESPACE": CNPG_NAMESPACE,
        # The operator reads apiserver.crt and apiserver.key. The API server names its own files so.
        "WEBHOOK_CERT_DIR": str(server.certificate.parent),
        "PLUGIN_SOCKET_DIR": str(directory),
    }
    log = directory / "operator.log"
    command = [*server.place.prefix, manager, "controller", f"--webhook-port={port}", "--metrics-bind-address=0"]
    with process(command, log, environment) as operator:
        for item in documents(release):
            if item["kind"] in WEBHOOKS:
                answer = server.apply(reached_by_url(item, port, server.certificate.read_bytes()))
                assert answer.status in (200, 201), answer

        def judges() -> bool:
            assert alive(operator, log)
            return 'admission webhook "vcluster.cnpg.io" denied the request' in str(server.apply(PROBE, dry_run=True))

        until("the operator to judge", judges, timeout=60)
        yield


def reached_by_url(item: dict[str, Any], port: int, authority: bytes) -> dict[str, Any]:
    """The release's webhook configuration, changed to call the operator's process on this machine instead of a Service."""
    config = {key: value for key, value in item.items() if key != "webhooks"}
    config["webhooks"] = [
        webhook
        | {
            "clientConfig": {
                "url": f"https://127.0.0.1:{port}{webhook['clientConfig']['service']['path']}",
                "caBundle": base64.b64encode(authority).decode(),
            }
        }
        for webhook in item["webhooks"]
    ]
    return config
