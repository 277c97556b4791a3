"""Users find the region that serves, and find it soon enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .model import UNKNOWN, Config, Policy, Resource, Stack, Violation, dig, items

_OWN = {"primary": ["PRIMARY"], "secondary": ["SECONDARY"]}
"""Which record of a failover pair each stack owns, if each region has a stack of its own."""


def check(stack: Stack, config: Config) -> Iterator[Violation]:
    pairs: dict[str, list[Resource]] = defaultdict(list)
    for record in stack.of("aws:route53/record:Record"):
        routed = any(record.get(f"{way}RoutingPolicies") for way in ("failover", "weighted", "latency"))
        ttl = record.get("ttl")
        if routed and isinstance(ttl, (int, float)) and ttl > config["maximumTtl"]:
            message = f"users keep the old answer for {ttl:g} s: set a TTL of {config['maximumTtl']:g} s or less"
            yield Violation(resource=record, message=message)
        if role := _role(record):
            pairs[str(record.get("name"))].append(record)
            if role == "PRIMARY" and not record.get("healthCheckId"):
                message = "is PRIMARY, and without a health check Route 53 always takes it for healthy: attach one"
                yield Violation(resource=record, message=message)
    wanted = _OWN.get(stack.name, ["PRIMARY", "SECONDARY"])
    for name, records in pairs.items():
        found = sorted(str(_role(record)) for record in records)
        if found != wanted:
            message = (
                f"{name} has {' and '.join(found)} here, and should have {' and '.join(wanted)}: the primary stack owns the "
                "PRIMARY record, the secondary the SECONDARY"
            )
            yield Violation(resource=records[0], message=message)


def _role(record: Resource) -> str | None:
    """PRIMARY or SECONDARY; None if the record is no failover record, or if that is not known."""
    policies = record.get("failoverRoutingPolicies")
    role = dig(items(policies)[0], "type") if items(policies) else None
    return role if role is not UNKNOWN else None


POLICY = Policy(
    name="dns-failover",
    description="Failover records are one PRIMARY with a health check and one SECONDARY, with a TTL that users can wait for.",
    level="mandatory",
    stack=check,
    schema={
        "maximumTtl": {
            "type": "integer",
            "minimum": 0,
            "default": 60,
            "description": "seconds that a resolver may keep the answer, or fewer",
        }
    },
)
