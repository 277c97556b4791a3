"""Velero's resource modifiers as a person writes them: rules that change objects on their way into the other region.

The keys are those of Velero's own form, version v1. Velero reads the rules once it restores: what it cannot use then is an error
of each object that a rule means (internal/resourcemodifiers), and the Restore ends PartiallyFailed in the night.
"""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, StringConstraints, field_validator, model_validator

from settings.fields import Form, Model, matching
from settings.json_patch import JsonPointer, why_velero_cannot_write
from settings.kinds import check_kind, is_of_kubernetes
from settings.labels import LabelSelector
from settings.mistake import Mistake

Text = Annotated[str, StringConstraints(min_length=1)]

# Velero matches both by gobwas/glob, kinds with the dot as separator: * stands for one part, ** for any number of them.
_GLOB = re.compile(r"([a-z0-9.-]|\*|\?|\[!?[a-z0-9-]+\]|\{[a-z0-9.*?-]+(,[a-z0-9.*?-]+)+\})+")
_SPECIAL = frozenset("*?[]{}!,")
_Namespace = Annotated[
    str,
    matching(
        re.compile(r"[a-z0-9*]([-a-z0-9*]{0,61}[a-z0-9*])?"), "a namespace, or several by an asterisk", "production", "team-*"
    ),
]
# Syntax that Python has and Go's regular expressions have not (RE2), and what Go has and Python does not.
_NOT_IN_GO = re.compile(r"\(\?(?:[=!>#(]|<[=!]|P=)|\\[1-9Z]|[*+?}]\+")
_ONLY_IN_GO = re.compile(r"\\(?:z|C|Q|E|[pP](?:\{\^?\w+\}|\w))|\(\?U\)")


def _kinds(text: str) -> str:
    if not _SPECIAL & {*text}:
        return check_kind(text)
    if not _GLOB.fullmatch(text):
        raise ValueError("is not a pattern for kinds; write one as in *.apps, or ** for every kind")
    return text


def _expression(text: str) -> str:
    """A regular expression as Go reads it. Python compiles it, apart from what only one of the two has."""
    if found := _NOT_IN_GO.search(text):
        raise Mistake("has {}, which Go's regular expressions have not, so Velero would not use it; write it without", found[0])
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(_ONLY_IN_GO.sub("", text))
    except re.error as error:
        raise ValueError(f"is not a regular expression ({error.msg}); write one as in ^web-") from None
    return text


_GroupResource = Annotated[
    str,
    Form(
        check=_kinds,
        name="a kind, plural with its group, as in statefulsets.apps; or a pattern, as in *.apps, or ** for every kind",
        examples=("statefulsets.apps", "services"),
    ),
]
_Expression = Annotated[str, Form(check=_expression, name="a regular expression, as in ^web-", examples=("^web-", "-primary$"))]


class Match(Model):
    """A value that an object must have."""

    path: JsonPointer = Field(
        description="JSON pointer to the value, as in /spec/replicas", examples=["/spec/replicas", "/spec/type"]
    )
    value: Text = Field(description="the value, as text", examples=["LoadBalancer", "3"], repr=False)

    @field_validator("value")
    @classmethod
    def _velero_can_write_it(cls, value: str) -> str:
        if why := why_velero_cannot_write(value):
            raise ValueError(why)
        return value


class Conditions(Model):
    """Which objects a rule changes: those for which everything that is written holds."""

    group_resource: _GroupResource = Field(description="the kinds that are changed")
    namespaces: list[_Namespace] = Field(default=[], description="only in these namespaces; by default in all")
    resource_name_regex: _Expression | None = Field(default=None, description="only objects whose name matches")
    label_selector: LabelSelector | None = Field(default=None, description="only objects with such labels")
    matches: list[Match] = Field(default=[], description="only objects that have these values")


