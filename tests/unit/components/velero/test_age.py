"""The newest usable backup is held against its cron line and the RPO, as of when the primary last answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.kube.cluster_api import ClusterUnreachableError
from components.velero.age import Expected, objections, told, warnings_by_day
from components.velero.choice import Choice
from tests.unit.fakes import FakeCluster

SCHEDULE = "hourly-us-east-1"
RPO = timedelta(minutes=5)
HOURLY = Expected(choice=Choice(schedule=SCHEDULE), cron="0 * * * *")
NAMED = Expected(choice=Choice(schedule=SCHEDULE, backup="b-1"), cron="0 * * * *")


def made(minutes: float, phase: str = "Completed", *, took: float = 0) -> dict[str, Any]:
    """A Backup that began so many minutes ago, and half a one, so that its age in words stays the same for a while."""

    def moment(ago: float) -> str:
        return (datetime.now(UTC) - timedelta(minutes=ago + 0.5)).strftime("%Y-%m-%dT%H:%M:%SZ")

    return {
        "metadata": {"name": f"b-{minutes:g}", "labels": {"velero.io/schedule-name": SCHEDULE}},
        "status": {"phase": phase, "startTimestamp": moment(minutes), "completionTimestamp": moment(minutes - took)},
    }


def region(*backups: dict[str, Any]) -> FakeCluster:
    return FakeCluster(velero={"backups": list(backups)})


def against(*backups: dict[str, Any], lived: float | None = 0, rpo: timedelta = RPO, each: Expected = HOURLY) -> list[str]:
    """What stands against them while the primary last answered so many minutes ago."""
    answered = None if lived is None else datetime.now(UTC) - timedelta(minutes=lived)
    return objections(region(*backups), [each], rpo, answered)


def test_a_backup_that_is_no_older_than_the_gap_its_own_duration_and_the_copy_is_new_enough() -> None:
    assert against(made(74)) == []
    assert against(made(103, took=30)) == []
    assert against(made(119), rpo=timedelta(hours=1)) == []
    assert against(made(76)) != []


def test_an_older_one_is_told_by_name_with_its_age_its_gap_and_what_is_lost() -> None:
    assert against(made(180)) == [
        f"the newest Completed backup of schedule {SCHEDULE} is b-180, 3 h 0 min old, and by its cron line (0 * * * *) one "
        "begins every 60 min 0 s at the latest: what was written since is lost"
    ]


def test_an_outage_that_is_discussed_for_hours_makes_no_backup_old() -> None:
    assert against(made(300), lived=280) == []
    assert against(made(200), lived=None) == [], "an outage of which nobody knows the beginning may be hours old"
    (said,) = against(made(300), lived=None)
    (alive,) = against(made(240), lived=300)
    assert alive.endswith("nobody knows when the primary last answered, so that this may be its outage and nothing else")
    assert against(made(240), made(236, "PartiallyFailed"), lived=241) == [], "it may have begun after the last answer"
    assert len(against(made(400), made(236, "PartiallyFailed"), lived=300)) == 1, "what failed was begun too"
    assert said.endswith("nobody knows when the primary last answered, so that this may be its outage and nothing else")


def test_a_newer_one_that_is_partly_failed_is_told_with_its_age_and_the_way_to_take_it() -> None:
    (said,) = against(made(60 * 24 * 25), made(30, "PartiallyFailed"), made(90, "PartiallyFailed"))
    assert "b-36000, 25 d 0 h old" in said
    assert "; b-30, 30 min " in said
    assert (
        " s old, is PartiallyFailed and is not taken: to restore it look at it (velero backup describe b-30 --details) and write "
        "from: b-30 to its entry of k8s-dr:backups" in said
    )


def test_what_a_person_named_is_as_old_as_they_want_it_and_what_is_not_there_is_told_elsewhere() -> None:
    assert against(made(9000), each=NAMED) == []
    assert against() == []
    assert against(made(9000, "Failed")) == []


def test_the_age_of_what_is_restored_is_told_and_whether_a_newer_one_is_passed_over() -> None:
    ((said, passed_over),) = told(region(made(10), made(20, "PartiallyFailed")), [HOURLY])
    assert "is b-10, 10 min " in said
    assert not passed_over
    ((said, passed_over),) = told(region(made(50), made(20, "PartiallyFailed")), [HOURLY])
    assert passed_over
    assert "b-20" in said


def test_by_day_a_standby_warns_of_old_ones_and_of_those_that_are_passed_over() -> None:
    assert warnings_by_day(region(made(10)), [HOURLY], RPO) == []
    (old,) = warnings_by_day(region(made(180)), [HOURLY], RPO)
    assert old.endswith("; see: pulumi up -s primary")
    assert warnings_by_day(region(made(50), made(20, "PartiallyFailed")), [HOURLY], RPO) != []
    silent = FakeCluster(error=ClusterUnreachableError("cluster b does not answer"))
    assert warnings_by_day(silent, [HOURLY], RPO) == ["how old the peer's backups are is not known: cluster b does not answer"]


@pytest.mark.parametrize("phase", ["New", "InProgress"])
def test_one_that_runs_does_not_count(phase: str) -> None:
    assert against(made(180), made(1, phase)) != []
