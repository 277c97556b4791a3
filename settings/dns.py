"""The names users know, how they move, and the load balancers behind them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from settings.fields import HostName, HttpPath, Mistake, Model, Whole, ZoneId, all_different


class EndpointCheck(Model):
    """What Route 53 asks each region's endpoint to know that it is alive. Its host, in the request and in TLS, is the endpoint's
    own name and not the users': whatever stands behind must answer it with 2xx or 3xx. It does not look at the certificate."""

    protocol: Literal["https", "http"] = Field(default="https", description="https or http")
    port: Whole | None = Field(default=None, ge=1, le=65535, description="the port; by default 443, or 80 with http")
    path: HttpPath = Field(default="/", description="the path that answers while the region can serve")

    @property
    def asked_port(self) -> int:
        return self.port or (443 if self.protocol == "https" else 80)


class Dns(Model):
    """The names users know, and how they move."""

    zone_id: ZoneId = Field(description="the public hosted zone that holds the names")
    names: list[HostName] = Field(min_length=1, description="the names that users call")
    ttl: Whole = Field(default=60, ge=1, le=86400, description="seconds a resolver may keep an answer; failover waits for it")
    mode: Literal["standby-takes-over", "record", "both-regions"] = Field(
        default="standby-takes-over",
        description="standby-takes-over: one S3 object in the secondary region moves the traffic, no DNS change at failover; "
        "record: a weighted record is created at failover (private zones, accounts that forbid the flag's policy); "
        "both-regions: both serve users at once, a region that does not answer drops out, and that object keeps the replaced out",
    )
    check: EndpointCheck | None = Field(
        default=None,
        description="mode both-regions: what a region's endpoint is asked, to know whether it is alive",
    )

    @field_validator("names")
    @classmethod
    def _names_differ(cls, names: list[str]) -> list[str]:
        return all_different(names, "name")

    @model_validator(mode="after")
    def _only_mode_both_regions_has_a_check(self) -> Dns:
        if self.check is not None and not self.both_serve:
            text = "is only asked with dns.mode both-regions, and the mode is {}; take check out, or set that mode"
            raise Mistake(text, self.mode, at=("check",))
        return self

    @property
    def both_serve(self) -> bool:
        return self.mode == "both-regions"

    @property
    def endpoint_check(self) -> EndpointCheck:
        """What Route 53 asks each endpoint with mode both-regions: what is written, or the defaults."""
        return self.check or EndpointCheck()


class Alias(Model):
    """A load balancer as a Route 53 alias, for a name at the top of its zone. Of a failover alias Route 53 demands that the load
    balancer's own health counts too: one without a healthy target moves users away, whatever the flag says."""

    name: HostName = Field(description="the load balancer's DNS name")
    zone_id: ZoneId = Field(description="the load balancer's own hosted zone id")
