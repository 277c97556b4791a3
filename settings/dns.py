"""The names that users call, how their traffic moves between the regions, and the load balancers behind them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from settings.fields import HttpPath, Model, Switch, Whole, all_different
from settings.hosts import DnsName, HostName, ZoneId, labels_above_a_zone, of_aws, of_one_cluster
from settings.mistake import Mistake
from settings.questions import refuse_the_port_of_another_scheme


def callable_name(name: str) -> str:
    """A name that can be asked for: of a wildcard, one that it stands for."""
    return name.replace("*", "www", 1)


class EndpointCheck(Model):
    """The request by which Route 53 finds out whether a region's endpoint is alive.

    Route 53 sends the endpoint's own name as Host header and in TLS, not the name that users call. The endpoint must answer that
    with 2xx or 3xx. Route 53 does not verify the certificate.
    """

    protocol: Literal["https", "http"] = Field(default="https", description="https or http")
    port: Whole | None = Field(default=None, ge=1, le=65535, description="the port; by default 443 with https, 80 with http")
    path: HttpPath = Field(default="/", description="the path that answers while the region can serve")

    @model_validator(mode="after")
    def _the_port_speaks_the_protocol(self) -> EndpointCheck:
        """A check that fails for ever keeps the region out while both live, and in when both are down (docs/traffic.md)."""
        refuse_the_port_of_another_scheme("protocol", self.protocol, self.port)
        return self

    @property
    def asked_port(self) -> int:
        return self.port or (443 if self.protocol == "https" else 80)


class Dns(Model):
    """The names that users call, and how their traffic moves between the regions."""

    zone_id: ZoneId = Field(description="the public hosted zone that holds the names")
    names: list[DnsName] = Field(min_length=1, description="the names that users call")
    ttl: Whole = Field(
        default=60,
        ge=1,
        le=86400,
        description="seconds for which a resolver may keep an answer: users arrive up to this much later after a failover",
    )
    mode: Literal["standby-takes-over", "record", "both-regions"] = Field(
        default="standby-takes-over",
        description="standby-takes-over: the traffic flag, an S3 object in the secondary region, moves the traffic, and no DNS "
        "record changes at a failover; record: the failover creates a weighted record (for private zones, and for accounts that "
        "forbid the bucket policy of the flag); both-regions: both regions serve users at once, a region that does not answer "
        "gets no users, and after a failover the flag keeps users away from the old primary region",
    )
    check: EndpointCheck | None = Field(
        default=None,
        description="with mode both-regions: the request by which Route 53 finds out whether a region's endpoint is alive",
    )

    @field_validator("names")
    @classmethod
    def _names_differ(cls, names: list[str]) -> list[str]:
        return all_different(names, "name")

    @field_validator("names")
    @classmethod
    def _names_are_in_a_zone_of_ones_own(cls, names: list[str]) -> list[str]:
        for place, name in enumerate(names):
            plain = name.removeprefix("*.")
            if of_aws(plain):
                text = "{} is a name of AWS, and a record of it in no zone of yours; write a name that users call, and the load "
                raise Mistake(text + "balancer in endpoint", name, at=(place,))
            if of_one_cluster(plain):
                raise Mistake(
                    "{} is a name that only the cluster itself resolves; write a name that users call", name, at=(place,)
                )
            if plain.count(".") < labels_above_a_zone(plain):
                raise Mistake(
                    "{} is a registry's, and in no zone of yours; write one as in app.{}", name, f"example.{plain}", at=(place,)
                )
        return names

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
        """`check`, or its defaults. Only mode both-regions uses it."""
        return self.check or EndpointCheck()


class Alias(Model):
    """A load balancer that Route 53 reaches by an alias record, which a name at the top of its zone needs.

    In a failover alias, Route 53 insists on counting the load balancer's own health too: if it has no healthy target, users are
    sent to the other region, whatever the traffic flag says.
    """

    name: HostName = Field(description="the load balancer's DNS name")
    zone_id: ZoneId = Field(description="the load balancer's own hosted zone id")
    ipv6: Switch = Field(
        default=False,
        description="true: the load balancer is dualstack, and each name has an AAAA record beside its A record, and both move "
        "together; write the same in both stacks. A load balancer that is no alias needs nothing: its CNAME leads to both",
    )
