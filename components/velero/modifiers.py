"""How objects change on their way from one region into the other, in Velero's own form.

Every rule here is a merge patch. It takes a field away without an error where the field is not there; a JSON patch does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from settings.modifiers import ModifierRule
from settings.roles import Role
from settings.velero import VeleroSettings, turned_round

RESTORE_MODIFIERS = "restore-modifiers"
"""ConfigMap of the rules, in Velero's namespace."""

STORAGE_CLASSES = "restore-storage-classes"
"""ConfigMap of the StorageClasses that are changed, in Velero's namespace."""

STORAGE_CLASS_PLUGIN = {"velero.io/plugin-config": "", "velero.io/change-storage-class": "RestoreItemAction"}
"""The labels by which Velero finds it."""

_NLB = "service.beta.kubernetes.io/aws-load-balancer"
_ALB = "alb.ingress.kubernetes.io"

FOUND_ANEW = {
    "services": (
        f"{_NLB}-subnets",
        f"{_NLB}-eip-allocations",
        f"{_NLB}-private-ipv4-addresses",
        f"{_NLB}-ipv6-addresses",
        f"{_NLB}-source-nat-ipv6-prefixes",
    ),
    "ingresses.networking.k8s.io": (
        f"{_ALB}/subnets",
        f"{_ALB}/ipam-ipv4-pool-id",
        f"{_ALB}/frontend-nlb-subnets",
        f"{_ALB}/frontend-nlb-eip-allocations",
    ),
}
"""Annotations with parts of one region that the AWS Load Balancer Controller or AWS finds or chooses where they are missing:
subnets by their tags, addresses from Amazon's own. Without them nothing is open that was closed. All annotations of the
controller are in its pkg/annotations/constants.go; those that are in no list here name nothing of one region, or name it by a tag
that the other region may have too. The certificate of an Ingress is not among them: an Ingress
without `listen-ports` is served in clear text once it has none (pkg/ingress/model_build_listener.go, `preferTLS`)."""

WITH_COUNTERPARTS = {
    "services": (
        *FOUND_ANEW["services"],
        f"{_NLB}-ssl-cert",
        f"{_NLB}-security-groups",
        f"{_NLB}-extra-security-groups",
        f"{_NLB}-security-group-prefix-lists",
        f"{_NLB}-attributes",
        f"{_NLB}-access-log-s3-bucket-name",
        f"{_ALB}/auth-idp-cognito",  # a Service's own has the last word over its Ingress'
    ),
    "ingresses.networking.k8s.io": (
        *FOUND_ANEW["ingresses.networking.k8s.io"],
        f"{_ALB}/certificate-arn",
        f"{_ALB}/security-groups",
        f"{_ALB}/security-group-prefix-lists",
        f"{_ALB}/auth-idp-cognito",
        f"{_ALB}/jwt-validation",
        f"{_ALB}/wafv2-acl-arn",
        f"{_ALB}/wafv2-acl-name",
        f"{_ALB}/waf-acl-id",
        f"{_ALB}/web-acl-id",
        f"{_ALB}/mutual-authentication",
        f"{_ALB}/acm-pca-arn",
        f"{_ALB}/customer-owned-ipv4-pool",
        f"{_ALB}/load-balancer-attributes",
        f"{_ALB}/frontend-nlb-security-groups",
        f"{_ALB}/frontend-nlb-attributes",
    ),
    "serviceaccounts": ("eks.amazonaws.com/role-arn",),
}
"""Annotations whose values `velero.counterparts` replaces. Those that are not in FOUND_ANEW keep a value without a counterpart:
without a security group, a web ACL or a certificate the other region would serve more people, or in clear text; without a pool of
the customer's own an Outpost's load balancer would have addresses of the Internet."""

_ONLY_IN = {
    r"arn:[^:]+:iam::[0-9]+:role/": ("role-arn",),
    r"arn:[^:]+:acm:": ("ssl-cert", "certificate-arn"),
    r"arn:[^:]+:acm-pca:": ("acm-pca-arn",),
    r"arn:[^:]+:wafv2:": ("wafv2-acl-arn",),
    r"subnet-[0-9a-f]{8,17}(?![\w.-])": ("subnets",),
    r"sg-[0-9a-f]{8,17}(?![\w.-])": ("security-groups",),
    r"eipalloc-[0-9a-f]{8,17}(?![\w.-])": ("eip-allocations",),
    r"pl-[0-9a-f]{8,17}(?![\w.-])": ("security-group-prefix-lists",),
}
"""By how a value begins, the ends of the annotations that may have it. What is no ARN or id of AWS's, as a bucket that is called
sg-logs, is sought in all of them. A ConfigMap holds no more than 1 MiB, and a rule for each
annotation that there is would fill it with some seventy certificates."""


def _may_have(value: str, annotation: str) -> bool:
    ends = next((ends for begin, ends in _ONLY_IN.items() if re.match(begin, value)), None)
    return ends is None or annotation.endswith(ends)


_UNBOUND = {
    "conditions": {"groupResource": "persistentvolumeclaims"},
    "mergePatches": [{"patchData": json.dumps({"spec": {"volumeName": None}})}],
}
"""A claim names no volume of the other region: this one makes its own. Velero takes the name out by itself only where it would
have restored the PersistentVolume, and those are left out (settings/kinds.py)."""


