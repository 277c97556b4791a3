"""Whether Route 53's checkers can read the traffic flag, asked at any time: where they cannot, a failover moves nobody.

Each `up` of the stack that owns the check asks the same, and that stack alone knows the check's id. Here it is found by the
records of the names that users call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import botocore.exceptions

from components.iam.errors import explain
from components.traffic import checkers
from components.traffic.records import set_identifier
from settings import Settings
from settings.names import FLAG_KEY
from settings.roles import ROLES

_RIGHTS = "route53:ListResourceRecordSets and route53:GetHealthCheck"
_LISTED = "20"
"""Records from the name on: its own come first, and there is one a region."""


def flag_unseen(settings: Settings) -> list[str]:
    """A line for each health check whose checkers cannot read the flag, or one that this is not known. In mode `record` the flag
    moves nobody, and no check reads it."""
    if settings.dns.mode == "record":
        return []
    try:
        found = [*dict.fromkeys(_of_the_flag(checkers.client(settings.aws), settings))]
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        return [f"what Route 53's checkers see is not known: {explain(error, _RIGHTS)}"]
    if not found:
        return [
            f"what Route 53's checkers see is not known: no record of {settings.dns.names[0]} has a health check that reads the "
            "traffic flag; see docs/traffic.md#what-is-in-route-53"
        ]
    return [line for check in found for line in checkers.unseen(settings.aws, {"flag": check})]


def _of_the_flag(client: Any, settings: Settings) -> Iterator[str]:
    """The ids of the checks that read the flag, of both regions' records of the first name. All names have the same."""
    host = settings.dns.names[0]
    ours = {set_identifier(role, host) for role in ROLES}
    listed = client.list_resource_record_sets(HostedZoneId=settings.dns.zone_id, StartRecordName=f"{host}.", MaxItems=_LISTED)
    for record in listed["ResourceRecordSets"]:
        if record.get("SetIdentifier") in ours and (check := record.get("HealthCheckId")):
            config = _config(client, check)
            parts = config.get("ChildHealthChecks") or ()
            asked = {part: _config(client, part) for part in parts} if parts else {check: config}
            yield from (each for each, one in asked.items() if one.get("ResourcePath") == f"/{FLAG_KEY}")


def _config(client: Any, check: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = client.get_health_check(HealthCheckId=check)["HealthCheck"]["HealthCheckConfig"]
    return found
