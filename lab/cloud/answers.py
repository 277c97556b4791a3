"""Computes the name server's answer to one question from the current records and health. Pure functions."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from dnslib import RR

from lab.cloud.records import Record, Route53, Zone, plain
from lab.cloud.routing import choose, eligible

HOST_TTL = 60
"""TTL in seconds of a load balancer's address: the same as AWS's load balancers have."""

_DEPTH = 8
"""How many CNAMEs and aliases are followed one after the other. A longer chain is probably a loop."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """`rcode` is NOERROR, NXDOMAIN or REFUSED. NOERROR without records means that the name has no record of the type."""

    rcode: str
    records: tuple[RR, ...] = ()
    authority: tuple[RR, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Answers questions from `data`.

    `hosts` maps names outside the zones, in lower case, to IPv4 addresses. `healthy` takes the id of a health check. `chance`
    returns a number from 0 up to 1, which chooses one of several weighted records.
    """

    data: Route53
    hosts: Mapping[str, str]
    healthy: Callable[[str], bool]
    chance: Callable[[], float] = random.random

    def reply(self, name: str, kind: str) -> Reply:
        """The answer to a question for records of type `kind`. It follows CNAMEs as far as this server knows their targets."""
        name = plain(name)
        zone = self._zone(name)
        if zone is None:
            if name not in self.hosts:
                return Reply(rcode="REFUSED")
            return Reply(rcode="NOERROR", records=tuple(self._host(name, name) if kind in ("A", "ANY") else ()))
        records = tuple(self._resolve(name, kind, _DEPTH))
        if records:
            return Reply(rcode="NOERROR", records=records)
        exists = any(record.name == name or record.name.endswith(f".{name}") for record in zone.records)
        return Reply(rcode="NOERROR" if exists else "NXDOMAIN", authority=tuple(_rr(zone.name, found) for found in _soa(zone)))

    def served(self) -> dict[tuple[str, str], list[Record]]:
        """For each name and type with a routing policy: the records that the server may answer with now."""
        groups: dict[tuple[str, str], list[Record]] = {}
        for zone in self.data.zones:
            for record in zone.records:
                if record.routing != "simple":
                    groups.setdefault((record.name, record.type), []).append(record)
        return {group: eligible(records, self._is_healthy) for group, records in groups.items()}

    def _zone(self, name: str) -> Zone | None:
        fitting = [zone for zone in self.data.zones if name == zone.name or name.endswith(f".{zone.name}")]
        return max(fitting, key=lambda zone: len(zone.name), default=None)

    def _group(self, name: str, kind: str) -> list[Record]:
        zone = self._zone(name)
        return [record for record in zone.records if (record.name, record.type) == (name, kind)] if zone else []

    def _choose(self, name: str, kind: str) -> Record | None:
        return choose(self._group(name, kind), self._is_healthy, self.chance)

    def _resolve(self, name: str, kind: str, depth: int) -> Iterator[RR]:
        if not depth:
            return
        if chosen := self._choose(name, kind):
            if chosen.alias is None:
                yield from _rrs(name, chosen)
            else:
                yield from self._follow_alias(name, chosen.alias.name, kind, depth)
        elif kind != "CNAME" and (chosen := self._choose(name, "CNAME")):
            yield from _rrs(name, chosen)
            for target in map(plain, chosen.values):
                if kind == "A":
                    yield from self._host(target, target)
                yield from self._resolve(target, kind, depth - 1)

    def _follow_alias(self, name: str, target: str, kind: str, depth: int) -> Iterator[RR]:
        """The target's records under the alias's name. The client never sees the name of the target."""
        if kind == "A":
            yield from self._host(target, name)
        for record in self._resolve(target, kind, depth - 1):
            record.rname = f"{name}."
            yield record

    def _host(self, target: str, name: str) -> Iterator[RR]:
        """The address of host `target`, as a record of `name`. Route 53's console adds `dualstack.` to load balancers' names."""
        address = self.hosts.get(target) or self.hosts.get(target.removeprefix("dualstack."))
        if address is not None:
            yield from RR.fromZone(f"{name}. {HOST_TTL} IN A {address}")

    def _is_healthy(self, record: Record, depth: int = _DEPTH) -> bool:
        """Whether its health check is healthy and, for an alias that evaluates it, its target too.

        Targets without records, such as load balancers, count as healthy.
        """
        if record.health_check_id and not self.healthy(record.health_check_id):
            return False
        if record.alias and record.alias.evaluate_target_health and depth:
            targets = self._group(record.alias.name, record.type)
            return not targets or any(self._is_healthy(target, depth - 1) for target in targets)
        return True


def _soa(zone: Zone) -> list[Record]:
    return [record for record in zone.records if record.type == "SOA"]


def _rr(name: str, record: Record) -> RR:
    return _rrs(name, record)[0]


def _rrs(name: str, record: Record) -> list[RR]:
    """The record as DNS records, one for each value. Route 53 writes values like a zone file does."""
    lines = [f"{name}. {record.ttl} IN {record.type} {_qualified(record.type, value)}" for value in record.values]
    return list(RR.fromZone("\n".join(lines)))


def _qualified(kind: str, value: str) -> str:
    """Add the final dot that a zone file needs. Route 53 treats every name as fully qualified, with or without it."""
    return f"{value.removesuffix('.')}." if kind in ("CNAME", "NS", "PTR", "MX", "SRV") else value
