"""What the name server answers to one question, from the records and the health of the moment; pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from dnslib import RR

from lab.cloud.records import Record, Route53, Zone, plain
from lab.cloud.routing import choose, eligible

HOST_TTL = 60
"""Seconds that the address of a load balancer holds: what AWS says for its own."""

_DEPTH = 8
"""CNAMEs and aliases that are followed, one after the other, before a circle is suspected."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """`rcode` is NOERROR, NXDOMAIN or REFUSED; without records NOERROR means that the name has none of the type."""

    rcode: str
    records: tuple[RR, ...] = ()
    authority: tuple[RR, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answers:
    """`hosts` are names outside the zones, in small letters, and their IPv4 addresses; `healthy` is by health check id; `chance`
    is a number from 0 up to 1, by which one of several records is chosen."""

    data: Route53
    hosts: Mapping[str, str]
    healthy: Callable[[str], bool]
    chance: Callable[[], float] = random.random

    def reply(self, name: str, kind: str) -> Reply:
        """The answer to a question for records of type `kind`; a CNAME's target is followed as far as it is known here."""
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
        """For each name and type that is routed by health: the records that may be answered now."""
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
        """The target's records under the alias's own name; the asker never sees the target."""
        if kind == "A":
            yield from self._host(target, name)
        for record in self._resolve(target, kind, depth - 1):
            record.rname = f"{name}."
            yield record

    def _host(self, target: str, name: str) -> Iterator[RR]:
        """The address of a host, under `name`; a load balancer's host may be asked for with a prefix of Route 53's console."""
        address = self.hosts.get(target) or self.hosts.get(target.removeprefix("dualstack."))
        if address is not None:
            yield from RR.fromZone(f"{name}. {HOST_TTL} IN A {address}")

    def _is_healthy(self, record: Record, depth: int = _DEPTH) -> bool:
        """By its health check; an alias also by the records it points to, where it says so. Load balancers are healthy here."""
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
    """The record as DNS has it: each value in the notation of zone files, which is Route 53's."""
    lines = [f"{name}. {record.ttl} IN {record.type} {_qualified(record.type, value)}" for value in record.values]
    return list(RR.fromZone("\n".join(lines)))


def _qualified(kind: str, value: str) -> str:
    """Route 53 takes every name as complete; a zone file needs the final dot."""
    return f"{value.removesuffix('.')}." if kind in ("CNAME", "NS", "PTR", "MX", "SRV") else value
