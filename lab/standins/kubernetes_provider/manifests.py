"""Kubernetes objects as plain data: their names, and a normal form for comparisons."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from lab.standins.provider import NotCoveredError
from lab.standins.values import has_unknown

AUTONAMED = "pulumi.com/autonamed"
RELEASE = "kubernetes:helm.sh/v3:Release"
"""The one type that the stand-in can only preview."""

Object = dict[str, Any]

_READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)


def refuse_uncovered(token: str) -> None:
    """Raise NotCoveredError for types that are not exactly one whole object."""
    package, module, kind = token.split(":")
    group = module.partition("/")[0]
    if package != "kubernetes" or "/" not in module or group in ("helm.sh", "yaml", "kustomize"):
        raise NotCoveredError(f"the Kubernetes stand-in does not cover {token}; install pulumi-resource-kubernetes")
    if kind.endswith(("Patch", "List")):
        raise NotCoveredError(f"the Kubernetes stand-in does not cover {token}: it manages whole objects, one each")


def metadata(obj: Mapping[str, Any]) -> Object:
    found = obj.get("metadata")
    return found if isinstance(found, dict) else {}


def annotation(obj: Mapping[str, Any], name: str) -> str:
    annotations = metadata(obj).get("annotations")
    return str(annotations.get(name, "")) if isinstance(annotations, dict) else ""


def identifier(obj: Mapping[str, Any]) -> str:
    """The resource's id in the state: `namespace/name`, or only `name` for objects without a namespace."""
    meta = metadata(obj)
    return "/".join(part for part in (meta.get("namespace"), meta.get("name")) if part)


def with_name(inputs: Object, old: Mapping[str, Any], logical_name: str, seed: bytes) -> Object:
    """The inputs with a name: their own, else the former generated one, else the logical name and eight hex digits."""
    meta = metadata(inputs)
    if meta.get("name") or meta.get("generateName"):
        return inputs
    name = metadata(old).get("name") if annotation(old, AUTONAMED) == "true" else None
    if name is None:
        suffix = hashlib.sha256(seed).hexdigest()[:8] if seed else secrets.token_hex(4)
        name = f"{logical_name}-{suffix}"
    annotations = meta.get("annotations")
    annotations = {**(annotations if isinstance(annotations, dict) else {}), AUTONAMED: "true"}
    return {**inputs, "metadata": {**meta, "annotations": annotations, "name": name}}


def normalized(obj: Mapping[str, Any]) -> Object:
    """The object as the API server would store it, so that two notations of the same object do not differ."""
    answer = dict(obj)
    if "metadata" in answer:
        answer["metadata"] = {key: value for key, value in metadata(obj).items() if key not in _READ_ONLY}
    if obj.get("apiVersion") == "v1" and obj.get("kind") == "Secret" and isinstance(obj.get("stringData"), dict):
        encoded = {
            key: text if has_unknown(text) else base64.b64encode(str(text).encode()).decode()
            for key, text in answer.pop("stringData").items()
        }
        answer["data"] = {**(answer.get("data") or {}), **encoded}
    return answer
