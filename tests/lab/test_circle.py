"""The way round: a region died and the other took over; the old one comes back, follows again, and both hand over to each
other by plan. A client writes all the time, and every acknowledged row is looked up in both regions' databases at the end.

The legs are fixtures, each of which goes on from the one before; the tests are in the same order. They begin in the lab that the
tests of the data leave, or in one of their own. A second way home after users were held is in tests/long/test_circle_files.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.kube.kept import KEPT_OF
from components.kube.records import HANDOVER_RECORD
from lab import circle, databases, demo, kept_volume, late_writer, project
from lab.circle import User
from lab.failover import Record
from lab.world import Lab
from report.legs import Leg
from settings.names import PROGRAM_NAMESPACE
from settings.roles import ROLES, Role
from tests.lab.changed import Changed
from tests.lab.conftest import Keeper, answer, deployed
from tests.lab.prompt import PromptLab

AT = {role: project.load_balancer(role) for role in ROLES}
FROM_B = Changed(secret="of-b", config="of-b", made="in-b", replicas=4, node_port=30100)
FROM_A = Changed(secret="of-a", config="of-a", made="in-a", replicas=5, node_port=30101)


@dataclass(kw_only=True)
class Circle:
    """The lab with its user, and what was seen on the way, by leg."""

    lab: Lab
    user: User
    late_rows: int
    """Rows that the old primary took alone after it had come back."""

    seen: dict[str, Any] = field(default_factory=dict)

    def leg(self, name: str) -> Leg:
        return next(leg for leg in self.user.legs if leg.name == name)

    def change_nothing(self) -> None:
        """Another `up` of both stacks, side by side as the lab deploys them."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda role: self.lab.pulumi.up(role, "--expect-no-changes"), ROLES))


@pytest.fixture(scope="module")
def asleep(keeper: Keeper) -> Iterator[Lab]:
    """The secondary serves, and the old primary has come back and stands by."""

    def suits(lab: Lab) -> bool:
        return lab.plan == databases.Plan() and not lab.files and circle.is_asleep(lab)

    if lab := keeper.take(suits):
        try:
            yield lab
        finally:
            lab.down()
        return
    with deployed(PromptLab(plan=databases.Plan())) as lab:
        late_writer.install(lab.kubectl)
        demo.fail(lab, cache=False, at_worst=False)
        circle.come_back(lab, Record())
        yield lab


@pytest.fixture(scope="module")
def going(asleep: Lab) -> Iterator[Circle]:
    """What earlier tests need is taken away, and the client runs."""
    rows = sum(attempt.taken for attempt in late_writer.attempts(asleep.kubectl))
    late_writer.remove(asleep.kubectl)
    asleep.kubectl("secondary", "delete", "namespace", "recovered", "--ignore-not-found", "--wait=true", "--timeout=120s")
    with circle.user(asleep) as user:
        user.wait_served("secondary")
        yield Circle(lab=asleep, user=user, late_rows=rows)


def uid(lab: Lab, role: Role) -> str:
    return str(circle.cluster_of(lab, role)["metadata"]["uid"])


def test_a_raised_generation_without_a_word_of_what_is_given_up_changes_nothing(going: Circle) -> None:
    before = uid(going.lab, "primary")
    circle.set_generation(going.lab, 2)
    going.lab.pulumi.up("primary", "--expect-no-changes")
    assert uid(going.lab, "primary") == before
    assert kept_volume.claims(going.lab, circle.old_server()) == []


# The old primary follows again

REJOIN = "the old primary follows again"


@pytest.fixture(scope="module")
def rejoined(going: Circle) -> Circle:
    lab = going.lab
    going.seen["uid"] = uid(lab, "primary")
    with going.user.leg(REJOIN, "secondary") as record:
        circle.set_generation(lab, 2)
        circle.give_up(lab, record)
        going.seen["after the first up"] = {
            "uid": uid(lab, "primary"),
            "kept": kept_volume.claims(lab, circle.old_server()),
            "next": lab.pulumi.outputs("primary")["next"],
        }
        circle.make_anew(lab, record)
    return going


def test_the_first_up_of_a_rejoin_deletes_nothing_and_names_the_second(rejoined: Circle) -> None:
    seen = rejoined.seen["after the first up"]
    assert seen["uid"] == rejoined.seen["uid"]
    assert seen["kept"] == []
    assert seen["next"] == "the old database is given up, and nothing is deleted yet; to make it anew: pulumi up -s primary"


def test_the_new_side_follows_and_lags_nothing(rejoined: Circle) -> None:
    lab = rejoined.lab
    assert uid(lab, "primary") != rejoined.seen["uid"]
    assert lab.query("select pg_is_in_recovery()", "primary") == "t"
    assert lab.pulumi.details("primary")["databases"] == {"app-database": "replica"}
    rows = rejoined.user.must_be_there()
    assert len(rows) > 100
    circle.wait_for_rows(lab, "primary", rows)


