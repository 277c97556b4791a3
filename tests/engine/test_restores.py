"""Restores under the real engine. A failed restore ends the `up` at once, with Velero's reason. The next `up` tries it again. A
restore that succeeded never runs twice."""

from __future__ import annotations

import re

import pytest

from tests.engine.conftest import Pair, told_plainly

REASON = "No backups found for schedule"


@pytest.fixture
def full_pair(pair: Pair) -> Pair:
    """Both stacks, where the full backup is restored too: as it is committed nothing is left of it for a restore of its own."""
    change_backups(pair, "restore: everything", count=1)
    return pair


def change_backups(pair: Pair, line: str, *, count: int = 0) -> None:
    """Add a line to each of the backups, or to the first `count`."""
    project = pair.pulumi.directory / "Pulumi.yaml"
    changed, times = re.subn(r"keep: (720h|168h)", rf"keep: \1\n      {line}", project.read_text(), count=count)
    assert times == (count or 2)
    project.write_text(changed)


def fail_restores(pair: Pair, name: str = "") -> None:
    pair.secondary.outcomes.order({"kind": "Restore", "name": name, "phase": "FailedValidation", "reason": REASON})


def test_a_failed_restore_fails_the_up_with_veleros_reason_and_the_next_up_restores_anew(full_pair: Pair) -> None:
    pair = full_pair
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


@pytest.mark.long
def test_a_restore_that_fails_twice_is_tried_a_third_time(full_pair: Pair) -> None:
    pair = full_pair
    before = pair.restore_names()
    fail_restores(pair, "failover-restores-daily-full")
    for failed in (pair.flip(check=False), pair.pulumi.up("secondary", check=False)):
        assert told_plainly(failed, "Restore failover-restores-daily-full", " ended FailedValidation: ", REASON), failed.output
    pair.secondary.outcomes.order({"kind": "Restore", "name": "failover-restores-daily-full"})
    pair.pulumi.up("secondary")
    made = pair.restore_names() - before
    assert len([name for name in made if "daily-full" in name]) == 3
    assert len([name for name in made if "hourly-critical" in name]) == 1, "what was restored is not restored again"


@pytest.mark.long
def test_a_backup_that_expires_later_does_not_make_a_later_up_restore_again(serving_secondary: Pair) -> None:
    restored = serving_secondary.restore_names()
    serving_secondary.have_backups(phase="Deleting")
    serving_secondary.pulumi.up("secondary", "--expect-no-changes")
    serving_secondary.pulumi.up("secondary", "--refresh")
    assert serving_secondary.restore_names() == restored


@pytest.mark.long
def test_a_restore_deleted_behind_the_engines_back_does_not_run_over_live_data(serving_secondary: Pair) -> None:
    for name in serving_secondary.restore_names():
        serving_secondary.secondary.remove("Restore", "velero", name)
    refused = serving_secondary.pulumi.up("secondary", "--refresh", check=False)
    assert told_plainly(refused, "this region serves already"), refused.output
    assert serving_secondary.restore_names() == set()
    change_backups(serving_secondary, "restore: false")
    serving_secondary.pulumi.up("secondary")
    assert serving_secondary.restore_names() == set()
    assert serving_secondary.flag() == "secondary"


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


@pytest.mark.long
def test_a_restore_that_outlived_an_up_is_judged_by_the_next_one_and_tried_anew_by_the_third(pair: Pair) -> None:
    """The Restore is in the state already, so the next `up` waits for it in an update and not in a create."""
    before = pair.restore_names()
    pair.pulumi.run("config", "set", "--path", "failover.restore", "61s", "-s", "secondary")
    pair.pulumi.run("config", "set", "--path", "velero.prepareTimeout", "1m", "-s", "secondary")
    pair.secondary.outcomes.order({"kind": "Restore", "phase": "Pending"})
    assert pair.flip(check=False).exit_code
    fail_restores(pair)
    judged = pair.pulumi.up("secondary", check=False)
    assert told_plainly(judged, "Restore failover-restores-", " ended FailedValidation: ", REASON), judged.output
    assert len(pair.restore_names() - before) == 1, "nothing new while the first one was not judged"
    pair.secondary.outcomes.order({"kind": "Restore"})
    pair.pulumi.up("secondary")
    assert pair.flag() == "secondary"
    assert len([name for name in pair.restore_names() - before if "hourly-critical" in name]) == 2


def test_a_partly_failed_restore_that_is_accepted_is_not_repeated_and_the_failover_goes_on(pair: Pair) -> None:
    before = pair.restore_names()
    pair.secondary.outcomes.order({"kind": "Restore", "phase": "PartiallyFailed"})
    failed = pair.flip(check=False)
    (first,) = pair.restore_names() - before
    way_on = f"write accept: {first} to k8s-dr:backups[1] in Pulumi.yaml first"
    assert told_plainly(failed, f"Restore {first} ended PartiallyFailed", way_on), failed.output
    change_backups(pair, "accept: another")
    refused = pair.pulumi.up("secondary", check=False)
    assert told_plainly(refused, "another is not the Restore that failed here", first), refused.output
    project = pair.pulumi.directory / "Pulumi.yaml"
    project.write_text(project.read_text().replace("accept: another", f"accept: {first}"))
    pair.pulumi.up("secondary")
    assert pair.flag() == "secondary"
    assert pair.restore_names() - before == {first}
    project.write_text(project.read_text().replace(f"      accept: {first}\n", ""))
    pair.pulumi.up("secondary", "--expect-no-changes")


@pytest.mark.long
def test_a_changed_restore_is_made_anew_before_the_region_serves_and_never_afterwards(pair: Pair) -> None:
    before = pair.restore_names()
    fail_restores(pair)
    assert pair.flip(check=False).exit_code
    pair.secondary.outcomes.order({"kind": "Restore"})
    change_backups(pair, "excludeResources: [widgets.example.com]")
    pair.pulumi.up("secondary")
    assert len(pair.restore_names() - before) == 2
    assert pair.flag() == "secondary"
    change_backups(pair, "existing: update")
    pair.pulumi.up("secondary")
    assert len(pair.restore_names() - before) == 2, "nothing runs over live data"
