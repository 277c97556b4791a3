"""Drills: what the program tries by itself by the calendar, so that no backup and no restore goes untested."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from settings import nearly
from settings.durations import format_duration, longest_gap, parse_duration
from settings.fields import (
    MOST_DAYS,
    Cron,
    Duration,
    Form,
    HttpPath,
    Label,
    Model,
    ServiceName,
    Switch,
    Whole,
    at_least,
    form_of,
    matching,
    two,
)
from settings.kinds import KindName
from settings.mistake import Mistake
from settings.names import NEVER_RESTORED
from settings.people import People
from settings.questions import refuse_the_port_of_another_scheme, tls_on_port_443

LATEST = "latest"

_GAPS_UNTIL_OVERDUE = 2
"""After how many of the longest times between two of its dates a drill is overdue."""

Kind = Literal["integrity", "namespace", "database"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_DURATION = form_of(Duration)


def _point(text: str) -> str:
    return text if text == LATEST else _DURATION.check(text)


_PointInTime = Annotated[
    str,
    replace(
        _DURATION,
        check=_point,
        name="latest, or how long ago as in 24h",
        examples=(LATEST, "24h"),
        pattern=r"^(?:latest|(?:[0-9]+[hms])+)$",
    ),
]
_ReadyWorkload = Annotated[
    str,
    two(
        matching(
            re.compile(r"(deployment|statefulset)/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"),
            "a workload",
            "deployment/web or statefulset/queue",
            nearly=nearly.workload,
        ),
        "deployment/web",
        "statefulset/queue",
    ),
]

_WORDS_OF_CHANGE = re.compile(
    r"\b(insert|update|delete|truncate|drop|alter|create|grant|revoke|copy|call|do|vacuum|lock|set|reset|into|nextval|setval)\b",
    re.IGNORECASE,
)
_TEXTS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


def _select(text: str) -> str:
    """The drill runs it in a read-only transaction of a throw-away copy, so this is only what saves a person from a surprise."""
    bare = _TEXTS.sub("''", text)
    if not re.match(r"\s*(select|with)\b", bare, re.IGNORECASE):
        raise ValueError("is not a SELECT; write one that gives one value, as in SELECT count(*) FROM orders")
    if ";" in bare.rstrip().removesuffix(";"):
        raise ValueError("holds several statements; write one SELECT that gives one value, and one check for each")
    if "--" in bare or "/*" in bare:
        raise ValueError("has a comment, which could hide the rest of it; take it out")
    if word := _WORDS_OF_CHANGE.search(bare):
        raise Mistake("has {}, and a check only reads; write one SELECT that gives one value", word[0])
    return text.strip().removesuffix(";").rstrip()


_Select = Annotated[
    str,
    Form(
        check=_select,
        name="one SELECT that gives one value",
        examples=("SELECT count(*) FROM orders", "SELECT max(created_at) FROM orders"),
    ),
]
_Timeout = Annotated[str, at_least("5m", "in which no restore ends", "1h")]


class Question(Model):
    """One question to the recovered database, and what its answer must be."""

    database: ServiceName = Field(description="which of databases is asked", examples=["app-database", "orders-2024"])
    sql: _Select = Field(description="what is asked, in a transaction that only reads")
    expect: str | None = Field(
        default=None,
        examples=["42", "true"],
        description="the answer as text, as PostgreSQL casts it: true, 42, 2026-03-02",
    )
    max_age: Duration | None = Field(
        default=None, description="the answer is a time, and before the point that is recovered it is no older than this"
    )

    @model_validator(mode="after")
    def _one_thing_is_expected(self) -> Question:
        if (self.expect is None) == (self.max_age is None):
            raise ValueError("has both expect and maxAge, or none of them; write one: what the answer is, or how old it may be")
        return self


class Probe(Model):
    """What is looked at in the scratch namespace once it is restored."""

    ready: list[_ReadyWorkload] = Field(
        default=[],
        description="workloads that must become available there; needs replicas: 1",
        examples=[["deployment/web"], ["deployment/web", "statefulset/cart"]],
    )
    service: ServiceName | None = Field(
        default=None,
        description="a Service of the namespace that must answer HTTP there; needs replicas: 1",
        examples=["web", "cart"],
    )
    port: Whole = Field(default=80, ge=1, le=65535, description="the port of that Service")
    scheme: Literal["http", "https"] = Field(
        default="http",
        description="how it is asked, by default https on port 443 and http on every other; no certificate is judged",
    )
    path: HttpPath = Field(default="/", description="the path that is asked for; 200 to 399 is an answer")

    @model_validator(mode="before")
    @classmethod
    def _port_443_speaks_tls(cls, raw: Any) -> Any:
        return tls_on_port_443(raw)

    @model_validator(mode="after")
    def _a_service_is_asked_and_speaks_the_scheme(self) -> Probe:
        """What nobody asks, nobody tries: the drill would pass all the same."""
        # Port 443 of a Service speaks http where the load balancer before it ends TLS: who wrote scheme: http meant it.
        if self.scheme == "https":
            refuse_the_port_of_another_scheme("scheme", self.scheme, self.port)
        said = next((key for key in ("port", "scheme", "path") if key in self.model_fields_set), None)
        if said and self.service is None:
            raise ValueError(f"has {said} and no service, so nothing is asked; write service too, or take {said} out")
        return self


class IntegrityDrill(Model):
    """Whether the backups that are in this region's buckets could be restored: whole, readable, and new enough."""

    enabled: Switch = Field(default=True, description="false: no backup is verified by the calendar")
    cron: Cron = Field(default="30 5 * * 1", description="when: five fields, UTC", examples=["30 5 * * 1", "0 6 * * *"])
    timeout: _Timeout = Field(default="1h", description="how long it may take")


