"""The PostgreSQL connection between the two sides of a database: hosts, certificates and the load balancer that accepts it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from settings.fields import Model, SecretName, matching
from settings.hosts import HostOrAddress, only_in_the_cluster
from settings.mistake import Mistake
from settings.roles import Role

# apimachinery, validation of annotations: a qualified name, with the domain of whoever reads it before a slash.
_Annotation = Annotated[
    str,
    matching(
        re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"),
        "the name of an annotation",
        "external-dns.alpha.kubernetes.io/hostname",
        "example.com/team",
    ),
]

_AWS = "service.beta.kubernetes.io/aws-load-balancer-"
PRIVATE = {f"{_AWS}scheme": "internal", f"{_AWS}internal": "true"}
"""The annotations that keep a Service's load balancer off the internet. The AWS Load Balancer Controller reads the first,
cloud-provider-aws the second alone, and makes a public one without it. The former takes the second as the older name."""

_PUBLIC_ADDRESSES = {f"{_AWS}eip-allocations"}


class Hosts(Model):
    """The host names by which each region reaches the other region's primary instance."""

    primary: HostOrAddress = Field(
        description="host name or address of the primary region's replication endpoint",
        examples=["pg.us-east-1.example.com", "10.1.0.5"],
    )
    secondary: HostOrAddress = Field(
        description="host name or address of the secondary region's replication endpoint",
        examples=["pg.us-west-2.example.com", "10.2.0.5"],
    )

    @model_validator(mode="after")
    def _each_region_reaches_the_other(self) -> Hosts:
        for key, host in (("primary", self.primary), ("secondary", self.secondary)):
            if only_in_the_cluster(host):
                text = "{} is answered by each cluster for itself, with its own Service; write a name that both regions resolve"
                raise Mistake(text, host, at=(key,))
        if self.primary == self.secondary:
            raise Mistake(
                "{} is the primary's too, and would lead a side to itself; write each region's own",
                self.secondary,
                at=("secondary",),
            )
        return self

    def of(self, role: Role) -> str:
        return self.primary if role == "primary" else self.secondary


class Certificates(Model):
    """Names of Secrets in the database's namespace, which hold the TLS certificates of a streaming connection.

    One authority must sign them in both regions. The certificates that each CloudNativePG operator makes by itself do not serve:
    the other region does not trust their authority, and they rotate every 90 days.
    """

    server: SecretName = Field(description="TLS Secret of the PostgreSQL server; its certificate must be valid for both hosts")
    server_ca: SecretName = Field(description="Secret with the ca.crt that signed the server's certificate")
    client_ca: SecretName = Field(description="Secret with the ca.crt that signs client certificates")
    replication: SecretName = Field(
        description="TLS Secret of the PostgreSQL user streaming_replica, by which the standby logs in"
    )


class Streaming(Model):
    """The PostgreSQL connection of `replication: streaming`. The standby falls back to the archive where it breaks."""

    hosts: Hosts = Field(
        description="host names by which the regions reach each other's primary instance, over VPC peering or a transit gateway"
    )
    certificates: Certificates = Field(description="TLS certificates of both ends, signed by one authority")
    service_annotations: dict[_Annotation, str] = Field(
        default={},
        examples=[{"external-dns.alpha.kubernetes.io/hostname": "pg.us-east-1.example.com"}, {"example.com/team": "data"}],
        description="further annotations of the Service whose load balancer accepts the connection, for example the one that "
        "gives it its host name. The program adds those that keep it off the internet",
    )

    @field_validator("service_annotations")
    @classmethod
    def _the_load_balancer_stays_private(cls, annotations: dict[str, str]) -> dict[str, str]:
        for name, value in annotations.items():
            if name in PRIVATE and value != PRIVATE[name]:
                raise Mistake(
                    f"has {name}: {{}}, and PostgreSQL must not be reached from the internet; write {PRIVATE[name]}, or take it "
                    "out",
                    value,
                )
            if name in _PUBLIC_ADDRESSES:
                raise Mistake("sets {}, which gives the load balancer public addresses; take it out", name)
        return annotations
