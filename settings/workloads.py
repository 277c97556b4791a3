"""What runs where users are served, and what must answer there."""

from __future__ import annotations

from pydantic import Field, field_validator

from settings.fields import HttpPath, Label, Model, Whole, WorkloadName, all_different


class Check(Model):
    """A request that must succeed inside the cluster before users are sent to it."""

    service: Label = Field(description="the Service to ask")
    port: Whole = Field(default=80, ge=1, le=65535, description="the Service's port")
    path: HttpPath = Field(default="/", description="the path that must answer with success")


class Workload(Model):
    """What runs where users are served, and how much of it."""

    namespace: Label = Field(description="the namespace")
    names: list[WorkloadName] = Field(default=[], description="only these; by default every Deployment and StatefulSet")
    replicas: Whole = Field(description="replicas while this region is active", json_schema_extra={"minimum": 1})
    standby_replicas: Whole = Field(
        default=0, ge=0, description="replicas while this region stands by; 0, or what tier says: 1, or as many as replicas"
    )
    check: Check | None = Field(default=None, description="what must answer before the traffic moves")

    @field_validator("replicas")
    @classmethod
    def _somebody_serves(cls, replicas: int) -> int:
        if replicas < 1:
            raise ValueError("serves nobody while this region is active; set 1 or more")
        return replicas

    @field_validator("names")
    @classmethod
    def _names_differ(cls, names: list[str]) -> list[str]:
        return all_different(names, "workload")
