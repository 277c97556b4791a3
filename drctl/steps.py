"""What comes next, as pure functions of what both stacks say: nothing is remembered from one run to the next.

The sequence is the runbook's (Fail over, Rejoin, Switchover). Each state that a killed or refused `up` leaves is one from which
the same function goes on: an output counts only for what the `up` that wrote it had done to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from settings.handover import NOTHING, PLANNED, HandoverInvalidError, Token, parse
from settings.roles import ROLES, Role, peer_of
from settings.topology import Topology


@dataclass(frozen=True, kw_only=True)
class Configured:
    """What a stack's file says beside what never changes."""

    active: Role | None = None
    handover: str | None = None
    hold: bool = False
    rejoin: tuple[str, ...] = ()

    @property
    def has_token(self) -> bool:
        """Whether a token is in the file, by which a takeover counts as planned."""
        try:
            return isinstance(parse(self.handover or NOTHING), Token)
        except HandoverInvalidError:
            return False


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a stack says: its outputs, as the last `up` that ended has left them, and its file."""

    active: Role
    """The region that serves, by this stack."""

    since: str | None = None
    """Since when this region serves users; None if it does not, or holds them."""

    handover: str = NOTHING
    """What the other stack is told: a token, a receipt, or `none`."""

    databases: Mapping[str, str] = field(default_factory=dict)
    """The side of each database here."""

    archives: Mapping[str, str] = field(default_factory=dict)
    """By database, the archive under which it runs here."""

    peer_archives: Mapping[str, str] = field(default_factory=dict)
    """By database, the other region's archive, as this stack knows it."""

    given_up: bool = False
    """Whether an old database is marked as given up, and nothing is deleted yet."""

    configured: Configured = field(default_factory=Configured)

    def token_for(self, other: Role) -> Token | None:
        """The token that this stack gives to region `other`; None if it gives none."""
        if self.active != other:
            return None
        try:
            token = parse(self.handover)
        except HandoverInvalidError:
            return None
        return token if isinstance(token, Token) and token.given_by == peer_of(other) else None


def told(outputs: Mapping[str, Any], configured: Configured) -> Told | None:
    """What a stack's outputs say. None if it has none: it was never brought up."""
    details = outputs.get("details") or {}
    if outputs.get("active") not in ROLES or "serving" not in details:
        return None
    return Told(
        active=outputs["active"],
        since=details["serving"].get("since"),
        handover=str(outputs.get("handover") or NOTHING),
        databases=dict(details.get("databases") or {}),
        archives=dict(details.get("archives") or {}),
        peer_archives=dict(details.get("peerArchives") or {}),
        given_up=bool(details.get("givenUp")),
        configured=configured,
    )


StepName = Literal[
    "fail over",
    "stand by",
    "give up",
    "give up the old database",
    "make anew",
    "learn",
    "take over",
    "move users",
    "release",
]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One `pulumi up`, with what is configured before it."""

    name: StepName
    stack: Role
    says: str
    """What it does, in the words of whoever is asked to agree."""

    sets: Mapping[str, str] = field(default_factory=dict)
    reads: Role | None = None
    """The stack whose output `handover` is among `sets`."""

    def commands(self, topology: Topology) -> list[str]:
        """What a person would type, a line each."""
        lines = []
        if self.reads:
            lines += [*backend(topology, self.reads), f"handover=$(pulumi stack output handover -s {self.reads})"]
        lines += backend(topology, self.stack)
        for key, value in self.sets.items():
            shown = '"$handover"' if key == "handover" and self.reads else value
            lines.append(f"pulumi config set {key} {shown} -s {self.stack}")
        return [*lines, f"pulumi up -s {self.stack}"]


def backend(topology: Topology, stack: Role) -> list[str]:
    """The line that leads a shell to a stack's backend; none where it is not written down."""
    if topology.backends is None:
        return []
    return [f"export PULUMI_BACKEND_URL='{getattr(topology.backends, stack)}'"]


@dataclass(frozen=True, kw_only=True)
class End:
    """There is no further step: all is done, or a person has to do something first."""

    says: str
    done: bool = True


Next = Step | End
Decide = Callable[[Mapping[Role, Told], Collection[StepName]], Next]
"""The next step, from what the stacks say and the names of the steps that this run has done."""


_HELD = (
    "hold and a handover token stand in Pulumi.secondary.yaml, so no user is moved until drctl release; to move them at once, "
    "first: pulumi config rm hold -s secondary"
)


def failover(stacks: Mapping[Role, Told], done: Collection[StepName] = ()) -> Next:
    """Region B takes over. Only its own stack is asked."""
    secondary = stacks["secondary"]
    if secondary.active == "secondary" and secondary.since and secondary.configured.active == "secondary":
        return End(says=f"the secondary serves since {secondary.since}; when the primary comes back: drctl rejoin")
    if "fail over" in done:
        return End(says="the up has ended, and users are held: nobody is served; to let them in: drctl release", done=False)
    holds = secondary.configured.hold and secondary.configured.has_token
    return Step(
        name="fail over",
        stack="secondary",
        says="the secondary takes over; what the primary had acknowledged and the secondary does not have is lost"
        + (f"; {_HELD}" if holds else ""),
        sets={"active": "secondary"},
    )