class NamespaceDrill(Model):
    """One namespace, restored from the other region's newest backup into a scratch namespace of the region that stands by."""

    enabled: Switch = Field(default=True, description="false: no namespace is restored by the calendar")
    cron: Cron = Field(default="30 4 1 * *", description="when: five fields, UTC", examples=["30 4 1 * *", "0 4 * * 0"])
    namespace: Label | None = Field(
        default=None, description="which one; by default that of the first of workloads", examples=["production", "back-office"]
    )
    replicas: Whole = Field(
        default=0,
        ge=0,
        le=1,
        examples=[0, 1],
        description="how many Pods of each workload run there: 0, none; 1, one, cut off from the network but for DNS",
    )
    exclude_resources: list[KindName] = Field(
        default=[], description="kinds that are not restored there, beside those of drills.md"
    )
    probe: Probe | None = Field(default=None, description="what must answer there, beside the counts of objects")
    timeout: _Timeout = Field(default="1h", description="how long it may take")

    @model_validator(mode="after")
    def _the_namespace_is_users_own(self) -> NamespaceDrill:
        if self.namespace in NEVER_RESTORED:
            text = "{} belongs to the cluster or to this program, and no backup restores it; write one of your own"
            raise Mistake(text, str(self.namespace), at=("namespace",))
        return self

    @model_validator(mode="after")
    def _what_is_probed_runs(self) -> NamespaceDrill:
        if self.probe and (self.probe.ready or self.probe.service) and not self.replicas:
            raise Mistake(
                "asks Pods, and replicas is {}: none runs there; write replicas: 1, or take probe out", "0", at=("probe",)
            )
        return self


class DatabaseDrill(Model):
    """Each database, recovered into a throw-away Cluster from the archive in this region's bucket."""

    enabled: Switch = Field(default=True, description="false: no database is recovered by the calendar")
    cron: Cron = Field(default="30 3 2 * *", description="when: five fields, UTC", examples=["30 3 2 * *", "0 3 * * 6"])
    databases: list[ServiceName] = Field(
        default=[],
        description="which of databases; all of them by default",
        examples=[["app-database"], ["app-database", "orders"]],
    )
    point_in_time: _PointInTime = Field(
        default=LATEST, description="up to when: latest, all that is archived; or how long before the drill, as in 24h"
    )
    checks: list[Question] = Field(
        default=[],
        description="questions whose answers a person knows",
        examples=[
            [{"database": "app-database", "sql": "SELECT count(*) > 0 FROM orders", "expect": "true"}],
            [{"database": "app-database", "sql": "SELECT max(created_at) FROM orders", "maxAge": "25h"}],
        ],
    )
    timeout: _Timeout = Field(default="2h", description="how long it may take for each database")


class DrillsSettings(Model):
    """What is tried by the calendar, in both regions, and how long its records are kept."""

    enabled: Switch = Field(default=True, description="false: nothing is tried by the calendar, whatever is written below")
    keep_days: Whole = Field(
        default=400,
        ge=31,
        le=MOST_DAYS,
        description="days for which a drill's record is kept in the bucket: as long as an auditor asks for it",
    )
    integrity: IntegrityDrill = Field(default_factory=IntegrityDrill, description="weekly: backups are whole and new")
    namespace: NamespaceDrill = Field(
        default_factory=NamespaceDrill, description="monthly: one namespace, restored where nobody sees it"
    )
    database: DatabaseDrill = Field(
        default_factory=DatabaseDrill, description="monthly: each database, recovered where nobody sees it"
    )
    people: People = Field(default_factory=People, description="what people practise, with an issue on each date")

    @model_validator(mode="after")
    def _one_run_ends_before_the_next(self) -> DrillsSettings:
        """And a record is there until two more should be: a warning compares with the last one."""
        for key, drill in (("integrity", self.integrity), ("namespace", self.namespace), ("database", self.database)):
            gap = longest_gap(drill.cron)
            least = gap.days * _GAPS_UNTIL_OVERDUE
            if least > self.keep_days:
                text = (
                    "{} days are shorter than twice the {} that "
                    + key
                    + ".cron {} may leave between two drills; write {} or more"
                )
                raise Mistake(text, str(self.keep_days), format_duration(gap), drill.cron, str(least), at=("keepDays",))
            if parse_duration(drill.timeout) > gap:
                text = "{} is longer than the {} between two drills; write a shorter timeout, or a cron that comes less often"
                raise Mistake(text, drill.timeout, format_duration(gap), at=(key, "timeout"))
        return self

    def of(self, kind: Kind) -> IntegrityDrill | NamespaceDrill | DatabaseDrill:
        drills: dict[Kind, IntegrityDrill | NamespaceDrill | DatabaseDrill] = {
            "integrity": self.integrity,
            "namespace": self.namespace,
            "database": self.database,
        }
        return drills[kind]

    def overdue_after(self, kind: Kind) -> timedelta:
        """How long ago the last drill of a kind may be: two of its dates may have gone by, for one may fall out."""
        return _GAPS_UNTIL_OVERDUE * longest_gap(self.of(kind).cron)
