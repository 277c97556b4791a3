"""Restores under the real engine. A failed restore ends the `up` at once, with Velero's reason. The next `up` tries it again. A
restore that succeeded never runs twice."""

from __future__ import annotations

from tests.engine.conftest import Pair, told_plainly

REASON = "No backups found for schedule"


def fail_restores(pair: Pair, name: str = "") -> None:
    pair.secondary.outcomes.order({"kind": "Restore", "name": name, "phase": "FailedValidation", "reason": REASON})


def test_a_failed_restore_fails_the_up_with_veleros_reason_and_the_next_up_restores_anew(pair: Pair) -> None:
    before = pair.restore_names()
    fail_restores(pair)
    failed = pair.flip(check=False)
    assert told_plainly(failed, "Restore failover-restores-", " ended FailedValidation: ", REASON), failed.output
    assert pair.flag() == "primary", "the traffic must not move to a region that was not restored"
    assert "failover-workloads-scale" not in str(pair.secondary.objects("Job"))
    first = pair.restore_names() - before
    assert len(first) == 1, "the second restore waits for the first"

    pair.secondary.outcomes.order({"kind": "Restore"})
    pair.pulumi.up("secondary")
    assert pair.flag() == "secondary"
    assert first < pair.restore_names() - before, "the failed one is kept for the record"
    assert len(pair.restore_names() - before) == 3
    pair.pulumi.up("secondary", "--expect-no-changes")


def test_a_restore_that_fails_twice_is_tried_a_third_time(pair: Pair) -> None:
    before = pair.restore_names()
    fail_restores(pair, "failover-restores-daily-full")
    for failed in (pair.flip(check=False), pair.pulumi.up("secondary", check=False)):
        assert told_plainly(failed, "Restore failover-restores-daily-full", " ended FailedValidation: ", REASON), failed.output
    pair.secondary.outcomes.order({"kind": "Restore", "name": "failover-restores-daily-full"})
    pair.pulumi.up("secondary")
    made = pair.restore_names() - before
    assert len([name for name in made if "daily-full" in name]) == 3
    assert len([name for name in made if "hourly-critical" in name]) == 1, "what was restored is not restored again"


def test_a_backup_that_expires_later_does_not_make_a_later_up_restore_again(serving_secondary: Pair) -> None:
    restored = serving_secondary.restore_names()
    serving_secondary.have_backups(phase="Deleting")
    serving_secondary.pulumi.up("secondary", "--expect-no-changes")
    serving_secondary.pulumi.up("secondary", "--refresh")
    assert serving_secondary.restore_names() == restored


def test_a_restore_deleted_behind_the_engines_back_does_not_run_over_live_data(serving_secondary: Pair) -> None:
    for name in serving_secondary.restore_names():
        serving_secondary.secondary.remove("Restore", "velero", name)
    refused = serving_secondary.pulumi.up("secondary", "--refresh", check=False)
    assert told_plainly(refused, "this region serves already"), refused.output
    assert serving_secondary.restore_names() == set()
    project = serving_secondary.pulumi.directory / "Pulumi.yaml"
    declared = project.read_text()
    try:
        project.write_text(
            declared.replace("keep: 720h", "keep: 720h\n      restore: false").replace(
                "keep: 168h", "keep: 168h\n      restore: false"
            )
        )
        assert project.read_text().count("restore: false") == 2
        serving_secondary.pulumi.up("secondary")
        assert serving_secondary.restore_names() == set()
        assert serving_secondary.flag() == "secondary"
        serving_secondary.stand_by()
    finally:
        project.write_text(declared)


def test_a_failed_job_is_replaced_by_the_next_up(pair: Pair) -> None:
    pair.secondary.outcomes.order(
        {"kind": "Job", "name": "failover-workloads-verify", "phase": "Failed", "message": "503 from shop"}
    )
    failed = pair.flip(check=False)
    [job] = [each for each in pair.secondary.objects("Job") if each["metadata"]["name"].startswith("failover-workloads-verify")]
    assert told_plainly(failed, job["metadata"]["name"], "503 from shop"), failed.output
    assert failed.seconds < job["spec"]["activeDeadlineSeconds"], "it did not wait until the Job's own timeout"
    assert pair.flag() == "primary"
    pair.secondary.outcomes.order({"kind": "Job", "name": "failover-workloads-verify"})
    pair.pulumi.up("secondary")
    assert pair.flag() == "secondary"


def test_a_restore_that_outlived_an_up_is_judged_by_the_next_one_and_tried_anew_by_the_third(pair: Pair) -> None:
    """The Restore is in the state already, so the next `up` waits for it in an update and not in a create."""
    before = pair.restore_names()
    pair.pulumi.run("config", "set", "--path", "failover.restore", "3s", "-s", "secondary")
    try:
        pair.secondary.outcomes.order({"kind": "Restore", "phase": "Pending"})
        assert pair.flip(check=False).exit_code
        fail_restores(pair)
        judged = pair.pulumi.up("secondary", check=False)
        assert told_plainly(judged, "Restore failover-restores-", " ended FailedValidation: ", REASON), judged.output
        assert len(pair.restore_names() - before) == 1, "nothing new while the first one was not judged"
        pair.secondary.outcomes.order({"kind": "Restore"})
        pair.pulumi.up("secondary")
    finally:
        pair.pulumi.run("config", "rm", "failover", "-s", "secondary")
    assert pair.flag() == "secondary"
    assert len([name for name in pair.restore_names() - before if "hourly-critical" in name]) == 2
