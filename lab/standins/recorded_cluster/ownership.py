"""Whose a field is, after server-side apply: as far as maps go. A list belongs to its manager whole, whatever its schema says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_UNOWNED = ("apiVersion", "kind", "metadata.name", "metadata.namespace")


def conflicts(body: Mapping[str, Any], live: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Which fields `body` would change that one of `others` applied, each as the API server names it."""
    return [
        f'conflict with "{other}": .{path}'
        for other, theirs in others.items()
        for path in _contested(body, live, theirs)
        if path not in _UNOWNED
    ]


def _contested(body: Any, live: Any, theirs: Any, path: str = "") -> Iterator[str]:
    if isinstance(body, dict) and isinstance(theirs, dict):
        held = live if isinstance(live, dict) else {}
        for key in body.keys() & theirs.keys():
            yield from _contested(body[key], held.get(key), theirs[key], f"{path}.{key}" if path else key)
    elif body != live:
        yield path


def disowned(theirs: Any, body: Any, live: Any) -> Any:
    """What a manager still owns when another one has set what differs from `live`."""
    if not isinstance(theirs, dict) or not isinstance(body, dict):
        return theirs
    held = live if isinstance(live, dict) else {}
    return {
        key: disowned(value, body.get(key), held.get(key))
        for key, value in theirs.items()
        if key not in body or isinstance(value, dict) or body[key] == held.get(key)
    }


def without(obj: Any, before: Any, after: Any) -> Any:
    """`obj` less the fields that its manager applied `before` and does not apply any more."""
    if not isinstance(obj, dict) or not isinstance(before, dict):
        return obj
    kept = after if isinstance(after, dict) else {}
    return {key: without(value, before.get(key), kept.get(key)) for key, value in obj.items() if key not in before or key in kept}
