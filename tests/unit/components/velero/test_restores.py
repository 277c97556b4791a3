"""The peer's backups are brought back once, in order, and a failure stops everything behind it with Velero's reason."""

from __future__ import annotations

from functools import cache
from typing import Any

import pulumi
import pytest

from components.kube.cluster_api import ClusterUnreachableError
from components.velero.choice import Choice
from components.velero.memory import Memory
from components.velero.restores import (
    RestoreFailedError,
    judge_restore,
    refuse_if_serving,
    restore_spec,
    restored,
)
from components.velero.selection import chosen
from settings.backup import Backup
from settings.kinds import REFUSED_BY_VELERO
from settings.names import NEVER_RESTORED
from tests.unit.components.conftest import Program
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import Answers, Recorder, attempt_program, run_program

HOURLY, DAILY = "failover-restores-hourly-critical", "failover-restores-daily-full"
BOTH: list[dict[str, Any]] = [
    {"name": "daily-full", "cron": "0 2 * * *", "keep": "720h", "exclude": ["kube-system", "velero"], "restore": "everything"},
    {"name": "hourly-critical", "cron": "0 * * * *", "keep": "168h", "include": ["production", "databases"]},
]
"""The committed backups, with everything of the full one restored too."""


def backup(name: str = "a", **changes: Any) -> Backup:
    return Backup.model_validate({"name": name, "cron": "0 * * * *", "keep": "24h", **changes})


def spec(served_before: bool = False, **changes: Any) -> dict[str, Any]:
    """Spec of the Restore of one backup, of the schedule `a-us-east-1`."""
    (each,) = chosen([backup(include=["a"], **changes)], [])
    return restore_spec(each, Choice(schedule="a-us-east-1", backup=each.backup.from_), served_before=served_before)


@cache
def both() -> Recorder:
    return run_program("secondary", {"active": "secondary", "peerReady": True, "backups": BOTH})


@pytest.fixture(name="takeover")
def two_restores() -> Recorder:
    return both()


def test_only_a_region_that_takes_over_restores(program: Program) -> None:
    assert len(program("secondary", "secondary").of("Restore")) == 1
    for stack, active in (("primary", "primary"), ("primary", "secondary"), ("secondary", "primary")):
        assert not program(stack, active).of("Restore")


def test_as_it_is_committed_only_what_somebody_names_is_restored(program: Program) -> None:
    (restore,) = program("secondary", "secondary").of("Restore")
    assert restore.name == HOURLY
    assert restore.spec["includedNamespaces"] == ["production", "databases"]


def test_the_newest_backups_of_the_peers_schedules_are_restored(takeover: Recorder) -> None:
    assert takeover[HOURLY].spec["scheduleName"] == "hourly-critical-us-east-1"
    assert takeover[DAILY].spec["scheduleName"] == "daily-full-us-east-1"
    assert "backupName" not in takeover[HOURLY].spec


def test_critical_namespaces_come_first_and_the_rest_waits_for_them(takeover: Recorder) -> None:
    assert HOURLY not in takeover[HOURLY].depends_on
    assert HOURLY in takeover[DAILY].depends_on
    assert takeover[HOURLY].spec["includedNamespaces"] == ["production", "databases"]


def test_a_restore_waits_until_those_before_it_have_completed(takeover: Recorder) -> None:
    assert "k8s-dr/after" not in takeover[HOURLY].metadata["annotations"]
    assert takeover[DAILY].metadata["annotations"]["k8s-dr/after"] == f"{HOURLY}-1a2b3c4d"
    backups = [{"name": name, "cron": "0 * * * *", "keep": "24h", "include": [name]} for name in ("a", "b", "c")]
    third = run_program("secondary", {"active": "secondary", "backups": backups})["failover-restores-c"]
    assert third.metadata["annotations"]["k8s-dr/after"] == "failover-restores-a-1a2b3c4d failover-restores-b-1a2b3c4d"


def test_no_namespace_is_restored_twice(takeover: Recorder) -> None:
    assert set(takeover[HOURLY].spec["includedNamespaces"]) <= set(takeover[DAILY].spec["excludedNamespaces"])


def test_namespaces_of_the_cluster_and_of_this_program_are_never_restored_over(takeover: Recorder) -> None:
    assert set(NEVER_RESTORED) <= set(takeover[DAILY].spec["excludedNamespaces"])
    assert {"velero", "kube-system", "k8s-dr"} <= set(NEVER_RESTORED)


