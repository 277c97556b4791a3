"""The organization, its AWS account and the two regions. Every name of a bucket, role or schedule is computed from these."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from settings.fields import AwsRegion, Model, matching
from settings.mistake import Mistake
from settings.roles import Role

Purpose = Literal["velero", "etcd", "database", "dr-flag", "logs"]


class Regions(Model):
    """The two AWS regions. Which region is primary never changes; a failover only changes which one is active."""

    primary: AwsRegion = Field(description="the region that normally serves")
    secondary: AwsRegion = Field(description="the region that takes over")

    @model_validator(mode="after")
    def _the_regions_differ(self) -> Regions:
        if self.secondary == self.primary:
            text = "{} is the primary region too; a region cannot stand in for itself, choose another"
            raise Mistake(text, self.secondary, at=("secondary",))
        return self


class Topology(Model):
    """The organization, its AWS account and the two regions."""

    organization: Annotated[str, matching(re.compile(r"[a-z0-9][a-z0-9-]{0,19}"), "a short lower-case name", "acme")] = Field(
        description="short name of your organization: the first part of every bucket name and role name"
    )
    account_id: Annotated[str, matching(re.compile(r"\d{12}"), "an AWS account id in quotes", '"123456789012"')] = Field(
        description="id of the AWS account: twelve digits, in quotes"
    )
    regions: Regions = Field(description="the two AWS regions")

    def region(self, role: Role) -> str:
        return self.regions.primary if role == "primary" else self.regions.secondary

    def bucket(self, purpose: Purpose, region: str) -> str:
        return f"{self.organization}-{purpose}-{region}-{self.account_id}"

    def schedule(self, backup: str, role: Role) -> str:
        """Velero's name of the schedule `backup` in region `role`.

        It contains the region, because Velero names Backups after their schedule and identifies them by name: without it, a
        region's own Backup would hide the peer's.
        """
        return f"{backup}-{self.region(role)}"

    @model_validator(mode="after")
    def _bucket_names_fit(self) -> Topology:
        longest = max((self.bucket("database", region) for region in (self.regions.primary, self.regions.secondary)), key=len)
        if len(longest) > 63:
            raise Mistake(f"gives the bucket name {{}} of {len(longest)} characters, S3 allows 63; shorten organization", longest)
        return self
