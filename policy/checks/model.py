"""A stack as the checks see it, with its resources as plain data; and what a check is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Level = Literal["mandatory", "advisory"]


class Unknown:
    """A value that only the `up` will know. No check objects to it, because the `up` asks again."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, kw_only=True)
class Provider:
    """The provider of a resource. `props` are as the engine has them: lists and objects as JSON texts."""

    name: str
    props: Mapping[str, Any] = field(default_factory=dict)

    def structured(self, key: str) -> Any:
        """A list or an object of `props`; None where it is not set or not known."""
        return structured(self.props.get(key))


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource. `props` are its inputs or, when a whole stack is checked, its outputs. `refers` has, by property, the URNs of
    the resources that it was made from: in the preview of a new stack the property itself is unknown."""

    type: str
    name: str = "it"
    urn: str = ""
    props: Mapping[str, Any] = field(default_factory=dict)
    protect: bool = False
    provider: Provider | None = None
    refers: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def get(self, *path: str) -> Any:
        """A property inside `props`; None where it is not set, UNKNOWN where it or what holds it is not known."""
        return dig(self.props, *path)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """All resources of a stack. In a stack of this repository's program, `name` is the region's role."""

    name: str
    resources: Sequence[Resource]

    def of(self, *types: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type in types]

    @property
    def active(self) -> Any:
        """The role that serves, as the stack's outputs say; None in a stack that has no such output."""
        return next((root.get("active") for root in self.of("pulumi:pulumi:Stack")), None)

    @property
    def serves(self) -> bool:
        return bool(self.active == self.name)

    @property
    def region(self) -> Mapping[str, Any]:
        """What the Region component declares: `region`, `peerRegion`, `peerReady`; empty in a stack that has none."""
        return next((region.props for region in self.of("dr:region:Region")), {})


@dataclass(frozen=True, kw_only=True)
class Violation:
    """What is wrong with which resource, and how to fix it. The message never has a property's value that may be secret."""

    resource: Resource
    message: str


Config = Mapping[str, Any]
"""What `--policy-pack-config` sets for one policy, over the defaults of its schema."""

ResourceCheck = Callable[[Resource, Config], Iterator[str]]
StackCheck = Callable[[Stack, Config], Iterator[Violation]]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One rule. The engine runs a resource's check before it touches the resource, and a stack's once everything is planned."""

    name: str
    description: str
    level: Level
    resource: ResourceCheck | None = None
    stack: StackCheck | None = None
    schema: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON schemas of what can be configured, each with its default."""

    def config(self, configured: Mapping[str, Any] | None) -> Config:
        return {**{key: schema["default"] for key, schema in self.schema.items()}, **(configured or {})}


def dig(value: Any, *path: str) -> Any:
    """The value at `path` inside nested objects; None if there is none, UNKNOWN if that cannot be known."""
    for key in path:
        if value is UNKNOWN:
            return UNKNOWN
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def items(value: Any) -> list[Any]:
    """The elements of a list; empty if the list is missing or unknown."""
    return list(value) if isinstance(value, list) else []


def structured(value: Any) -> Any:
    """An object or a list, which may be written as a JSON text; None if the value is neither."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, (dict, list)) else None


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text inside `value`, with the path to it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from texts(item, f"{path}[{number}]")
    elif isinstance(value, str):
        yield path, value