def test_what_is_in_the_cluster_already_is_kept_and_databases_are_left_to_their_operator(takeover: Recorder) -> None:
    for name in (HOURLY, DAILY):
        assert takeover[name].spec["existingResourcePolicy"] == "none"
        assert takeover[name].spec["labelSelector"]["matchExpressions"][0]["key"] == "cnpg.io/cluster"


def test_kinds_that_velero_would_add_are_there_already_so_that_the_field_stays_the_programs(takeover: Recorder) -> None:
    for name in (HOURLY, DAILY):
        excluded = takeover[name].spec["excludedResources"]
        assert excluded[-len(REFUSED_BY_VELERO) :] == list(REFUSED_BY_VELERO)
        assert excluded[: -len(REFUSED_BY_VELERO)] == sorted(excluded[: -len(REFUSED_BY_VELERO)])
        assert len(set(excluded)) == len(excluded)


def test_what_controllers_made_is_left_out_of_the_restore_for_its_backup_may_be_an_older_one() -> None:
    assert {"targetgroupbindings.elbv2.k8s.aws", "leases.coordination.k8s.io", "jobs.batch"} <= set(spec()["excludedResources"])
    assert "leases.coordination.k8s.io" not in spec(includeResources=["leases.coordination.k8s.io"])["excludedResources"]
    assert "widgets.example.com" in spec(excludeResources=["widgets.example.com"])["excludedResources"]


def test_a_status_is_restored_of_kinds_that_somebody_named_and_no_spec_is_another_where_nobody_did() -> None:
    kinds = ["kafkanodepools.kafka.strimzi.io", "kafkas.kafka.strimzi.io"]
    assert spec(restoreStatus=kinds) == {**spec(), "restoreStatus": {"includedResources": kinds}}
    assert "restoreStatus" not in spec()


def test_a_kind_that_velero_refuses_anyway_is_listed_once() -> None:
    assert spec(excludeResources=["nodes"])["excludedResources"] == spec()["excludedResources"]


def test_a_backup_that_somebody_named_is_restored_in_place_of_the_newest() -> None:
    named = spec(**{"from": "a-us-east-1-20260301"})
    assert named["backupName"] == "a-us-east-1-20260301"
    assert "scheduleName" not in named


def test_objects_here_are_kept_and_in_a_region_that_served_before_they_become_what_they_are_in_the_backup() -> None:
    assert spec()["existingResourcePolicy"] == "none"
    assert spec(served_before=True)["existingResourcePolicy"] == "update"
    assert spec(served_before=True, existing="keep")["existingResourcePolicy"] == "none"
    assert spec(existing="update")["existingResourcePolicy"] == "update"


def test_a_restore_stays_as_it_is_while_the_region_serves_and_is_made_anew_before_if_it_changes() -> None:
    for serving in (False, True):
        cluster = FakeCluster(records={"serving": {"region": "us-west-2"}} if serving else {})
        (restore,) = run_program("secondary", {"active": "secondary"}, cluster=cluster).of("Restore")
        assert restore.ignore_changes == (("spec", "metadata") if serving else ())
        assert restore.replaced_by == ("spec",)


def test_a_region_that_gives_up_remembers_that_it_served_for_the_next_time() -> None:
    cluster, nothing = FakeCluster(records={"serving": {"region": "us-west-2"}}), {"databases": [], "databasePasswords": {}}
    stands_by = {"active": "primary", "force": True, **nothing}
    assert run_program("secondary", stands_by, cluster=cluster, preview=True).call_hook("failover-gate") == ""
    assert "restore-attempts" not in cluster.records
    assert run_program("secondary", stands_by, cluster=cluster).call_hook("failover-gate") == ""
    assert cluster.records["restore-attempts"] == {"served": "true", "came": ""}
    del cluster.records["serving"]
    (again,) = run_program("secondary", {"active": "secondary", **nothing}, cluster=cluster).of("Restore")
    assert again.spec["existingResourcePolicy"] == "update"


def test_a_restore_stays_the_first_takeovers_own_although_its_record_of_serving_was_deleted_by_hand() -> None:
    cluster = FakeCluster(records={"serving": {"region": "us-west-2"}})
    for _ in range(2):
        (restore,) = run_program("secondary", {"active": "secondary"}, cluster=cluster).of("Restore")
        assert restore.spec["existingResourcePolicy"] == "none"
        cluster.records.pop("serving", None)


