"""The buckets' settings: what goes together, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from settings import ConfigurationError, Settings, load
from settings.load import SECRETS
from tests.examples import example


def configured(**storage: Any) -> Settings:
    return load("secondary", example("secondary", {"storage": storage}), SECRETS)


def refused(**storage: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        configured(**storage)
    return str(caught.value)


def lock(days: int) -> dict[str, Any]:
    return {"mode": "GOVERNANCE", "days": days}


def test_by_default_nothing_is_locked_logged_or_paid_for() -> None:
    storage = configured().storage
    assert storage.object_lock is None
    assert storage.etcd_snapshot_days is None
    assert not any((storage.replication_time_control, storage.replication_metrics, storage.access_logs))
    assert (storage.noncurrent_days, storage.access_log_days) == (60, 365)


def test_a_lock_may_last_as_long_as_versions_are_kept() -> None:
    assert configured(objectLock=lock(60)).storage.object_lock is not None
    assert configured(objectLock=lock(90), noncurrentDays=90).storage.noncurrent_days == 90


def test_a_lock_that_lasts_longer_than_versions_are_kept_is_refused_with_both_ways_out() -> None:
    assert (
        "k8s-dr:storage: objectLock.days 90 is more than noncurrentDays 60: no lifecycle rule removes a locked version, so "
        "deleted ones would stay longer than is said; set noncurrentDays to 90 or more, or objectLock.days to 60 or less"
    ) in refused(objectLock=lock(90))


def test_the_days_of_buckets_that_are_stored_as_a_secret_are_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("secondary", example("secondary", {"storage": {"objectLock": lock(91)}}), (*SECRETS, "storage"))
    assert "k8s-dr:storage: objectLock.days the secret is more than noncurrentDays the secret" in str(caught.value)
    assert "91" not in str(caught.value)


@pytest.mark.parametrize(
    ("storage", "line"),
    [
        ({"objectLock": lock(0)}, "k8s-dr:storage.objectLock.days: 0 is less than 1; write 1 or more"),
        ({"objectLock": {"days": 30}}, "k8s-dr:storage.objectLock.mode: is missing; add it: "),
        ({"etcdSnapshotDays": 6}, "k8s-dr:storage.etcdSnapshotDays: 6 is less than 7; write 7 or more"),
        ({"accessLogDays": 0}, "k8s-dr:storage.accessLogDays: 0 is less than 1; write 1 or more"),
        ({"accessLog": True}, "k8s-dr:storage.accessLog: unknown key, did you mean accessLogs?"),
        ({"replicationMetrics": "yes"}, "k8s-dr:storage.replicationMetrics: yes is neither true nor false"),
    ],
)
def test_a_mistake_is_one_line(storage: dict[str, Any], line: str) -> None:
    assert line in refused(**storage)
