"""Both regions side by side, with each of them dead in turn."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.drills.records import Record
from components.kube.cluster_api import ClusterUnreachableError
from drctl.project import Project
from drctl.regions import ask_all
from settings.drills import KINDS
from settings.roles import ROLES, Role
from tests.unit.components.database.sides import live, side
from tests.unit.components.failover.test_gate import aged, cluster
from tests.unit.drctl.fake import SINCE, FakeRegions, FakeStacks, checkout, drctl, outputs
from tests.unit.fakes import mark


@pytest.fixture
def stacks(tmp_path: Path) -> FakeStacks:
    return FakeStacks(
        project=Project(directory=checkout(tmp_path)),
        said={"primary": outputs("primary", serves=True), "secondary": outputs("secondary", serves=False)},
    )


@pytest.fixture
def regions() -> FakeRegions:
    """All is well: the secondary has what the primary archives, and its backups."""
    found = FakeRegions()
    found.clusters["primary"].records["serving"] = {"region": "us-east-1"}
    found.clusters["secondary"] = cluster(*(aged(f"{name}-us-east-1", 0) for name in ("daily-full", "hourly-critical")))
    now = datetime.now(UTC).isoformat()
    found.clusters["secondary"].records["freshness"] = {"asked": now, "answered": now}
    found.archive.marked = mark(timedelta(minutes=1))
    return found


def told(stacks: FakeStacks, regions: FakeRegions) -> tuple[int, dict[str, Any]]:
    ran = drctl(stacks, "status", "--json", "--seconds", "5", regions=regions)
    assert not isinstance(ran.exception, Exception) or isinstance(ran.exception, SystemExit), ran.exception
    return ran.exit_code, json.loads(ran.stdout)


def test_a_pair_that_is_well_says_who_serves_and_what_was_promised(stacks: FakeStacks, regions: FakeRegions) -> None:
    ended = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
    regions.records["secondary"].found["database"] = Record(
        key="drills/secondary/database/1.json", started=ended, ended=ended, passed=True, reasons=[], rpo=None, rto=142.0
    )
    code, found = told(stacks, regions)
    primary, secondary = found["regions"]["primary"], found["regions"]["secondary"]
    assert (primary["serves"], secondary["serves"]) == (f"yes, since {SINCE}", "no, primary does")
    assert secondary["last_drills"].splitlines() == [
        "integrity: none yet",
        "namespace: none yet",
        "database: passed, 2026-03-01 03:00 UTC, recovered in 142 s",
    ]
    assert secondary["promised"] == "RPO 5m, RTO 15m"
    assert secondary["newest_mark"].startswith("app-database: 60 s")
    assert found["flag"] == "primary"
    assert (primary["takeover"], secondary["takeover"]) == ("", "nothing here stands against it")
    assert (code, secondary["stale"], secondary["silent"]) == (0, [], []), found


def test_what_is_late_is_said_in_the_words_of_an_up_by_day(stacks: FakeStacks, regions: FakeRegions) -> None:
    regions.archive.marked = mark(timedelta(hours=2))
    code, found = told(stacks, regions)
    assert code == 4
    assert any("the primary's last mark is" in line for line in found["regions"]["secondary"]["stale"])


def test_a_flag_that_users_would_not_follow_is_said_before_the_night(stacks: FakeStacks, regions: FakeRegions) -> None:
    said = "Route 53's checkers cannot read the traffic flag: a failover would end well and move no user"
    regions.flag_unseen = lambda: [said]
    code, found = told(stacks, regions)
    assert (code, found["regions"]["secondary"]["stale"], found["regions"]["primary"]["stale"]) == (4, [said], [])
    assert found["regions"]["secondary"]["takeover"] == "1 thing stands against it, below"


def test_once_the_secondary_serves_nothing_is_said_of_a_failover_to_it(stacks: FakeStacks, regions: FakeRegions) -> None:
    stacks.said = {"primary": outputs("primary", serves=False), "secondary": outputs("secondary", serves=True)}
    regions.flag_unseen = lambda: ["cannot read"]
    _, found = told(stacks, regions)
    assert "cannot read" not in found["regions"]["secondary"]["stale"]


def turned_round(stacks: FakeStacks, regions: FakeRegions) -> None:
    """The secondary serves, and the primary follows it and has its backups."""
    stacks.said = {"primary": outputs("primary", serves=False), "secondary": outputs("secondary", serves=True)}
    regions.clusters["secondary"].records["serving"] = {"region": "us-west-2"}
    regions.clusters["primary"] = cluster(*(aged(f"{name}-us-west-2", 0) for name in ("daily-full", "hourly-critical")))
    regions.clusters["primary"].databases = {"app-database": live(replace(side("primary"), database_role="replica"))}


def test_once_the_secondary_serves_the_primary_is_asked_whether_it_could_take_over(
    stacks: FakeStacks, regions: FakeRegions
) -> None:
    turned_round(stacks, regions)
    code, found = told(stacks, regions)
    primary, secondary = found["regions"]["primary"], found["regions"]["secondary"]
    assert (code, primary["stale"], secondary["stale"]) == (0, [], []), found
    assert (primary["takeover"], secondary["takeover"]) == ("nothing here stands against it", "")
    assert primary["newest_mark"].startswith("app-database: 60 s")
    assert secondary["newest_mark"] == ""


def test_what_of_the_secondary_has_not_come_to_a_primary_that_stands_by_is_said(stacks: FakeStacks, regions: FakeRegions) -> None:
    turned_round(stacks, regions)
    regions.archive.marks["app-database-secondary-g1"] = mark(timedelta(hours=2))
    regions.archive.lag["app-database-secondary-g1", "app-database-primary-g1"] = timedelta(minutes=16)
    regions.clusters["primary"].velero["backups"] = [aged("hourly-critical-us-west-2", 300)]
    code, found = told(stacks, regions)
    mark_line, wal, backup = found["regions"]["primary"]["stale"]
    assert code == 4
    assert mark_line.startswith("database app-database: the secondary's last mark is 2 h")
    assert mark_line.endswith("old; pulumi up -s secondary says what S3 failed to copy")
    assert wal.startswith("database app-database: WAL of 16 min 0 s has come into the archive that the standby has not replayed")
    assert backup.startswith("the newest Completed backup of schedule hourly-critical-us-west-2 is ")
    assert backup.endswith("see: pulumi up -s secondary")


def test_a_primary_whose_old_data_are_stopped_follows_nobody_and_nobody_is_told_to_lift_its_fence(
    stacks: FakeStacks, regions: FakeRegions
) -> None:
    turned_round(stacks, regions)
    fenced = live(side("primary"))
    fenced["metadata"]["annotations"] = {"cnpg.io/fencedInstances": '["*"]'}
    for databases in ({"app-database": fenced}, {}):
        regions.clusters["primary"].databases = databases
        _, found = told(stacks, regions)
        assert found["regions"]["primary"]["stale"] == [
            "database app-database follows nobody in the primary region: docs/runbook.md, Rejoin"
        ]


def test_a_region_whose_state_is_silent_stands_by_if_its_stack_file_says_so(stacks: FakeStacks, regions: FakeRegions) -> None:
    del stacks.said["primary"], stacks.said["secondary"]
    _, found = told(stacks, regions)
    assert found["regions"]["secondary"]["newest_mark"].startswith("app-database: 60 s")
    assert found["regions"]["primary"]["newest_mark"] == ""


@pytest.mark.parametrize("dead", ROLES)
def test_a_region_that_is_dead_is_a_line_and_the_other_is_shown(stacks: FakeStacks, regions: FakeRegions, dead: Role) -> None:
    del stacks.said[dead]
    regions.clusters[dead].error = ClusterUnreachableError(f"cluster prod of the {dead} does not answer")
    regions.records[dead].found = dict.fromkeys(KINDS, "s3://… cannot be read: no answer")
    if dead == "secondary":
        regions.archive.error = ClusterUnreachableError("no answer")
        regions.flag = lambda: None
    code, found = told(stacks, regions)
    other = "secondary" if dead == "primary" else "primary"
    assert code == 4
    assert [line.split(":")[0] for line in found["regions"][dead]["silent"]] == ["state", "cluster", "drills"]
    assert found["regions"][other]["silent"] == []
    assert found["regions"][other]["serves"] != "not known"


def test_a_part_that_hangs_is_a_line_after_its_time(stacks: FakeStacks, regions: FakeRegions) -> None:
    regions.flag = lambda: time.sleep(60)  # type: ignore[assignment,return-value]
    began = time.monotonic()
    ran = drctl(stacks, "status", "--json", "--seconds", "1", regions=regions)
    assert time.monotonic() - began < 20
    assert ran.exit_code == 4
    assert json.loads(ran.stdout)["flag"] == "did not answer within 1 s"


def test_the_table_names_both_regions(stacks: FakeStacks, regions: FakeRegions) -> None:
    ran = drctl(stacks, "status", regions=regions)
    assert "us-east-1" in ran.stdout
    assert "us-west-2" in ran.stdout


def test_ctrl_c_is_the_way_out_of_watching(stacks: FakeStacks, regions: FakeRegions, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code is that of the last look."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("drctl.commands.status.time.sleep", sleep)
    looked = drctl(stacks, "status", regions=regions)
    watched = drctl(stacks, "status", "--watch", "--interval", "7", regions=regions)
    assert slept == [7, 7]
    assert watched.exit_code == looked.exit_code != 130
    assert watched.stdout.count("us-west-2") == 2 * looked.stdout.count("us-west-2")


def test_a_cluster_that_does_not_agree_with_its_stack_is_told(stacks: FakeStacks, regions: FakeRegions) -> None:
    regions.clusters["primary"].records.clear()
    code, found = told(stacks, regions)
    assert code == 4
    assert "its stack and its cluster do not agree" in found["regions"]["primary"]["stale"][0]


def test_what_is_asked_together_takes_as_long_as_the_longest() -> None:
    began = time.monotonic()
    answers = ask_all({"one": lambda: time.sleep(0.4) or 1, "two": lambda: 1 / 0, "three": lambda: time.sleep(30)}, 1)
    assert time.monotonic() - began < 5
    assert answers["one"] == 1
    assert isinstance(answers["two"], ZeroDivisionError)
    assert isinstance(answers["three"], TimeoutError)