def test_pods_that_could_not_be_replaced_make_the_next_up_restore_and_replace_them() -> None:
    class Refusing(FakeCluster):
        def delete_pods(self, selector: str) -> int:
            raise ClusterUnreachableError("cluster prod refused: 403 Forbidden")

    cluster = Refusing()
    with pytest.raises(RestoreFailedError, match="are not replaced: cluster prod refused"):
        judge_restore(cluster, backup(pods="all"), "backups[0]", {"metadata": {"name": "r"}, "status": {"phase": "Completed"}})
    assert cluster.records["restore-attempts"]["restore-a"] == "2"


def test_a_restore_has_no_name_of_its_own_for_velero_restores_under_one_name_only_once(takeover: Recorder) -> None:
    for name in (HOURLY, DAILY):
        assert "name" not in takeover[name].metadata
        assert takeover[name].metadata["namespace"] == "velero"


def test_a_restore_is_retained_and_may_take_as_long_as_is_configured(takeover: Recorder) -> None:
    assert {(seen.retain_on_delete, seen.timeout, seen.update_timeout) for seen in takeover.of("Restore")} == {
        (True, "45m", "45m")
    }
    slow = run_program("secondary", {"active": "secondary", "failover": {"restore": "2h"}})
    assert {(seen.timeout, seen.update_timeout) for seen in slow.of("Restore")} == {("2h", "2h")}


def test_a_restore_is_made_as_soon_as_it_has_ended_in_any_way(takeover: Recorder) -> None:
    for seen in takeover.of("Restore"):
        wait = seen.metadata["annotations"]["pulumi.com/waitFor"]
        for phase in ("Completed", "PartiallyFailed", "Failed", "FailedValidation"):
            assert f"@ == '{phase}'" in wait


def test_each_restore_is_refused_in_a_region_that_serves_and_judged_when_it_has_ended(takeover: Recorder) -> None:
    for seen in takeover.of("Restore"):
        key = seen.name.removeprefix("failover-restores-")
        judge = [f"restore-{key}-judge"]
        # An update too: it waits for a Restore that was still running when an `up` was interrupted.
        assert seen.hooks == {"before_create": [f"restore-{key}-once"], "after_create": judge, "after_update": judge}
    assert takeover.hooks_on_preview == {
        "region-cluster",
        "cluster-read",
        "failover-gate",
    }


def test_a_failed_attempt_makes_the_next_up_restore_anew_and_the_other_restores_not(takeover: Recorder) -> None:
    cluster = FakeCluster(records={"restore-attempts": {"restore-hourly-critical": "2"}})
    again = run_program("secondary", {"active": "secondary", "peerReady": True, "backups": BOTH}, cluster=cluster)
    assert takeover[HOURLY].replacement_trigger != again[HOURLY].replacement_trigger
    assert takeover[DAILY].replacement_trigger == again[DAILY].replacement_trigger


FAILURES: list[tuple[dict[str, Any], str]] = [
    ({"phase": "PartiallyFailed", "errors": 3}, "ended PartiallyFailed: 3 errors"),
    (
        {"phase": "FailedValidation", "validationErrors": ["no completed backups found for schedule", "another"]},
        "ended FailedValidation: no completed backups found for schedule; another",
    ),
    ({"phase": "Failed", "failureReason": "bucket not found"}, "ended Failed: bucket not found"),
    ({"phase": "Failed"}, "ended Failed: Velero gives no reason"),
]


@pytest.mark.parametrize(("status", "reason"), FAILURES, ids=[status["phase"] for status, _ in FAILURES[:3]] + ["no-reason"])
def test_a_failed_restore_stops_everything_behind_it_with_veleros_reason(status: dict[str, Any], reason: str) -> None:
    reached, error = attempt_program("secondary", {"active": "secondary", "backups": BOTH}, answers=Answers(status))
    assert isinstance(error, RestoreFailedError)
    assert isinstance(error, pulumi.RunError)  # which the engine shows without a traceback
    assert [seen.name for seen in reached.of("Restore")] == [HOURLY]
    assert reason in str(error)
    assert "\n" not in str(error)
    assert not [seen.name for seen in reached.of("Job") if seen.name.startswith("failover")]
    assert "failover-flag" not in reached.names()
    assert "failover-serving" not in reached.names()
    assert not reached.of("Schedule")


