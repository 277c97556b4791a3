"""The lab's database: its configuration, queries to it, and the certificates that the lab makes for it."""

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
DATABASE_NAMESPACE = "databases"
OWNER = "app"
ADDRESS = f"{NAME}-rw.{DATABASE_NAMESPACE}.svc"
"""The address at which a region's pods reach the primary instance of their own region."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The tier, and how the lab's database is replicated. `changes` override keys of the database's entry in Pulumi.yaml."""

    tier: Tier = DEFAULT
    replication: Literal["archive", "streaming"] = "archive"
    source: Literal["replica-bucket", "primary-bucket"] = "replica-bucket"
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def preset(self) -> Preset:
        """What the tier keeps in the standby region."""
        return PRESETS[self.tier]

    def configuration(self, image: str) -> dict[str, Any]:
        """The database's entry in `databases`: the defaults of the program, but a smaller instance."""
        streaming = {"streaming": _connection()} if self.replication == "streaming" else {}
        modes = {"replication": self.replication, "source": self.source, **streaming}
        # For streaming, the lab has already created the namespace, with the certificates in it.
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
    """Run `sql` as superuser on the primary instance of a region. Returns one line for each row, with | between columns."""
    instance = kubectl(
        region,
        "get",
        "cluster.postgresql.cnpg.io",
        NAME,
        "-n",
        DATABASE_NAMESPACE,
        "-o",
        "jsonpath={.status.currentPrimary}",
        check=check,
    )
    ask = [
        "exec",
        "-n",
        DATABASE_NAMESPACE,
        instance,
        "-c",
        "postgres",
        "--",
        "psql",
        "-d",
        "app",
        "-v",
        "ON_ERROR_STOP=1",
        "-Atqc",
        sql,
    ]
    return kubectl(region, *ask, check=check).strip()


def status(kubectl: Kubectl, region: str) -> dict[str, Any]:
    """The status of the region's Cluster object. Empty if there is no Cluster."""
    get = ["get", "cluster.postgresql.cnpg.io", NAME, "-n", DATABASE_NAMESPACE, "-o", "yaml", "--ignore-not-found"]
    text = kubectl(region, *get, check=False)
    found = yaml.safe_load(text) or {}
    return dict(found.get("status") or {})


def bring_certificates(kubectl: Kubectl) -> None:
    """Put certificates of one common authority into both regions. Streaming needs them before either side is created.

    On AWS, cert-manager would issue them, from an issuer that both clusters have.
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
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": DATABASE_NAMESPACE}}
    for region in ("primary", "secondary"):
        kubectl(region, "apply", "-f", "-", stdin=yaml.safe_dump_all([namespace, *secrets]))


def authority(kubectl: Kubectl, region: str) -> str:
    """The certificate of the authority that signed the database servers' certificates in both regions, in PEM."""
    encoded = kubectl(region, "get", "secret", f"{NAME}-ca", "-n", DATABASE_NAMESPACE, "-o", r"jsonpath={.data.ca\.crt}")
    return base64.b64decode(encoded).decode()


def _metadata(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": DATABASE_NAMESPACE, "labels": {"velero.io/exclude-from-backup": "true"}}


def _secret(name: str, pair: tuple[str, str]) -> dict[str, Any]:
    certificate, key = pair
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": _metadata(name),
        "stringData": {"tls.crt": certificate, "tls.key": key},
    }
