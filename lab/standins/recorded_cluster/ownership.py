"""Field ownership in server-side apply. It works for maps; a list always has one owner as a whole, whatever its schema says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_UNOWNED = ("apiVersion", "kind", "metadata.name", "metadata.namespace")


def conflicts(body: Mapping[str, Any], live: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """The fields that `body` would change although one of `others` applied them, in the API server's words."""
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
    """The fields that a manager still owns after another one applied `body`, which differs from `live`."""
    if not isinstance(theirs, dict) or not isinstance(body, dict):
        return theirs
    held = live if isinstance(live, dict) else {}
    return {
        key: disowned(value, body.get(key), held.get(key))
        for key, value in theirs.items()
        if key not in body or isinstance(value, dict) or body[key] == held.get(key)
    }


def without(obj: Any, before: Any, after: Any) -> Any:
    """`obj` without the fields that its manager applied `before` but no longer applies in `after`."""
    if not isinstance(obj, dict) or not isinstance(before, dict):
        return obj
    kept = after if isinstance(after, dict) else {}
    return {key: without(value, before.get(key), kept.get(key)) for key, value in obj.items() if key not in before or key in kept}
