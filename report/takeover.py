"""A failover of two real regions, as the program itself recorded it: from its local report or from the stack's outputs.

No client watched and no row was counted, so it says how long the failover's own steps took, and what nobody measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from report import wording
from report.model import Targets
from report.moments import Course, Event, Step
from report.wording import Figure

HEALTH_CHECK_SECONDS = 30
"""How long Route 53 needs to believe the traffic flag: three checks, ten seconds apart."""


class NoTakeoverError(Exception):
    """The file or the outputs tell of no failover. The message is one line."""


class _Targets(BaseModel):
    model_config = ConfigDict(
        extra="ignore", frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    tier: str
    rpo_seconds: float
    rto_seconds: float


class _Recorded(BaseModel):
    """What is read. A field that an older version did not write is None; what is not needed is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    region: str
    active: str
    steps: tuple[Step, ...]
    stack: str | None = None
    organization: str | None = None
    regions: Mapping[str, str] = {}
    names: tuple[str, ...] = ()
    ttl: int | None = None
    commit: str | None = None
    targets: _Targets | None = None


@dataclass(frozen=True, kw_only=True)
class Takeover:
    """One failover. Values that nobody recorded are None. Times are in UTC, durations in seconds."""

    region: str
    """The region that took over."""

    other: str | None
    steps: tuple[Step, ...]
    """In the order in which they began; at least one."""

    stack: str | None
    organization: str | None
    names: tuple[str, ...]
    """The names that users call."""

    ttl: int | None
    commit: str | None
    """The commit of the program that ran."""

    targets: Targets | None

    @property
    def began(self) -> datetime:
        return self.steps[0].start

    @property
    def ended(self) -> datetime:
        return max(step.end for step in self.steps)

    @property
    def seconds(self) -> float:
        """From the beginning of the first step to the end of the last one."""
        return (self.ended - self.began).total_seconds()

    @property
    def course(self) -> Course:
        """What is drawn."""
        events = (
            Event(time=self.began, name="the failover began"),
            Event(time=self.ended, name=f"users are sent to {self.region}"),
        )
        return Course(events=events, steps=self.steps)


def takeover(recorded: Mapping[str, Any], *, source: str) -> Takeover:
    """The failover that a local report (`.failover/<stack>.json`) tells of. Raises NoTakeoverError, which names `source`."""
    try:
        found = _Recorded.model_validate(recorded)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise NoTakeoverError(f"{source}: {key}: {first['msg'].lower()}; this is no local report of a failover") from None
    if not found.steps:
        raise NoTakeoverError(f"{source}: steps: there are none; the stack has not taken over")
    others = [name for name in found.regions.values() if name != found.region]
    return Takeover(
        region=found.region,
        other=others[0] if others else None,
        steps=tuple(sorted(found.steps, key=lambda step: (step.start, step.end))),
        stack=found.stack,
        organization=found.organization,
        names=found.names,
        ttl=found.ttl,
        commit=found.commit,
        targets=Targets(**found.targets.model_dump()) if found.targets else None,
    )


def of_outputs(outputs: Mapping[str, Any], config: Mapping[str, Any], stack: str) -> Takeover:
    """The failover that a stack tells of, by `pulumi stack output --json --show-secrets` and `pulumi config --json`.

    Raises NoTakeoverError.
    """
    details = outputs.get("details") or {}
    serving, done = details.get("serving") or {}, details.get("failover") or {}
    topology, dns = ((config.get(f"k8s-dr:{key}") or {}).get("objectValue") or {} for key in ("topology", "dns"))
    recorded = {
        "region": serving.get("region"),
        "active": outputs.get("active"),
        "steps": done.get("steps") or [],
        "stack": stack,
        "organization": topology.get("organization"),
        "regions": topology.get("regions") or {},
        "names": serving.get("names") or [],
        "ttl": dns.get("ttl"),
        "targets": details.get("targets"),
    }
    return takeover(recorded, source=f"outputs of the stack {stack}")


def headline(found: Takeover) -> str:
    return f"{found.region} took over in {wording.duration(found.seconds)}"


def summary(found: Takeover) -> str:
    """The sentence under the headline."""
    instead = f" in place of {found.other}" if found.other else ""
    return f"Users are sent to {found.region}{instead} since {wording.day(found.ended)}."


def reasons(found: Takeover) -> list[str]:
    """Why the failover did not keep its promise, as sentences; empty if it did."""
    targets = found.targets
    if targets and found.seconds > targets.rto_seconds:
        steps, promised = wording.duration(found.seconds), wording.duration(targets.rto_seconds)
        return [f"RTO missed: the steps alone took {steps}, and tier {targets.tier} promises {promised}."]
    return []


def held(found: Takeover) -> list[str]:
    """What went as it should, as sentences."""
    sentences = [f"{wording.counted(len(found.steps), 'step')} ended, and none failed: the traffic moves after all others."]
    if targets := found.targets:
        steps, promised = wording.duration(found.seconds), wording.duration(targets.rto_seconds)
        sentences.append(f"The steps took {steps} of the {promised} that tier {targets.tier} promises (RTO).")
    return sentences


def not_measured(found: Takeover) -> list[str]:
    """What the report cannot say, as sentences."""
    ttl = f"the TTL of DNS ({found.ttl} s)" if found.ttl is not None else "the TTL of DNS"
    rpo = f" ({wording.duration(found.targets.rpo_seconds)})" if found.targets else ""
    return [
        "How long users had no service: nobody watched from outside. To the seconds of the steps add the time from the loss of "
        f"the region to the first step, and after the last one Route 53's health check ({HEALTH_CHECK_SECONDS} s) and {ttl}.",
        f"How much data was lost: no row was counted. The gate refuses a standby that is further behind than the RPO{rpo}, "
        "unless force is set.",
        "Whether the dead region was needed: no packet was counted here. The lab counts them (make demo).",
    ]


def figures(found: Takeover) -> Iterator[Figure]:
    """The figures at the top."""
    targets = found.targets
    yield Figure(
        name="the steps together",
        value=wording.duration(found.seconds),
        note=f"RTO of tier {targets.tier}: {wording.duration(targets.rto_seconds)}" if targets else "no target was recorded",
        bad=bool(reasons(found)),
        share=found.seconds / targets.rto_seconds if targets and targets.rto_seconds else None,
    )
    longest = max(found.steps, key=lambda step: step.seconds)
    yield Figure(name="the longest step", value=wording.duration(longest.seconds), note=longest.name)
    if found.ttl is not None:
        arrive = HEALTH_CHECK_SECONDS + found.ttl
        yield Figure(
            name="users arrive within", value=f"{arrive} s", note=f"health check {HEALTH_CHECK_SECONDS} s, DNS TTL {found.ttl} s"
        )
    yield Figure(name="steps", value=str(len(found.steps)), note="each from the cluster's own timestamps")


def facts(found: Takeover) -> Iterator[Figure]:
    """What ran, and where."""
    unknown = "not recorded"
    yield Figure(name="organization", value=found.organization or unknown)
    yield Figure(name="stack", value=found.stack or unknown)
    yield Figure(name="region that took over", value=found.region)
    yield Figure(name="region that was replaced", value=found.other or unknown)
    yield Figure(name="names that users call", value=", ".join(found.names) or unknown)
    yield Figure(name="commit of the program", value=found.commit or unknown)