@pytest.mark.parametrize(("status", "reason"), FAILURES, ids=[status["phase"] for status, _ in FAILURES[:3]] + ["no-reason"])
def test_the_engine_is_told_veleros_reason_and_the_attempt_is_noted(status: dict[str, Any], reason: str) -> None:
    cluster = FakeCluster()
    takeover = run_program("secondary", {"active": "secondary"}, cluster=cluster)
    told = takeover.call_hook("restore-hourly-critical-judge", metadata={"name": "restore-1"}, status=status)
    assert reason in told
    assert "Once the cause is gone run pulumi up again: it restores anew" in told
    assert "\n" not in told
    noted = cluster.records["restore-attempts"]
    assert noted["restore-hourly-critical"] == "2"
    assert noted["restore-hourly-critical.failed"] == ("restore-1" if status["phase"] == "PartiallyFailed" else "")


def test_only_what_a_person_can_accept_is_offered_to_be_accepted() -> None:
    for status, _ in FAILURES:
        with pytest.raises(RestoreFailedError) as failed:
            judge_restore(FakeCluster(), backup(), "backups[1]", {"metadata": {"name": "restore-1"}, "status": status})
        assert ("write accept: restore-1" in str(failed.value)) is (status["phase"] == "PartiallyFailed")
        assert ("k8s-dr:backups[1] in Pulumi.yaml" in str(failed.value)) is (status["phase"] == "PartiallyFailed")


def test_a_restore_that_completed_is_judged_good_and_nothing_is_noted() -> None:
    cluster = FakeCluster()
    takeover = run_program("secondary", {"active": "secondary"}, cluster=cluster)
    told = takeover.call_hook("restore-hourly-critical-judge", metadata={"name": "restore-1"}, status={"phase": "Completed"})
    assert told == ""
    assert not cluster.records


def test_a_restore_that_completed_lets_the_one_that_failed_before_it_be_forgotten() -> None:
    cluster = FakeCluster(records={"restore-attempts": {"restore-a": "2", "restore-a.failed": "restore-1"}})
    judge_restore(cluster, backup(), "backups[0]", {"metadata": {"name": "restore-2"}, "status": {"phase": "Completed"}})
    assert cluster.records["restore-attempts"] == {"restore-a": "2", "restore-a.failed": ""}


def test_pods_that_came_back_for_their_volumes_alone_are_replaced_once_the_restore_has_completed() -> None:
    cluster, outputs = FakeCluster(), {"metadata": {"name": "restore-1"}, "status": {"phase": "Completed"}}
    judge_restore(cluster, backup(), "backups[0]", outputs)
    assert not [asked for asked in cluster.asked if asked.startswith("delete")]
    judge_restore(cluster, backup(pods="all"), "backups[0]", outputs)
    assert [asked for asked in cluster.asked if asked.startswith("delete")] == [
        f"delete pods velero.io/restore-name,{label}"
        for label in ("pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash")
    ]


def test_a_partly_failed_restore_that_a_person_accepts_lets_the_failover_go_on_and_is_not_repeated() -> None:
    partly = Answers({"phase": "PartiallyFailed", "errors": 1})
    failed = f"{HOURLY}-1a2b3c4d"
    cluster = FakeCluster(
        records={"restore-attempts": {"restore-hourly-critical": "2", "restore-hourly-critical.failed": failed}}
    )
    accepted = {"active": "secondary", "backups": [{**BOTH[1], "accept": failed}]}
    went_on = run_program("secondary", accepted, answers=partly, cluster=cluster)
    assert "failover-serving" in went_on.names()
    assert went_on[HOURLY].replacement_trigger == "1", "the one that is accepted stays"
    assert cluster.records["restore-attempts"] == {
        "restore-hourly-critical": "1",
        "restore-hourly-critical.failed": "",
        "restore-hourly-critical.accepted": failed,
    }
    later = run_program("secondary", {"active": "secondary", "backups": [BOTH[1]]}, answers=partly, cluster=cluster)
    assert later[HOURLY].replacement_trigger == "1", "accept may be taken out afterwards"


def test_an_accepted_restore_is_noted_in_an_up_and_not_in_a_preview() -> None:
    record = {"restore-a": "2", "restore-a.failed": "restore-1"}
    cluster = FakeCluster(records={"restore-attempts": dict(record)})
    changes = {"active": "secondary", "backups": [{"name": "a", "cron": "0 * * * *", "keep": "24h", "accept": "restore-1"}]}
    run_program("secondary", changes, cluster=cluster, preview=True)
    assert cluster.records["restore-attempts"] == record


