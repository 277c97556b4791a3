"""Converts property names between Pulumi (`kmsMasterKeyId`) and the AWS API (`KMSMasterKeyID`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.standins.values import prune

_API = {
    "id": "ID",
    "sseAlgorithm": "SSEAlgorithm",
    "kmsMasterKeyId": "KMSMasterKeyID",
    "replicaKmsKeyId": "ReplicaKmsKeyID",
    "mfaDelete": "MFADelete",
}
_PULUMI = {api: pulumi for pulumi, api in _API.items()}


def to_api(value: Any) -> Any:
    if isinstance(value, dict):
        return {_API.get(key, key[:1].upper() + key[1:]): to_api(item) for key, item in value.items()}
    return [to_api(item) for item in value] if isinstance(value, list) else value


def from_api(value: Any) -> Any:
    if isinstance(value, dict):
        return {_PULUMI.get(key, key[:1].lower() + key[1:]): from_api(item) for key, item in value.items()}
    return [from_api(item) for item in value] if isinstance(value, list) else value


def seen_through(inputs: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the live values for which there are inputs. AWS sets the rest itself, so it must not count as drift."""
    answer: dict[str, Any] = prune(dict(live), dict(inputs))
    return answer
