"""Property names as Pulumi writes them (`kmsMasterKeyId`) and as the AWS API does (`KMSMasterKeyID`), both ways."""

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
    """What is live of what the inputs speak of: a difference is drift, what they leave out is the service's own."""
    answer: dict[str, Any] = prune(dict(live), dict(inputs))
    return answer
