"""Property values in the Pulumi engine's format: plain data, secrets in an envelope, well-known strings for unknown values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The placeholder for a value that a preview cannot know."""

_UNKNOWNS = {
    UNKNOWN,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a boolean
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # an array
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # an object
}
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the protocol's tag of a secret, not one


def from_struct(struct: Any) -> dict[str, Any]:
    """Plain data, with secrets still in their envelopes. Whole numbers become int, and null values are left out."""
    answer = _tidy(json_format.MessageToDict(struct))
    assert isinstance(answer, dict)
    return answer


def _tidy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def to_struct(value: Mapping[str, Any]) -> Any:
    return json_format.ParseDict(dict(value), struct_pb2.Struct())


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get(_SIGNATURE) == _SECRET


def secret(value: Any) -> dict[str, Any]:
    return {_SIGNATURE: _SECRET, "value": value}


def reveal(value: Any) -> Any:
    """`value` without the envelopes of its secrets."""
    if _is_secret(value):
        return reveal(value.get("value"))
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def hide_like(value: Any, model: Any) -> Any:
    """`value` with envelopes around the parts that are secret in `model`, so that the state has no secret in plain text."""
    if _is_secret(model):
        return secret(value)
    if isinstance(value, dict) and isinstance(model, dict):
        return {key: hide_like(item, model.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(model, list):
        padded = [*model, *[None] * len(value)]
        return [hide_like(item, padded[index]) for index, item in enumerate(value)]
    return value


def has_secret(value: Any) -> bool:
    if _is_secret(value):
        return True
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(has_secret(part) for part in parts)


def has_unknown(value: Any) -> bool:
    """Whether a preview does not know all of `value`."""
    if isinstance(value, str):
        return value in _UNKNOWNS
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(has_unknown(part) for part in parts)


def prune(live: Any, shape: Any) -> Any:
    """The part of `live` for which `shape`, the inputs, has values. The service itself set the rest."""
    if isinstance(live, dict) and isinstance(shape, dict):
        return {key: prune(live[key], part) for key, part in shape.items() if key in live}
    if isinstance(live, list) and isinstance(shape, list):
        return [prune(item, shape[index]) if index < len(shape) else item for index, item in enumerate(live)]
    return live
