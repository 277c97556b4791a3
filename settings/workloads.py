"""The workloads that serve users, their replicas in each region, and the requests that check them."""

from __future__ import annotations

from pydantic import Field, field_validator

from settings.fields import HttpPath, Label, Model, Whole, WorkloadName, all_different


class Check(Model):
    """A request that must succeed inside the cluster before a failover sends users to it."""

    service: Label = Field(description="the Service to ask")
    port: Whole = Field(default=80, ge=1, le=65535, description="the Service's port")
    path: HttpPath = Field(default="/", description="the path that must answer with success")


class Workload(Model):
    """The Deployments and StatefulSets of one namespace, and how many replicas each has in each region."""

    namespace: Label = Field(description="the namespace")
    names: list[WorkloadName] = Field(
        default=[], description="only these workloads of the namespace; by default every Deployment and StatefulSet"
    )
    replicas: Whole = Field(description="replicas of each workload while this region is active", json_schema_extra={"minimum": 1})
    standby_replicas: Whole = Field(
        default=0,
        ge=0,
        description="replicas of each workload while this region stands by; where nothing is written, the tier sets 1 "
        "(warm-standby) or as many as replicas (active-active)",
    )
    check: Check | None = Field(default=None, description="a request that must succeed before a failover moves the traffic")

    @field_validator("replicas")
    @classmethod
    def _users_are_served(cls, replicas: int) -> int:
        if replicas < 1:
            raise ValueError("serves nobody while this region is active; set 1 or more")
        return replicas

    @field_validator("names")
    @classmethod
    def _names_differ(cls, names: list[str]) -> list[str]:
        return all_different(names, "workload")
