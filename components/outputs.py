"""What `pulumi up` prints at the end: who is active, where traffic goes, what is backed up where, and what to do next."""

from __future__ import annotations

from typing import Any

import pulumi

from components.failover.failover import Failover
from settings.model import Settings
from settings.names import Names
from settings.roles import Duties


def outputs(settings: Settings, names: Names, duties: Duties, failover: Failover) -> dict[str, pulumi.Input[Any]]:
    """The stack's outputs, in the words of whoever reads them at 3 a.m."""
    return {
        "active": settings.serving_role,
        "serving": failover.since.apply(lambda since: _serving(settings, names, duties, since)),
        "protected": [
            {
                "namespaces": ", ".join(backup.include) or f"all but {', '.join(backup.exclude)}".removesuffix(" but "),
                "schedule": names.schedule(backup.name, settings.role),
                "cron": backup.cron,
                "keep": backup.keep,
                "runs": not duties.schedules_paused,
                "copy": f"s3://{names.peer_bucket('velero')}/{names.velero_prefix(settings.role)}"
                if settings.peer_ready
                else "none: set k8s-dr:peerReady to true",
            }
            for backup in settings.backups
        ],
        "databases": failover.databases,
        "targets": settings.objectives.model_dump(by_alias=True),
        "failover": failover.timeline,
        "next": _next(settings, names),
    }


def _serving(settings: Settings, names: Names, duties: Duties, since: str | None) -> dict[str, Any]:
    """The region that serves users and, if it is this one, since when."""
    endpoint = settings.endpoint if isinstance(settings.endpoint, str) else settings.endpoint.name
    both_serve = settings.dns.both_serve and settings.serving_role == "primary"
    second_region = {"also": names.topology.regions.secondary} if both_serve else {}
    if duties.serves:
        return {"region": names.region, **second_region, "since": since, "names": settings.dns.names, "endpoint": endpoint}
    return {"region": names.peer_region, **second_region, "names": settings.dns.names}


def _next(settings: Settings, names: Names) -> str:
    """What to do next, in one line."""
    role = settings.role
    failover_command = "pulumi config set active secondary -s secondary && pulumi up -s secondary"
    if settings.force:
        return f"force is set, and the gate asks less: pulumi config rm force -s {role}"
    if not settings.peer_ready:
        return "no backup leaves this region: once the other stack is up set k8s-dr:peerReady to true, then pulumi up"
    if settings.serving_role == "primary":
        return f"if {names.topology.regions.primary} is lost: {failover_command}"
    if role == "secondary":
        wait_seconds = 30 + settings.dns.ttl
        return (
            f"users arrive within {wait_seconds} s (health checks 30 s, DNS {settings.dns.ttl} s); when the primary comes "
            "back, before anything else: pulumi config set active secondary -s primary && pulumi up -s primary"
        )
    return "this region stands by; the secondary serves"