def test_accepting_another_restore_than_the_one_that_failed_is_one_clear_error() -> None:
    cluster = FakeCluster(records={"restore-attempts": {"restore-hourly-critical": "2", "restore-hourly-critical.failed": "b"}})
    changes = {"active": "secondary", "backups": [BOTH[0], {**BOTH[1], "accept": "a"}]}
    _, error = attempt_program("secondary", changes, cluster=cluster)
    assert isinstance(error, RestoreFailedError)
    assert str(error) == (
        "k8s-dr:backups[1].accept: a is not the Restore that failed here, which is b; write that one to accept it, or take "
        "accept out to restore anew"
    )


def test_only_the_accepted_restore_is_accepted_and_only_if_it_failed_partly() -> None:
    partly = {"phase": "PartiallyFailed", "errors": 1}
    assert restored("restore-1", partly, "restore-1") == "restore-1"
    for name, status in (("restore-2", partly), ("restore-1", {"phase": "Failed"})):
        with pytest.raises(RestoreFailedError):
            restored(name, status, "restore-1")


def test_what_accept_names_from_an_earlier_failover_does_not_stop_this_one() -> None:
    Memory(record={"restore-a.accepted": "old"}).refuse_other_restores(backup(accept="old"), "backups[0]")
    Memory(record={"restore-a.failed": "new"}, serves=True).refuse_other_restores(backup(accept="old"), "backups[0]")


def test_a_region_that_serves_refuses_to_restore_over_live_data() -> None:
    cluster = FakeCluster(records={"serving": {"region": "us-west-2"}})
    takeover = run_program("secondary", {"active": "secondary"}, cluster=cluster)
    told = takeover.call_hook("restore-hourly-critical-once")
    assert told.startswith("this region serves already, and a restore now would run over live data")
    assert "restore: false" in told
    assert "\n" not in told


def test_a_region_that_does_not_serve_yet_may_restore() -> None:
    refuse_if_serving(FakeCluster())


def test_a_named_backup_is_looked_for_again_before_each_restore_since_the_gate_may_have_been_asked_before_it_was_named() -> None:
    cluster = FakeCluster(velero={"backups": []})
    changes = {"active": "secondary", "backups": [{**BOTH[1], "from": "hourly-critical-us-east-1-1"}]}
    takeover = run_program("secondary", changes, cluster=cluster)
    assert "there is no Backup of that name here" in takeover.call_hook("restore-hourly-critical-once")


def test_attempts_are_counted_for_each_restore_alone() -> None:
    cluster = FakeCluster(records={"restore-attempts": {"restore-a": "4", "restore-b": "2"}})
    with pytest.raises(RestoreFailedError):
        judge_restore(cluster, backup(), "backups[0]", {"status": {"phase": "Failed"}})
    assert cluster.records["restore-attempts"] == {"restore-a": "5", "restore-a.failed": "", "restore-b": "2"}


def test_a_restore_without_a_status_counts_as_failed() -> None:
    with pytest.raises(RestoreFailedError, match="ended without a phase"):
        restored("restore-1", None)


def test_a_restore_that_completed_gives_its_name() -> None:
    assert restored("restore-1", {"phase": "Completed", "warnings": 2}) == "restore-1"


def test_what_a_restore_changes_is_in_the_secondarys_cluster_long_before_a_failover(program: Program) -> None:
    standby = program("secondary", "primary")["failover-restores-modifiers"]
    assert standby.metadata["name"] == both()[HOURLY].spec["resourceModifier"]["name"]
    assert standby.metadata["namespace"] == "velero"
    assert standby.name in both()[HOURLY].depends_on


def test_the_way_back_is_in_the_primarys_cluster_as_long_before(program: Program) -> None:
    for active in ("primary", "secondary"):
        there = program("primary", active)["failover-restores-modifiers"]
        assert there.metadata["name"] == both()[HOURLY].spec["resourceModifier"]["name"]


def test_storage_classes_are_changed_where_somebody_says_so() -> None:
    changes = {"velero": {"storageClasses": {"gp3": "gp3-west"}}}
    classes = run_program("secondary", changes)["failover-restores-storage-classes"]
    assert classes.inputs["data"] == {"gp3": "gp3-west"}
    assert classes.metadata["labels"]["velero.io/change-storage-class"] == "RestoreItemAction"


def test_classes_are_changed_in_the_primary_only_once_it_has_given_up_for_they_hold_for_each_restore_there() -> None:
    changes = {"velero": {"storageClasses": {"gp3": "gp3-west"}}}
    assert "failover-restores-storage-classes" not in run_program("primary", changes).names()
    given_up = run_program("primary", {**changes, "active": "secondary"})["failover-restores-storage-classes"]
    assert given_up.inputs["data"] == {"gp3-west": "gp3"}
