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


DatabaseRole = Literal["primary", "replica", "promoted", "fenced", "absent", "recovered"]
"""What a region's half of a database is: the writable one; a follower; a follower that was promoted without a token, for the
other half is dead; or, after that, the old one, stopped with its data, so that nobody writes twice. Where no standby is kept: not
there, but for what it would be recovered with; and recovered, from the archive of the half that is dead."""


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
    """Whether the program scales workloads. Not before somebody has set `active`, which the first failover does: installing
    disaster recovery must never scale a running production, and a standby that was never used has nothing to scale."""

    database: DatabaseRole
    """What this region's half of each database is that has a standby."""

    database_without_standby: DatabaseRole
    """What this region's half of each database is that has none (`standby: false`)."""

    schedules_paused: bool
    """Only the serving region backs up on schedule: a standby would record its own emptiness."""

    flag: Role | None
    """What the traffic flag says. It belongs to the secondary, the region that has to move it when the primary is dead."""

    def database_role(self, *, standby: bool) -> DatabaseRole:
        """What this region's half is of a database that has a standby, or has none."""
        return self.database if standby else self.database_without_standby


def serving(active: Role | None) -> Role:
    """The region that serves: the primary, until somebody decides."""
    return active or "primary"


# Stack, and whether it serves, to what its half of a database is, with a standby and without.
_DATABASE: dict[tuple[Role, bool], tuple[DatabaseRole, DatabaseRole]] = {
    ("primary", True): ("primary", "primary"),
    ("primary", False): ("fenced", "fenced"),
    ("secondary", False): ("replica", "absent"),
    ("secondary", True): ("promoted", "recovered"),
}


def duties(role: Role, active: Role | None) -> Duties:
    """What the region `role` does; `active` is what somebody has set, None before the first failover."""
    serves = role == serving(active)
    with_standby, without = _DATABASE[role, serves]
    return Duties(
        serves=serves,
        takes_over=serves and role == "secondary",
        scale_to="replicas" if serves else "standbyReplicas",
        enforces_scale=active is not None,
        database=with_standby,
        database_without_standby=without,
        schedules_paused=not serves,
        flag=serving(active) if role == "secondary" else None,
    )


def refusal(role: Role, active: Role | None, flag: Role | None = None, *, serves_here: bool = False) -> str | None:
    """Why this configuration must not be applied; None if it may.

    A primary that comes back from the dead still believes that it serves, while `flag`, the traffic flag, says that its standby
    has taken over. And a secondary that `serves_here` must not be sent back to standing by because the stack file of whoever
    runs `pulumi up` has never heard of the failover.
    """
    if role == "primary" and serving(active) == "primary" and flag == "secondary":
        return (
            "the secondary region has taken over (the traffic flag says secondary) and two regions must never serve at once; "
            "run: pulumi config set active secondary -s primary && pulumi up -s primary"
        )
    if role == "secondary" and active is None and serves_here:
        return (
            "this region has taken over, but active is not set in Pulumi.secondary.yaml (was that committed?); run: "
            "pulumi config set active secondary -s secondary; or, to move users back: "
            "pulumi config set active primary -s secondary"
        )
    return None
