"""Velero's schedules, and what a failover restores of each."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from settings.durations import format_duration, longest_gap, parse_duration
from settings.fields import Cron, Duration, Label, Model, all_different, form_of, matching
from settings.kinds import DATABASE_KINDS, LEFT_OUT, MADE_BY_CONTROLLERS, REFUSED_BY_VELERO, KindName, is_of_kubernetes
from settings.mistake import Mistake
from settings.names import NEVER_RESTORED

ObjectName = Annotated[
    str,
    matching(
        re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"),
        "the name of a Kubernetes object",
        "daily-full-us-east-1-20260302",
        "hourly-critical-us-east-1-20260302",
    ),
]


_NAME = form_of(Label)


def _namespace(text: str) -> str:
    if text == "*":
        raise ValueError(
            "stands for all namespaces, and all are backed up where neither include nor exclude is written; take it out"
        )
    if "*" in text:
        raise ValueError("stands for several namespaces, and a failover must know each; write each by its name")
    return _NAME.check(text)


_Namespace = Annotated[str, replace(_NAME, check=_namespace)]


class Backup(Model):
    """One Velero schedule, which both regions have."""

    name: Label = Field(description="the schedule's name; the region is added to it", examples=["daily-full", "hourly-critical"])
    cron: Cron = Field(description="when a backup is taken: five fields, UTC", examples=["0 2 * * *", "0 * * * *"])
    keep: Duration = Field(description="how long a backup is kept: at least until the next", examples=["720h", "168h"])
    include: list[_Namespace] = Field(default=[], description="back up only these namespaces")
    exclude: list[_Namespace] = Field(default=[], description="back up all namespaces but these")
    exclude_resources: list[KindName] = Field(
        default=[], description="kinds that are neither backed up nor restored, beside those of recovery.md"
    )
    include_resources: list[KindName] = Field(
        default=[], description="kinds that are backed up and restored although recovery.md says that they are left out"
    )
    restore_status: list[KindName] = Field(
        default=[],
        examples=[["kafkanodepools.kafka.strimzi.io", "kafkas.kafka.strimzi.io"], ["mariadbs.k8s.mariadb.com"]],
        description="kinds, of operators, that a restore brings with their status: for an operator that keeps there what it "
        "needs of its volumes (see recovery.md)",
    )
    pods: Literal["bare", "all"] = Field(
        default="bare",
        description="bare: only Pods that no controller owns are backed up and restored, for controllers make their own; all: "
        "the others too, where Velero's file-system backup keeps their volumes, and the restore replaces them afterwards",
    )
    restore: Literal[True, False, "everything"] = Field(
        default=True,
        description="what a failover restores of this schedule's newest backup: true, the namespaces that include, workloads or "
        "databases name; everything, all of its namespaces; false, nothing, for something else deploys the workloads",
    )
    from_: ObjectName | None = Field(
        default=None,
        alias="from",
        description="restore this Backup in place of the newest Completed one: an older one, or a PartiallyFailed one that you "
        "have looked at. It is for one failover: take it out afterwards",
    )
    accept: ObjectName | None = Field(
        default=None, description="go on with this Restore of a failover although it ended PartiallyFailed"
    )
    existing: Literal["keep", "update"] | None = Field(
        default=None,
        description="objects that are in the region already: keep leaves them as they are, update makes them as they are in the "
        "backup; claims and their volumes always stay. By default keep, and update in a region that has served before. It is for "
        "one failover: take it out afterwards",
    )

    @field_validator("restore", mode="before")
    @classmethod
    def _restore_is_one_of_three(cls, restore: Any) -> Any:
        if restore is not True and restore is not False and restore != "everything":
            raise ValueError("is not one of true, false, everything; write one of them, true and false without quotes")
        return restore

    @model_validator(mode="after")
    def _nothing_of_the_other_cluster_is_restored(self) -> Backup:
        """Velero restores what `include` names. Its list nonRestorableResources holds none of its own Schedules, and nothing of
        what makes a cluster one region's (components/velero/selection.py leaves these out where `include` is empty)."""
        for place, namespace in enumerate(self.include):
            if namespace in NEVER_RESTORED and self.restore is not False:
                text = (
                    "{} belongs to the cluster or to this program, and a restore would put the other region's "
                    "over it; take it out, "
                    "or write restore: false for this backup"
                )
                raise Mistake(text, namespace, at=("include", place))
        all_different(list(self.include), "namespace of include")
        all_different(list(self.exclude), "namespace of exclude")
        return self

    @model_validator(mode="after")
    def _one_backup_is_there_until_the_next(self) -> Backup:
        """Velero deletes a Backup when its `ttl` is over, and a failover restores the newest that there is."""
        gap = longest_gap(self.cron)
        if self.restore is not False and parse_duration(self.keep) < gap:
            text = (
                "{} is shorter than the {} that cron {} may leave between two backups, and in between there is "
                "none; write {} or more"
            )
            raise Mistake(text, self.keep, format_duration(gap), self.cron, format_duration(gap), at=("keep",))
        return self

    @model_validator(mode="after")
    def _namespaces_are_included_or_excluded(self) -> Backup:
        if self.include and self.exclude:
            raise ValueError("has both include and exclude; keep include for some namespaces or exclude for all but some")
        return self

    @model_validator(mode="after")
    def _kinds_are_what_they_can_be(self) -> Backup:
        for key, kinds in (("excludeResources", self.exclude_resources), ("includeResources", self.include_resources)):
            all_different(list(kinds), f"kind of {key}")
        for kind in self.include_resources:
            if kind in self.exclude_resources:
                raise Mistake("has {} in both excludeResources and includeResources; keep it in one of them", kind)
            if kind in REFUSED_BY_VELERO:
                raise Mistake("has {} in includeResources, which Velero never restores; take it out", kind)
            if kind in DATABASE_KINDS:
                raise Mistake(
                    "has {} in includeResources, and databases come from their own archive; take it out, or see databases", kind
                )
            if kind not in LEFT_OUT:
                raise Mistake("has {} in includeResources, which is not left out; take it out of includeResources", kind)
        return self

    @model_validator(mode="after")
    def _a_status_is_one_that_comes_and_that_nothing_of_kubernetes_writes(self) -> Backup:
        """A Deployment would say that its Pods of the other region are available, and a Service where that region's load
        balancer is."""
        all_different(list(self.restore_status), "kind of restoreStatus")
        for place, kind in enumerate(self.restore_status):
            if is_of_kubernetes(kind):
                raise Mistake(
                    "{} is a kind of Kubernetes, whose status would tell of the other region's Pods and addresses; take it out",
                    kind,
                    at=("restoreStatus", place),
                )
            if kind in self.not_restored:
                raise Mistake("{} is not restored; take it out", kind, at=("restoreStatus", place))
        return self

    @model_validator(mode="after")
    def _what_is_not_restored_is_not_chosen(self) -> Backup:
        if self.restore is False and (self.from_ or self.accept or self.restore_status):
            key = "from" if self.from_ else "accept" if self.accept else "restoreStatus"
            raise ValueError(f"has {key}, and restore is false, which restores nothing; take one of them out")
        return self

    def brings(self, namespace: str) -> bool:
        """Whether a failover restores a namespace that workloads or databases name from this backup."""
        if self.restore is False:
            return False
        return namespace in self.include if self.include else namespace not in self.exclude

    @property
    def not_backed_up(self) -> list[str]:
        """Kinds that are left out of its backups, sorted."""
        return sorted({*DATABASE_KINDS, *MADE_BY_CONTROLLERS, *self.exclude_resources} - {*self.include_resources})

    @property
    def not_restored(self) -> list[str]:
        """Kinds that are left out of its restores, those last that Velero would add by itself."""
        ours = {*DATABASE_KINDS, *LEFT_OUT, *self.exclude_resources} - {*self.include_resources, *REFUSED_BY_VELERO}
        return [*sorted(ours), *REFUSED_BY_VELERO]
