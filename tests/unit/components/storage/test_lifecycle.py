"""Nothing that a backup needs expires while it is current, and what was deleted can be brought back, whatever the settings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from components.storage.backup_buckets import PURPOSES, BackupBuckets, BackupBucketsArgs
from settings import load
from settings.load import SECRETS
from settings.names import Names
from settings.storage import StorageSettings
from tests.examples import example
from tests.unit.components.alone import registered
from tests.unit.components.conftest import Program
from tests.unit.components.storage.s3_lifecycle import UnknownRuleError, Version, fate
from tests.unit.recorder import Recorder

DRILL_DAYS = 400
WHO_KNOWS_WHEN = 40_000
"""Days: older than any setting can be."""

KEYS = {
    "velero": st.sampled_from(["velero/primary/backups/a/velero-backup.json", "velero/secondary/kopia/production/p1f0", "x"]),
    "database": st.sampled_from(["cnpg/app-database-primary-g1/wals/0000000100000000/000000010000000000000004", "cnpg/a/base/b"]),
    "etcd": st.sampled_from(["etcd/primary/etcd-snapshot-20260304T060000Z-a-r1.db", "etcd/secondary/b", "other"]),
}

locks = st.builds(dict, mode=st.sampled_from(["GOVERNANCE", "COMPLIANCE"]), days=st.integers(1, 36500))
storages = st.fixed_dictionaries(
    {},
    optional={
        "noncurrentDays": st.integers(1, 36500),
        "objectLock": st.none() | locks,
        "etcdSnapshotDays": st.none() | st.integers(7, 36500),
        "replicationTimeControl": st.booleans(),
        "replicationMetrics": st.booleans(),
        "accessLogs": st.booleans(),
        "accessLogDays": st.integers(1, 36500),
    },
)
ages = st.integers(0, WHO_KNOWS_WHEN)


def configured(written: dict[str, Any]) -> StorageSettings:
    lock = written.get("objectLock")
    assume(lock is None or lock["days"] <= written.get("noncurrentDays", 60))
    return StorageSettings.model_validate(written)


def register(settings: StorageSettings) -> Recorder:
    names = Names(topology=load("secondary", example("secondary"), SECRETS).topology, role="secondary")
    return registered(
        lambda: BackupBuckets(
            "storage", BackupBucketsArgs(names=names, settings=settings, peer_ready=True, drill_days=DRILL_DAYS)
        )
    )


def rules(recorder: Recorder, name: str) -> list[dict[str, Any]]:
    return recorder[f"storage-{name}-lifecycle"].inputs["rules"]


class TestWhateverTheSettings:
    @hypothesis_settings(max_examples=25, deadline=None)
    @given(written=storages, purpose=st.sampled_from(["velero", "database"]), age=ages, data=st.data())
    def test_nothing_of_kopia_or_barman_expires_while_it_is_current(
        self, written: dict[str, Any], purpose: str, age: int, data: st.DataObject
    ) -> None:
        version = Version(key=data.draw(KEYS[purpose]), age=age)
        assert fate(rules(register(configured(written)), purpose), version) == "stays"

    @hypothesis_settings(max_examples=25, deadline=None)
    @given(written=storages, age=ages, key=KEYS["etcd"])
    def test_an_etcd_snapshot_expires_only_where_it_is_asked_for_and_not_before(
        self, written: dict[str, Any], age: int, key: str
    ) -> None:
        days = written.get("etcdSnapshotDays")
        expected = "hidden" if days is not None and key.startswith("etcd/") and age >= days else "stays"
        assert fate(rules(register(configured(written)), "etcd"), Version(key=key, age=age)) == expected

    @hypothesis_settings(max_examples=25, deadline=None)
    @given(
        written=storages,
        purpose=st.sampled_from(PURPOSES),
        since=ages,
        before=st.integers(0, 400),
        newer=st.integers(0, 100_000),
        data=st.data(),
    )
    def test_what_was_deleted_or_overwritten_is_kept_as_long_as_is_said_however_often_it_was_overwritten(
        self, written: dict[str, Any], purpose: str, since: int, before: int, newer: int, data: st.DataObject
    ) -> None:
        settings = configured(written)
        version = Version(key=data.draw(KEYS[purpose]), age=before + since, noncurrent_for=since, newer_noncurrent=newer)
        expected = "stays" if since < settings.noncurrent_days else "removed"
        assert fate(rules(register(settings), purpose), version) == expected

    @hypothesis_settings(max_examples=15, deadline=None)
    @given(written=storages)
    def test_no_lock_outlasts_what_the_rules_keep(self, written: dict[str, Any]) -> None:
        recorder = register(configured(written))
        for lock in recorder.of("BucketObjectLockConfiguration"):
            retained = lock.inputs["rule"]["defaultRetention"]["days"]
            (rule,) = [rule for rule in rules(recorder, "database") if "noncurrentVersionExpiration" in rule]
            assert retained <= rule["noncurrentVersionExpiration"]["noncurrentDays"]


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_records_of_drills_expire_when_no_auditor_asks_for_them_any_more_and_the_peers_too(role: str) -> None:
    ours, key = rules(register(StorageSettings()), "velero"), f"drills/{role}/integrity/20260302T053000Z-0a1b2c3d.json"
    assert fate(ours, Version(key=key, age=DRILL_DAYS - 1)) == "stays"
    assert fate(ours, Version(key=key, age=DRILL_DAYS)) == "hidden"


def test_logs_expire_when_they_are_old_and_what_was_deleted_of_them_stays_a_while() -> None:
    recorder = register(StorageSettings.model_validate({"accessLogs": True, "accessLogDays": 90}))
    ours = rules(recorder, "access-logs")
    key = "access/123456789012/us-west-2/acme-velero-us-west-2-123456789012/2026/03/04/2026-03-04-05-00-00-0"
    assert fate(ours, Version(key=key, age=89)) == "stays"
    assert fate(ours, Version(key=key, age=90)) == "hidden"
    assert fate(ours, Version(key=key, age=120, noncurrent_for=30)) == "stays"
    assert fate(ours, Version(key=key, age=150, noncurrent_for=60)) == "removed"


def test_the_program_has_no_rules_but_these(recorder: Recorder) -> None:
    assert {seen.name for seen in recorder.of("BucketLifecycleConfiguration")} == {
        f"storage-{purpose}-lifecycle" for purpose in PURPOSES
    }


def test_a_rule_of_the_region_that_stands_by_is_that_of_the_one_that_serves(program: Program) -> None:
    for purpose in PURPOSES:
        assert rules(program("primary", "primary"), purpose) == rules(program("secondary", "primary"), purpose)


@pytest.mark.parametrize(
    ("rule", "version", "expected"),
    [
        ({"expiration": {"days": 30}}, Version(key="a", age=30), "hidden"),
        ({"expiration": {"days": 30}}, Version(key="a", age=29), "stays"),
        ({"expiration": {"days": 30}, "filter": {"prefix": "b"}}, Version(key="a", age=30), "stays"),
        ({"expiration": {"days": 30}, "status": "Disabled"}, Version(key="a", age=30), "stays"),
        ({"expiration": {"expiredObjectDeleteMarker": True}}, Version(key="a", age=30), "stays"),
        ({"noncurrentVersionExpiration": {"noncurrentDays": 3}}, Version(key="a", age=9, noncurrent_for=3), "removed"),
        ({"noncurrentVersionExpiration": {"noncurrentDays": 3}}, Version(key="a", age=9), "stays"),
        (
            {"noncurrentVersionExpiration": {"noncurrentDays": 3, "newerNoncurrentVersions": 2}},
            Version(key="a", age=9, noncurrent_for=3, newer_noncurrent=1),
            "stays",
        ),
    ],
)
def test_the_judge_of_the_rules_can_tell(rule: dict[str, Any], version: Version, expected: str) -> None:
    assert fate([{"status": "Enabled", **rule}], version) == expected


def test_a_rule_that_the_judge_does_not_know_is_no_proof() -> None:
    moves = {"status": "Enabled", "transitions": [{"days": 1, "storageClass": "GLACIER"}]}
    with pytest.raises(UnknownRuleError, match="proves nothing"):
        fate([moves], Version(key="a", age=1))
