"""Evaluates IAM policies for one question. Pure functions.

They support Allow and Deny, Action and NotAction, Resource and NotResource, Principal in bucket policies, the conditions in
`_OPERATORS`, `…IfExists`, `ForAnyValue:` and `ForAllValues:`. NotPrincipal and every other condition raise an error; nothing is
ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, Literal

Document = Mapping[str, Any]
Verdict = Literal["allowed", "denied", "not allowed"]
"""`denied` if a statement denies the action; `not allowed` if no statement applies. AWS gives the same answer to both."""


class UnknownPolicyError(ValueError):
    """The lab cannot evaluate a policy, and must not guess. The message names the element and says what to do."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Is this allowed? `action` is for example `s3:GetObject`, `resource` an ARN or `*`, `context` the condition keys."""

    action: str
    resource: str
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


def answer(question: Question, documents: Iterable[Document], principal: str | None = None) -> Verdict:
    """The verdict of all `documents` on one question.

    `principal` is None for policies attached to a user. For a bucket policy, it is the caller's ARN, or `*` for an anonymous
    caller, and a statement applies only if it names the principal.
    """
    allowed = False
    for document in documents:
        for statement in _listed(document["Statement"]):
            if not _applies(statement, question, principal):
                continue
            if statement["Effect"] == "Deny":
                return "denied"
            allowed = True
    return "allowed" if allowed else "not allowed"


def _applies(statement: Document, question: Question, principal: str | None) -> bool:
    if "NotPrincipal" in statement:
        raise UnknownPolicyError("the lab does not support NotPrincipal; add it in lab/cloud/policies.py, or use a condition")
    return (
        (principal is None or _names(statement.get("Principal"), principal))
        and _element(statement, "Action", question.action.lower(), str.lower)
        and _element(statement, "Resource", question.resource, str)
        and all(
            _holds(operator, key, _listed(wanted), question)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _element(statement: Document, name: str, value: str, spell: Callable[[str], str]) -> bool:
    inverted = f"Not{name}" in statement
    patterns = _listed(statement[f"Not{name}" if inverted else name])
    return any(matches(spell(pattern), value) for pattern in patterns) != inverted


def _names(principals: Any, principal: str) -> bool:
    if principals == "*":
        return True
    named = _listed(principals.get("AWS", [])) if isinstance(principals, dict) else []
    return "*" in named or principal in named


def _holds(operator: str, key: str, wanted: list[str], question: Question) -> bool:
    quantifier, _, name = operator.rpartition(":")
    optional, name = name.endswith("IfExists"), name.removesuffix("IfExists")
    if name not in _OPERATORS or quantifier not in ("", "ForAnyValue", "ForAllValues"):
        raise UnknownPolicyError(
            f"the lab does not support the condition {operator}; add it in lab/cloud/policies.py, or use another one"
        )
    context = {known.lower(): value for known, value in question.context.items()}
    found = context.get(key.lower())
    if name == "Null":
        return any((found is None) == (value == "true") for value in wanted)
    negated, compare = _OPERATORS[name]
    if found is None:
        return optional or negated or quantifier == "ForAllValues"
    values = [found] if isinstance(found, str) else list(found)
    # A negated condition must hold for all of the wanted values; any other condition must hold for at least one.
    fits = [any(compare(pattern, value) for pattern in wanted) != negated for value in values]
    return any(fits) if quantifier == "ForAnyValue" else all(fits)


def matches(pattern: str, value: str) -> bool:
    """Match with IAM's wildcards: `*` is any text, including slashes, and `?` is one character."""
    return _compiled(pattern).fullmatch(value) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _equal(wanted: str, value: str) -> bool:
    return wanted == value


def _equal_in_any_case(wanted: str, value: str) -> bool:
    return wanted.lower() == value.lower()


def _in_network(wanted: str, value: str) -> bool:
    return ip_address(value) in ip_network(wanted)


_OPERATORS: Mapping[str, tuple[bool, Callable[[str, str], bool]]] = {
    "StringEquals": (False, _equal),
    "StringNotEquals": (True, _equal),
    "StringEqualsIgnoreCase": (False, _equal_in_any_case),
    "StringNotEqualsIgnoreCase": (True, _equal_in_any_case),
    "StringLike": (False, matches),
    "StringNotLike": (True, matches),
    "ArnEquals": (False, matches),
    "ArnNotEquals": (True, matches),
    "ArnLike": (False, matches),
    "ArnNotLike": (True, matches),
    "Bool": (False, _equal_in_any_case),
    "IpAddress": (False, _in_network),
    "NotIpAddress": (True, _in_network),
    "Null": (False, _equal),
}
"""For each operator: whether it is negated, and the function that compares one wanted value with the actual one."""


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
