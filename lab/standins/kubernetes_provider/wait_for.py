"""The annotation `pulumi.com/waitFor`: a condition, a JSONPath, or a JSON array of these, which must all hold.

The stand-in supports the part of JSONPath (RFC 9535) that the program uses: names, indexes, and one last filter that compares
with literals. It refuses everything else, because a misunderstood wait is worse than none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.standins.provider import NotCoveredError, RefusedError

_STEP = re.compile(r"\.(?P<name>[A-Za-z_][\w-]*)|\[(?P<index>\d+)\]|\['(?P<quoted>[^'\\]+)'\]")
_FILTER = re.compile(r"\[\?(?P<expression>.+)\]$")
_TERM = re.compile(
    r"""\s*\(?\s*@(?P<path>(?:\.[A-Za-z_][\w-]*)*)\s*(?P<operator>==|!=)\s*"""
    r"""(?:'(?P<single>[^'\\]*)'|"(?P<double>[^"\\]*)"|(?P<literal>true|false|null|-?\d+(?:\.\d+)?))\s*\)?\s*"""
)


@dataclass(frozen=True, kw_only=True)
class Wait:
    """One condition to wait for. `holds` says whether an object from the API server fulfils it."""

    text: str
    holds: Callable[[Mapping[str, Any]], bool]


def parse(annotation: str) -> list[Wait]:
    """The conditions that must hold. Raises RefusedError for malformed ones, NotCoveredError for unsupported ones."""
    if annotation.lstrip().startswith("["):
        try:
            texts = json.loads(annotation)
        except json.JSONDecodeError as error:
            raise RefusedError(f"pulumi.com/waitFor is not a JSON array: {error}") from None
        if not texts or not all(isinstance(text, str) for text in texts):
            raise RefusedError("pulumi.com/waitFor must be a JSON array of one string or more")
        return [_one(text) for text in texts]
    return [_one(annotation)]


def _one(text: str) -> Wait:
    if text.startswith("condition="):
        return Wait(text=text, holds=_condition(text.removeprefix("condition=")))
    if text.startswith("jsonpath="):
        return Wait(text=text, holds=_jsonpath(text.removeprefix("jsonpath=")))
    raise RefusedError(f'pulumi.com/waitFor: {text!r} must begin with "condition=" or "jsonpath="')


def _condition(text: str) -> Callable[[Mapping[str, Any]], bool]:
    kind, _, wanted = text.partition("=")
    wanted = wanted or "True"

    def holds(obj: Mapping[str, Any]) -> bool:
        conditions = (obj.get("status") or {}).get("conditions") or []
        return any(
            str(entry.get("type")).lower() == kind.lower() and str(entry.get("status")).lower() == wanted.lower()
            for entry in conditions
        )

    return holds


def _jsonpath(text: str) -> Callable[[Mapping[str, Any]], bool]:
    if not (match := re.fullmatch(r"\{(?P<path>.+)\}(?:=(?P<value>.+))?", text, re.DOTALL)):
        raise RefusedError(f"pulumi.com/waitFor: format should be jsonpath={{.path}} or jsonpath={{.path}}=value, got {text!r}")
    path, value = match["path"].strip().removeprefix("$"), match["value"]
    select = _selector(path)

    def holds(obj: Mapping[str, Any]) -> bool:
        found = select(obj)
        if not found:
            return False
        if value is None:
            return True
        if isinstance(found[0], dict | list):
            return False  # like the real provider, which then waits until its timeout
        return _as_go_prints(found[0]) == value

    return holds


def _as_go_prints(value: Any) -> str:
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _selector(path: str) -> Callable[[Any], list[Any]]:
    """A function that returns all values that the path selects, in order."""
    keep = None
    if match := _FILTER.search(path):
        keep, path = _filter(match["expression"]), path[: match.start()]
    steps: list[str | int] = []
    rest = path
    while rest:
        step = _STEP.match(rest)
        if not step:
            raise NotCoveredError(
                f"the Kubernetes stand-in does not cover the JSONPath {path!r} of pulumi.com/waitFor (at {rest!r}); it knows "
                "names, indexes and a last filter [?@ == 'A' || @.b != 'B']"
            )
        steps.append(int(step["index"]) if step["index"] else step["name"] or step["quoted"])
        rest = rest[step.end() :]

    def select(obj: Any) -> list[Any]:
        for step in steps:
            here: Any = obj if isinstance(obj, dict) else dict(enumerate(obj)) if isinstance(obj, list) else {}
            if step not in here:
                return []
            obj = here[step]
        if keep is None:
            return [obj]
        children = obj.values() if isinstance(obj, dict) else obj if isinstance(obj, list) else ()
        return [child for child in children if keep(child)]

    return select


def _filter(expression: str) -> Callable[[Any], bool]:
    """Comparisons that are joined by `||`, or by `&&`, which binds more tightly."""
    anyof = [[_term(term) for term in part.split("&&")] for part in expression.split("||")]
    return lambda item: any(all(term(item) for term in part) for part in anyof)


def _term(text: str) -> Callable[[Any], bool]:
    match = _TERM.fullmatch(text)
    if not match or text.count("(") != text.count(")"):
        raise NotCoveredError(f"the Kubernetes stand-in does not cover the filter {text.strip()!r} of pulumi.com/waitFor")
    names = match["path"].split(".")[1:]
    quoted = match["single"] if match["single"] is not None else match["double"]
    wanted = json.loads(match["literal"]) if quoted is None else quoted

    def holds(item: Any) -> bool:
        for name in names:
            if not isinstance(item, dict) or name not in item:
                return match["operator"] == "!="  # RFC 9535: a missing value is unequal to every literal
            item = item[name]
        equal = type(item) is type(wanted) and item == wanted
        return equal if match["operator"] == "==" else not equal

    return holds
