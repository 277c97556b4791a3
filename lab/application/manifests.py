"""The manifests of the demo application. The lab applies them in the primary region; Velero brings them to the secondary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

APPLICATION_NAMESPACE = "production"
NAME = "shop"
LABELS = {"app": NAME}
GREETING = "Hello from the shop"
TOKEN = "a-token-that-only-a-restore-can-bring"  # noqa: S105 - only the lab uses it, and it is the same on every machine
PORT = 8080
REPLICAS = 3
ARCHIVE = "archive"
"""The part of the application that keeps files: a StatefulSet with one Pod and one claim."""

ARCHIVE_PORT = 8081
ARCHIVE_USER = 10001
ARCHIVE_CLAIM = f"documents-{ARCHIVE}-0"
DATABASE_SECRET = "shop-database"  # noqa: S105 - its name
CREDENTIALS = "/etc/shop-database"
AUTHORITY = "ca.crt"


@dataclass(frozen=True, kw_only=True)
class Database:
    """Where the application keeps its ledger.

    Address and password are the same in both regions. A restored application therefore finds the database of its own region.
    """

    username: str
    password: str
    host: str = "app-database-rw.databases.svc"
    port: int = 5432
    name: str = "app"
    peer: str | None = None
    """Host of the other region's database. The application uses it while its own region's database is a standby."""

    authority: str | None = None
    """Certificate, in PEM, of the authority that signed both servers' certificates. If None, the application verifies none."""


def documents(image: str, replicas: int = REPLICAS, *, database: Database | None = None) -> list[dict[str, Any]]:
    """The application's objects, in the order in which they can be created.

    `image` is the reference of the shop image. A Service of type LoadBalancer listens on port 80. Without a `database` the
    application is stateless.
    """
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": APPLICATION_NAMESPACE}},
        # The hourly schedule includes this namespace. If it does not exist, Velero marks the backup PartiallyFailed.
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


def archive(image: str, storage_class: str) -> list[dict[str, Any]]:
    """A StatefulSet that keeps each document as a file on a volume of its own, and a Service for it on another port."""
    labels = {"app": ARCHIVE}
    metadata = {"name": ARCHIVE, "namespace": APPLICATION_NAMESPACE, "labels": labels}
    pod = _pod(image, None)
    pod["securityContext"] = {"runAsUser": ARCHIVE_USER, "runAsGroup": ARCHIVE_USER, "fsGroup": ARCHIVE_USER}
    (container,) = pod["containers"]
    container["env"].append({"name": "DOCUMENTS", "value": "/var/documents"})
    container["volumeMounts"].append({"name": "documents", "mountPath": "/var/documents"})
    claim = {
        "metadata": {"name": "documents"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": metadata,
            "spec": {
                "serviceName": ARCHIVE,
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
                "volumeClaimTemplates": [claim],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "type": "LoadBalancer",
                "selector": labels,
                "ports": [{"name": "http", "port": ARCHIVE_PORT, "targetPort": PORT, "protocol": "TCP"}],
            },
        },
    ]


def _metadata() -> dict[str, Any]:
    return {"name": NAME, "namespace": APPLICATION_NAMESPACE, "labels": LABELS}


def _credentials(database: Database) -> dict[str, Any]:
    """The application's own copy of the database's credentials: pods cannot read a Secret of another namespace."""
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
                # With the default period of 10 s, a failover would notice a ready pod up to 10 s too late.
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
