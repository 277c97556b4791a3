"""What stops a database of CloudNativePG, and which of them take writes."""

from __future__ import annotations

import json

from .api import Object

FENCED = "cnpg.io/fencedInstances"
"""CloudNativePG's own annotation of a Cluster, a JSON list: it stops PostgreSQL in these instances, whatever the Cluster's phase,
and does not start it until they are taken out. `*` means all of them."""

EVERY_INSTANCE = '["*"]'

HIBERNATION = "cnpg.io/hibernation"
"""The operator's annotation that asks for hibernation, and its condition that says that no instance is left."""


def fences_all(annotation: str | None) -> bool:
    """Whether the annotation fences every instance, as the operator reads it."""
    try:
        instances = json.loads(annotation or "[]")
    except ValueError:
        return False  # the operator cannot read it either, and fences nothing
    return isinstance(instances, list) and "*" in instances


def follows(cluster: Object) -> bool:
    """Whether a Cluster follows another one, and so takes no writes of its own."""
    replica = cluster["spec"].get("replica") or {}
    primary = replica.get("primary")
    return bool(replica.get("enabled")) if primary is None else primary != replica.get("self", cluster["metadata"]["name"])


def takes_writes(cluster: Object) -> bool:
    """Whether a Cluster is meant to take writes: it follows nobody, and nothing has stopped it."""
    annotations = cluster["metadata"].get("annotations") or {}
    return not (follows(cluster) or fences_all(annotations.get(FENCED)) or annotations.get(HIBERNATION) == "on")
