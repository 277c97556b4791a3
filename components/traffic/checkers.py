"""Whether Route 53's health checkers can read what they are to read, asked by day.

To a health check, a flag that it may not read looks like any flag that does not say "secondary". So a failover would end without
an error, and no user would move. These reads are of Route 53's control plane, in us-east-1: no failover makes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import boto3
import botocore.config
import botocore.exceptions

from components.iam.errors import explain
from settings.aws import Aws

Watched = Literal["flag", "endpoint"]
"""What a health check watches: the traffic flag, or this region's own endpoint. A calculated check watches other checks, and no
checker reports on it."""

_CODE = re.compile(r"HTTP Status Code:? (\d{3})", re.IGNORECASE)
_SEE = "docs/traffic.md#can-route-53-read-the-flag"


def client(settings: Aws) -> Any:
    """Route 53, which is not waited for long. Raises BotoCoreError for a profile that is not there."""
    timeouts = botocore.config.Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
    session = boto3.session.Session(profile_name=settings.profile, region_name="us-east-1")
    return session.client("route53", endpoint_url=settings.endpoint, config=timeouts)


def unseen(settings: Aws, checks: Mapping[str, str]) -> list[str]:
    """What Route 53's checkers cannot read, one line for each of `checks` (their ids), and one if Route 53 could not be asked."""
    told: list[str] = []
    try:
        route53 = client(settings)
        for watched, check in checks.items():
            answer = route53.get_health_check_status(HealthCheckId=check)
            if line := judged(watched, check, answer["HealthCheckObservations"]):
                told.append(line)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        told.append(f"what Route 53's checkers see is not known: {explain(error, 'route53:GetHealthCheckStatus')}")
    return told


def judged(watched: str, check: str, observations: Sequence[Mapping[str, Any]]) -> str | None:
    """What is wrong with the checkers' last observations of one check; None if nothing is."""
    said = [str((each.get("StatusReport") or {}).get("Status", "")) for each in observations]
    if not any(said):
        return f"Route 53's checkers have said nothing yet of health check {check}: the next pulumi up asks again"
    wrong = [each for each in said if not (_read(each) if watched == "flag" else each.startswith("Success"))]
    if not wrong:
        return None
    how_many = f"{len(wrong)} of {len(said)} say: {wrong[0]}"
    if watched == "flag":
        return (
            f"Route 53's checkers cannot read the traffic flag (health check {check}; {how_many}): a failover would end well and "
            f"move no user; see {_SEE}"
        )
    return (
        f"Route 53's checkers do not find this region's endpoint healthy (health check {check}; {how_many}): users would not be "
        "sent here; see k8s-dr:dns.check"
    )


def _read(status: str) -> bool:
    """Whether a checker got the flag. By day it does not say "secondary", so a checker that read it reports a failure too: HTTP
    200, and the string not found. Route 53 documents no exact words, so the code counts where there is one."""
    if code := _CODE.search(status):
        return code[1] == "200"
    return status.startswith("Success") or "string" in status.lower()
