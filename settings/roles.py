"""What each region does, as one pure function (`duties`). Components ask it and do not decide by themselves.

Its table is in docs/roles.md and, as a test, in tests/unit/settings/test_roles.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["primary", "secondary"]
ROLES: tuple[Role, ...] = get_args(Role)


def peer_of(role: Role) -> Role:
    return "secondary" if role == "primary" else "primary"


DatabaseRole = Literal["primary", "replica", "promoted", "fenced", "absent", "recovered"]
"""What one region's side of a database is.

primary: the writable side. replica: follows the primary. promoted: was a replica and is writable now, promoted without a
demotion token because the primary is dead. fenced: the old primary after a promotion, stopped with its data, so that no two
sides are written to. A database without a standby (`standby: false`) has two others. absent: no Cluster, only what a recovery
will need (archives and the owner's password). recovered: recovered from the dead primary's archive, and writable."""


@dataclass(frozen=True, kw_only=True)
class Duties:
    """What one region has to do now."""

    serves: bool
    """Whether this region is meant to serve users."""

    takes_over: bool
    """Whether this region serves in place of the primary: it restores, scales up, verifies, then takes the traffic."""

    scale_to: Literal["replicas", "standbyReplicas"]
    """Which of a workload's two replica counts applies here."""

    enforces_scale: bool
    """Whether the program scales workloads. It does not until somebody sets `active`, which the first failover does:
    installing disaster recovery must never scale a running production."""

    database: DatabaseRole
    """What this region's side is, of each database that has a standby."""

    database_without_standby: DatabaseRole
    """What this region's side is, of each database that has none (`standby: false`)."""

    schedules_paused: bool
    """Whether scheduled backups pause. Only the region that serves takes them: those of a standby would be empty."""

    flag: Role | None
    """What this region writes into the traffic flag; None for the primary. Only the secondary region writes the flag, because it
    has to move the traffic when the primary is dead."""

    def database_role(self, *, standby: bool) -> DatabaseRole:
        """What this region's side is, of a database that has a standby or has none."""
        return self.database if standby else self.database_without_standby


def serving(active: Role | None) -> Role:
    """The region that serves: the primary, until somebody sets `active`."""
    return active or "primary"


# (region, whether it serves) to (its side of a database with a standby, its side of a database without one).
_DATABASE_ROLES: dict[tuple[Role, bool], tuple[DatabaseRole, DatabaseRole]] = {
    ("primary", True): ("primary", "primary"),
    ("primary", False): ("fenced", "fenced"),
    ("secondary", False): ("replica", "absent"),
    ("secondary", True): ("promoted", "recovered"),
}


def duties(role: Role, active: Role | None) -> Duties:
    """What region `role` has to do. `active` is the region that somebody has set to serve, or None before the first failover."""
    serves = role == serving(active)
    with_standby, without = _DATABASE_ROLES[role, serves]
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
    """Why this configuration must not be applied, or None if it may be.

    A primary that comes back after an outage still has the configuration to serve, while the traffic `flag` says that the
    secondary has taken over. And a secondary that serves (`serves_here`) must not go back to standby only because `pulumi up`
    runs with a stack file from before the failover.
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