def switchover(to: Role, stacks: Mapping[Role, Told], done: Collection[StepName] = (), *, hold: bool = False) -> Next:
    """Users go to region `to` in good order.

    A token counts only if the `up` that printed it has ended, and one that failed may leave an old one behind. So the region that
    gives up is brought up again in each run, unless its token has been carried already.
    """
    giver = peer_of(to)
    gives, takes = stacks[giver], stacks[to]
    token = gives.token_for(to)
    if token is None:
        if takes.active == to and takes.since and gives.active == to:
            return End(says=f"the {to} serves since {takes.since}, and the {giver} stands by")
        return _give_up(giver, to)
    if takes.active == to and takes.handover == token.receipt:
        if to == "secondary":
            return End(says=f"the secondary serves since {takes.since}, and the primary stands by")
        return Step(
            name="move users",
            stack="secondary",
            says="the secondary moves the users to the primary, which has taken over",
            sets={"handover": token.receipt},
            reads="primary",
        )
    carried = takes.configured.active == to and takes.configured.handover == token.text
    told_to_give = gives.configured.active == to and gives.configured.handover == PLANNED
    if carried and takes.active == to and not takes.since and takes.configured.hold:
        return End(
            says="the secondary has taken over all but the traffic, and users are held, so nobody can write; to let them in: "
            "drctl release",
            done=False,
        )
    if "give up" not in done and not (carried and told_to_give):
        return _give_up(giver, to)
    return Step(
        name="take over",
        stack=to,
        says=f"the {to} takes over by the token of the {giver}"
        + (
            ", and moves the users"
            if to == "secondary" and not (hold or takes.configured.hold)
            else "; users stay where they are"
        ),
        sets={**({"hold": "true"} if hold else {}), "handover": token.text, "active": to},
        reads=giver,
    )


def release(stacks: Mapping[Role, Told], _: Collection[StepName] = ()) -> Next:
    """Users come into a secondary that has taken over all but the traffic."""
    secondary = stacks["secondary"]
    if secondary.since and not secondary.configured.hold:
        return End(says=f"nobody is held: the secondary serves since {secondary.since}")
    if secondary.active != "secondary":
        return End(
            says="the secondary has not taken over, so it holds nobody; first: drctl switchover --to secondary", done=False
        )
    return Step(
        name="release",
        stack="secondary",
        says="users come into the secondary, once its checks and its endpoint have answered",
        sets={"hold": "false"},
    )


def _give_up(giver: Role, to: Role) -> Step:
    return Step(
        name="give up",
        stack=giver,
        says=f"the {giver} gives up in good order; from then on nobody can write until users have arrived in the {to}",
        sets={"active": to, "handover": PLANNED},
    )


def rejoin(role: Role, wanted: Mapping[str, str], stacks: Mapping[Role, Told]) -> Next:
    """Region `role`, which was replaced, follows the other one again. `wanted` is its archive of each database, as Pulumi.yaml
    says now: a person raises the generation."""
    server = peer_of(role)
    mine, other = stacks[role], stacks[server]
    if other.active != server or not other.since:
        return End(says=f"the {server} does not serve, so there is nobody whom the {role} could follow", done=False)
    # A region that was away says still that it serves, as the last `up` there left it. The one that took over later is right.
    if mine.active == role and mine.since and mine.since >= other.since:
        return End(
            says=f"the {role} serves since {mine.since}, and the {server} says that it has served since {other.since}; did you "
            f"mean --region {server}?",
            done=False,
        )
    stopped = [name for name, side in mine.databases.items() if side == "fenced"]
    # The outputs of an older version name no archive: an `up` of this one does.
    if mine.active == role or not {*stopped} <= {*mine.archives}:
        return Step(name="stand by", stack=role, says=f"the {role} is stopped on its old data", sets={"active": server})
    if stopped:
        return _make_anew(role, wanted, mine, {name: mine.archives[name] for name in stopped})
    if any(other.peer_archives.get(name, archive) != archive for name, archive in mine.archives.items()):
        return Step(name="learn", stack=server, says=f"the {server} learns the names of the new archives")
    return End(says=f"the {role} follows the {server}")


def _make_anew(role: Role, wanted: Mapping[str, str], mine: Told, old: Mapping[str, str]) -> Next:
    if unraised := [name for name, archive in old.items() if wanted.get(name) == archive]:
        lines = [f"{name}: generations: {{{role}: {_generation(old[name]) + 1}}}" for name in unraised]
        return End(says=f"raise the generation in Pulumi.yaml, then run this again: {'; '.join(lines)}", done=False)
    if not mine.given_up or not {*old.values()} <= {*mine.configured.rejoin}:
        return Step(
            name="give up the old database",
            stack=role,
            says="the old databases are marked as given up; nothing is deleted",
            sets={"rejoin": ",".join(old.values())},
        )
    return Step(
        name="make anew",
        stack=role,
        says="the volumes of the old databases are kept under other names, their Clusters are deleted, and new ones follow",
    )


def _generation(archive: str) -> int:
    return int(archive.rpartition("-g")[2])
