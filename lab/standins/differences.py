"""Compares two property values, and reports their differences as the Pulumi engine expects them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pulumi.runtime.proto import provider_pb2

Path = tuple[str | int, ...]
_ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One value that was added, deleted or changed. `old` or `new` is None if there is no such value."""

    path: Path
    kind: Literal["ADD", "DELETE", "UPDATE"]
    old: Any = None
    new: Any = None


def differences(old: Any, new: Any, path: Path = ()) -> Iterator[Difference]:
    """All differences. Maps and lists are compared item by item where both sides have one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _pair(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else _ABSENT
            yield from _pair(before, new[index] if index < len(new) else _ABSENT, (*path, index))
    elif old != new:
        yield Difference(path=path, kind="UPDATE", old=old, new=new)


def _pair(old: Any, new: Any, path: Path) -> Iterator[Difference]:
    if old is _ABSENT:
        yield Difference(path=path, kind="ADD", new=new)
    elif new is _ABSENT:
        yield Difference(path=path, kind="DELETE", old=old)
    else:
        yield from differences(old, new, path)


def spelled(path: Path) -> str:
    """The path as the engine writes it: `spec.containers[0].image`, `metadata.annotations["pulumi.com/waitFor"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif any(character in part for character in '.["]'):
            text += f'["{part}"]'
        else:
            text += f".{part}" if text else part
    return text


def respond(
    found: Sequence[Difference], forces_replacement: Callable[[Difference], bool], *, delete_before_replace: bool = False
) -> Any:
    """The engine's DiffResponse. `forces_replacement` says which differences need a replacement instead of an update."""
    kinds, detailed, replaces = provider_pb2.PropertyDiff, {}, []
    for difference in found:
        name, replace = spelled(difference.path), forces_replacement(difference)
        kind = f"{difference.kind}_REPLACE" if replace else difference.kind
        detailed[name] = provider_pb2.PropertyDiff(kind=kinds.Kind.Value(kind), inputDiff=True)
        if replace:
            replaces.append(name)
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=sorted({str(difference.path[0]) for difference in found}),
        replaces=replaces,
        deleteBeforeReplace=bool(replaces) and delete_before_replace,
        detailedDiff=detailed,
        hasDetailedDiff=True,
    )
