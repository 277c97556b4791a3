"""The way round without this program: every block of the runbook's "By hand" and "The way back, by hand", run in the lab.

The legs are fixtures, each of which goes on from the one before; the tests are in the same order. A client writes from the
failover on, and its rows are counted at each step. At the end the program hears of it all, as the page says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from lab import circle, databases, project, users
from lab.application import manifests
from lab.circle import User
from lab.regions.spec import named
from lab.samples import read_writes, writes_log
from lab.waiting import until
from lab.world import Lab
from settings.names import PROGRAM_NAMESPACE
from settings.roles import ROLES, Role
from tests.lab.conftest import CRON_JOB, answer, deployed, make_a_cron_job
from tests.long.by_hand import Person, documented

WORKLOADS = ("-n", manifests.APPLICATION_NAMESPACE)


@dataclass(kw_only=True)
class Circle:
    """The lab, the person, the user, and what was seen on the way."""

    lab: Lab
    person: Person
    user: User
    before: set[int]
    """The rows that the secondary had before the primary died."""

    seen: dict[str, Any] = field(default_factory=dict)

    def get(self, region: Role, *what: str) -> Any:
        return json.loads(self.lab.kubectl(region, "get", *what, "-o", "json"))

    def suspended(self, region: Role) -> bool:
        return bool(self.get(region, "cronjob", CRON_JOB, *WORKLOADS)["spec"]["suspend"])

    def paused(self, region: Role) -> set[bool]:
        """Whether the region's schedules of backups are."""
        return {bool(each["spec"].get("paused")) for each in self.get(region, "schedules.velero.io", "-n", "velero")["items"]}

    def replicas(self, region: Role) -> int:
        return int(self.get(region, "deployment", manifests.NAME, *WORKLOADS)["spec"]["replicas"])

    def follows(self, region: Role) -> None:
        """Wait until a region that stands by has every row, and see that it follows."""
        circle.wait_for_rows(self.lab, region, self.user.must_be_there())
        assert self.lab.query("select pg_is_in_recovery()", region) == "t"


def die_with_rows(lab: Lab) -> set[int]:
    """Kill the primary once the secondary has rows of a client. Returns these."""
    log = lab.paths.logs / "before.jsonl"
    stop = users.start(lab, log, name="before", cache=False)
    try:
        until("a hundred rows to be written", lambda: sum(write.ok for write in read_writes(writes_log(log))) > 100, timeout=180)
        rows = {write.sequence for write in read_writes(writes_log(log)) if write.ok}
        circle.wait_for_rows(lab, "secondary", rows)
        lab.kill("primary")
    finally:
        stop()
    return rows


@pytest.fixture(scope="module")
def failed_over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circle]:
    with deployed(Lab(plan=databases.Plan())) as lab:
        person = Person(lab=lab, directory=tmp_path_factory.mktemp("person"))
        person.sits_down()
        make_a_cron_job(lab)
        lab.make_backups()
        lab.wait_backed_up()
        before = die_with_rows(lab)
        assert person.types("who am I").split()[-1] == "yes"
        person.types("fail over", "start")
        with circle.user(lab) as user:
            person.types("flag")
            user.wait_served("secondary")
            yield Circle(lab=lab, person=person, user=user, before=before)


def test_the_secondary_serves_with_every_row_that_it_had(failed_over: Circle) -> None:
    lab = failed_over.lab
    assert failed_over.before <= circle.sequences(lab, "secondary")
    assert answer(lab) == project.load_balancer("secondary")
    assert named("secondary").address in failed_over.person.asks_for(project.NAME)
    assert not failed_over.suspended("secondary")


# Region A comes back


@pytest.fixture(scope="module")
def stopped(failed_over: Circle) -> Circle:
    """The guard is first, and the person makes sure."""
    lab, person = failed_over.lab, failed_over.person
    lab.heal("primary")
    circle.wait_for_guard(lab)
    # While one of its Pods starts, kubectl has no log of that one, and says so.
    until("the guard to say it", lambda: "the other region has taken over" in person.types("what the guard says"), timeout=60)
    person.types("stop")
    last = documented("stop").splitlines()[-1]
    assert "readyInstances" in last
    until("no instance to be ready", lambda: person.runs(last) in ("", "0"), timeout=120, interval=2)
    return failed_over


def test_nothing_runs_in_the_region_that_came_back(stopped: Circle) -> None:
    assert stopped.suspended("primary")
    assert stopped.replicas("primary") == 0
    assert stopped.paused("primary") == {True}


def backed_up(seen: Circle) -> bool:
    """Whether the base backup that the person took has completed."""
    backups = seen.get("secondary", "backups.postgresql.cnpg.io", "-n", databases.DATABASE_NAMESPACE)["items"]
    (by_hand,) = (each for each in backups if each["metadata"]["name"].startswith("by-hand-"))
    return bool(by_hand.get("status", {}).get("phase") == "completed")


@pytest.fixture(scope="module")
def rejoined(stopped: Circle) -> Circle:
    lab = stopped.lab
    stopped.person.types("base backup")
    until("the base backup to be whole", lambda: backed_up(stopped), timeout=180, interval=1)
    lab.wait_replicated()
    stopped.seen["uid"] = circle.cluster_of(lab, "primary")["metadata"]["uid"]
    stopped.person.types("rejoin")
    return stopped


