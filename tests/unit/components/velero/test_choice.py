"""Which Backup is restored: the newest Completed one, or one that a person named and that is what they think it is."""

from __future__ import annotations

from typing import Any

import pytest

from components.velero.choice import Choice, objection
from tests.unit.fakes import FakeCluster

SCHEDULE = "daily-full-us-east-1"
COLUMNS = "NAME:.metadata.name,PHASE:.status.phase,BEGAN:.status.startTimestamp,ENDED:.status.completionTimestamp"
LIST = f"see: kubectl get backup.velero.io -n velero -l velero.io/schedule-name={SCHEDULE} -o custom-columns={COLUMNS}"


def made(number: int, phase: str = "Completed", *, schedule: str | None = SCHEDULE, location: str = "peer") -> dict[str, Any]:
    return {
        "metadata": {"name": f"backup-{number}", "labels": {"velero.io/schedule-name": schedule} if schedule else {}},
        "spec": {"storageLocation": location},
        "status": {"phase": phase, "startTimestamp": f"2026-03-0{number}T02:00:00Z"},
    }


def against(named: str | None, *backups: dict[str, Any]) -> str | None:
    told = objection(FakeCluster(velero={"backups": list(backups)}), Choice(schedule=SCHEDULE, backup=named))
    return None if told is None else str(told)


def test_a_choice_names_either_a_schedule_or_a_backup() -> None:
    assert Choice(schedule=SCHEDULE).spec == {"scheduleName": SCHEDULE}
    assert Choice(schedule=SCHEDULE, backup="backup-1").spec == {"backupName": "backup-1"}


def test_where_all_are_partly_failed_the_way_on_is_the_newest_by_its_name() -> None:
    told = against(None, made(1, "PartiallyFailed"), made(3, "PartiallyFailed"), made(2, "PartiallyFailed")) or ""
    assert "only PartiallyFailed; a namespace that it includes and that does not exist is enough for that" in told
    assert "velero backup describe backup-3 --details" in told
    assert "write from: backup-3 to its entry of k8s-dr:backups" in told
    assert "\n" not in told


def test_where_none_can_be_restored_no_name_is_offered() -> None:
    assert "from:" not in (against(None, made(1, "Failed")) or "from:")


@pytest.mark.parametrize("phase", ["Completed", "PartiallyFailed"])
def test_an_older_or_partly_failed_backup_that_a_person_names_is_taken(phase: str) -> None:
    assert against("backup-1", made(1, phase), made(2)) is None
    assert against("backup-1", made(1, phase, schedule=None)) is None, "one that was made by hand"


@pytest.mark.parametrize(
    ("backup", "reason"),
    [
        (made(2), "there is no Backup of that name here"),
        (made(1, schedule="other"), f"that is a Backup of schedule other; write one of {SCHEDULE}"),
        (made(1, location="own"), "that Backup is at location own, so it is this region's own"),
        (made(1, "InProgress"), "that Backup is InProgress; write a Completed or PartiallyFailed one"),
    ],
    ids=["absent", "of-another-schedule", "own", "unfinished"],
)
def test_a_named_backup_that_is_not_what_it_should_be_is_one_clear_line(backup: dict[str, Any], reason: str) -> None:
    assert against("backup-1", backup) == f"k8s-dr:backups has from: backup-1, and {reason}; {LIST}"