def test_the_old_volumes_are_readable_under_kept_claims_with_the_rows_of_the_split_brain(rejoined: Circle) -> None:
    (claim,) = kept_volume.claims(rejoined.lab, circle.old_server())
    assert claim["status"]["phase"] == "Bound"
    assert not [label for label in claim["metadata"]["labels"] if label.startswith("cnpg.io/")]
    assert claim["metadata"]["labels"][KEPT_OF] == circle.old_server()
    there = "select to_regclass('late') is not null"
    assert kept_volume.read(rejoined.lab, claim["metadata"]["name"], "select count(*) > 0 from ledger") == "t"
    if rejoined.late_rows:
        late = int(kept_volume.read(rejoined.lab, claim["metadata"]["name"], "select count(*) from late"))
        assert late >= rejoined.late_rows
    for role in ROLES:
        assert rejoined.lab.query(there, role) == "f", f"the {role}'s live database has what only the old one took"


def test_users_notice_nothing_of_a_rejoin(rejoined: Circle) -> None:
    leg = rejoined.leg(REJOIN)
    assert leg.seconds_without_writes == 0
    assert leg.seconds_without_reads == 0
    assert leg.rows_acknowledged > 100


def test_after_a_rejoin_another_up_changes_nothing(rejoined: Circle) -> None:
    rejoined.change_nothing()


# Home: the secondary hands over to the primary

HOME = "switchover to the primary"


@pytest.fixture(scope="module")
def home(rejoined: Circle) -> Circle:
    lab = rejoined.lab
    FROM_B.put(lab, "secondary")
    with rejoined.user.leg(HOME, "primary") as record:
        circle.hand_over(lab, "primary", record)
        circle.take_over(lab, "primary", record)
        rejoined.seen["before the third up"] = answer(lab)
        circle.move_users(lab, record)
    return rejoined


def test_users_are_sent_home_by_the_third_up_alone(home: Circle) -> None:
    assert home.seen["before the third up"] == AT["secondary"]
    assert answer(home.lab) == AT["primary"]


def test_the_primary_has_every_row_once_it_is_home(home: Circle) -> None:
    assert home.user.missing("primary") == set()


def test_no_object_that_was_changed_in_the_secondary_is_lost(home: Circle) -> None:
    assert FROM_B.differs(home.lab, "primary") == {}


def test_the_secondary_follows_the_primary_again(home: Circle) -> None:
    assert home.lab.query("select pg_is_in_recovery()", "secondary") == "t"
    circle.wait_for_rows(home.lab, "secondary", home.user.must_be_there())
    assert {role: home.lab.pulumi.details(role)["databases"] for role in ROLES} == {
        "primary": {"app-database": "promoted"},
        "secondary": {"app-database": "replica"},
    }


def test_the_way_home_says_when_the_token_came_when_it_was_promoted_and_when_a_row_was_taken(home: Circle) -> None:
    names = [event.name for event in home.leg(HOME).events]
    expected = ["the handover token is there", "databases promoted", "first row taken by the primary"]
    assert [name for name in names if name in expected] == expected
    assert home.leg(HOME).seconds_without_writes


def test_at_home_another_up_changes_nothing(home: Circle) -> None:
    home.change_nothing()


# Away: the primary hands over to the secondary, and users are held until somebody lets them in

AWAY = "switchover to the secondary, users held"


@pytest.fixture(scope="module")
def away(home: Circle) -> Circle:
    lab = home.lab
    FROM_A.put(lab, "primary")
    with home.user.leg(AWAY, "secondary") as record:
        circle.switch(lab, "secondary", record, hold=True)
        tried = "create table tried (at timestamptz); drop table tried; select pg_is_in_recovery()"
        home.seen["held"] = {
            "answer": answer(lab),
            "recovering": lab.query(tried, "secondary"),
            "next": lab.pulumi.outputs("secondary")["next"],
        }
        circle.release(lab, record)
    return home


def test_hold_stops_before_the_traffic_with_a_database_that_takes_writes(away: Circle) -> None:
    held = away.seen["held"]
    assert held["answer"] == AT["primary"]
    assert held["recovering"] == "f"
    assert held["next"].endswith(f"to let them in: pulumi {' '.join(word for word in circle.RELEASE if word != '--yes')}")


def test_one_command_lets_users_in(away: Circle) -> None:
    assert answer(away.lab) == AT["secondary"]
    assert away.user.missing("secondary") == set()


def test_no_object_that_was_changed_in_the_primary_is_lost(away: Circle) -> None:
    assert FROM_A.differs(away.lab, "secondary") == {}


def test_away_another_up_changes_nothing(away: Circle) -> None:
    away.change_nothing()


def test_every_row_that_was_acknowledged_since_the_failover_is_in_both_databases(away: Circle) -> None:
    away.user.stop()
    rows = away.user.must_be_there()
    circle.wait_for_rows(away.lab, "primary", rows)
    assert {role: sorted(away.user.missing(role)) for role in ROLES} == {role: [] for role in ROLES}
    for leg in away.user.legs:
        print(
            f"{leg.name}: {leg.rows_acknowledged} rows, {leg.seconds_without_writes} s without writes, "
            f"{leg.seconds_without_reads} s without reads; "
            + "; ".join(f"{each.command}: {each.seconds} s" for each in leg.commands if " up " in each.command)
        )


def test_a_region_that_serves_keeps_no_token_of_its_own(away: Circle) -> None:
    """The secondary had one when it gave up for the way home."""
    found = json.loads(away.lab.kubectl("secondary", "get", "configmaps", "-n", PROGRAM_NAMESPACE, "-o", "json"))["items"]
    assert HANDOVER_RECORD not in {each["metadata"]["name"] for each in found}
