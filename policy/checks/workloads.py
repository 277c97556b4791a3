"""Workloads run the images that were reviewed, ask for their share of a node, and are not open to the whole cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .model import UNKNOWN, Config, Policy, Stack, Violation, dig, items

_TEMPLATE = ("spec", "template", "spec")
_PODS = {
    "kubernetes:core/v1:Pod": ("spec",),
    "kubernetes:apps/v1:Deployment": _TEMPLATE,
    "kubernetes:apps/v1:DaemonSet": _TEMPLATE,
    "kubernetes:apps/v1:StatefulSet": _TEMPLATE,
    "kubernetes:batch/v1:Job": _TEMPLATE,
    "kubernetes:batch/v1:CronJob": ("spec", "jobTemplate", *_TEMPLATE),
}
"""Types that run pods, and where each has the pod's spec."""

_SHARES = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))


def check(stack: Stack, config: Config) -> Iterator[Violation]:
    del config
    for workload in stack.of(*_PODS):
        for objection in _of_pod(workload.get(*_PODS[workload.type])):
            yield Violation(resource=workload, message=objection)
    ruled = {policy.get("metadata", "namespace") for policy in stack.of("kubernetes:networking.k8s.io/v1:NetworkPolicy")}
    for namespace in stack.of("kubernetes:core/v1:Namespace"):
        name = namespace.get("metadata", "name")
        if name is not UNKNOWN and name not in ruled:
            message = f"everybody in the cluster reaches the pods of {name}: add a NetworkPolicy to it"
            yield Violation(resource=namespace, message=message)


def _of_pod(spec: Any) -> Iterator[str]:
    containers = [*items(dig(spec, "initContainers")), *items(dig(spec, "containers"))]
    images = sorted({image for container in containers if isinstance(image := dig(container, "image"), str)})
    if floating := [image for image in images if _tag(image) in ("", "latest")]:
        yield f"{', '.join(floating)}: no fixed version, so it may be another image every day: pin a version and its digest"
    if tagged := [image for image in images if "@" not in image and image not in floating]:
        yield f"{', '.join(tagged)}: a registry may change what a tag means: add the digest (@sha256:…)"
    for share in _SHARES:
        if lacking := [str(dig(container, "name")) for container in containers if not dig(container, "resources", *share)]:
            yield f"no {share[0]}.{share[1]} of {', '.join(lacking)}: set resources"


def _tag(image: str) -> str:
    """What follows the name: a tag, a digest, or nothing."""
    return image.rpartition("/")[2].partition(":")[2]


POLICY = Policy(
    name="workload-hygiene",
    description="Images are pinned by digest, containers have requests and limits, namespaces a NetworkPolicy.",
    level="advisory",
    stack=check,
)
