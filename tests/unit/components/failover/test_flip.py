"""A flip of `active` touches what rule 1 allows and nothing else: the cluster's own API, and one S3 object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.unit.components.conftest import Program
from tests.unit.recorder import Recorder, run_program

FORBIDDEN = ("aws:iam", "aws:kms", "aws:route53", "aws:s3/bucket:", "aws:s3/bucketPolicy", "aws:s3/bucketReplication")


@dataclass(frozen=True, kw_only=True)
class Change:
    added: set[str]
    removed: set[str]
    changed: set[str]

    @property
    def names(self) -> set[str]:
        return self.added | self.removed | self.changed


def _watched(recorder: Recorder) -> dict[str, Any]:
    return {
        f"{seen.type} {seen.name}": (seen.inputs, seen.parent, seen.protect, seen.retain_on_delete, seen.provider)
        for seen in recorder.seen
        if seen.type != "pulumi:pulumi:Stack"
    }


def change(before: Recorder, after: Recorder) -> Change:
    old, new = _watched(before), _watched(after)
    return Change(
        added=new.keys() - old.keys(),
        removed=old.keys() - new.keys(),
        changed={name for name in old.keys() & new.keys() if old[name] != new[name]},
    )


def test_the_standbys_flip_promotes_restores_scales_moves_the_flag_and_resumes_the_schedules(program: Program) -> None:
    flip = change(program("secondary", "primary"), program("secondary", "secondary"))
    assert flip == Change(
        added={
            "kubernetes:velero.io/v1:Restore failover-restores-hourly-critical",
            "kubernetes:batch/v1:Job failover-databases-app-database-promoted",
            "kubernetes:batch/v1:Job failover-workloads-scale-production",
            "kubernetes:batch/v1:Job failover-workloads-endpoint",
            "kubernetes:core/v1:ConfigMap failover-serving",
        },
        removed=set(),
        changed={
            "dr:failover:Failover failover",
            "kubernetes:postgresql.cnpg.io/v1:Cluster failover-databases-app-database",
            "aws:s3/bucketObjectv2:BucketObjectv2 failover-flag",
            "kubernetes:velero.io/v1:Schedule schedules-daily-full",
            "kubernetes:velero.io/v1:Schedule schedules-hourly-critical",
        },
    )


def test_the_primarys_flip_fences_its_database_scales_to_standby_and_pauses_the_schedules(program: Program) -> None:
    flip = change(program("primary", "primary"), program("primary", "secondary"))
    assert flip == Change(
        added={"kubernetes:batch/v1:Job failover-workloads-scale-production"},
        removed={
            "kubernetes:core/v1:ConfigMap failover-serving",
            "kubernetes:postgresql.cnpg.io/v1:ScheduledBackup failover-databases-app-database-first-backup",
        },
        changed={
            "dr:failover:Failover failover",
            "kubernetes:postgresql.cnpg.io/v1:Cluster failover-databases-app-database",
            "kubernetes:postgresql.cnpg.io/v1:ScheduledBackup failover-databases-app-database-backups",
            "kubernetes:velero.io/v1:Schedule schedules-daily-full",
            "kubernetes:velero.io/v1:Schedule schedules-hourly-critical",
        },
    )


def test_what_leaves_a_stack_when_its_region_is_fenced_are_records(program: Program) -> None:
    before, after = (program("primary", active) for active in ("primary", "secondary"))
    gone = [before[name] for name in before.names() - after.names()]
    # That it serves; and of its first backup, which itself stays in the archive.
    assert {seen.name for seen in gone} == {"failover-serving", "failover-databases-app-database-first-backup"}


def test_no_flip_touches_a_control_plane_that_may_be_dead(program: Program) -> None:
    for stack in ("primary", "secondary"):
        touched = change(program(stack, "primary"), program(stack, "secondary")).names
        assert not [name for name in touched if name.startswith(FORBIDDEN)]
        assert {name.split()[0] for name in touched if name.startswith("aws:")} <= {"aws:s3/bucketObjectv2:BucketObjectv2"}


def test_a_schedule_changes_nothing_but_its_pause(program: Program) -> None:
    for stack in ("primary", "secondary"):
        for name in ("schedules-daily-full", "schedules-hourly-critical"):
            before, after = (program(stack, active)[name].spec for active in ("primary", "secondary"))
            assert before["paused"] is not after["paused"]
            assert {**before, "paused": None} == {**after, "paused": None}


def test_moving_users_back_restores_nothing_and_scales_what_stands_by_down(program: Program) -> None:
    back = run_program("secondary", {"active": "primary", "peerReady": True})
    # Unset and set to what it is anyway, the standby differs by its scaling alone: while active is unset nothing is scaled.
    assert change(program("secondary", "primary"), back) == Change(
        added={"kubernetes:batch/v1:Job failover-workloads-scale-production"}, removed=set(), changed=set()
    )


def test_flipping_there_and_back_leaves_exactly_what_was_there() -> None:
    before, _, after = (
        run_program("secondary", {"active": active, "peerReady": True}) for active in ("primary", "secondary", "primary")
    )
    assert change(before, after) == Change(added=set(), removed=set(), changed=set())


def test_a_primary_that_serves_again_resumes_what_it_did_and_scales_up() -> None:
    away, back = (run_program("primary", {"active": active, "peerReady": True}) for active in ("secondary", "primary"))
    assert change(away, back) == Change(
        added={
            "kubernetes:core/v1:ConfigMap failover-serving",
            "kubernetes:postgresql.cnpg.io/v1:ScheduledBackup failover-databases-app-database-first-backup",
        },
        removed=set(),
        changed={
            "dr:failover:Failover failover",
            "kubernetes:postgresql.cnpg.io/v1:Cluster failover-databases-app-database",
            "kubernetes:postgresql.cnpg.io/v1:ScheduledBackup failover-databases-app-database-backups",
            "kubernetes:batch/v1:Job failover-workloads-scale-production",
            "kubernetes:velero.io/v1:Schedule schedules-daily-full",
            "kubernetes:velero.io/v1:Schedule schedules-hourly-critical",
        },
    )
