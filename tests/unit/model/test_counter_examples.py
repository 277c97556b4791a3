"""What the machine has found, each as the shortest way to it, so that it is found again at once."""

from __future__ import annotations

import pytest

from settings.roles import ROLES, Role
from tests.unit.model.helper import Helper, rejoin
from tests.unit.model.machine import Pair, PairWithoutDatabases
from tests.unit.model.world import Checkout, World


@pytest.fixture
def pair() -> Pair:
    made = Pair()
    made.deploy()
    return made


def failed_over(pair: Pair) -> tuple[World, Checkout]:
    """The secondary serves, and the primary follows it."""
    pair.fails_over_after_a_death(0)
    pair.world.replicate("primary")
    assert (pair.world.served_by_flag, pair.world.well) == ("secondary", True)
    return pair.world, pair.people[0]


def test_hold_in_a_region_that_serves_sends_nobody_to_the_region_that_was_lost(pair: Pair) -> None:
    world, person = failed_over(pair)
    person.files["secondary"].hold = True
    assert world.up("secondary", person) is None
    assert world.served_by_flag == "secondary"
    assert world.sites["secondary"].serving


def test_a_stale_file_moves_no_users_while_the_primary_has_not_taken_over(pair: Pair) -> None:
    world, person = failed_over(pair)
    person.files["secondary"].active, person.files["secondary"].handover = "primary", "planned"
    assert world.up("secondary", person) is None
    stale = Checkout(generations=dict(person.generations))
    said = world.up("secondary", stale)
    assert said is not None
    assert "this region has handed over to the primary, which may not have taken over yet; users stay here" in said
    assert world.served_by_flag == "secondary"


@pytest.mark.parametrize("force", [False, True])
def test_a_region_that_serves_never_begins_empty_in_place_of_what_a_person_gives_up(pair: Pair, force: bool) -> None:
    """The guard has stopped the primary, a person has begun to rejoin it, and then the secondary is lost for good."""
    world, person = pair.world, pair.people[0]
    world.sites["primary"].die()
    pair.fails_over(0, None)
    world.sites["primary"].heal()
    person.files["primary"].active, person.files["primary"].rejoin = "secondary", "app-database-primary-g1"
    person.generations["primary"] = 2
    assert world.up("primary", person) is None
    world.sites["secondary"].die()
    person.files["primary"].active, person.files["primary"].force = "primary", force
    before = world.sites["primary"].data
    said = world.up("primary", person)
    assert said is not None
    assert "app-database-primary-g1 runs, and cannot go on as app-database-primary-g2" in said
    assert world.sites["primary"].data is before


@pytest.mark.parametrize("secondary_lives", [False, True])
def test_a_primary_is_not_given_up_before_the_secondary_has_taken_over(pair: Pair, secondary_lives: bool) -> None:
    world, person = pair.world, pair.people[0]
    pair.gives_up_by_plan(0, "primary", None, True)
    if not secondary_lives:
        world.sites["secondary"].die()
    before = world.sites["primary"].data
    rejoin(world, person, "primary")
    assert world.sites["primary"].data is before
    said = world.up("primary", person)
    assert said is not None
    assert "is not given up, because the secondary region is not known to have taken over" in said


def test_a_region_does_not_give_up_in_favour_of_one_that_has_left_its_timeline(pair: Pair) -> None:
    world, person = pair.world, pair.people[0]
    pair.gives_up_by_plan(0, "primary", None, True)
    pair.fails_over(0, None)  # without the token, and without the last WAL
    person.files["primary"].handover = None
    for role in ROLES:
        world.replicate(role)
    person.files["secondary"].active, person.files["secondary"].handover = "primary", "planned"
    said = world.up("secondary", person)
    assert said is not None
    assert "is on an older timeline" in said
    assert world.writers == ["secondary"]


@pytest.mark.parametrize("lost", ROLES)
def test_the_helper_finds_the_way_back_from_the_death_of_either_region_in_a_switchover(pair: Pair, lost: Role) -> None:
    pair.gives_up_by_plan(0, "primary", 2, True)
    pair.world.sites[lost].die()
    Helper(pair.world, pair.people[0]).bring_back()
    assert pair.world.well


def without_databases() -> tuple[World, Checkout]:
    """The primary dies, the secondary serves, and users write there."""
    made = PairWithoutDatabases()
    made.deploy()
    made.world.sites["primary"].die()
    made.fails_over(0, None)
    made.world.write("secondary")
    return made.world, made.people[0]


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_stack_file_of_yesterday_leaves_no_file_behind_where_no_database_was_promoted(comes_back: bool) -> None:
    world, person = without_databases()
    if comes_back:
        world.sites["primary"].heal()
        world.guard("primary")
    person.files["secondary"].active = "primary"
    said = world.up("secondary", person)
    assert said is not None
    assert "this region serves (the traffic flag says secondary), and has not handed over" in said
    world.check()
    assert world.writers == ["secondary"]


@pytest.mark.parametrize("pair_of", [Pair, PairWithoutDatabases])
def test_active_secondary_in_the_wrong_stack_stops_nobody(pair_of: type[Pair]) -> None:
    made = pair_of()
    made.deploy()
    made.people[0].files["primary"].active = "secondary"
    said = made.world.up("primary", made.people[0])
    assert said is not None
    assert "this region serves (the traffic flag says primary), and has not handed over" in said
    assert made.world.writers == ["primary"]
