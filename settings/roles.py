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


DatabaseRole = Literal["primary", "replica", "promoted", "fenced", "demoted", "absent", "recovered"]
"""What one region's side of a database is.

primary: the writable side. replica: follows the other region. promoted: was a replica and is writable now, with the other side's
demotion token in a planned switchover, without one because the other region is dead. demoted: gives up in a planned switchover,
and follows the other region from then on. fenced: the old side after a promotion, stopped with its data, so that no two sides are
written to. A database without a standby (`standby: false`) has two others. absent: no Cluster, only what a recovery will need
(archives and the owner's password). recovered: recovered from the other region's archive, and writable."""

Handover = Literal["planned", "token", "receipt"]
"""What a stack is told of a planned switchover: to give up in good order, to take over by the other region's token, or (the
secondary, whose flag it is) that the primary has taken over."""


@dataclass(frozen=True, kw_only=True)
class Duties:
    """What one region has to do now."""

    serves: bool
    """Whether this region is meant to serve users."""

    takes_over: bool
    """Whether this region serves in place of the other: it restores, scales up, verifies, then takes the traffic."""

    hands_over: bool
    """Whether this region gives up in a planned switchover: it takes a last backup, and its databases give their tokens."""

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

    held: bool
    """Whether this region takes over all but the traffic (`hold`)."""

    restores: bool
    """Whether this region restores the other's backups. It does when it takes over, but not when it takes back what it has given:
    then its own objects are the newest."""

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


def duties(
    role: Role,
    active: Role | None,
    *,
    handover: Handover | None = None,
    hold: bool = False,
    succeeds: bool = False,
    takes_back: bool = False,
) -> Duties:
    """What region `role` has to do. `active` is the region that somebody has set to serve, or None before the first failover.

    `handover` is what its stack is told of a planned switchover, `hold` whether users stay where they are, and `succeeds` whether
    a primary that follows the secondary takes over without a token, because that one is lost. `takes_back` says that the region
    has given up, and serves again because the other one has never taken over.
    """
    serves = role == serving(active)
    takes_over = serves and (role == "secondary" or handover == "token" or succeeds)
    hands_over = not serves and handover == "planned"
    with_standby, without = _DATABASE_ROLES[role, serves]
    if takes_over:
        with_standby, without = "promoted", "recovered"
    elif hands_over:
        with_standby, without = "demoted", "demoted"
    elif serves and takes_back:
        with_standby, without = "promoted", "promoted"
    # In a failover users must not wait: a primary that comes back would go by the flag, and write too.
    held = takes_over and hold and role == "secondary" and handover == "token"
    # Until the primary has taken over, users stay with the secondary that hands over to it.
    flag = role if (serves and not held) or (hands_over and not serves) else peer_of(role)
    return Duties(
        serves=serves,
        takes_over=takes_over,
        hands_over=hands_over,
        scale_to="replicas" if serves else "standbyReplicas",
        enforces_scale=active is not None,
        database=with_standby,
        database_without_standby=without,
        schedules_paused=not serves,
        flag=flag if role == "secondary" else None,
        held=held,
        restores=takes_over and not takes_back,
    )


def refusal(
    role: Role,
    active: Role | None,
    flag: Role | None = None,
    *,
    serves_here: bool = False,
    hands_over: bool = False,
    handover: Handover | None = None,
) -> str | None:
    """Why this configuration must not be applied, or None if it may be.

    A primary that comes back after an outage still has the configuration to serve, while the traffic `flag` says that the
    secondary has taken over; `hands_over` says that the flag names the primary as its successor. And a secondary that serves
    (`serves_here`) must not go back to standby only because `pulumi up` runs with a stack file from before the failover.
    """
    if role == "primary" and serving(active) == "primary" and flag == "secondary":
        if hands_over and handover == "token":
            return None
        if hands_over:
            return (
                "the secondary region hands over to this one, and its token is needed; run: pulumi config set handover "
                '"$(pulumi stack output handover -s secondary)" -s primary && pulumi up -s primary'
            )
        if handover == "token":
            return (
                "the secondary region serves (the traffic flag says secondary, and names no successor), so it has taken back the "
                "handover of which this stack has the token, or never made it; run: pulumi config rm handover -s primary && "
                "pulumi config set active secondary -s primary && pulumi up -s primary"
            )
        return (
            "the secondary region has taken over (the traffic flag says secondary) and two regions must never serve at once; "
            "run: pulumi config set active secondary -s primary && pulumi up -s primary"
        )
    if role == "secondary" and active is None and serves_here:
        return (
            "this region has taken over, but active is not set in Pulumi.secondary.yaml (was that committed?); run: "
            "pulumi config set active secondary -s secondary; to move users back, hand over (docs/runbook.md, From B to A)"
        )
    return None
