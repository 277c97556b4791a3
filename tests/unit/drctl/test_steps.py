"""What comes next, as a table: a row for each state that an `up` leaves, whole, killed or refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drctl.steps import Configured, End, Next, Step, StepName, Told, failover, rejoin, release, switchover, told
from settings import load
from settings.handover import NOTHING, PLANNED, Token
from settings.load import SECRETS
from settings.roles import ROLES, Role, peer_of
from tests.examples import example

SINCE = "2026-03-01T00:00:00Z"
BEFORE = "2025-11-01T00:00:00Z"
ARCHIVES: dict[Role, dict[str, str]] = {role: {"app-database": f"app-database-{role}-g1"} for role in ROLES}


def token(giver: Role, backup: str = "last") -> Token:
    return Token(given_by=giver, databases={}, backups={"hourly-critical": backup})


def serves(role: Role, *, handover: str = NOTHING, **changes: object) -> Told:
    return replace(
        Told(
            active=role,
            since=SINCE,
            handover=handover,
            databases={"app-database": "primary" if role == "primary" else "promoted"},
            archives=ARCHIVES[role],
            peer_archives=ARCHIVES[peer_of(role)],
            configured=Configured(active=role),
        ),
        **changes,  # type: ignore[arg-type]
    )


def stands_by(role: Role, *, handover: str = NOTHING, side: str = "replica", **changes: object) -> Told:
    return replace(
        serves(role),
        active=peer_of(role),
        since=None,
        handover=handover,
        databases={"app-database": side},
        **{"configured": Configured(active=peer_of(role)), **changes},  # type: ignore[arg-type]
    )


def gave(role: Role, given: Token | None = None) -> Told:
    """A region after its whole `up` with `planned`."""
    given = given or token(role)
    return stands_by(role, handover=given.text, configured=Configured(active=peer_of(role), handover=PLANNED))


def name(following: Next) -> StepName | str:
    return following.name if isinstance(following, Step) else ("end" if following.done else "stop")


@pytest.mark.parametrize("to", ROLES)
def test_a_switchover_begins_in_the_region_that_serves(to: Role) -> None:
    giver = peer_of(to)
    step = switchover(to, {giver: serves(giver), to: stands_by(to)})
    assert isinstance(step, Step)
    assert (step.name, step.stack, dict(step.sets)) == ("give up", giver, {"active": to, "handover": "planned"})


@pytest.mark.parametrize("to", ROLES)
def test_a_region_takes_over_by_the_token_of_the_up_that_this_run_has_seen_end(to: Role) -> None:
    giver = peer_of(to)
    stacks = {giver: gave(giver), to: stands_by(to)}
    step = switchover(to, stacks, ["give up"])
    assert isinstance(step, Step)
    assert (step.name, step.stack, step.reads) == ("take over", to, giver)
    assert dict(step.sets) == {"handover": token(giver).text, "active": to}


@pytest.mark.parametrize("to", ROLES)
def test_a_token_that_nobody_has_carried_yet_may_be_of_an_up_before_one_that_failed(to: Role) -> None:
    """So the region that gives up is brought up again first."""
    giver = peer_of(to)
    assert name(switchover(to, {giver: gave(giver), to: stands_by(to)})) == "give up"


@pytest.mark.parametrize("to", ROLES)
def test_a_token_that_was_carried_is_gone_on_with(to: Role) -> None:
    giver = peer_of(to)
    takes = stands_by(to, configured=Configured(active=to, handover=token(giver).text))
    assert name(switchover(to, {giver: gave(giver), to: takes})) == "take over"


@pytest.mark.parametrize("to", ROLES)
def test_a_token_in_a_file_counts_no_more_once_its_giver_is_told_to_serve_again(to: Role) -> None:
    giver = peer_of(to)
    takes = stands_by(to, configured=Configured(active=to, handover=token(giver).text))
    takes_back = replace(gave(giver), configured=Configured(active=giver))
    assert name(switchover(to, {giver: takes_back, to: takes})) == "give up"


@pytest.mark.parametrize("to", ROLES)
def test_a_token_of_an_earlier_switchover_is_not_carried(to: Role) -> None:
    giver = peer_of(to)
    takes = stands_by(to, configured=Configured(active=to, handover=token(giver, "earlier").text))
    assert name(switchover(to, {giver: gave(giver), to: takes})) == "give up"


def test_users_go_back_to_the_primary_by_its_receipt_and_by_no_other() -> None:
    given = token("secondary")
    stacks = {"secondary": gave("secondary"), "primary": serves("primary", handover=given.receipt)}
    step = switchover("primary", stacks)  # type: ignore[arg-type]
    assert isinstance(step, Step)
    assert (step.name, step.stack, step.reads, dict(step.sets)) == (
        "move users",
        "secondary",
        "primary",
        {"handover": given.receipt},
    )
    stale = {**stacks, "primary": serves("primary", handover=token("secondary", "earlier").receipt)}
    assert name(switchover("primary", stale, ["give up"])) == "take over"  # type: ignore[arg-type]


@pytest.mark.parametrize("to", ROLES)
def test_a_switchover_that_is_done_is_done(to: Role) -> None:
    giver = peer_of(to)
    given = token(giver)
    left = gave(giver) if to == "secondary" else stands_by(giver)
    assert name(switchover(to, {giver: left, to: serves(to, handover=given.receipt)})) == "end"


def test_where_the_primary_has_always_served_nothing_is_to_be_done() -> None:
    assert name(switchover("primary", {"primary": serves("primary"), "secondary": stands_by("secondary")})) == "end"


def test_users_are_held_by_a_key_that_is_set_with_the_token() -> None:
    stacks = {"primary": gave("primary"), "secondary": stands_by("secondary")}
    step = switchover("secondary", stacks, ["give up"], hold=True)  # type: ignore[arg-type]
    assert isinstance(step, Step)
    assert [*step.sets] == ["hold", "handover", "active"]
    held = stands_by("secondary", configured=Configured(active="secondary", handover=token("primary").text, hold=True))
    end = switchover("secondary", {**stacks, "secondary": replace(held, active="secondary")}, hold=True)  # type: ignore[arg-type]
    assert isinstance(end, End)
    assert (end.done, "drctl release" in end.says) == (False, True)


@pytest.mark.parametrize("hold", [False, True])
def test_what_has_not_ended_is_not_taken_for_held(hold: bool) -> None:
    held = stands_by("secondary", configured=Configured(active="secondary", handover=token("primary").text, hold=True))
    assert name(switchover("secondary", {"primary": gave("primary"), "secondary": held}, hold=hold)) == "take over"


def test_a_region_that_served_in_an_earlier_life_is_not_taken_for_held() -> None:
    """Its outputs are of that life: the token in its file is newer, and its `up` has not ended."""
    file = Configured(active="secondary", handover=token("primary").text, hold=True)
    stale = serves("secondary", handover=token("primary", "earlier").receipt, configured=file)
    assert name(switchover("secondary", {"primary": gave("primary"), "secondary": stale}, hold=True)) == "take over"


def test_users_are_let_in_where_they_are_held_and_nowhere_else() -> None:
    held = stands_by("secondary", configured=Configured(active="secondary", hold=True))
    step = release({"secondary": replace(held, active="secondary")})
    assert isinstance(step, Step)
    assert (step.name, dict(step.sets)) == ("release", {"hold": "false"})
    assert name(release({"secondary": held})) == "stop"
    assert name(release({"secondary": serves("secondary")})) == "end"


def test_a_failover_asks_one_stack_and_is_gone_on_with_until_the_region_serves() -> None:
    step = failover({"secondary": stands_by("secondary")})
    assert isinstance(step, Step)
    assert (step.stack, dict(step.sets), step.reads) == ("secondary", {"active": "secondary"}, None)
    killed = stands_by("secondary", configured=Configured(active="secondary"))
    assert name(failover({"secondary": killed})) == "fail over"
    assert name(failover({"secondary": serves("secondary")})) == "end"


def test_a_failover_that_holds_users_says_so_before_the_up_and_is_not_done_after_it() -> None:
    file = Configured(active="secondary", handover=token("primary").text, hold=True)
    held = stands_by("secondary", configured=file)
    step = failover({"secondary": held})
    assert isinstance(step, Step)
    assert "hold and a handover token stand in Pulumi.secondary.yaml" in step.says
    end = failover({"secondary": replace(held, active="secondary")}, ["fail over"])
    assert isinstance(end, End)
    assert (end.done, "drctl release" in end.says) == (False, True)
    for nobody_held in (
        replace(file, hold=False),
        replace(file, handover=None),
        replace(file, handover=token("primary").receipt),
    ):
        step = failover({"secondary": stands_by("secondary", configured=nobody_held)})
        assert isinstance(step, Step)
        assert "hold" not in step.says


@pytest.mark.parametrize(("asked", "in_the_file"), [(True, False), (False, True), (False, False)])
def test_a_takeover_that_holds_users_does_not_say_that_it_moves_them(asked: bool, in_the_file: bool) -> None:
    takes = stands_by("secondary", configured=Configured(active="primary", hold=in_the_file))
    step = switchover("secondary", {"primary": gave("primary"), "secondary": takes}, ["give up"], hold=asked)
    assert isinstance(step, Step)
    moves = not (asked or in_the_file)
    assert ("moves the users" in step.says, "users stay where they are" in step.says) == (moves, not moves)


def test_a_rejoin_goes_from_each_state_to_the_next() -> None:
    wanted = {"app-database": "app-database-primary-g2"}
    secondary = serves("secondary")
    fenced = stands_by("primary", side="fenced")
    asked = replace(fenced, configured=Configured(active="secondary", rejoin=("app-database-primary-g1",)))
    anew = stands_by("primary", archives=wanted)
    rows: list[tuple[Told, Told, str]] = [
        (serves("primary", since=BEFORE), secondary, "stand by"),
        (replace(fenced, archives={}), secondary, "stand by"),
        (fenced, secondary, "give up the old database"),
        (asked, secondary, "give up the old database"),
        (replace(asked, given_up=True), secondary, "make anew"),
        (anew, secondary, "learn"),
        (anew, serves("secondary", peer_archives=wanted), "end"),
    ]
    for primary, other, expected in rows:
        assert name(rejoin("primary", wanted, {"primary": primary, "secondary": other})) == expected


def test_a_generation_is_a_persons_to_raise() -> None:
    stacks: dict[Role, Told] = {"primary": stands_by("primary", side="fenced"), "secondary": serves("secondary")}
    following = rejoin("primary", ARCHIVES["primary"], stacks)
    assert isinstance(following, End)
    assert not following.done
    assert "app-database: generations: {primary: 2}" in following.says


@pytest.mark.parametrize("role", ROLES)
def test_nobody_rejoins_a_region_that_does_not_serve(role: Role) -> None:
    stacks = {role: serves(role), peer_of(role): stands_by(peer_of(role))}
    assert name(rejoin(role, {}, stacks)) == "stop"


@pytest.mark.parametrize("last", ROLES)
def test_the_region_that_took_over_last_is_never_told_to_stand_by(last: Role) -> None:
    """The one that was away says still that it serves, whichever it is."""
    away = peer_of(last)
    stacks = {last: serves(last), away: serves(away, since=BEFORE)}
    stopped = rejoin(last, ARCHIVES[last], stacks)
    assert isinstance(stopped, End)
    assert not stopped.done
    assert f"did you mean --region {away}?" in stopped.says
    step = rejoin(away, ARCHIVES[away], stacks)
    assert isinstance(step, Step)
    assert (step.name, step.stack) == ("stand by", away)


def test_a_step_is_printed_as_the_commands_of_the_runbook() -> None:
    topology = load("primary", example("primary"), SECRETS).topology
    step = switchover("secondary", {"primary": gave("primary"), "secondary": stands_by("secondary")}, ["give up"])
    assert isinstance(step, Step)
    assert step.commands(topology) == [
        "export PULUMI_BACKEND_URL='s3://acme-pulumi-us-east-1?region=us-east-1'",
        "handover=$(pulumi stack output handover -s primary)",
        "export PULUMI_BACKEND_URL='s3://acme-pulumi-us-west-2?region=us-west-2'",
        'pulumi config set handover "$handover" -s secondary',
        "pulumi config set active secondary -s secondary",
        "pulumi up -s secondary",
    ]


def test_a_stack_that_was_never_brought_up_says_nothing() -> None:
    assert told({}, Configured()) is None
    found = told({"active": "primary", "details": {"serving": {"since": SINCE}, "archives": {"a": "b"}}}, Configured())
    assert found is not None
    assert (found.since, found.handover, dict(found.archives), found.given_up) == (SINCE, NOTHING, {"a": "b"}, False)
