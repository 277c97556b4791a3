"""What a team would commit for the demo application: it is put into the primary region, and Velero carries it to the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NAMESPACE = "production"
NAME = "shop"
LABELS = {"app": NAME}
GREETING = "Hello from the shop"
TOKEN = "a-token-that-only-a-restore-can-bring"  # noqa: S105 - the lab's own, and the same on every machine
PORT = 8080
REPLICAS = 3
DATABASE_SECRET = "shop-database"  # noqa: S105 - its name
CREDENTIALS = "/etc/shop-database"
AUTHORITY = "ca.crt"


@dataclass(frozen=True, kw_only=True)
class Database:
    """Where the application keeps its ledger. The address is the same in both regions, and so is the owner's password: a restored
    application finds the database of the region it is in."""

    username: str
    password: str
    host: str = "app-database-rw.databases.svc"
    port: int = 5432
    name: str = "app"
    peer: str | None = None
    """The other region's database, for an application that runs while its own region's takes no writes."""

    authority: str | None = None
    """Certificate, in PEM, of who vouches for both; without it the servers' certificates are not looked at."""


def documents(image: str, replicas: int = REPLICAS, *, database: Database | None = None) -> list[dict[str, Any]]:
    """The application's objects, in an order in which they can be created one after the other.

    `image`: the reference of the shop image. A Service of type LoadBalancer answers on port 80. Without a `database` the
    application is stateless.
    """
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        # The hourly schedule names it too, and Velero calls a backup of a namespace that is not there PartiallyFailed.
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "databases"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(), "data": {"greeting": GREETING}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(), "type": "Opaque", "stringData": {"token": TOKEN}},
        *([_credentials(database)] if database else []),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": _metadata(),
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": LABELS},
                "template": {"metadata": {"labels": LABELS}, "spec": _pod(image, database)},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _metadata(),
            "spec": {
                "type": "LoadBalancer",
                "selector": LABELS,
                "ports": [{"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}],
            },
        },
    ]


def _metadata() -> dict[str, Any]:
    return {"name": NAME, "namespace": NAMESPACE, "labels": LABELS}


def _credentials(database: Database) -> dict[str, Any]:
    """The application's own copy: the database's Secret lies in another namespace, where no pod of this one can read it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata() | {"name": DATABASE_SECRET},
        "type": "kubernetes.io/basic-auth",
        "stringData": {
            "username": database.username,
            "password": database.password,
            **({AUTHORITY: database.authority} if database.authority else {}),
        },
    }


def _database_environment(database: Database) -> list[dict[str, Any]]:
    return [
        {"name": "DATABASE_HOST", "value": database.host},
        {"name": "DATABASE_PORT", "value": str(database.port)},
        {"name": "DATABASE_NAME", "value": database.name},
        {"name": "DATABASE_CREDENTIALS", "value": CREDENTIALS},
        *([{"name": "DATABASE_PEER_HOST", "value": database.peer}] if database.peer else []),
        *([{"name": "DATABASE_CA", "value": f"{CREDENTIALS}/{AUTHORITY}"}] if database.authority else []),
    ]


def _pod(image: str, database: Database | None) -> dict[str, Any]:
    secrets = {"secret": (NAME, "/etc/shop")} | ({"database": (DATABASE_SECRET, CREDENTIALS)} if database else {})
    return {
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": NAME,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "ports": [{"name": "http", "containerPort": PORT}],
                "env": [
                    {"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": NAME, "key": "greeting"}}},
                    {"name": "TOKEN_FILE", "value": "/etc/shop/token"},
                    {"name": "REGION", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    *(_database_environment(database) if database else []),
                ],
                # A second is a long time while a region is being waited for.
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": PORT}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                "securityContext": {
                    "runAsNonRoot": True,
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": key, "mountPath": path, "readOnly": True} for key, (_, path) in secrets.items()],
            }
        ],
        "volumes": [{"name": key, "secret": {"secretName": name}} for key, (name, _) in secrets.items()],
    }
