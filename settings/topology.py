"""The organization, its AWS account and the two regions. Every name of a bucket, role or schedule is computed from these."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from settings import nearly
from settings.aws import AwsRegion
from settings.fields import Model, matching
from settings.mistake import Mistake
from settings.roles import Role

Purpose = Literal["velero", "etcd", "database", "dr-flag", "logs"]


class Regions(Model):
    """The two AWS regions. Which region is primary never changes; a failover only changes which one is active."""

    primary: AwsRegion = Field(description="the region that normally serves", examples=["us-east-1", "eu-west-1"])
    secondary: AwsRegion = Field(description="the region that takes over", examples=["us-west-2", "eu-central-1"])

    @model_validator(mode="after")
    def _the_regions_differ(self) -> Regions:
        if self.secondary == self.primary:
            text = "{} is the primary region too; a region cannot stand in for itself, choose another"
            raise Mistake(text, self.secondary, at=("secondary",))
        return self


_BACKEND = matching(
    re.compile(r"[a-z0-9]+://[^\s'@]+"),
    "the URL of a Pulumi backend",
    "s3://acme-pulumi-us-west-2?region=us-west-2",
    "https://api.pulumi.com",
)


class Backends(Model):
    """Where Pulumi keeps the state of each stack: what PULUMI_BACKEND_URL is set to."""

    primary: Annotated[str, _BACKEND] = Field(
        description="the backend of stack primary, in its own region",
        examples=["s3://acme-pulumi-us-east-1?region=us-east-1", "https://api.pulumi.com"],
    )
    secondary: Annotated[str, _BACKEND] = Field(description="the backend of stack secondary, in its own region")


class Topology(Model):
    """The organization, its AWS account and the two regions."""

    organization: Annotated[
        str,
        matching(
            re.compile(r"[a-z0-9][a-z0-9-]{0,19}"),
            "a short lower-case name (20 letters, digits and - at most)",
            "acme",
            "acme-shop",
            nearly=nearly.kubernetes_name,
            most=20,
        ),
    ] = Field(description="short name of your organization: the first part of every bucket name and role name")
    account_id: Annotated[
        str,
        matching(
            re.compile(r"\d{12}"), "an AWS account id in quotes", '"123456789012"', "210987654321", nearly=nearly.account_id
        ),
    ] = Field(description="id of the AWS account: twelve digits, in quotes")
    regions: Regions = Field(description="the two AWS regions")
    backends: Backends | None = Field(
        default=None,
        description="the Pulumi backend of each stack, as PULUMI_BACKEND_URL names it: a command that is printed for the other "
        "stack comes with it, and can be pasted as it is",
    )

    def region(self, role: Role) -> str:
        return self.regions.primary if role == "primary" else self.regions.secondary

    def for_stack(self, stack: Role, commands: str) -> str:
        """`commands` for a shell that works with the other stack: in a subshell, so that the shell itself keeps its own backend.

        Where the backends are not written down, the words that a person needs instead: no backend is guessed.
        """
        if self.backends is None:
            return f"with the PULUMI_BACKEND_URL of stack {stack}: {commands}"
        backend = self.backends.primary if stack == "primary" else self.backends.secondary
        return f"(export PULUMI_BACKEND_URL='{backend}'; {commands})"

    def bucket(self, purpose: Purpose, region: str) -> str:
        return f"{self.organization}-{purpose}-{region}-{self.account_id}"

    def schedule(self, backup: str, role: Role) -> str:
        """Velero's name of the schedule `backup` in region `role`.

        It contains the region, because Velero names Backups after their schedule and identifies them by name: without it, a
        region's own Backup would hide the peer's.
        """
        return f"{backup}-{self.region(role)}"

    @field_validator("organization")
    @classmethod
    def _s3_has_not_reserved_it(cls, organization: str) -> str:
        """S3's rules for the names of buckets, each of which begins with the organization and a hyphen."""
        for prefix in ("xn--", "sthree-", "amzn-s3-demo-"):
            if f"{organization}-".startswith(prefix):
                raise ValueError(
                    f"begins the names of buckets, and S3 keeps those with {prefix} for itself; write one as in acme"
                )
        return organization

    @model_validator(mode="after")
    def _bucket_names_fit(self) -> Topology:
        longest = max((self.bucket("database", region) for region in (self.regions.primary, self.regions.secondary)), key=len)
        if len(longest) > 63:
            raise Mistake(f"gives the bucket name {{}} of {len(longest)} characters, S3 allows 63; shorten organization", longest)
        return self
