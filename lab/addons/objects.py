"""The objects that tell a cluster of its add-ons."""

from __future__ import annotations

import base64
from typing import Any

from lab.addons import metrics
from lab.addons.kinds import BINDING, GROUP
from lab.addons.load_balancers import ALB

PORT = 9443
BINDINGS, PODS = "/validate-targetgroupbindings", "/mutate-pods"
"""Paths of the webhooks on the add-ons' server."""

METRICS_SERVICE, METRICS_NAMESPACE = "metrics-server", "kube-system"
_SECONDS = 5

_INGRESS_CLASS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "IngressClass",
    "metadata": {"name": ALB},
    "spec": {"controller": "ingress.k8s.aws/alb"},
}
"""The class that the AWS Load Balancer Controller's chart makes."""


def server_names() -> tuple[str, ...]:
    """The names, besides its address, under which the API server calls the add-ons' server."""
    return (f"{METRICS_SERVICE}.{METRICS_NAMESPACE}.svc",)


def documents(address: str, authority: str, port: int = PORT) -> list[dict[str, Any]]:
    """All objects, for a server at `address`. `authority` is the certificate, in PEM, of the authority that signed its own."""
    bundle = base64.b64encode(authority.encode()).decode()
    return [_binding_crd(), _INGRESS_CLASS, *_webhooks(f"https://{address}:{port}", bundle), *_metrics(address, bundle, port)]


def _binding_crd() -> dict[str, Any]:
    """The part of the AWS Load Balancer Controller's kind that the lab uses. All other fields are kept as they are."""
    group, _, version = BINDING.partition("/")
    spec = {
        "type": "object",
        "required": ["targetGroupARN", "serviceRef"],
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {
            "targetGroupARN": {"type": "string"},
            "targetType": {"type": "string"},
            "serviceRef": {
                "type": "object",
                "required": ["name", "port"],
                "properties": {"name": {"type": "string"}, "port": {"x-kubernetes-int-or-string": True}},
            },
        },
    }
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": spec}}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    kind = "TargetGroupBinding"
    names = {"kind": kind, "listKind": f"{kind}List", "plural": f"{kind.lower()}s", "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [served]},
    }


def _webhooks(url: str, bundle: str) -> list[dict[str, Any]]:
    common = {"admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": _SECONDS}
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "aws-load-balancer-webhook"},
            "webhooks": [
                {
                    **common,
                    "name": f"vtargetgroupbinding.{GROUP}",
                    "clientConfig": {"url": f"{url}{BINDINGS}", "caBundle": bundle},
                    "failurePolicy": "Fail",
                    "rules": [_rule(GROUP, "targetgroupbindings", "CREATE", "UPDATE")],
                }
            ],
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "pod-identity-webhook"},
            "webhooks": [
                {
                    **common,
                    "name": "pod-identity-webhook.amazonaws.com",
                    "clientConfig": {"url": f"{url}{PODS}", "caBundle": bundle},
                    # As on EKS: a webhook that is away stops no Pod. Its Pods then have no role.
                    "failurePolicy": "Ignore",
                    "rules": [_rule("", "pods", "CREATE")],
                }
            ],
        },
    ]


def _rule(group: str, resource: str, *operations: str) -> dict[str, Any]:
    return {"apiGroups": [group], "apiVersions": ["*"], "operations": list(operations), "resources": [resource]}


def _metrics(address: str, bundle: str, port: int) -> list[dict[str, Any]]:
    metadata = {"name": METRICS_SERVICE, "namespace": METRICS_NAMESPACE}
    group = {"group": metrics.GROUP, "version": metrics.VERSION, "groupPriorityMinimum": 100, "versionPriority": 100}
    return [
        # An API server that has just become ready may not have made it yet.
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": METRICS_NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port, "protocol": "TCP"}]},
        },
        # The server runs beside the node's pods, so no selector can find it.
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": METRICS_SERVICE}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{metrics.VERSION}.{metrics.GROUP}"},
            "spec": {**group, "service": metadata, "caBundle": bundle},
        },
    ]
