"""What a region's side is now: by what the region has to do, and by what lives in its cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.database.live import settings_as_they_run
from components.database.side_role import another_generation, as_it_runs, is_given_up, role_now, server_of
from components.kube.runner.fencing import FENCED
from settings.load import SECRETS, load
from settings.roles import DatabaseRole, Handover, Role, duties, peer_of
from tests.examples import STATIC, example
from tests.unit.components.database.sides import database, live, settings, side


def follower(stack: Role, **changes: Any) -> dict[str, Any]:
    return live(replace(side(stack, "primary", **changes), database_role="replica"))


def writer(stack: Role, **changes: Any) -> dict[str, Any]:
    return live(replace(side(stack, stack, **changes), database_role="promoted"))


def demoted(stack: Role) -> dict[str, Any]:
    body = follower(stack)
    return {**body, "status": {**body["status"], "demotionToken": "a token"}}


def fenced(stack: Role) -> dict[str, Any]:
    body = writer(stack)
    return {**body, "metadata": {**body["metadata"], "annotations": {FENCED: '["*"]'}}}


# stack, active, told, Cluster | the side's role
CASES: list[tuple[Role, Role | None, Handover | None, dict[str, Any] | None, DatabaseRole]] = [
    ("primary", None, None, None, "primary"),
    ("primary", "primary", None, writer("primary"), "primary"),
    ("primary", "secondary", None, writer("primary"), "fenced"),
    ("primary", "secondary", None, fenced("primary"), "fenced"),
    ("primary", "secondary", None, None, "fenced"),
    ("primary", "secondary", None, follower("primary"), "replica"),
    ("primary", "secondary", "planned", writer("primary"), "demoted"),
    ("primary", "secondary", "planned", demoted("primary"), "demoted"),
    ("primary", "secondary", "planned", follower("primary"), "replica"),
    ("primary", "primary", "token", follower("primary"), "promoted"),
    ("primary", "primary", "token", writer("primary"), "promoted"),
    ("secondary", None, None, None, "replica"),
    ("secondary", "primary", None, follower("secondary"), "replica"),
    ("secondary", "primary", None, writer("secondary"), "replica"),
    ("secondary", "primary", None, fenced("secondary"), "fenced"),
    ("secondary", "secondary", None, follower("secondary"), "promoted"),
    ("secondary", "secondary", "token", follower("secondary"), "promoted"),
    ("secondary", "primary", "planned", writer("secondary"), "demoted"),
    ("secondary", "primary", "receipt", follower("secondary"), "replica"),
]


@pytest.mark.parametrize(("stack", "active", "told", "cluster", "role"), CASES)
def test_the_settings_say_what_to_do_and_the_cluster_with_what(
    stack: Role, active: Role | None, told: Handover | None, cluster: dict[str, Any] | None, role: DatabaseRole
) -> None:
    assert role_now(settings(), stack, duties(stack, active, handover=told), cluster) == role


@pytest.mark.parametrize("standby", [True, False])
def test_an_old_generation_is_followed_by_what_the_tier_keeps(standby: bool) -> None:
    anew = settings(generations={"primary": 2}, standby=standby)
    for cluster in (writer("primary"), None):
        assert role_now(anew, "primary", duties("primary", "secondary"), cluster) == ("replica" if standby else "absent")


def test_a_database_without_a_standby_that_has_handed_over_follows_and_is_promoted_like_any_other() -> None:
    without = settings(standby=False)
    assert role_now(without, "primary", duties("primary", "secondary"), follower("primary")) == "replica"
    assert role_now(without, "primary", duties("primary", "primary", handover="token"), follower("primary")) == "promoted"
    assert role_now(without, "secondary", duties("secondary", "secondary", handover="token"), None) == "recovered"


def test_a_primary_that_follows_takes_over_without_a_token_only_as_the_successor() -> None:
    assert role_now(settings(), "primary", duties("primary", "primary", succeeds=True), follower("primary")) == "promoted"


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_a_generation_that_was_raised_is_that_of_the_side_until_that_is_given_up(stack: Role) -> None:
    wanted, old = settings(generations={stack: 2}), f"app-database-{stack}-g1"
    cluster = writer(stack)
    assert server_of(cluster) == old
    for named in (set(), {old}):
        assert as_it_runs(wanted, stack, cluster, named).server(stack) == old
    cluster["metadata"]["annotations"] = {"k8s-dr/given-up": old}
    assert as_it_runs(wanted, stack, cluster, set()).server(stack) == old, "a person may change their mind"
    assert as_it_runs(wanted, stack, cluster, {old}) is wanted
    assert is_given_up(cluster, {old})
    assert as_it_runs(wanted, stack, None, set()) is wanted
    assert as_it_runs(wanted, stack, cluster, set()).generations.of(peer_of(stack)) == 1


def test_a_cluster_of_somebody_elses_making_changes_no_generation() -> None:
    wanted = settings(generations={"primary": 2})
    for name in ("orders-primary-g1", "app-database-primary", "app-database-primary-gx", None):
        odd = {"spec": {"plugins": [{"parameters": {"serverName": name}}] if name else []}}
        assert as_it_runs(wanted, "primary", odd, set()) is wanted


def test_a_generation_by_which_nothing_is_made_anew_is_told_with_both_ways_on() -> None:
    first, second = settings(), settings(generations={"primary": 2})
    said = another_generation(second, first, "primary", set())
    assert said == (
        "k8s-dr:databases[].generations.primary: 2 of database app-database makes nothing anew: app-database-primary-g1 is here, "
        "and nobody has given it up; put the generation back: 1; to make it anew: pulumi config set rejoin "
        "app-database-primary-g1 -s primary && pulumi up -s primary"
    )
    assert another_generation(second, first, "primary", {"app-database-primary-g1"}) is None, "the first up of a rejoin"
    assert another_generation(second, second, "primary", set()) is None
    assert another_generation(second, first, "secondary", set()) is None, "it is the other region's"
    assert str(another_generation(first, second, "primary", set())).endswith("put the generation back: 2"), "it was lowered"


def test_whoever_raises_a_generation_alone_is_warned_where_the_region_stands_by(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", told.append)
    raw = example("primary", {"active": "secondary", **database(generations={"primary": 2}), **STATIC})
    runs = settings_as_they_run(
        load("primary", raw, secrets=SECRETS), {"app-database": writer("primary")}, duties("primary", "secondary")
    )
    assert runs.databases[0].server("primary") == "app-database-primary-g1"
    assert [line for line in told if "nobody has given it up" in line]
