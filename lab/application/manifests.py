"""What a team would commit for the demo application: it is put into the primary region, and Velero carries it to the other."""

from __future__ import annotations

from typing import Any

NAMESPACE = "production"
NAME = "shop"
LABELS = {"app": NAME}
GREETING = "Hello from the shop"
TOKEN = "a-token-that-only-a-restore-can-bring"  # noqa: S105 - the lab's own, and the same on every machine
PORT = 8080


def documents(image: str, replicas: int = 3) -> list[dict[str, Any]]:
    """The application's objects, in an order in which they can be created one after the other.

    `image`: the reference of the shop image. A Service of type LoadBalancer answers on port 80.
    """
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        # The hourly schedule names it too, and Velero calls a backup of a namespace that is not there PartiallyFailed.
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "databases"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(), "data": {"greeting": GREETING}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(), "type": "Opaque", "stringData": {"token": TOKEN}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": _metadata(),
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": LABELS},
                "template": {"metadata": {"labels": LABELS}, "spec": _pod(image)},
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


def _pod(image: str) -> dict[str, Any]:
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
                "volumeMounts": [{"name": "secret", "mountPath": "/etc/shop", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "secret", "secret": {"secretName": NAME}}],
    }
