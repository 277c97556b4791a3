"""What S3 has failed to copy, as its own answers say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from components.storage import copies
from components.storage.copies import not_copied
from settings.aws import Aws
from settings.names import Names
from tests.unit.components.database.sides import TOPOLOGY
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import run_program

NAMES = Names(topology=TOPOLOGY, role="primary")
SERVER = "app-database-primary-g1"
ROOT, MARK = f"cnpg/{SERVER}", f"freshness/{SERVER}.json"
DATABASE, VELERO = NAMES.bucket("database"), NAMES.bucket("velero")
OLD, NEW, NEWEST = ("20260301T000000", "20260302T000000", "20260303T000000")


class World:
    """Objects in both buckets, and what S3 says of a copy, by key."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.states: dict[str, str] = {}
        self.written = datetime.now(UTC)
        self.asked: list[str] = []

    def put(self, bucket: str, *keys: str) -> None:
        for key in keys:
            self.s3.put_object(Bucket=bucket, Key=key, Body=b"")

    def head(self, _: Any, bucket: str, key: str) -> tuple[str, str] | None:
        self.asked.append(key)
        world = self

        class Answering:
            def head_object(self, **__: Any) -> dict[str, Any]:
                state = world.states.get(key)
                if state and state.isdigit():
                    raise ClientError(
                        {"Error": {"Code": state}, "ResponseMetadata": {"HTTPStatusCode": int(state)}}, "HeadObject"
                    )
                return {"LastModified": world.written, **({"ReplicationStatus": state} if state else {})}

        return ONE(Answering(), bucket, key)

    def told(self, *, velero: bool = True, silent: Callable[[], bool] = lambda: False) -> list[str]:
        return not_copied(NAMES, Aws(), [SERVER], velero=velero, silent=silent)


ONE = copies._late


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in (DATABASE, VELERO):
            s3.create_bucket(Bucket=bucket)
        world = World(s3)
        monkeypatch.setattr(copies, "_late", world.head)
        yield world


def line(bucket: str, what: str) -> str:
    return (
        f"s3://{bucket}: S3 has not copied {what} to us-west-2; S3 does not try again what FAILED: once the cause is gone (key, "
        "role, bucket there), run S3 Batch Replication for this bucket, or take a new backup: docs/recovery.md, Freshness"
    )


def test_where_everything_is_copied_or_on_its_way_there_is_nothing_to_say(world: World) -> None:
    world.put(DATABASE, MARK, f"{ROOT}/base/{NEW}/backup.info")
    world.states = {MARK: "COMPLETED", f"{ROOT}/base/{NEW}/backup.info": "PENDING"}
    assert world.told() == []


def test_what_failed_is_told_once_a_bucket_with_what_to_do(world: World) -> None:
    label, mark = f"{ROOT}/base/{NEW}/backup.info", MARK
    backup = "velero/primary/backups/daily-full-us-east-1-20260301020000/velero-backup.json"
    world.put(DATABASE, mark, label)
    world.put(VELERO, backup)
    world.states = {mark: "FAILED", label: "FAILED", backup: "FAILED"}
    assert world.told() == [line(DATABASE, f"{mark} (FAILED) and 1 more"), line(VELERO, f"{backup} (FAILED)")]
    assert world.told(velero=False) == [line(DATABASE, f"{mark} (FAILED) and 1 more")]


def test_what_is_pending_for_long_is_told_too(world: World) -> None:
    world.states = {MARK: "PENDING"}
    world.written = datetime.now(UTC) - timedelta(minutes=14)
    assert world.told() == []
    world.written = datetime.now(UTC) - timedelta(minutes=16)
    assert world.told() == [line(DATABASE, f"{MARK} (PENDING)")]


def test_while_the_other_region_is_silent_what_waits_for_it_is_its_outage_and_what_failed_is_told(world: World) -> None:
    label = f"{ROOT}/base/{NEW}/backup.info"
    world.put(DATABASE, MARK, label)
    world.written = datetime.now(UTC) - timedelta(minutes=16)
    world.states = {MARK: "PENDING"}
    assert world.told(silent=lambda: True) == []
    world.states = {MARK: "PENDING", label: "FAILED"}
    assert world.told(silent=lambda: True) == [line(DATABASE, f"{label} (FAILED)")]


def test_where_nothing_waits_nobody_asks_whether_the_other_region_is_silent(world: World) -> None:
    world.states = {MARK: "FAILED"}
    assert world.told(silent=lambda: pytest.fail("asked")) == [line(DATABASE, f"{MARK} (FAILED)")]


@pytest.mark.parametrize("state", ["", "REPLICA", "404", "403"])
def test_what_nothing_copies_what_is_not_there_and_what_may_not_be_read_is_no_fault(world: World, state: str) -> None:
    world.states = {MARK: state}
    assert world.told() == []


def test_the_newest_are_asked_and_no_others(world: World) -> None:
    segments = [f"{ROOT}/wals/0000000100000001/0000000100000001{number:08X}" for number in range(20)]
    world.put(DATABASE, *(f"{ROOT}/base/{each}/data.tar" for each in (OLD, NEW, NEWEST)), *segments)
    world.put(DATABASE, f"{ROOT}/wals/0000000100000000/0000000100000000000000FF")
    backups = [f"velero/primary/backups/{name}/" for name in ("b-20260301000000", "a-20260302000000", "b-20260303000000")]
    backups.append("velero/primary/backups/a-20260304000000/")
    world.put(VELERO, *(f"{each}{file}" for each in backups for file in ("velero-backup.json", "a.tar.gz")))
    world.put(VELERO, "velero/primary/backups/by-hand/velero-backup.json", "velero/secondary/backups/a-20260305000000/a")
    world.told()
    bases = [f"{ROOT}/base/{each}/data.tar" for each in (NEW, NEWEST)]
    assert sorted(world.asked) == sorted([MARK, *bases, *segments[-10:], *(f"{each}velero-backup.json" for each in backups[1:])])


def test_what_cannot_be_asked_is_a_line_and_no_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.s3.delete_bucket(Bucket=DATABASE)
    world.states = {"velero/primary/backups/a-20260302000000/velero-backup.json": "500"}
    world.put(VELERO, "velero/primary/backups/a-20260302000000/velero-backup.json")
    told = world.told()
    for bucket, line in zip((DATABASE, VELERO), told, strict=True):
        assert line.startswith(f"whether S3 copies s3://{bucket} to us-west-2 is not known: ")
    (one,) = not_copied(NAMES, Aws(profile="nobody"), [SERVER], velero=True)
    assert one.startswith("whether S3 copies to us-west-2 is not known: ")


@pytest.mark.parametrize(
    ("stack", "changes", "serves", "warned"),
    [
        ("primary", {"peerReady": True}, True, True),
        ("primary", {"peerReady": False}, True, False),
        ("primary", {"peerReady": True, "active": "secondary"}, False, False),
        ("secondary", {"peerReady": True}, False, False),
        ("secondary", {"peerReady": True, "active": "secondary"}, True, True),
        ("secondary", {"peerReady": True, "active": "secondary"}, False, False),  # it only takes over now
    ],
)
def test_the_region_that_serves_says_it_in_every_up_and_in_no_preview(
    stack: str, changes: dict[str, Any], serves: bool, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, *_: said.append(text))
    asked = FakeCluster(records={"serving": {}} if serves else {})
    run_program(stack, changes, not_copied=["S3 has not copied it"], cluster=asked)
    assert ("S3 has not copied it" in said) is warned
    said.clear()
    run_program(stack, changes, not_copied=["S3 has not copied it"], cluster=asked, preview=True)
    assert "S3 has not copied it" not in said
