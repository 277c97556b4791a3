"""Hosted zones, records and health checks of Route 53, for the rules of change batches and for the name server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Alias:
    """The target of an alias record. `name` has no final dot."""

    name: str
    evaluate_target_health: bool


@dataclass(frozen=True, kw_only=True)
class Record:
    """One resource record set. `name` is in lower case and has no final dot. `ttl` is in seconds."""

    name: str
    type: str
    ttl: int | None = None
    values: tuple[str, ...] = ()
    alias: Alias | None = None
    set_identifier: str | None = None
    failover: str | None = None
    """PRIMARY or SECONDARY."""

    weight: int | None = None
    other_routing: str | None = None
    """The field of a routing policy that the lab does not evaluate: Region, GeoLocation, …"""

    health_check_id: str | None = None

    @property
    def key(self) -> tuple[str, str, str | None]:
        """The values that together identify a record in its zone."""
        return self.name, self.type, self.set_identifier

    @property
    def routing(self) -> str:
        """`simple`, `failover`, `weighted`, or the field of a policy that the lab does not evaluate."""
        if self.failover is not None:
            return "failover"
        return "weighted" if self.weight is not None else self.other_routing or "simple"


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """One health check. `request_interval` is in seconds; `failure_threshold` is a number of observations."""

    id: str
    type: str
    ip_address: str | None = None
    fqdn: str | None = None
    port: int = 80
    resource_path: str = "/"
    search_string: str | None = None
    request_interval: float = 30
    failure_threshold: int = 3
    inverted: bool = False
    disabled: bool = False
    children: tuple[str, ...] = ()
    health_threshold: int = 0


@dataclass(frozen=True, kw_only=True)
class Zone:
    id: str
    name: str
    records: tuple[Record, ...]


@dataclass(frozen=True, kw_only=True)
class Route53:
    """All data that the name server needs."""

    zones: tuple[Zone, ...] = ()
    checks: tuple[HealthCheck, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Route53:
        return cls(
            zones=tuple(_zone(zone) for zone in fields["zones"]),
            checks=tuple(HealthCheck(**check | {"children": tuple(check["children"])}) for check in fields["checks"]),
        )


def _zone(fields: Mapping[str, Any]) -> Zone:
    return Zone(**{**fields, "records": tuple(_record(record) for record in fields["records"])})


def _record(fields: Mapping[str, Any]) -> Record:
    alias = Alias(**fields["alias"]) if fields["alias"] else None
    return Record(**{**fields, "values": tuple(fields["values"]), "alias": alias})


def plain(name: str) -> str:
    """A domain name in the form used for comparisons: lower case, without a final dot."""
    return name.lower().removesuffix(".")
