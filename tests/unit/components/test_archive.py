"""What a database archive in S3 holds, read from objects as the Barman Cloud plugin writes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from components.archive import ArchiveUnreadableError, LiveArchive
from settings.model import Aws

BUCKET, REGION, SERVER = "acme-database-us-west-2-123456789012", "us-west-2", "app-database-primary-g1"
ROOT = f"cnpg/{SERVER}"
FIRST, SECOND = "000000010000000000000003", "000000010000000000000004"
OLD, NEW = "20260301T000000", "20260302T000000"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name=REGION)
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield client


@pytest.fixture
def archive(s3: Any) -> LiveArchive:
    return LiveArchive(BUCKET, REGION, Aws())


def put(s3: Any, *keys: str, text: str = "") -> None:
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())


def back_up(s3: Any, backup: str = NEW, *, status: str = "DONE", end: str = SECOND) -> None:
    """A base backup's own two objects."""
    label = f"backup_id={backup}\nbegin_wal={FIRST}\nend_wal={end}\nstatus={status}\nsystemid=7\nconf=a=b\n"
    put(s3, f"{ROOT}/base/{backup}/backup.info", text=label)
    put(s3, f"{ROOT}/base/{backup}/data.tar.lz4")


def archive_wal(s3: Any, *segments: str, suffix: str = ".zst") -> None:
    put(s3, *(f"{ROOT}/wals/{segment[:16]}/{segment}{suffix}" for segment in segments))


def came_at(segment: str, when: datetime) -> None:
    """Date a segment back, in moto's own books: S3 lets nobody do so."""
    key = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET].keys[f"{ROOT}/wals/{segment[:16]}/{segment}.zst"]
    key.last_modified = when


@pytest.mark.parametrize("suffix", ["", ".zst", ".gz"])
def test_a_base_backup_with_its_data_and_all_its_wal_makes_a_standby(s3: Any, archive: LiveArchive, suffix: str) -> None:
    back_up(s3)
    archive_wal(s3, FIRST, SECOND, suffix=suffix)
    assert archive.missing_for_a_standby(SERVER) is None


def test_an_archive_without_a_backup_says_where_it_should_be(s3: Any, archive: LiveArchive) -> None:
    archive_wal(s3, FIRST)
    assert archive.missing_for_a_standby(SERVER) == f"there is no base backup of {SERVER} in s3://{BUCKET}/{ROOT}/"


def test_a_backup_whose_label_has_not_come_yet_is_none(s3: Any, archive: LiveArchive) -> None:
    put(s3, f"{ROOT}/base/{NEW}/data.tar.lz4")
    assert archive.missing_for_a_standby(SERVER) == f"the base backup s3://{BUCKET}/{ROOT}/base/{NEW}/ has no backup.info yet"


@pytest.mark.parametrize("status", ["STARTED", "FAILED", "WAITING_FOR_WALS"])
def test_a_backup_that_is_not_done_is_none(s3: Any, archive: LiveArchive, status: str) -> None:
    back_up(s3, status=status)
    archive_wal(s3, FIRST, SECOND)
    assert archive.missing_for_a_standby(SERVER) == f"the base backup s3://{BUCKET}/{ROOT}/base/{NEW}/ is {status}, not DONE"


def test_a_backup_whose_label_came_before_its_data_is_none(s3: Any, archive: LiveArchive) -> None:
    back_up(s3)
    archive_wal(s3, FIRST, SECOND)
    s3.delete_object(Bucket=BUCKET, Key=f"{ROOT}/base/{NEW}/data.tar.lz4")
    assert archive.missing_for_a_standby(SERVER) == f"the base backup s3://{BUCKET}/{ROOT}/base/{NEW}/ has no data.tar yet"


