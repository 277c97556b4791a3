"""The peer's newest backups are brought back once, in order, and a failure stops everything behind it with Velero's reason."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.velero.restores import (
    RestoreFailedError,
    explain_failure,
    in_order,
    judge_restore,
    refuse_if_serving,
    restore_spec,
    restored,
)
from settings.model import Backup
from settings.names import NEVER_RESTORED
from tests.unit.components.conftest import Program
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import Answers, Recorder, attempt_program, run_program

HOURLY, DAILY = "failover-restores-hourly-critical", "failover-restores-daily-full"


def backup(name: str, **changes: Any) -> Backup:
    return Backup(name=name, cron="0 * * * *", keep="24h", **changes)


def test_only_a_region_that_takes_over_restores(program: Program) -> None:
    assert len(program("secondary", "secondary").of("Restore")) == 2
    for stack, active in (("primary", "primary"), ("primary", "secondary"), ("secondary", "primary")):
        assert not program(stack, active).of("Restore")


def test_the_newest_backups_of_the_peers_schedules_are_restored(takeover: Recorder) -> None:
    assert takeover[HOURLY].spec["scheduleName"] == "hourly-critical-us-east-1"
    assert takeover[DAILY].spec["scheduleName"] == "daily-full-us-east-1"
    assert "backupName" not in takeover[HOURLY].spec


def test_critical_namespaces_come_first_and_the_rest_waits_for_them(takeover: Recorder) -> None:
    assert takeover[HOURLY].depends_on == frozenset()
    assert takeover[DAILY].depends_on == {HOURLY}
    assert takeover[HOURLY].spec["includedNamespaces"] == ["production", "databases"]


def test_a_restore_waits_until_those_before_it_have_completed(takeover: Recorder) -> None:
    assert "k8s-dr/after" not in takeover[HOURLY].metadata["annotations"]
    assert takeover[DAILY].metadata["annotations"]["k8s-dr/after"] == f"{HOURLY}-1a2b3c4d"
    backups = [{"name": name, "cron": "0 * * * *", "keep": "24h", "include": [name]} for name in ("a", "b", "c")]
    third = run_program("secondary", {"active": "secondary", "backups": backups})["failover-restores-c"]
    assert third.metadata["annotations"]["k8s-dr/after"] == "failover-restores-a-1a2b3c4d failover-restores-b-1a2b3c4d"


def test_no_namespace_is_restored_twice(takeover: Recorder) -> None:
    assert set(takeover[HOURLY].spec["includedNamespaces"]) <= set(takeover[DAILY].spec["excludedNamespaces"])
    specs = {"first": ["a", "b"], "second": ["b", "c"]}
    second = restore_spec(backup("second", include=specs["second"]), "second-us-east-1", specs["first"])
    assert second["includedNamespaces"] == ["c"]


def test_namespaces_of_the_cluster_and_of_this_program_are_never_restored_over(takeover: Recorder) -> None:
    assert set(NEVER_RESTORED) <= set(takeover[DAILY].spec["excludedNamespaces"])
    assert {"velero", "kube-system", "k8s-dr"} <= set(NEVER_RESTORED)


def test_what_is_in_the_cluster_already_is_kept_and_databases_are_left_to_their_operator(takeover: Recorder) -> None:
    for name in (HOURLY, DAILY):
        assert takeover[name].spec["existingResourcePolicy"] == "none"
        assert takeover[name].spec["labelSelector"]["matchExpressions"][0]["key"] == "cnpg.io/cluster"


def test_a_field_that_velero_changes_by_itself_is_left_to_it(takeover: Recorder) -> None:
    for name in (HOURLY, DAILY):
        assert "excludedResources" not in takeover[name].spec


def test_a_restore_has_no_name_of_its_own_for_velero_restores_under_one_name_only_once(takeover: Recorder) -> None:
    for name in (HOURLY, DAILY):
        assert "name" not in takeover[name].metadata
        assert takeover[name].metadata["namespace"] == "velero"


def test_a_restore_is_retained_and_may_take_as_long_as_is_configured(takeover: Recorder) -> None:
    assert {(seen.retain_on_delete, seen.timeout, seen.update_timeout) for seen in takeover.of("Restore")} == {
        (True, "30m", "30m")
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
    assert takeover.hooks_on_preview == {"failover-gate", "failover-databases-app-database-same-server"}


def test_a_schedule_that_something_else_restores_is_left_out() -> None:
    backups = [
        {"name": "gitops", "cron": "0 * * * *", "keep": "24h", "include": ["apps"], "restore": False},
        {"name": "rest", "cron": "0 2 * * *", "keep": "720h"},
    ]
    takeover = run_program("secondary", {"active": "secondary", "backups": backups})
    assert [seen.name for seen in takeover.of("Restore")] == ["failover-restores-rest"]
    assert "apps" not in takeover["failover-restores-rest"].spec["excludedNamespaces"]
    assert len(takeover.of("Schedule")) == 2


def test_named_namespaces_are_restored_in_the_order_in_which_they_are_written() -> None:
    backups = [backup("all"), backup("b", include=["b"]), backup("off", include=["c"], restore=False), backup("a", include=["a"])]
    assert [one.name for one in in_order(backups)] == ["b", "a", "all"]


def test_a_failed_attempt_makes_the_next_up_restore_anew_and_the_other_restores_not(takeover: Recorder) -> None:
    cluster = FakeCluster(records={"restore-attempts": {"restore-hourly-critical": "2"}})
    again = run_program("secondary", {"active": "secondary", "peerReady": True}, cluster=cluster)
    assert takeover[HOURLY].replacement_trigger != again[HOURLY].replacement_trigger
    assert takeover[DAILY].replacement_trigger == again[DAILY].replacement_trigger


FAILURES: list[tuple[dict[str, Any], str]] = [
    ({"phase": "PartiallyFailed", "errors": 3}, "ended PartiallyFailed: 3 errors, see: velero restore logs"),
    (
        {"phase": "FailedValidation", "validationErrors": ["no completed backups found for schedule", "another"]},
        "ended FailedValidation: no completed backups found for schedule; another",
    ),
    ({"phase": "Failed", "failureReason": "bucket not found"}, "ended Failed: bucket not found"),
    ({"phase": "Failed"}, "ended Failed: Velero gives no reason"),
]


@pytest.mark.parametrize(("status", "reason"), FAILURES, ids=[status["phase"] for status, _ in FAILURES[:3]] + ["no-reason"])
def test_a_failed_restore_stops_everything_behind_it_with_veleros_reason(status: dict[str, Any], reason: str) -> None:
    reached, error = attempt_program("secondary", {"active": "secondary"}, answers=Answers(status))
    assert isinstance(error, RestoreFailedError)
    assert isinstance(error, pulumi.RunError)  # which the engine shows without a traceback
    assert [seen.name for seen in reached.of("Restore")] == [HOURLY]
    assert reason in str(error)
    assert "\n" not in str(error)
    assert not [seen.name for seen in reached.of("Job") if seen.name.startswith("failover")]
    assert not reached.of("BucketObjectv2")
    assert "failover-serving" not in reached.names()
    assert not reached.of("Schedule")


@pytest.mark.parametrize(("status", "reason"), FAILURES, ids=[status["phase"] for status, _ in FAILURES[:3]] + ["no-reason"])
def test_the_engine_is_told_veleros_reason_and_the_attempt_is_noted(status: dict[str, Any], reason: str) -> None:
    cluster = FakeCluster()
    takeover = run_program("secondary", {"active": "secondary"}, cluster=cluster)
    told = takeover.call_hook("restore-hourly-critical-judge", metadata={"name": "restore-1"}, status=status)
    assert reason in told
    assert told.endswith("Once the cause is gone run pulumi up again: it restores anew")
    assert cluster.records["restore-attempts"] == {"restore-hourly-critical": "2"}


def test_a_restore_that_completed_is_judged_good_and_nothing_is_noted() -> None:
    cluster = FakeCluster()
    takeover = run_program("secondary", {"active": "secondary"}, cluster=cluster)
    told = takeover.call_hook("restore-daily-full-judge", metadata={"name": "restore-1"}, status={"phase": "Completed"})
    assert told == ""
    assert not cluster.records


def test_a_region_that_serves_refuses_to_restore_over_live_data() -> None:
    cluster = FakeCluster(records={"serving": {"region": "us-west-2"}})
    takeover = run_program("secondary", {"active": "secondary"}, cluster=cluster)
    told = takeover.call_hook("restore-daily-full-once")
    assert told.startswith("this region serves already, and a restore now would run over live data")
    assert "restore: false" in told
    assert "\n" not in told


def test_a_region_that_does_not_serve_yet_may_restore() -> None:
    refuse_if_serving(FakeCluster())


def test_attempts_are_counted_for_each_restore_alone() -> None:
    cluster = FakeCluster(records={"restore-attempts": {"restore-a": "4", "restore-b": "2"}})
    with pytest.raises(RestoreFailedError):
        judge_restore(cluster, "restore-a", {"status": {"phase": "Failed"}})
    assert cluster.records["restore-attempts"] == {"restore-a": "5", "restore-b": "2"}


def test_a_restore_without_a_status_counts_as_failed() -> None:
    with pytest.raises(RestoreFailedError, match="ended without a phase"):
        restored("restore-1", None)


def test_a_restore_that_completed_gives_its_name() -> None:
    assert restored("restore-1", {"phase": "Completed", "warnings": 2}) == "restore-1"
    assert explain_failure("restore-1", {"phase": "Completed"}) is None
