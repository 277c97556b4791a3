"""What a provider takes, as its installed SDK says, and what of a registration it would not take.

mypy reads neither SDK, so nothing but this looks into the mappings that the program hands them.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pulumi
from pulumi import _types

from tests.unit.recorder import Seen, revealed

PROVIDERS = "pulumi:providers:"
CUSTOM_GROUPS = ("velero.io", "postgresql.cnpg.io", "barmancloud.cnpg.io", "monitoring.coreos.com")
"""API groups of CustomResourceDefinitions. No SDK has a type of their specs, so only what every object has is checked here:
`apiVersion`, `kind` and `metadata`. tests/contract holds the specs against the real definitions; it has none of a PodMonitor
or a PrometheusRule: the snapshots have the specs of the first, and promtool judges those of the second."""

_CUSTOM = "kubernetes:apiextensions.k8s.io:CustomResource"
_WORDS: dict[type, str] = {
    str: "text",
    bool: "a boolean",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
    NoneType: "nothing",
}


def faults(seen: Seen) -> list[str]:
    """Everything that the provider would not take of a registration, each with the resource, the path and the property."""
    return [f"{seen.name} ({seen.type}): {fault}" for fault in _faults(seen)]


def is_custom(token: str) -> bool:
    """Whether a type token is of an object of a CustomResourceDefinition."""
    return token.startswith(tuple(f"kubernetes:{group}/" for group in CUSTOM_GROUPS))


def arguments(token: str) -> type:
    """The SDK's class of the arguments of a resource, by its type token. Raises LookupError where it knows no such resource."""
    package, module, name = token.split(":")
    match package:
        case "pulumi":
            path, name = f"pulumi_{name}", "Provider"
        case "aws":
            path = f"pulumi_aws.{module.partition('/')[0]}"
        case _:
            # The SDK's modules are called as the first part of a group: rbac.authorization.k8s.io/v1 is rbac.v1.
            group, *version = module.split("/")
            path = ".".join(["pulumi_kubernetes", group.partition(".")[0], *version])
    try:
        resource = getattr(importlib.import_module(path), name)
    except (ImportError, AttributeError):
        raise LookupError(f"the SDK has no resource {token}") from None
    own = vars(sys.modules[resource.__module__])
    # In the Kubernetes SDK DeploymentArgs is a Deployment within a list, and DeploymentInitArgs what its constructor takes.
    found: type = own[f"{name}InitArgs"] if f"{name}InitArgs" in own else own[f"{name}Args"]
    return found


def _faults(seen: Seen) -> Iterator[str]:
    if is_custom(seen.type):
        yield from _object(seen.inputs, arguments(_CUSTOM), "")
        yield from _named_as_its_type(seen)
        return
    try:
        schema = arguments(seen.type)
    except LookupError as error:
        yield str(error)
        return
    inputs = seen.inputs
    if seen.type.startswith(PROVIDERS):
        try:
            inputs = _decoded(inputs, schema)
        except ValueError as error:
            yield str(error)
            return
    yield from _object(inputs, schema, "")


def _named_as_its_type(seen: Seen) -> Iterator[str]:
    """In the SDK's own resources both are literals. Here nobody else compares them."""
    _, version, kind = seen.type.split(":")
    for name, wanted in (("apiVersion", version), ("kind", kind)):
        if (found := seen.inputs.get(name)) not in (None, wanted):
            yield f"{name}: {found!r} is not {wanted!r}"


def _decoded(inputs: Mapping[str, Any], schema: type) -> dict[str, Any]:
    """Inputs of a provider, which are JSON on the wire unless they are text. Raises ValueError where one is not."""
    types = _types.input_type_types(schema)
    decoded = dict(inputs)
    for name in inputs.keys() & types.keys():
        if _alternatives(types[name]) != [str]:
            try:
                decoded[name] = json.loads(revealed(inputs[name]))
            except (TypeError, ValueError):
                raise ValueError(f"{name}: is not JSON") from None
    return decoded


def _object(value: Mapping[str, Any], schema: type, path: str) -> Iterator[str]:
    types, names = _types.input_type_types(schema), _types.input_type_py_to_pulumi_names(schema)
    present = {name: inner for name, inner in value.items() if inner is not None}
    for name, inner in present.items():
        if name in types:
            yield from _value(inner, types[name], _below(path, name))
        else:
            close = get_close_matches(name, types)
            meant = f"; did you mean {' or '.join(close)}?" if close else ""
            yield f"{_below(path, name)}: {schema.__name__} has no property {name}{meant}"
    for name in _required(schema):
        if names[name] not in present:
            yield f"{_below(path, names[name])}: {schema.__name__} needs {names[name]}, which is missing"


def _value(value: Any, hint: Any, path: str) -> Iterator[str]:
    """Nothing if one of the types that `hint` allows fits; else what is wrong with the one that fits best."""
    value = revealed(value)
    alternatives = _alternatives(hint)
    if Any in alternatives:
        return
    tried = [list(_one(value, each, path)) for each in alternatives]
    # The deepest fault is of the type that was meant: of an object where text would do as well, of its property.
    if all(tried):
        yield from max(tried, key=lambda wrong: max(len(fault.partition(": ")[0]) for fault in wrong))


def _one(value: Any, kind: Any, path: str) -> Iterator[str]:
    if get_origin(kind) is Literal:
        yield from _among(value, get_args(kind), path)
    elif _is_enum(kind):
        yield from _among(value, [member.value for member in kind], path)
    elif wrong := _misshapen(value, kind):
        yield f"{path}: must be {wrong}"
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _value(inner, get_args(kind)[0], f"{path}[{place}]")
    elif isinstance(value, dict) and get_origin(kind):
        for name, inner in value.items():
            yield from _value(inner, get_args(kind)[1], f"{path}[{json.dumps(name)}]")
    elif isinstance(value, dict):
        yield from _object(value, kind, path)


def _misshapen(value: Any, kind: Any) -> str | None:
    """What is wanted and what is there, where these are two things. Never the value, which may be a secret's."""
    shape = get_origin(kind) or kind
    if shape in (Sequence, list):
        wanted: type = list
    elif shape in (Mapping, dict) or _types.is_input_type(kind):
        wanted = dict
    elif kind in (str, bool, int, float):
        wanted = kind
    else:
        raise TypeError(f"a type of the SDK that this checker does not know: {kind}")
    found = type(value)
    # The recorder makes whole numbers of those that are whole: one is a number all the same.
    return None if found is wanted or (found, wanted) == (int, float) else f"{_WORDS[wanted]}, not {_WORDS[found]}"


def _among(value: Any, values: Sequence[Any], path: str) -> Iterator[str]:
    if value not in values:
        yield f"{path}: {value!r} is none of {', '.join(map(repr, values))}"


def _alternatives(hint: Any) -> list[Any]:
    """The types of a wire value that a hint allows: without the promises of one, and without None, which is not sent."""
    if get_origin(hint) in (Union, UnionType):
        found = [each for inner in get_args(hint) for each in _alternatives(inner)]
        # An enumeration that a newer service may have more values of is text too. Here the values that the SDK knows are all.
        return [each for each in found if each is not str] if any(map(_is_enum, found)) else found
    promised = get_origin(hint) in (pulumi.Output, Awaitable)
    return [] if promised or hint is NoneType else [hint]


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _required(schema: type) -> list[str]:
    """Python names of the arguments that have no default."""
    parameters = list(inspect.signature(schema).parameters.values())
    return [each.name for each in parameters if each.default is inspect.Parameter.empty]


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
