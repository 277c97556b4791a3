"""Every key that a person may write, at every depth, and how a value comes to stand there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from settings.model import Settings
from settings.places import field_at, models_in
from tests.examples import example

Path = tuple[str, ...]


def leaves(model: type[BaseModel]) -> Iterator[Path]:
    """The path of every key that a person may write, objects and lists of them included; an entry of a list counts for all."""
    for field in model.model_fields.values():
        if field.alias and field.alias != "role":
            yield (field.alias,)
            for inner in models_in(field.annotation):
                yield from ((field.alias, *path) for path in leaves(inner))


EVERY_KEY = sorted(set(leaves(Settings)))


def parsed() -> dict[str, Any]:
    """The committed configuration of the secondary."""
    return {key: json.loads(text) if text.startswith(("{", "[")) else text for key, text in example("secondary").items()}


def put(values: Mapping[str, Any], path: Path, value: Any, *, slip: str | None = None) -> dict[str, str]:
    """The whole configuration with `value` at `path`, in the first entry of each list on the way.

    With `slip`, what stands there, or `value` where nothing does, stands under that key in its place.
    """
    changed = _put(values, path, 0, value, slip)
    return {key: each if isinstance(each, str) else json.dumps(each) for key, each in changed.items()}


def _put(values: Any, path: Path, depth: int, value: Any, slip: str | None, *, in_a_list: bool = False) -> Any:
    if not in_a_list and depth and (isinstance(values, list) or (values is None and _is_a_list(path[:depth]))):
        first, *others = values or [None]
        return [_put(first, path, depth, value, slip, in_a_list=True), *others]
    base, key = dict(values) if isinstance(values, dict) else {}, path[depth]
    if depth + 1 < len(path):
        return {**base, key: _put(base.get(key), path, depth + 1, value, slip)}
    if slip is None:
        return {**base, key: value}
    return {**{each: other for each, other in base.items() if each != key}, slip: base.get(key, value)}


def _is_a_list(path: Path) -> bool:
    annotation = field_at(path).annotation
    return any(get_origin(each) is list for each in (annotation, *get_args(annotation)))