_MIXED = (f"{_NLB}-attributes", f"{_ALB}/load-balancer-attributes", f"{_ALB}/frontend-nlb-attributes")
"""Annotations that say more than what is of one region: how long a connection may be idle, beside a bucket of logs."""

KEPT_HERE = {
    kind: tuple(each for each in WITH_COUNTERPARTS[kind] if each not in _MIXED)
    for kind in ("services", "ingresses.networking.k8s.io")
}
"""Annotations that stay as they are here, on objects that are here already: a restore that updates an object would take its
subnets and fixed addresses away, and put the other region's certificate there. Velero itself keeps those of ServiceAccounts."""


def kept_here(objects: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Rules that keep what each of `objects` here, by kind, has of its region."""
    found = []
    for kind, each in objects.items():
        for metadata in (item["metadata"] for item in each):
            annotations = metadata.get("annotations") or {}
            if kept := {key: annotations[key] for key in KEPT_HERE[kind] if key in annotations}:
                conditions = {
                    "groupResource": kind,
                    "namespaces": [metadata["namespace"]],
                    "resourceNameRegex": f"^{re.escape(metadata['name'])}$",
                }
                patch = json.dumps({"metadata": {"annotations": kept}})
                found.append({"conditions": conditions, "mergePatches": [{"patchData": patch}]})
    return found


def _annotate(kind: str, annotation: str, value: str | None, **conditions: Any) -> dict[str, Any]:
    patch = json.dumps({"metadata": {"annotations": {annotation: value}}})
    return {"conditions": {"groupResource": kind, **conditions}, "mergePatches": [{"patchData": patch}]}


_AUTOSCALERS, _OWNERSHIP = "horizontalpodautoscalers.autoscaling", "validations.keda.sh/hpa-ownership"
_OF_KEDA = [
    _annotate(_AUTOSCALERS, _OWNERSHIP, "false", resourceNameRegex="^keda-hpa-"),
    _annotate(
        _AUTOSCALERS,
        _OWNERSHIP,
        "false",
        labelSelector={"matchExpressions": [{"key": "scaledobject.keda.sh/name", "operator": "Exists"}]},
    ),
]
"""KEDA's autoscalers are left out by their label `app.kubernetes.io/managed-by` (selection.py), but those come that have the
ScaledObject's own in its place, as Helm sets it. Velero takes an object's owners away and restores autoscalers before custom
objects. So KEDA's webhook would find the workload of the ScaledObject taken by a stranger and refuse it, were it not for this
annotation (apis/keda/v1alpha1/scaledobject_webhook.go, `verifyHpas`). KEDA gives an autoscaler a name that a person may choose,
and all labels of its ScaledObject, of which it sets one itself."""


def _pointer(annotation: str) -> str:
    """The JSON pointer to an annotation."""
    return f"/metadata/annotations/{annotation.replace('~', '~0').replace('/', '~1')}"


def counterparts(settings: VeleroSettings, role: Role) -> Mapping[str, str]:
    """By a value of the peer, the one that a restore in region `role` puts in its place."""
    if role == "secondary":
        return settings.counterparts
    return turned_round(settings.counterparts) | settings.counterparts_back


def storage_classes(settings: VeleroSettings, role: Role) -> Mapping[str, str]:
    """By a StorageClass of the peer, the one that restored claims get in region `role`."""
    if role == "secondary":
        return settings.storage_classes
    return turned_round(settings.storage_classes) | settings.storage_classes_back


def own_rules(settings: VeleroSettings, role: Role) -> Sequence[ModifierRule]:
    """The rules that a person wrote for restores in region `role`."""
    return settings.modifiers if role == "secondary" else settings.modifiers_back


def rules(settings: VeleroSettings, role: Role, kept: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """Every rule of restores in region `role`, in the order in which Velero applies them. Each judges the object as it is in the
    backup, so a counterpart is set again after the first rules have taken its annotation away, and after those `kept` have said
    what is here; rules that a person wrote have the last word."""
    removed = [_annotate(kind, annotation, None) for kind, each in FOUND_ANEW.items() for annotation in each]
    # As a JSON text with its quotes, which Velero puts into its own: it would take a value that looks like a number for one, and
    # escapes nothing, while some of these annotations hold JSON.
    replaced = [
        _annotate(kind, annotation, there, matches=[{"path": _pointer(annotation), "value": json.dumps(here)}])
        for here, there in counterparts(settings, role).items()
        for kind, each in WITH_COUNTERPARTS.items()
        for annotation in each
        if _may_have(here, annotation)
    ]
    return [*removed, *kept, *replaced, _UNBOUND, *_OF_KEDA, *(rule.as_velero_reads_it() for rule in own_rules(settings, role))]


def document(
    settings: VeleroSettings, role: Role, kept: Sequence[dict[str, Any]] = (), *, drill: Sequence[dict[str, Any]] = ()
) -> str:
    """The rules as Velero reads them from the ConfigMap: JSON, which is YAML too. Those of a `drill` come last."""
    return json.dumps({"version": "v1", "resourceModifierRules": [*rules(settings, role, kept), *drill]})