class Patch(Model):
    """One operation of a JSON patch (RFC 6902). Where its path is not there Velero refuses the object, unless the operation is a
    test: then it leaves the object as it is."""

    operation: Literal["add", "remove", "replace", "move", "copy", "test"] = Field(description="what is done")
    path: JsonPointer = Field(description="JSON pointer to the value", examples=["/spec/replicas", "/spec/type"])
    from_: JsonPointer | None = Field(
        default=None,
        alias="from",
        examples=["/spec/replicas", "/spec/type"],
        description="with move and copy: where the value is now",
    )
    value: str | None = Field(
        default=None,
        examples=["3", "ClusterIP"],
        description="with add, replace and test: the value, as text; in quotes of its own where it must stay text, as in '\"3\"'",
        repr=False,
    )

    @field_validator("value")
    @classmethod
    def _velero_can_write_it(cls, value: str | None) -> str | None:
        if why := why_velero_cannot_write(value or ""):
            raise ValueError(why)
        return value

    @model_validator(mode="after")
    def _has_what_its_operation_takes(self) -> Patch:
        """Without `from` Velero writes an empty one, and without `value` an empty text."""
        moves, sets = self.operation in ("move", "copy"), self.operation in ("add", "replace", "test")
        if moves != (self.from_ is not None):
            what = "no from, the place where the value is now; add it" if moves else "from, which it does not take; take it out"
            raise ValueError(f"has operation {self.operation} and {what}")
        if sets != (self.value is not None):
            what = "no value; add it, as text" if sets else "a value, which it does not take; take it out"
            raise ValueError(f"has operation {self.operation} and {what}")
        if self.operation == "move" and f"{self.path}/".startswith(f"{self.from_}/"):
            raise Mistake("moves {} into itself; write another path", self.from_ or "", at=("path",))
        return self


class MergePatch(Model):
    """A patch in the form of the object itself. A null takes a field away, and is no error where the field is not there."""

    patch_data: Text = Field(
        description="the patch as text, YAML or JSON",
        examples=["spec: {replicas: 1}", '{"spec": {"type": "ClusterIP"}}'],
        repr=False,
    )

    @field_validator("patch_data")
    @classmethod
    def _is_an_object(cls, text: str) -> str:
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ValueError("is neither YAML nor JSON; write it as in spec: {replicas: 1}") from None
        if not isinstance(content, dict):
            raise ValueError("is not an object; write it as in spec: {replicas: 1}")  # noqa: TRY004 - pydantic's kind of error
        return text


class ModifierRule(Model):
    """One rule: which objects, and one kind of patch."""

    conditions: Conditions = Field(description="which objects are changed")
    patches: list[Patch] = Field(
        default=[],
        description="JSON patches",
        examples=[
            [{"operation": "replace", "path": "/spec/replicas", "value": "3"}],
            [
                {"operation": "test", "path": "/spec/minReadySeconds", "value": "600"},
                {"operation": "remove", "path": "/spec/minReadySeconds"},
            ],
        ],
    )
    merge_patches: list[MergePatch] = Field(default=[], description="JSON merge patches")
    strategic_patches: list[MergePatch] = Field(default=[], description="strategic merge patches, for kinds of Kubernetes alone")

    @model_validator(mode="after")
    def _has_one_kind_of_patch(self) -> ModifierRule:
        if sum(map(bool, (self.patches, self.merge_patches, self.strategic_patches))) != 1:
            raise ValueError("has none or several of patches, mergePatches, strategicPatches; write one of them")
        return self

    @model_validator(mode="after")
    def _a_strategic_patch_is_of_a_kind_that_velero_has_the_types_of(self) -> ModifierRule:
        """Velero looks the kind up in client-go's scheme, which has no custom resources."""
        kind = self.conditions.group_resource
        if self.strategic_patches and not _SPECIAL & {*kind} and not is_of_kubernetes(kind):
            text = "has strategicPatches for {}, and these are for kinds of Kubernetes itself alone; write mergePatches"
            raise Mistake(text, kind)
        return self

    def as_velero_reads_it(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude_unset=True)
