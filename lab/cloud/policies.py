"""What IAM says to one question, by the policies that apply to it; pure.

Covered: Allow and Deny, Action and NotAction, Resource and NotResource, Principal of bucket policies, the conditions of
`_OPERATORS`, `…IfExists`, `ForAnyValue:` and `ForAllValues:`. Another condition and NotPrincipal are errors, and never ignored.
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
"""`denied` by a statement that says so; `not allowed` where none says anything. AWS answers both in the same way."""


class UnknownPolicyError(ValueError):
    """A policy says what the lab cannot judge. To guess would be to prove nothing; the message names it and what to do."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """May this be done? `action` as `s3:GetObject`, `resource` an ARN or `*`, `context` the request's condition keys."""

    action: str
    resource: str
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


def answer(question: Question, documents: Iterable[Document], principal: str | None = None) -> Verdict:
    """`principal` is None for policies of an identity; else its ARN, or `*` for everybody, and a statement has to name it."""
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
        raise UnknownPolicyError("the lab does not know NotPrincipal; add it in lab/cloud/policies.py, or write a condition")
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
            f"the lab does not know the condition {operator}; add it in lab/cloud/policies.py, or take another"
        )
    context = {known.lower(): value for known, value in question.context.items()}
    found = context.get(key.lower())
    if name == "Null":
        return any((found is None) == (value == "true") for value in wanted)
    negated, compare = _OPERATORS[name]
    if found is None:
        return optional or negated or quantifier == "ForAllValues"
    values = [found] if isinstance(found, str) else list(found)
    # A negated condition has to hold against each of the wanted values, another against one of them.
    fits = [any(compare(pattern, value) for pattern in wanted) != negated for value in values]
    return any(fits) if quantifier == "ForAnyValue" else all(fits)


def matches(pattern: str, value: str) -> bool:
    """By IAM's wildcards: `*` is any text, slashes too, and `?` one character."""
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
"""Whether it is negated, and how one wanted value is compared."""


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
