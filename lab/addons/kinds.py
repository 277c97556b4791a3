"""The kinds that the add-ons follow, and what stands for an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]
Snapshot = Mapping[str, list[Object]]
"""The objects of each plural, such as `pods`, as the API server sends them."""

GROUP = "elbv2.k8s.aws"
BINDING = f"{GROUP}/v1beta1"
"""API group of the AWS Load Balancer Controller, and the version of its TargetGroupBindings."""

PATHS: Mapping[str, str] = {
    "services": "/api/v1/services",
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "ingresses": "/apis/networking.k8s.io/v1/ingresses",
    "networkpolicies": "/apis/networking.k8s.io/v1/networkpolicies",
    "targetgroupbindings": f"/apis/{BINDING}/targetgroupbindings",
}


def path_of(kind: str, item: Object) -> str:
    """The path of a namespaced object in the API."""
    return f"{path_in(kind, item['metadata']['namespace'])}/{item['metadata']['name']}"


def path_in(kind: str, namespace: str) -> str:
    """The path of a namespace's objects of one kind."""
    root, _, plural = PATHS[kind].rpartition("/")
    return f"{root}/namespaces/{namespace}/{plural}"


def name_of(item: Object) -> tuple[str, str]:
    """Namespace and name. The namespace of what has none is empty."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
