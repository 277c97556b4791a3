"""The workloads that serve users, their replicas in each region, and the requests that check them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from settings.fields import HttpPath, Label, Model, Switch, Whole, WorkloadName, all_different
from settings.hosts import HostName
from settings.mistake import Mistake
from settings.names import NEVER_RESTORED
from settings.questions import refuse_the_port_of_another_scheme, tls_on_port_443

MOST_REPLICAS = 2**31 - 1
"""Kubernetes keeps replicas in 32 bits (apps/v1, `replicas: int32`)."""


class Check(Model):
    """A request that must succeed inside the cluster before a failover sends users to it."""

    service: Label = Field(description="the Service to ask")
    port: Whole = Field(default=80, ge=1, le=65535, description="the Service's port")
    scheme: Literal["http", "https"] = Field(
        default="http",
        description=(
            "how to ask, by default https on port 443 and http on every other; with https no certificate is "
            "judged, for it is of the name that users know"
        ),
    )
    host: HostName | None = Field(
        default=None, description="the Host header and the TLS server name of the request; by default the Service's own name"
    )
    path: HttpPath = Field(default="/", description="the path that must answer with success")
    via: Literal["pod", "api-server"] = Field(
        default="pod",
        description="who asks the Service: a Pod of namespace k8s-dr; or the API server, where nothing else is let in and its "
        "own way to the nodes is open on that port (docs/pods.md)",
    )

    @model_validator(mode="after")
    def _the_api_server_has_no_host_to_ask_for(self) -> Check:
        if self.host is not None and self.via == "api-server":
            text = "{} cannot be asked for through the API server, which writes that header itself; take it out, or set via: pod"
            raise Mistake(text, self.host, at=("host",))
        return self

    @model_validator(mode="before")
    @classmethod
    def _port_443_speaks_tls(cls, raw: Any) -> Any:
        """Asked without TLS there, every server answers 400, and the traffic would never move."""
        return tls_on_port_443(raw)

    @model_validator(mode="after")
    def _the_port_speaks_the_scheme(self) -> Check:
        # Port 443 of a Service speaks http where the load balancer before it ends TLS: who wrote scheme: http meant it.
        if self.scheme == "https":
            refuse_the_port_of_another_scheme("scheme", self.scheme, self.port)
        return self


CronJobs = Literal["suspend", "leave"]


class Workload(Model):
    """Some Deployments and StatefulSets of one namespace, and how many replicas each has in each region."""

    namespace: Label = Field(description="the namespace; it may have several entries, each for other workloads")
    names: list[WorkloadName] = Field(
        default=[], description="only these workloads of the namespace; by default every one that no other entry names"
    )
    replicas: Whole = Field(
        description="the least number of replicas of each workload while this region is active: what runs with more, or is "
        "switched off, stays as it is (docs/scaling.md)",
        le=MOST_REPLICAS,
        json_schema_extra={"minimum": 1},
    )
    standby_replicas: Whole = Field(
        default=0,
        ge=0,
        le=MOST_REPLICAS,
        description="replicas of each workload while this region stands by; where nothing is written, the tier sets 1 "
        "(warm-standby) or as many as replicas (active-active)",
    )
    required: Switch = Field(
        default=True, description="false where users can be served without these workloads: a failover does not wait for them"
    )
    cron_jobs: CronJobs = Field(
        default="suspend",
        description="what happens to the namespace's CronJobs, Argo CronWorkflows and running Jobs while this region stands by: "
        "they are suspended, or left as they are",
    )
    before_databases: Switch = Field(
        default=False,
        description="true where these workloads bear to start before their database takes writes: a failover scales them, and "
        "resumes the namespace's CronJobs, as soon as restores have ended; users come after the databases all the same",
    )
    check: Check | None = Field(default=None, description="a request that must succeed before a failover moves the traffic")

    @field_validator("namespace")
    @classmethod
    def _the_namespace_is_users_own(cls, namespace: str) -> str:
        """A region that gives up scales what it finds there down to standbyReplicas: CoreDNS, Velero, the databases' operator."""
        if namespace in NEVER_RESTORED:
            raise ValueError(
                "belongs to the cluster or to this program, and a region that stands by would scale what runs there to "
                "standbyReplicas; take it out"
            )
        return namespace

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

    @model_validator(mode="after")
    def _only_what_is_required_is_checked(self) -> Workload:
        if self.check and not self.required:
            raise Mistake(
                "must succeed before a failover moves the traffic, and required is false; take one of the two out", at=("check",)
            )
        return self


def refuse_overlaps(workloads: Sequence[Workload]) -> None:
    """Raise Mistake if two entries mean the same workload, or say different things about the CronJobs of their namespace."""
    named: dict[tuple[str, str], int] = {}
    rest: dict[str, int] = {}
    cron_jobs: dict[str, tuple[int, CronJobs]] = {}
    early: dict[str, tuple[int, bool]] = {}
    for place, workload in enumerate(workloads):
        namespace = workload.namespace
        for name in workload.names:
            first = named.setdefault((namespace, name), place)
            if first != place:
                text = f"names {{}} of namespace {{}}, which workloads[{first}] names too; keep one"
                raise Mistake(text, name, namespace, at=(place, "names"))
        if not workload.names and rest.setdefault(namespace, place) != place:
            raise Mistake(
                f"workloads[{rest[namespace]}] has the namespace {{}} and no names, too; keep one, or give one of them names",
                namespace,
                at=(place, "namespace"),
            )
        other, before = early.setdefault(namespace, (place, workload.before_databases))
        if before != workload.before_databases:
            raise Mistake(
                f"differs from workloads[{other}].beforeDatabases, and one Job scales all of namespace {{}}; write true in each "
                "of its entries, or in none",
                namespace,
                at=(place, "beforeDatabases"),
            )
        if "cron_jobs" in workload.model_fields_set:
            other, said = cron_jobs.setdefault(namespace, (place, workload.cron_jobs))
            if said != workload.cron_jobs:
                text = f"{{}} contradicts workloads[{other}], which says {{}} for namespace {{}}; write it in one of them"
                raise Mistake(text, workload.cron_jobs, said, namespace, at=(place, "cronJobs"))


def by_namespace(workloads: Sequence[Workload]) -> dict[str, list[Workload]]:
    """The entries of each namespace, in the order in which they are written."""
    found: dict[str, list[Workload]] = {}
    for workload in workloads:
        found.setdefault(workload.namespace, []).append(workload)
    return found


def cron_jobs_of(entries: Sequence[Workload]) -> CronJobs:
    """What happens to the CronJobs of a namespace that has these entries."""
    return "leave" if any(entry.cron_jobs == "leave" for entry in entries) else "suspend"
