"""Who does what, as one pure function: every component asks it and decides nothing itself.

The table is in docs/roles.md and, as a test, in tests/unit/settings/test_roles.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["primary", "secondary"]
ROLES: tuple[Role, ...] = get_args(Role)


def peer_of(role: Role) -> Role:
    return "secondary" if role == "primary" else "primary"


@dataclass(frozen=True, kw_only=True)
class Duties:
    """What one region does now."""

    serves: bool
    """Users are meant to be served from here."""

    takes_over: bool
    """Serves in place of the region that normally does: restores, scales up, verifies, then takes the traffic."""

    scale_to: Literal["replicas", "standbyReplicas"]
    """Which of a workload's two numbers holds here."""

    enforces_scale: bool
    """Whether the program scales workloads. Not before the first failover: installing disaster recovery must never
    scale a running production, and a standby that was never used has nothing to scale."""

    schedules_paused: bool
    """Only the serving region backs up on schedule: a standby would record its own emptiness."""

    flag: Role | None
    """What the traffic flag says. It belongs to the secondary, the region that has to move it when the primary is dead."""


def duties(role: Role, active: Role) -> Duties:
    """What the region `role` does while `active` is the configured active region."""
    serves = role == active
    return Duties(
        serves=serves,
        takes_over=serves and role == "secondary",
        scale_to="replicas" if serves else "standbyReplicas",
        enforces_scale=active == "secondary",
        schedules_paused=not serves,
        flag=active if role == "secondary" else None,
    )


def refusal(role: Role, active: Role, flag: Role | None) -> str | None:
    """Why this configuration must not be applied, given what the traffic flag says; None if it may.

    A primary that comes back from the dead still says `active: primary`, while its standby has taken over.
    """
    if role == "primary" and active == "primary" and flag == "secondary":
        return (
            "the secondary region has taken over (the traffic flag says secondary) and two regions must never serve at once; "
            "run: pulumi config set active secondary -s primary && pulumi up -s primary"
        )
    return None
