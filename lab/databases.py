"""The lab's database: how it is configured, how it is asked, and what only the lab must bring for it (certificates)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from lab import project
from lab.operators import Kubectl
from lab.regions import pki
from settings.presets import DEFAULT, PRESETS, Preset
from settings.tiers import Tier

NAME = "app-database"
NAMESPACE = "databases"
OWNER = "app"
ADDRESS = f"{NAME}-rw.{NAMESPACE}.svc"
"""Of the region's own primary instance, as its pods call it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The tier, and how the lab's database is replicated; `changes` are further keys of its configuration, as a person writes
    them."""

    tier: Tier = DEFAULT
    replication: Literal["archive", "streaming"] = "archive"
    source: Literal["replica-bucket", "primary-bucket"] = "replica-bucket"
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def preset(self) -> Preset:
        """What the tier keeps in the region that stands by."""
        return PRESETS[self.tier]

    def configuration(self, image: str) -> dict[str, Any]:
        """Its entry in `databases`: the product's defaults but for its size."""
        streaming = {"streaming": _connection()} if self.replication == "streaming" else {}
        modes = {"replication": self.replication, "source": self.source, **streaming}
        # The namespace is there already where the lab has put certificates into it.
        return project.lab_database(image=image, createNamespace=not streaming, **modes, **self.changes)


def _connection() -> dict[str, Any]:
    hosts = {role: project.load_balancer(role) for role in ("primary", "secondary")}
    secrets = {
        "server": f"{NAME}-server-tls",
        "serverCa": f"{NAME}-ca",
        "clientCa": f"{NAME}-ca",
        "replication": f"{NAME}-client",
    }
    return {"hosts": hosts, "certificates": secrets}


def query(kubectl: Kubectl, region: str, sql: str, *, check: bool = True) -> str:
    """What PostgreSQL's superuser is answered in a region's primary instance, a row a line, columns separated by |."""
    instance = kubectl(
        region, "get", "cluster.postgresql.cnpg.io", NAME, "-n", NAMESPACE, "-o", "jsonpath={.status.currentPrimary}", check=check
    )
    ask = ["exec", "-n", NAMESPACE, instance, "-c", "postgres", "--", "psql", "-d", "app", "-v", "ON_ERROR_STOP=1", "-Atqc", sql]
    return kubectl(region, *ask, check=check).strip()


def status(kubectl: Kubectl, region: str) -> dict[str, Any]:
    """Status of the region's Cluster; empty where there is none."""
    get = ["get", "cluster.postgresql.cnpg.io", NAME, "-n", NAMESPACE, "-o", "yaml", "--ignore-not-found"]
    text = kubectl(region, *get, check=False)
    found = yaml.safe_load(text) or {}
    return dict(found.get("status") or {})


def bring_certificates(kubectl: Kubectl) -> None:
    """What streaming needs before either half is made: one authority for both regions, in their Secrets.

    On AWS cert-manager would issue them, from an issuer that both clusters have.
    """
    names = [*(project.load_balancer(role) for role in ("primary", "secondary")), ADDRESS]
    bundle = pki.bundle(names, "streaming_replica")
    secrets = [
        _secret(f"{NAME}-server-tls", bundle.server),
        _secret(f"{NAME}-client", bundle.client),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": _metadata(f"{NAME}-ca"),
            "stringData": {"ca.crt": bundle.authority},
        },
    ]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    for region in ("primary", "secondary"):
        kubectl(region, "apply", "-f", "-", stdin=yaml.safe_dump_all([namespace, *secrets]))


def authority(kubectl: Kubectl, region: str) -> str:
    """Certificate of who signed the servers' in both regions, in PEM."""
    encoded = kubectl(region, "get", "secret", f"{NAME}-ca", "-n", NAMESPACE, "-o", r"jsonpath={.data.ca\.crt}")
    return base64.b64decode(encoded).decode()


def _metadata(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE, "labels": {"velero.io/exclude-from-backup": "true"}}


def _secret(name: str, pair: tuple[str, str]) -> dict[str, Any]:
    certificate, key = pair
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": _metadata(name),
        "stringData": {"tls.crt": certificate, "tls.key": key},
    }
