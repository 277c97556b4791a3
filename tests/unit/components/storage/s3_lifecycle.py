"""What S3 would do to a version of an object, given a bucket's lifecycle rules, as far as they delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

_KNOWN_FILTERS = {"prefix"}
_KNOWN = {"id", "status", "filter", "expiration", "noncurrentVersionExpiration", "abortIncompleteMultipartUpload"}

Fate = Literal["stays", "hidden", "removed"]
"""`hidden`: a delete marker is put on it, and it can be brought back. `removed`: it is gone for ever."""


class UnknownRuleError(ValueError):
    """A rule of a kind that is not judged here."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version in a versioned bucket. `age` is in days since it was written, `noncurrent_for` in days since another one, or a
    delete marker, took its place: None while it is current. `newer_noncurrent` counts the noncurrent versions of its key that
    are newer."""

    key: str
    age: int
    noncurrent_for: int | None = None
    newer_noncurrent: int = 0


def fate(rules: Iterable[Mapping[str, Any]], version: Version) -> Fate:
    """What the rules together do; the worst counts. Raises UnknownRuleError for a rule that this does not know."""
    fates = [_fate(rule, version) for rule in rules if rule["status"] == "Enabled" and _applies(rule, version)]
    return max(fates, key=("stays", "hidden", "removed").index, default="stays")


def _applies(rule: Mapping[str, Any], version: Version) -> bool:
    if rule.keys() - _KNOWN or rule.get("filter", {}).keys() - _KNOWN_FILTERS:
        raise UnknownRuleError(f"a rule that is not understood proves nothing: {dict(rule)}")
    return version.key.startswith(rule.get("filter", {}).get("prefix", ""))


def _fate(rule: Mapping[str, Any], version: Version) -> Fate:
    """A delete marker that hides nothing is no version of anything, and neither is an upload that was never completed."""
    if version.noncurrent_for is None:
        days = rule.get("expiration", {}).get("days")
        if "date" in rule.get("expiration", {}):
            raise UnknownRuleError(f"a rule with a date proves nothing: {dict(rule)}")
        return "hidden" if days is not None and version.age >= days else "stays"
    noncurrent = rule.get("noncurrentVersionExpiration")
    if noncurrent is None or version.newer_noncurrent < noncurrent.get("newerNoncurrentVersions", 0):
        return "stays"
    return "removed" if version.noncurrent_for >= noncurrent["noncurrentDays"] else "stays"
