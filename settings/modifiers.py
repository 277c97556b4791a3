"""Velero's resource modifiers as a person writes them: rules that change objects on their way into the other region.

The keys are those of Velero's own form, version v1.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from settings.fields import Label, Model

Text = Annotated[str, StringConstraints(min_length=1)]


class Match(Model):
    """A value that an object must have."""

    path: Text = Field(description="JSON pointer to the value, as in /spec/replicas", examples=["/spec/replicas", "/spec/type"])
    value: Text = Field(description="the value, as text", examples=["LoadBalancer", "3"])


class MatchExpression(Model):
    """One requirement on an object's labels."""

    key: Text = Field(description="the label", examples=["app", "tier"])
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="how the label is compared")
    values: list[str] = Field(default=[], description="values of In and NotIn", examples=[["web"], ["web", "queue"]])


class LabelSelector(Model):
    """Requirements on an object's labels, all of which must hold."""

    match_labels: dict[str, str] = Field(
        default={}, description="labels and their values", examples=[{"app": "web"}, {"app": "queue", "tier": "back"}]
    )
    match_expressions: list[MatchExpression] = Field(default=[], description="further requirements")


class Conditions(Model):
    """Which objects a rule changes: those for which everything that is written holds."""

    group_resource: Text = Field(
        examples=["statefulsets.apps", "services"],
        description="the kind, plural with its group, as in statefulsets.apps; * stands for any part",
    )
    namespaces: list[Label] = Field(default=[], description="only in these namespaces; by default in all")
    resource_name_regex: Text | None = Field(
        default=None, description="only objects whose name matches", examples=["^web-", "-primary$"]
    )
    label_selector: LabelSelector | None = Field(default=None, description="only objects with such labels")
    matches: list[Match] = Field(default=[], description="only objects that have these values")


class Patch(Model):
    """One operation of a JSON patch. Velero refuses a restore's object if its path is not there."""

    operation: Literal["add", "remove", "replace", "move", "copy", "test"] = Field(description="what is done")
    path: Text = Field(description="JSON pointer to the value", examples=["/spec/replicas", "/spec/type"])
    from_: Text | None = Field(
        default=None,
        alias="from",
        examples=["/spec/replicas", "/spec/type"],
        description="with move and copy: where the value is now",
    )
    value: str | None = Field(
        default=None, examples=["3", "ClusterIP"], description="with add, replace and test: the value, as text"
    )


class MergePatch(Model):
    """A patch in the form of the object itself. A null takes a field away, and is no error where the field is not there."""

    patch_data: Text = Field(
        description="the patch as text, YAML or JSON", examples=["spec: {replicas: 1}", '{"spec": {"type": "ClusterIP"}}']
    )


class ModifierRule(Model):
    """One rule: which objects, and one kind of patch."""

    conditions: Conditions = Field(description="which objects are changed")
    patches: list[Patch] = Field(default=[], description="JSON patches")
    merge_patches: list[MergePatch] = Field(default=[], description="JSON merge patches")
    strategic_patches: list[MergePatch] = Field(default=[], description="strategic merge patches, for kinds of Kubernetes alone")

    @model_validator(mode="after")
    def _has_one_kind_of_patch(self) -> ModifierRule:
        if sum(map(bool, (self.patches, self.merge_patches, self.strategic_patches))) != 1:
            raise ValueError("has none or several of patches, mergePatches, strategicPatches; write one of them")
        return self

    def as_velero_reads_it(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude_unset=True)