def test_the_old_primary_follows_and_its_old_volume_is_kept(rejoined: Circle) -> None:
    lab = rejoined.lab
    assert circle.cluster_of(lab, "primary")["metadata"]["uid"] != rejoined.seen["uid"]
    rejoined.follows("primary")
    volumes = rejoined.get("primary", "persistentvolumes")["items"]
    kept = [each for each in volumes if each["status"]["phase"] == "Released"]
    assert [each["spec"]["claimRef"]["namespace"] for each in kept] == [databases.DATABASE_NAMESPACE]
    assert rejoined.user.missing("secondary") == set()


def test_the_guard_leaves_alone_what_was_made_anew(rejoined: Circle) -> None:
    """It still takes the region for one that was replaced, and says so: its Job fails."""
    lab = rejoined.lab
    lab.kubectl("primary", "create", "job", "look", "-n", PROGRAM_NAMESPACE, "--from=cronjob/guard")
    until(
        "the guard to have looked",
        lambda: rejoined.get("primary", "job", "look", "-n", PROGRAM_NAMESPACE)["status"].get("failed"),
        timeout=90,
    )
    annotations = circle.cluster_of(lab, "primary")["metadata"].get("annotations") or {}
    assert annotations.get("cnpg.io/fencedInstances", "[]") == "[]"
    rejoined.follows("primary")


# Switchovers


@pytest.fixture(scope="module")
def home(rejoined: Circle) -> Circle:
    """From B to A, where the page has its reader exchange the regions."""
    person = rejoined.person
    with rejoined.user.leg("by hand to the primary", "primary"):
        person.types("announce")
        person.types("give up", "take over", "start", "resume", exchange=True)
        person.types("flag home")
    return rejoined


def test_the_primary_has_every_row_once_it_is_home(home: Circle) -> None:
    assert home.user.missing("primary") == set()
    assert answer(home.lab) == project.load_balancer("primary")
    assert named("primary").address in home.person.asks_for(project.NAME)
    home.follows("secondary")


def test_workloads_run_at_home_and_nowhere_else(home: Circle) -> None:
    assert {role: home.replicas(role) for role in ROLES} == {"primary": manifests.REPLICAS, "secondary": 0}
    assert {role: home.suspended(role) for role in ROLES} == {"primary": False, "secondary": True}


@pytest.fixture(scope="module")
def away(home: Circle) -> Circle:
    """From A to B, as the page stands."""
    with home.user.leg("by hand to the secondary", "secondary"):
        home.person.types("give up", "take over", "start", "resume")
        home.person.types("flag")
    return home


def test_the_secondary_has_every_row_once_it_serves(away: Circle) -> None:
    assert away.user.missing("secondary") == set()
    assert answer(away.lab) == project.load_balancer("secondary")
    away.follows("primary")
    assert {role: away.replicas(role) for role in ROLES} == {"primary": 0, "secondary": manifests.REPLICAS}
    assert {role: away.suspended(role) for role in ROLES} == {"primary": True, "secondary": False}


# And the program hears of it


def keep_what_exists(lab: Lab, *, keep: bool) -> None:
    """Write `existing: keep` to each entry of `backups`, or take it out."""
    file = lab.paths.project / "Pulumi.yaml"
    document = yaml.safe_load(file.read_text())
    for entry in document["config"]["backups"]["value"]:
        entry.pop("existing", None)
        if keep:
            entry["existing"] = "keep"
    file.write_text(yaml.safe_dump(document, sort_keys=False, width=120))


@pytest.fixture(scope="module")
def told(away: Circle) -> Circle:
    lab = away.lab
    away.seen["uids"] = {role: circle.cluster_of(lab, role)["metadata"]["uid"] for role in ROLES}
    circle.set_generation(lab, 2)
    keep_what_exists(lab, keep=True)
    with away.user.leg("the program hears of it", "secondary"):
        away.person.types("afterwards")
    keep_what_exists(lab, keep=False)
    return away


def test_the_program_takes_the_databases_as_they_are_and_users_notice_nothing(told: Circle) -> None:
    lab = told.lab
    assert {role: circle.cluster_of(lab, role)["metadata"]["uid"] for role in ROLES} == told.seen["uids"]
    assert {role: lab.pulumi.details(role)["databases"] for role in ROLES} == {
        "primary": {databases.NAME: "replica"},
        "secondary": {databases.NAME: "promoted"},
    }
    assert told.user.missing("secondary") == set()
    told.follows("primary")
    leg = told.user.legs[-1]
    assert (leg.seconds_without_writes, leg.seconds_without_reads) == (0, 0)


def test_the_region_that_serves_has_its_record_and_makes_backups(told: Circle) -> None:
    assert {role: bool(circle.data_of(told.lab, role, "serving")) for role in ROLES} == {"primary": False, "secondary": True}
    paused = {
        role: {each["spec"]["paused"] for each in told.get(role, "schedules.velero.io", "-n", "velero")["items"]}
        for role in ROLES
    }
    assert paused == {"primary": {True}, "secondary": {False}}


def test_another_up_changes_nothing(told: Circle) -> None:
    for role in ROLES:
        told.lab.pulumi.up(role, "--expect-no-changes")


def test_every_row_that_was_acknowledged_is_in_both_databases(told: Circle) -> None:
    told.user.stop()
    told.follows("primary")
    assert {role: told.user.missing(role) for role in ROLES} == {role: set() for role in ROLES}