@pytest.mark.parametrize(("there", "missing"), [(FIRST, SECOND), (SECOND, FIRST)])
def test_a_backup_without_the_wal_that_it_began_or_ended_in_is_none(
    s3: Any, archive: LiveArchive, there: str, missing: str
) -> None:
    back_up(s3)
    archive_wal(s3, there)
    told = archive.missing_for_a_standby(SERVER)
    assert told == f"WAL segment {missing}, which the base backup s3://{BUCKET}/{ROOT}/base/{NEW}/ needs, is not there yet"


def test_the_label_of_a_backup_beside_the_wal_is_not_the_segment_that_it_is_named_after(s3: Any, archive: LiveArchive) -> None:
    back_up(s3)
    archive_wal(s3, SECOND)
    archive_wal(s3, f"{FIRST}.00000028.backup", suffix="")
    assert str(archive.missing_for_a_standby(SERVER)).startswith(f"WAL segment {FIRST}, ")


def test_one_whole_backup_is_enough_and_of_several_that_lack_something_the_newest_is_told(s3: Any, archive: LiveArchive) -> None:
    back_up(s3, OLD, end="000000010000000000000005")
    back_up(s3, NEW, status="FAILED")
    archive_wal(s3, FIRST)
    assert f"base/{NEW}/ is FAILED" in str(archive.missing_for_a_standby(SERVER))
    archive_wal(s3, "000000010000000000000005")
    assert archive.missing_for_a_standby(SERVER) is None


def test_the_newest_segment_is_of_the_newest_timeline_whatever_comes_late_of_an_old_one(s3: Any, archive: LiveArchive) -> None:
    assert archive.newest_segment(SERVER) is None
    put(s3, f"{ROOT}/wals/00000002.history")
    assert archive.newest_segment(SERVER) is None
    archive_wal(s3, FIRST)
    came_at(FIRST, datetime(2026, 3, 1, 12, 0))
    assert archive.newest_segment(SERVER) == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    archive_wal(s3, "000000020000000000000004", "000000020000000000000005", SECOND)
    came_at("000000020000000000000004", datetime(2026, 3, 1, 12, 10))
    came_at("000000020000000000000005", datetime(2026, 3, 1, 12, 5))
    came_at(SECOND, datetime(2026, 3, 1, 12, 30))
    assert archive.newest_segment(SERVER) == datetime(2026, 3, 1, 12, 10, tzinfo=UTC)


def test_a_server_name_is_used_once_anything_is_below_it_and_no_other_name_counts(s3: Any, archive: LiveArchive) -> None:
    archive_wal(s3, FIRST)
    assert archive.used(SERVER)
    assert not archive.used("app-database-primary-g")
    assert not archive.used("app-database-primary-g10")
    assert not archive.used("database-primary-g1")


def test_a_bucket_that_is_not_there_is_named_in_one_line(s3: Any) -> None:
    elsewhere = LiveArchive("acme-database-us-east-1-123456789012", REGION, Aws())
    for ask in (elsewhere.missing_for_a_standby, elsewhere.used, elsewhere.newest_segment):
        with pytest.raises(
            ArchiveUnreadableError, match=r"^s3://acme-database-us-east-1-123456789012/cnpg/\S* cannot be listed: .*"
        ):
            ask(SERVER)


def test_a_refusal_is_told_with_its_reason_whatever_was_refused(
    s3: Any, archive: LiveArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(s3)

    def refuse(operation: str) -> Any:
        def call(*_: Any, **__: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, operation)

        return call

    monkeypatch.setattr(archive._s3, "get_object", refuse("GetObject"))
    with pytest.raises(ArchiveUnreadableError, match=r"backup\.info cannot be read: .*AccessDenied.*not you"):
        archive.missing_for_a_standby(SERVER)


def test_a_silent_endpoint_is_given_up_and_an_unknown_profile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with pytest.raises(ArchiveUnreadableError, match="cannot be listed: Could not connect"):
        LiveArchive(BUCKET, REGION, Aws(endpoint="http://127.0.0.1:9")).used(SERVER)
    with pytest.raises(ArchiveUnreadableError, match="nobody"):
        LiveArchive(BUCKET, REGION, Aws(profile="nobody")).used(SERVER)
