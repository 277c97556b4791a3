"""Data stay in the two regions that somebody has chosen for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .model import Config, Policy, Resource, Stack, Violation, texts

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_ARN = re.compile(r"\barn:aws[a-z-]*:([a-z0-9-]+):([a-z]{2}(?:-[a-z]+)+-\d):")
_GLOBAL = {"acm", "cloudfront", "cloudwatch", "route53", "wafv2"}
"""Services whose control plane is in us-east-1 for everybody; and CloudWatch, which has the metrics of Route 53 there alone."""

_CHECKED = ("aws:", "kubernetes:", "pulumi:providers:aws")


def check(stack: Stack, config: Config) -> Iterator[Violation]:
    allowed = set(config["regions"]) or {
        value for key in ("region", "peerRegion") if isinstance(value := stack.region.get(key), str)
    }
    for resource in stack.resources:
        if resource.type.startswith(_CHECKED):
            for path, region in sorted(_foreign_regions(resource, allowed | _where_it_must_be(resource))):
                yield Violation(resource=resource, message=_message(resource, path, region, allowed))


def _where_it_must_be(resource: Resource) -> set[str]:
    """An alarm on a health check, and the topic that it tells, can be in us-east-1 alone. It holds no data."""
    on_a_check = resource.type == "aws:cloudwatch/metricAlarm:MetricAlarm" and resource.props.get("namespace") == "AWS/Route53"
    return {"us-east-1"} if on_a_check else set()


def _message(resource: Resource, path: str, region: str, allowed: set[str]) -> str:
    if not allowed:
        return f"{resource.name} is in {region}, and nothing says where it may be: set regions in the policy's configuration"
    return (
        f"{path} of {resource.name} is in {region}, and the stack may be in {', '.join(sorted(allowed))} only: move it, or add "
        "the region to regions in the policy's configuration"
    )


def _foreign_regions(resource: Resource, allowed: set[str]) -> Iterator[tuple[str, str]]:
    """Each region in the resource that is not allowed, with the path of the property that names it."""
    for path, text in texts(_without_copies(resource)):
        if path.rpartition(".")[2] == "region" and _REGION.fullmatch(text) and text not in allowed:
            yield path, text
        for service, region in _ARN.findall(text):
            if region not in allowed and not (service in _GLOBAL and region == "us-east-1"):
                yield path, region


def _without_copies(resource: Resource) -> dict[str, Any]:
    """The properties, without what the Kubernetes provider keeps of an object's earlier inputs."""
    return {key: value for key, value in resource.props.items() if not key.startswith("__")}


POLICY = Policy(
    name="region-residency",
    description="Providers, resources and the ARNs in them are in the stack's region or its peer's.",
    level="mandatory",
    stack=check,
    schema={
        "regions": {
            "type": "array",
            "items": {"type": "string"},
            "default": [],
            "description": "regions that are allowed; by default the two that the stack's Region component declares",
        }
    },
)
