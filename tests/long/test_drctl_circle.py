"""`drctl` through the whole circle between two real regions. Each command that changes something is killed once, with its engine,
and typed again with the same words.

The legs are fixtures, each of which goes on from the one before; the tests are in the same order. A client writes from before the
death on. What the secondary had by then, and all that was acknowledged since, is looked up in both regions' databases.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from components.etcd import backup as etcd
from lab import circle, databases, kept_volume, project, users
from lab.circle import User
from lab.waiting import until
from lab.world import Lab
from settings.names import PROGRAM_NAMESPACE
from settings.roles import ROLES, Role
from tests.lab.conftest import answer, deployed
from tests.lab.interruption import DEMOTED, PROMOTED, RESTORE_BEGUN, VOLUMES_KEPT
from tests.lab.prompt import PromptLab
from tests.lab.volumes import items
from tests.long.typed import Ended, Operator, first_change, says

pytestmark = pytest.mark.timeout(1800)
"""A test has the time of its fixtures too, and the first of them brings up the lab."""

AT = {role: project.load_balancer(role) for role in ROLES}
AGAIN = ("--yes", "--unlock")
"""What is killed leaves its lock, and the same words are typed before and after."""

FAILOVER = ("failover", *AGAIN)
REJOIN = ("rejoin", *AGAIN)
HOME = ("switchover", "--to", "primary", *AGAIN)
HOLD = ("hold", *AGAIN)
AWAY = ("switchover", "--to", "secondary", *AGAIN)
RELEASE = ("release", *AGAIN)
DRILL = ("drill", "integrity", "--yes")
REPORT = ("report", "--yes")
DEAD_ANSWER = 90
"""Seconds after which `status` has ended though a region is dead: each part has 30, and the rest is the start of Python."""


@dataclass(kw_only=True)
class Throughout(User):
    """A user who was there before the region died. What the other one did not have by then may be lost, and nothing after."""

    died: datetime | None = None

    def must_be_there(self) -> set[int]:
        since = self.died
        return {*self.kept, *(write.sequence for write in self.writes if write.ok and since and write.time >= since)}


@dataclass(kw_only=True)
class Circle:
    """The lab, the operator, the user, and what was seen on the way."""

    lab: Lab
    operator: Operator
    user: Throughout
    seen: dict[str, Ended] = field(default_factory=dict)

    def typed(self, name: str, *words: str) -> Ended:
        self.seen[name] = self.operator.types(*words)
        return self.seen[name]

    def nothing_is_missing(self, region: Role) -> None:
        """The region has every row; one that stands by gets the time for the last of them."""
        circle.wait_for_rows(self.lab, region, self.user.must_be_there())

    def recovers(self, region: Role) -> bool:
        return self.lab.query("select pg_is_in_recovery()", region) == "t"

    def sides(self) -> dict[str, str]:
        return {role: self.lab.pulumi.details(role)["databases"][databases.NAME] for role in ROLES}


def take_snapshots_of_etcd(lab: Lab) -> None:
    """The drill asks for one of each region."""
    here = ("-n", etcd.ETCD_NAMESPACE)
    for role in ROLES:
        lab.kubectl(role, "create", "job", f"--from=cronjob/{etcd.NAME}", "etcd-now", *here)
    for role in ROLES:
        lab.kubectl(role, "wait", "job/etcd-now", *here, "--for=condition=Complete", "--timeout=180s")


@pytest.fixture(scope="module")
def well() -> Iterator[Circle]:
    """The primary serves a user, and the secondary has what a failover needs."""
    with deployed(PromptLab(plan=databases.Plan(), drills={})) as lab:
        log = lab.paths.logs / "circle.jsonl"
        stop = users.start(lab, log, name="circle", cache=False, first_row=circle.FIRST_ROW)
        try:
            take_snapshots_of_etcd(lab)
            user = Throughout(lab=lab, log=log, stop=stop, kept=frozenset())
            user.wait_served("primary")
            circle.wait_for_rows(lab, "secondary", {write.sequence for write in user.writes if write.ok})
            lab.wait_backed_up()
            yield Circle(lab=lab, operator=Operator(lab=lab), user=user)
        finally:
            stop()


# Before it


def test_a_check_finds_that_the_secondary_could_take_over(well: Circle) -> None:
    ended = well.operator.types("check")
    assert ended.code in (0, 4), (ended.told, ended.said)
    assert ended.told["says"].startswith("the secondary could take over now")
    assert not [line for line in ended.told["warnings"] if "is not deployed as its files say" in line], ended.told


def test_the_status_of_a_pair_that_is_well_has_an_answer_of_each_part(well: Circle) -> None:
    ended = well.operator.types("status")
    assert ended.code in (0, 4), (ended.told, ended.said)
    primary, secondary = (ended.told["regions"][role] for role in ROLES)
    assert primary["serves"].startswith("yes, since ")
    assert secondary["serves"] == "no, primary does"
    assert (primary["silent"], secondary["silent"]) == ([], [])
    assert secondary["databases"] == f"{databases.NAME}: replica"
    assert ended.told["flag"].startswith("primary")


def test_two_regions_that_were_deployed_alike_do_not_differ_in_what_counts(well: Circle) -> None:
    differ_in_nothing_that_counts(well.operator.types("drift"))


def differ_in_nothing_that_counts(ended: Ended) -> None:
    assert ended.code in (0, 4), (ended.told, ended.said)
    counts = ("setting", "schedule", "version", "kind")
    assert [each for each in ended.told["differences"] if each["what"].startswith(counts)] == []


def test_the_calendar_names_the_drills_of_both_regions(well: Circle) -> None:
    ended = well.operator.types("calendar", "--days", "90")
    assert ended.code == 0, ended.said
    summaries = {each["summary"] for each in ended.told["events"]}
    for region in ("us-east-1", "us-west-2"):
        assert [summary for summary in summaries if summary.startswith(f"Drill integrity in {region}")], summaries


def drills(lab: Lab) -> dict[str, dict[str, Any]]:
    """The Jobs that people have made of the drill, by their names."""
    by_hand = "cronjob.kubernetes.io/instantiate"
    found = items(lab, "secondary", "jobs", "-n", PROGRAM_NAMESPACE)
    return {each["metadata"]["name"]: each for each in found if by_hand in (each["metadata"].get("annotations") or {})}


def test_a_drill_goes_on_without_the_command_that_began_it_and_the_next_one_passes(well: Circle) -> None:
    lab = well.lab
    well.operator.is_killed(*DRILL, where="its Job is made", reached=lambda _: set(drills(lab)))

    def ended() -> bool:
        (job,) = drills(lab).values()
        return bool({each["type"] for each in job["status"].get("conditions", ())} & {"Complete", "Failed"})

    until("the drill to end by itself", ended, timeout=600, interval=1)
    again = well.operator.types(*DRILL)
    assert (again.code, again.told["passed"]) == (0, True), (again.told, again.said)
    assert len(drills(lab)) == 2


# The primary is dead


@pytest.fixture(scope="module")
def dead(well: Circle) -> Circle:
    lab, user = well.lab, well.user
    user.wait_served("primary")
    user.kept = frozenset(circle.sequences(lab, "secondary"))
    lab.kill("primary")
    user.died = datetime.now(UTC)
    well.typed("the primary is dead", "status")
    return well


def test_the_status_with_the_primary_dead_is_lines_within_its_time(dead: Circle) -> None:
    ended = dead.seen["the primary is dead"]
    is_told_as_silent(ended, "primary")
    assert ended.told["flag"].startswith("primary")


def is_told_as_silent(ended: Ended, dead: Role) -> None:
    other = "secondary" if dead == "primary" else "primary"
    assert ended.code == 4, (ended.told, ended.said)
    asked = {line.partition(":")[0] for line in ended.told["regions"][dead]["silent"]}
    assert {"cluster", "drills"} <= asked, ended.told
    assert ended.told["regions"][other]["silent"] == [], ended.told
    assert ended.seconds < DEAD_ANSWER


# The secondary takes over


@pytest.fixture(scope="module")
def failed_over(dead: Circle) -> Circle:
    operator, user = dead.operator, dead.user
    with user.leg("failover", "secondary"):
        operator.is_killed(*FAILOVER, where=PROMOTED.name, reached=operator.at(PROMOTED, "secondary"))
        dead.typed("failover", *FAILOVER)
    return dead


def test_a_failover_that_was_killed_goes_on_and_loses_no_row_that_the_secondary_had(failed_over: Circle) -> None:
    ended = failed_over.seen["failover"]
    assert (ended.code, ended.steps) == (0, ["fail over"]), (ended.told, ended.said)
    assert ended.told["steps"][0]["commands"][-2:] == [
        "pulumi config set active secondary -s secondary",
        "pulumi up -s secondary",
    ]
    assert answer(failed_over.lab) == AT["secondary"]
    assert len(failed_over.user.kept) > 0
    assert failed_over.user.missing("secondary") == set()


def test_a_failover_that_is_done_is_not_done_twice(failed_over: Circle) -> None:
    ended = failed_over.operator.types(*FAILOVER)
    assert (ended.code, ended.steps) == (0, []), (ended.told, ended.said)


# The primary comes back, and follows


@pytest.fixture(scope="module")
def asleep(failed_over: Circle) -> Circle:
    failed_over.lab.heal("primary")
    circle.wait_for_guard(failed_over.lab)
    failed_over.typed("it stands by", *REJOIN)
    return failed_over


def test_a_rejoin_stops_where_a_person_has_to_raise_the_generation(asleep: Circle) -> None:
    ended = asleep.seen["it stands by"]
    assert (ended.code, ended.steps) == (5, ["stand by"]), (ended.told, ended.said)
    assert f"{databases.NAME}: generations: {{primary: 2}}" in ended.told["says"]


@pytest.fixture(scope="module")
def rejoined(asleep: Circle) -> Circle:
    operator = asleep.operator
    with asleep.user.leg("the old primary follows again", "secondary"):
        circle.set_generation(asleep.lab, 2)
        operator.is_killed(*REJOIN, where=VOLUMES_KEPT.name, reached=operator.at(VOLUMES_KEPT, "primary"))
        asleep.typed("rejoin", *REJOIN)
    return asleep


def test_a_rejoin_that_was_killed_goes_on_and_keeps_the_old_volume_once(rejoined: Circle) -> None:
    ended = rejoined.seen["rejoin"]
    assert (ended.code, ended.steps) == (0, ["make anew", "learn"]), (ended.told, ended.said)
    assert len(kept_volume.claims(rejoined.lab, circle.old_server())) == 1
    assert rejoined.sides() == {"primary": "replica", "secondary": "promoted"}
    rejoined.nothing_is_missing("primary")
    assert rejoined.recovers("primary")


# Home


@pytest.fixture(scope="module")
def home(rejoined: Circle) -> Circle:
    operator = rejoined.operator
    with rejoined.user.leg("switchover to the primary", "primary"):
        operator.is_killed(*HOME, where=f"{RESTORE_BEGUN.name} in the primary", reached=operator.at(RESTORE_BEGUN, "primary"))
        rejoined.typed("home", *HOME)
    return rejoined


def test_a_switchover_home_that_was_killed_goes_on_with_the_token_that_it_had_carried(home: Circle) -> None:
    ended = home.seen["home"]
    assert (ended.code, ended.steps) == (0, ["take over", "move users"]), (ended.told, ended.said)
    assert answer(home.lab) == AT["primary"]
    assert home.user.missing("primary") == set()


def test_the_secondary_follows_the_primary_again(home: Circle) -> None:
    home.nothing_is_missing("secondary")
    assert home.sides() == {"primary": "promoted", "secondary": "replica"}


# The secondary is dead


@pytest.fixture(scope="module")
def without_the_secondary(home: Circle) -> Circle:
    lab = home.lab
    lab.kill("secondary")
    home.typed("the secondary is dead", "status")
    home.user.wait_served("primary")
    lab.heal("secondary")
    home.nothing_is_missing("secondary")
    return home


def test_the_status_with_the_secondary_dead_is_lines_within_its_time(without_the_secondary: Circle) -> None:
    ended = without_the_secondary.seen["the secondary is dead"]
    is_told_as_silent(ended, "secondary")
    assert ended.told["regions"]["primary"]["serves"].startswith("yes, since ")
    assert ended.told["flag"] == "there is none, or its region does not answer"


# Away, with users held


@pytest.fixture(scope="module")
def held(without_the_secondary: Circle) -> Circle:
    operator = without_the_secondary.operator
    operator.is_killed(*HOLD, where="it writes the stack file", reached=says("$ pulumi config set hold true"))
    without_the_secondary.typed("hold", *HOLD)
    operator.is_killed(*AWAY, where=DEMOTED.name, reached=operator.at(DEMOTED, "primary"))
    without_the_secondary.typed("away", *AWAY)
    return without_the_secondary


def test_users_are_held_by_a_key_in_the_stack_file(held: Circle) -> None:
    assert held.seen["hold"].code == 0, held.seen["hold"]
    written = yaml.safe_load((held.lab.paths.project / "Pulumi.secondary.yaml").read_text())
    assert written["config"]["k8s-dr:hold"] in ("true", True)


def test_a_switchover_away_that_was_killed_goes_on_and_says_that_users_are_held(held: Circle) -> None:
    ended = held.seen["away"]
    assert (ended.code, ended.steps) == (5, ["give up", "take over"]), (ended.told, ended.said)
    assert "drctl release" in ended.told["says"]
    assert answer(held.lab) == AT["primary"]
    assert not held.recovers("secondary")


@pytest.fixture(scope="module")
def away(held: Circle) -> Circle:
    operator = held.operator
    operator.is_killed(*RELEASE, where="the first resource has changed", reached=first_change)
    held.typed("release", *RELEASE)
    held.user.wait_served("secondary")
    return held


def test_a_release_that_was_killed_lets_users_in(away: Circle) -> None:
    ended = away.seen["release"]
    assert ended.code == 0, (ended.told, ended.said)
    assert answer(away.lab) == AT["secondary"]
    assert away.user.missing("secondary") == set()


# Afterwards


def test_a_report_has_the_takeovers_and_a_copy_lies_in_the_region_that_serves(away: Circle) -> None:
    away.operator.is_killed(*REPORT, where="it asks both regions", reached=says("what both regions have left"))
    ended = away.operator.types(*REPORT)
    assert ended.code == 0, (ended.told, ended.said)
    assert {each["region"] for each in ended.told["report"]["takeovers"]} == {"us-east-1", "us-west-2"}
    assert len(ended.told["report"]["drills"]) >= 2
    bucket = project.names("secondary").bucket("velero")
    assert ended.told["copy"].startswith(f"s3://{bucket}/reports/")
    kept = away.lab.content(bucket, ended.told["copy"].removeprefix(f"s3://{bucket}/"))
    assert json.loads(kept)["takeovers"] == ended.told["report"]["takeovers"]


def test_a_secondary_that_serves_has_nothing_to_take_over(away: Circle) -> None:
    ended = away.operator.types("check")
    assert (ended.code, ended.told["warnings"]) == (0, []), (ended.told, ended.said)
    assert "there is nothing to take over" in ended.told["says"]


def test_after_the_circle_the_regions_differ_in_nothing_that_counts(away: Circle) -> None:
    differ_in_nothing_that_counts(away.operator.types("drift"))


def test_after_the_circle_another_up_changes_nothing(away: Circle) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda role: away.lab.pulumi.up(role, "--expect-no-changes"), ROLES))


def test_every_row_that_was_acknowledged_since_the_death_is_in_both_databases(away: Circle) -> None:
    away.user.stop()
    assert len(away.user.must_be_there()) > len(away.user.kept)
    away.nothing_is_missing("primary")
    assert {role: sorted(away.user.missing(role)) for role in ROLES} == {role: [] for role in ROLES}
