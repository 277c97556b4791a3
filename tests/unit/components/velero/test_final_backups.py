"""A region that gives up in good order makes its last backups once nothing writes any more, and none that lacks a file counts."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.kube.runner.restored import Results, ResultsUnavailableError
from components.velero.files import Volume
from components.velero.final_backups import (
    FinalBackups,
    FinalBackupsArgs,
    LastBackupFailedError,
    judge_backup,
    last_backup,
)
from components.velero.memory import Memory
from components.velero.schedules import backup_template
from settings.backup import Backup
from settings.load import SECRETS, load
from settings.names import Names
from settings.volumes import VolumeRule
from tests.examples import example
from tests.unit.components.alone import registered
from tests.unit.fakes import FakeCluster, FakeFiles
from tests.unit.recorder import Answers, Recorder

ENTRIES: list[dict[str, Any]] = [
    {"name": "daily", "cron": "0 2 * * *", "keep": "720h"},
    {"name": "hourly", "cron": "0 * * * *", "keep": "168h", "include": ["production"]},
    {"name": "never", "cron": "0 3 * * *", "keep": "720h", "include": ["logs"], "restore": False},
]
BACKUPS = [Backup.model_validate(entry) for entry in ENTRIES]
HOURLY = BACKUPS[1]
SKIPS = VolumeRule.model_validate({"driver": "efs.csi.aws.com", "action": "skip"})
DATA = Volume(claim=("production", "data-0"), name="pv-1", reason="csiSnapshot: skipped b/c it's not a CSI volume")
SKIPPED = Volume(claim=("production", "cache"), name="pv-2", reason="any: skipped due to resource policy")
AGAIN = "once the cause is gone run the same pulumi up: it makes another one. The workloads stay stopped meanwhile"


def args(**changes: Any) -> FinalBackupsArgs:
    asked: dict[str, Any] = {
        "names": Names(topology=load("primary", example("primary"), SECRETS).topology, role="primary"),
        "backups": BACKUPS,
        "named": ["production", "shop"],
        "cluster": FakeCluster(),
        "files": FakeFiles(),
        "volumes": [],
        "databases": [],
        "after": [],
        "timeout": "45m",
        "memory": Memory(),
    }
    return FinalBackupsArgs(**{**asked, **changes})


def made(answers: Answers | None = None, **changes: Any) -> tuple[Recorder, dict[str, str]]:
    names: dict[str, str] = {}

    def make() -> pulumi.Output[None]:
        # Outputs need the loop that runs the program.
        after = [pulumi.Output.from_input(text) for text in changes.get("stopped", ())]
        rest = {key: value for key, value in changes.items() if key != "stopped"}
        backups = FinalBackups("final", args(after=after, **rest))
        return pulumi.Output.all(**backups.by_backup).apply(names.update)

    return registered(make, answers), names


def judged(phase: str = "Completed", **changes: Any) -> str:
    """What is said against a last Backup that ended so; nothing if it counts."""
    status = {key: changes.pop(key) for key in ("errors", "failureReason", "validationErrors") if key in changes}
    asked = args(**changes)
    try:
        judge_backup(asked, HOURLY, {"metadata": {"name": "hourly-1"}, "status": {"phase": phase, **status}})
    except LastBackupFailedError as error:
        said = str(error)
    else:
        said = ""
    assert asked.cluster.read_record("restore-attempts") == ({"backup-hourly": "2"} if said else None)
    assert "\n" not in said
    return said


def test_each_entry_that_the_other_region_restores_has_a_last_backup_and_its_name_is_told() -> None:
    recorder, names = made()
    assert {seen.name for seen in recorder.of("Backup")} == {"final-daily", "final-hourly"}
    assert names == {"daily": "final-daily-1a2b3c4d", "hourly": "final-hourly-1a2b3c4d"}


def test_a_last_backup_is_made_as_its_schedule_makes_them_and_counts_as_one_of_them() -> None:
    last = made()[0]["final-hourly"]
    template = backup_template(HOURLY)
    assert last.metadata["labels"] == {"velero.io/schedule-name": "hourly-us-east-1", **template.pop("metadata")["labels"]}
    added = ["volumesnapshots.snapshot.storage.k8s.io", "volumesnapshotcontents.snapshot.storage.k8s.io"]
    assert last.spec == {**template, "excludedResources": [*template["excludedResources"], *added], "ttl": "720h"}
    assert last.metadata["namespace"] == "velero"
    assert "name" not in last.metadata, "the next handover makes another one"


@pytest.mark.parametrize(("keep", "kept"), [("24h", "720h"), ("720h", "720h"), ("2160h", "2160h")])
def test_a_last_backup_outlives_a_switchover_that_is_on_hold_for_days_however_short_its_schedule_keeps(
    keep: str, kept: str
) -> None:
    entry = HOURLY.model_copy(update={"keep": keep})
    assert last_backup(args().names, entry)[1]["ttl"] == kept
    assert backup_template(entry)["ttl"] == keep, "and its schedule's others end as they did"


def test_another_keep_makes_no_other_last_backup_by_which_the_token_would_be_stale() -> None:
    assert made()[0]["final-hourly"].ignore_changes == ("spec.ttl",)


def test_a_last_backup_waits_until_nothing_writes_any_more_and_for_its_own_end_however_that_is() -> None:
    annotations = made(stopped=["shop", "production"])[0]["final-hourly"].metadata["annotations"]
    assert annotations["k8s-dr/after"] == "shop production"
    for phase in ("Completed", "PartiallyFailed", "Failed", "FailedValidation"):
        assert f"@ == '{phase}'" in annotations["pulumi.com/waitFor"]


def test_a_last_backup_stays_in_the_cluster_and_is_made_anew_where_it_failed_or_its_spec_is_another() -> None:
    first = made()[0]["final-hourly"]
    again = made(memory=Memory(record={"backup-hourly": "2", "restore-daily": "5"}))[0]
    assert first.retain_on_delete
    assert (first.timeout, first.update_timeout) == ("45m", "45m")
    assert first.replaced_by == ("spec",)
    assert first.replacement_trigger != again["final-hourly"].replacement_trigger
    assert made()[0]["final-daily"].replacement_trigger == again["final-daily"].replacement_trigger
    # An update too: it waits for one that was still running when an `up` was interrupted.
    assert first.hooks == {"after_create": ["backup-hourly-judge"], "after_update": ["backup-hourly-judge"]}


def test_the_engine_is_told_why_a_last_backup_does_not_count() -> None:
    recorder, _ = made()
    said = recorder.call_hook(
        "backup-hourly-judge", metadata={"name": "b"}, status={"phase": "Failed", "failureReason": "no room"}
    )
    assert said == f"Backup b ended Failed: no room; {AGAIN}"
    assert recorder.call_hook("backup-hourly-judge", metadata={"name": "b"}, status={"phase": "Completed"}) == ""


@pytest.mark.parametrize("phase", ["PartiallyFailed", "Failed", "FailedValidation"])
def test_whoever_waits_for_the_name_of_one_that_did_not_complete_fails_with_the_reason(phase: str) -> None:
    with pytest.raises(LastBackupFailedError, match=f"Backup final-hourly-1a2b3c4d ended {phase}: bucket is gone"):
        made(Answers(backup_status={"phase": phase, "failureReason": "bucket is gone"}), backups=[HOURLY])


def test_veleros_reasons_are_in_the_message() -> None:
    assert judged() == ""
    assert judged("FailedValidation", validationErrors=["no location own"]) == (
        f"Backup hourly-1 ended FailedValidation: no location own; {AGAIN}"
    )
    files = FakeFiles(said={"hourly-1": Results(errors=("data-0: snapshot failed",), warnings=())})
    assert "ended PartiallyFailed: 1 error: data-0: snapshot failed" in judged("PartiallyFailed", errors=1, files=files)
    assert "see: velero backup describe hourly-1 --details" in judged("PartiallyFailed", errors=1)
    assert "ended without a phase" in judged("")


def test_a_volume_that_velero_passed_over_without_an_error_is_one_here() -> None:
    said = judged(files=FakeFiles(without={"hourly-1": [DATA]}))
    assert said.startswith(
        "Backup hourly-1 completed without the data of claim production/data-0 (csiSnapshot: skipped b/c it's not a CSI volume): "
        "they would be lost."
    )
    assert said.endswith(AGAIN)
    assert "data-0" in judged(files=FakeFiles(without={"hourly-1": [DATA]}), volumes=[SKIPS]), "no rule has skipped that one"


def test_a_volume_that_a_rule_skips_and_one_of_a_database_are_left_out_on_purpose() -> None:
    assert judged(files=FakeFiles(without={"hourly-1": [SKIPPED]}), volumes=[SKIPS]) == ""
    assert "production/cache" in judged(files=FakeFiles(without={"hourly-1": [SKIPPED]}))
    of_database = Volume(claim=("databases", "app-database-1"), name="pv-3", reason="any: skipped due to resource policy")
    files = FakeFiles(without={"hourly-1": [of_database]})
    assert judged(files=files, databases=[("databases", "app-database")]) == ""
    assert judged(files=files) != ""


def test_what_cannot_be_known_does_not_count_as_saved() -> None:
    said = judged(files=FakeFiles(error=ResultsUnavailableError("AccessDenied")))
    assert said.startswith(
        "Backup hourly-1 completed, and whether it has the data of every volume is not known: AccessDenied; see"
    )
