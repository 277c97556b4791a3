"""Which Backup is restored: the newest Completed one, or one that a person named and that is what they think it is."""

from __future__ import annotations

from typing import Any

import pytest

from components.kube.objection import Objection
from components.velero.choice import Choice, choice_of, objection
from settings.backup import Backup
from settings.load import SECRETS, load
from settings.names import Names
from settings.roles import Role
from tests.examples import example
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


def by_token(*backups: dict[str, Any]) -> Objection | None:
    choice = Choice(schedule=SCHEDULE, backup="backup-1", given_by="primary")
    return objection(FakeCluster(velero={"backups": list(backups)}), choice)


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


PEERS: dict[Role, Role] = {"secondary": "primary", "primary": "secondary"}
ROLES_AND_PEERS: list[tuple[Role, str]] = [("secondary", "us-east-1"), ("primary", "us-west-2")]


@pytest.mark.parametrize(("role", "peer"), ROLES_AND_PEERS, ids=["secondary", "primary"])
def test_the_handover_token_goes_before_what_a_person_named_and_that_before_the_newest(role: Role, peer: str) -> None:
    names = Names(topology=load(role, example(role), SECRETS).topology, role=role)
    entry = {"name": "daily-full", "cron": "0 2 * * *", "keep": "48h"}
    schedule = f"daily-full-{peer}"
    newest, named = Backup.model_validate(entry), Backup.model_validate({**entry, "from": "older"})
    assert choice_of(names, newest, {}) == Choice(schedule=schedule)
    assert choice_of(names, named, {"another": "last"}) == Choice(schedule=schedule, backup="older")
    assert choice_of(names, named, {"daily-full": "last"}) == Choice(schedule=schedule, backup="last", given_by=PEERS[role])


def test_the_last_backup_of_the_peer_is_waited_for_and_taken_once_it_is_here_and_completed() -> None:
    assert by_token(made(1)) is None
    on_its_way = by_token(made(2))
    assert on_its_way is not None
    assert on_its_way.passing
    assert str(on_its_way) == (
        "the handover token names Backup backup-1, and there is none of that name here yet; S3 replication carries it, and "
        f"Velero reads the peer's location once a minute; {LIST}"
    )


@pytest.mark.parametrize(
    ("backup", "reason"),
    [
        (made(1, schedule="other"), f"that is a Backup of schedule other, and not of {SCHEDULE}"),
        (made(1, location="own"), "that Backup is at location own, so it is this region's own"),
        (made(1, "PartiallyFailed"), "that Backup is PartiallyFailed"),
    ],
    ids=["of-another-schedule", "own", "partial"],
)
def test_a_token_that_names_another_backup_closes_the_gate_at_once(backup: dict[str, Any], reason: str) -> None:
    found = by_token(backup)
    assert found is not None
    assert not found.passing
    assert str(found) == (
        f"the handover token names Backup backup-1, and {reason}; take the token anew from the region that gave up, where it is "
        f"the stack output handover; {LIST}"
    )


@pytest.mark.parametrize("later", [made(2), made(2, "Failed")], ids=["whole", "failed"])
def test_a_token_is_stale_once_the_region_that_gave_it_has_begun_a_later_backup(later: dict[str, Any]) -> None:
    """Without databases nothing else says that it has served since."""
    found = by_token(made(1), later)
    assert found is not None
    assert (found.judgement, found.passing) == (True, False)
    assert str(found).startswith(
        "the handover token names Backup backup-1, which began at 2026-03-01T02:00:00Z, and the primary has begun backup-2 at "
        "2026-03-02T02:00:00Z, so it has served since it gave this token: the token is stale. Take its present one: pulumi stack "
        "output handover -s primary; if that is the same or none, let the primary give up again"
    )
    assert "if the primary is lost: pulumi config rm handover -s secondary && pulumi up -s secondary" in str(found)
    assert str(found).endswith("to go on all the same: pulumi config set force true -s secondary")


UNBEGUN = {**made(2), "status": {"phase": "New"}}
UNBEGUN["metadata"] = {**UNBEGUN["metadata"], "creationTimestamp": "2030-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "other",
    [
        {**made(2), "status": made(1)["status"]},
        made(2, schedule="hourly-us-east-1"),
        made(2, schedule=None),
        made(2, location="own"),
        UNBEGUN,
    ],
    ids=["the-same-moment", "another-schedule", "by-hand", "own", "not-begun"],
)
def test_what_says_nothing_of_later_service_leaves_a_token_good(other: dict[str, Any]) -> None:
    """By the giver's own clock alone: when this cluster made its copies tells nothing."""
    assert by_token(made(1), other) is None
