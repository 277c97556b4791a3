"""The engine is killed between any two steps of the way round, and the same command goes on: no row is lost, whichever it was.

`make test` kills an `up` of a failover alone. Here the regions hand over to each other again and again, and each time another
step is the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, zip_longest

import pytest

from lab import circle, databases, demo, kept_volume
from lab.circle import User
from lab.world import Lab
from settings.roles import ROLES, Role, peer_of
from tests.lab.conftest import deployed
from tests.lab.interruption import (
    DEMOTED,
    FLAG_WRITTEN,
    LAST_BACKUP_BEGUN,
    NEW_BEGUN,
    OLD_GONE,
    PROMOTED,
    RESTORE_BEGUN,
    TOKEN_THERE,
    VOLUMES_KEPT,
    WORKLOADS_START,
    WORKLOADS_STOPPED,
    Boundary,
    killed_at,
)

GIVES_UP = (WORKLOADS_STOPPED, LAST_BACKUP_BEGUN, DEMOTED, TOKEN_THERE)
TAKES_OVER = (RESTORE_BEGUN, PROMOTED, WORKLOADS_START)

Case = tuple[Role, str, Boundary]
HOME: list[Case] = [
    *(("primary", "gives up", boundary) for boundary in GIVES_UP),
    *(("primary", "takes over", boundary) for boundary in TAKES_OVER),
    ("primary", "moves users", FLAG_WRITTEN),
]
AWAY: list[Case] = [
    *(("secondary", "gives up", boundary) for boundary in GIVES_UP),
    *(("secondary", "takes over", boundary) for boundary in TAKES_OVER),
]
CASES: list[Case] = [case for case in chain.from_iterable(zip_longest(HOME, AWAY)) if case]
"""There and back, in turn."""


@pytest.fixture(scope="module")
def rejoined() -> Iterator[tuple[Lab, User]]:
    """A failover, and a rejoin whose `up` is killed three times."""
    with deployed(Lab(plan=databases.Plan())) as lab:
        demo.fail(lab, cache=False, at_worst=False)
        with circle.user(lab) as user:
            with user.leg("the old primary follows again", "secondary") as record:
                circle.come_back(lab, record)
                circle.set_generation(lab, 2)
                circle.give_up(lab, record)
                circle.make_anew(lab, record, up=killed_at(VOLUMES_KEPT, OLD_GONE, NEW_BEGUN))
            yield lab, user


def test_a_rejoin_that_was_killed_three_times_keeps_the_old_volume_once_and_follows(rejoined: tuple[Lab, User]) -> None:
    lab, user = rejoined
    (claim,) = kept_volume.claims(lab, circle.old_server())
    assert kept_volume.read(lab, claim["metadata"]["name"], "select count(*) > 0 from ledger") == "t"
    circle.wait_for_rows(lab, "primary", user.must_be_there())


@pytest.mark.parametrize(("to", "where", "boundary"), CASES, ids=[f"to the {to}: {where}, {at.name}" for to, where, at in CASES])
def test_an_up_that_is_killed_is_run_again_and_nothing_is_lost(
    rejoined: tuple[Lab, User], to: Role, where: str, boundary: Boundary
) -> None:
    lab, user = rejoined
    if served_by(lab) == to:  # an earlier test failed on its way
        pytest.skip(f"the {to} serves already")
    killed = killed_at(boundary)
    with user.leg(f"to the {to}", to) as record:
        circle.hand_over(lab, to, record, up=killed if where == "gives up" else circle.up)
        circle.take_over(lab, to, record, up=killed if where == "takes over" else circle.up)
        if to == "primary":
            circle.move_users(lab, record, up=killed if where == "moves users" else circle.up)
    assert user.missing(to) == set()
    circle.wait_for_rows(lab, peer_of(to), user.must_be_there())
    for role in ROLES:
        lab.pulumi.up(role, "--expect-no-changes")
    happened = [event.name for event in user.legs[-1].events]
    if early := [name for name in happened if "before it was seen" in name]:
        pytest.skip(f"nothing was interrupted: {early[0]}")
    assert [name for name in happened if name.endswith(f"killed where {boundary.name}")]


def served_by(lab: Lab) -> Role:
    return "primary" if lab.pulumi.outputs("primary")["active"] == "primary" else "secondary"
