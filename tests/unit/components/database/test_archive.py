"""What a database archive in S3 holds, read from objects as the Barman Cloud plugin writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from components.database.archive import ArchiveUnreadableError, LiveArchive
from components.kube.runner.base_backup import missing_files
from components.kube.runner.mark import Mark
from settings.aws import Aws

BUCKET, REGION = "acme-database-us-west-2-123456789012", "us-west-2"
SERVER, FOLLOWER = "app-database-primary-g1", "app-database-secondary-g1"
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


def back_up(s3: Any, backup: str = NEW, *, status: str = "DONE", end: str = SECOND, more: str = "") -> None:
    """A base backup's own two objects."""
    label = f"backup_id={backup}\nbegin_wal={FIRST}\nend_wal={end}\nstatus={status}\nsystemid=7\nconf=a=b\n{more}"
    put(s3, f"{ROOT}/base/{backup}/backup.info", text=label)
    put(s3, f"{ROOT}/base/{backup}/data.tar.lz4")


def archive_wal(s3: Any, *segments: str, suffix: str = ".zst", server: str = SERVER) -> None:
    put(s3, *(f"cnpg/{server}/wals/{segment[:16]}/{segment}{suffix}" for segment in segments))


def segment(number: int, timeline: int = 1) -> str:
    """The name of the WAL segment of a number: of 256 each a directory, as of PostgreSQL's 16 MiB segments."""
    return f"{timeline:08X}{number // 256:08X}{number % 256:08X}"


def archived(s3: Any, minutes: dict[str, float], *, suffix: str = ".zst") -> None:
    """The primary's segments and the minute at which each was archived, in moto's own books: S3 lets nobody date them back."""
    archive_wal(s3, *minutes, suffix=suffix)
    keys = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET].keys
    for each, minute in minutes.items():
        keys[f"{ROOT}/wals/{each[:16]}/{each}{suffix}"].last_modified = datetime(2026, 3, 1, 12) + timedelta(minutes=minute)


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


TIMES = "begin_time=2026-03-02 00:00:00.25+00:00\nend_time=2026-03-02 00:10:00+00:00\n"


def test_the_newest_base_backup_is_the_newest_that_is_whole_with_the_times_of_its_label(s3: Any, archive: LiveArchive) -> None:
    assert archive.newest_base(SERVER) is None
    back_up(s3, OLD, more=TIMES)
    back_up(s3, NEW, more=TIMES.replace("03-02", "03-03"))
    archive_wal(s3, FIRST, SECOND)
    newest = archive.newest_base(SERVER)
    assert newest is not None
    assert newest.began == datetime(2026, 3, 3, microsecond=250000, tzinfo=UTC)
    assert newest.ended == datetime(2026, 3, 3, 0, 10, tzinfo=UTC)
    s3.delete_object(Bucket=BUCKET, Key=f"{ROOT}/base/{NEW}/data.tar.lz4")
    older = archive.newest_base(SERVER)
    assert older is not None
    assert older.began.day == 2


@pytest.mark.parametrize("times", ["", "begin_time=yesterday\nend_time=today\n"])
def test_of_a_label_without_times_nobody_can_tell_the_age(s3: Any, archive: LiveArchive, times: str) -> None:
    back_up(s3, more=times)
    archive_wal(s3, FIRST, SECOND)
    assert archive.newest_base(SERVER) is None


FULL = 100 * 1024**3
FILES: list[tuple[dict[str, int], str | None]] = [
    ({"data.tar": FULL + 1, "data_0001.tar": FULL + 5, "data_0002.tar": 7}, None),
    ({"data.tar": FULL + 1, "data_0001.tar": FULL + 5}, "data_0002.tar"),
    ({"data.tar.gz": FULL + 1, "data_0002.tar.gz": 7}, "data_0001.tar"),
    ({"data_0001.tar.lz4": 7}, "data.tar"),
    ({"data.tar.bz2": FULL + 1}, "data_0001.tar"),
    ({"data.tar.snappy": FULL}, None),
    ({"data.tar": 7, "data.tar.unfinished.part": 1, "database.tar": 1, "16400.tar": 1}, None),
    ({"16400.tar": 7}, "data.tar"),
]


@pytest.mark.parametrize(("sizes", "missing"), FILES)
def test_a_base_backup_of_several_files_is_whole_once_the_last_of_them_is_there(
    sizes: dict[str, int], missing: str | None
) -> None:
    assert missing_files(sizes, {"status": "DONE"}) == missing


TABLESPACES = {"tablespaces": "[('fast', 16400, '/fast'), ('large', 16401, '/large')]"}


@pytest.mark.parametrize(
    ("sizes", "missing"),
    [
        ({"data.tar": 1, "16400.tar": 1, "16401.tar.lz4": 1}, None),
        ({"data.tar": 1, "16400.tar": 1}, "16401.tar"),
        ({"data.tar": 1, "16400.tar": 1, "16401_0001.tar": 1}, "16401.tar"),
        ({"data.tar": 1, "16400.tar": FULL + 1, "16401.tar": 1, "16401_0002.tar": 1}, "16401_0001.tar"),
        ({"data.tar": 1}, "16400.tar"),
    ],
)
def test_a_base_backup_has_a_file_of_each_tablespace_that_its_label_names(sizes: dict[str, int], missing: str | None) -> None:
    assert missing_files(sizes, TABLESPACES) == missing
    assert missing_files({"data.tar": 1}, {"tablespaces": "None"}) is None


def test_a_backup_that_was_copied_in_part_makes_no_standby(s3: Any, archive: LiveArchive) -> None:
    back_up(s3, more="tablespaces=[('fast', 16400, '/fast')]\n")
    archive_wal(s3, FIRST, SECOND)
    put(s3, f"{ROOT}/base/{NEW}/16400_0001.tar.lz4")
    assert archive.missing_for_a_standby(SERVER) == f"the base backup s3://{BUCKET}/{ROOT}/base/{NEW}/ has no 16400.tar yet"
    put(s3, f"{ROOT}/base/{NEW}/16400.tar.lz4")
    assert archive.missing_for_a_standby(SERVER) is None


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


def test_a_backup_that_failed_is_passed_over_for_the_one_before_it(s3: Any, archive: LiveArchive) -> None:
    back_up(s3, NEW, status="FAILED")
    assert f"base/{NEW}/ is FAILED" in str(archive.missing_for_a_standby(SERVER))
    back_up(s3, OLD, end="000000010000000000000005")
    archive_wal(s3, FIRST)
    assert f"which the base backup s3://{BUCKET}/{ROOT}/base/{OLD}/ needs" in str(archive.missing_for_a_standby(SERVER))
    archive_wal(s3, "000000010000000000000005")
    assert archive.missing_for_a_standby(SERVER) is None


def test_the_newest_that_is_done_is_what_a_recovery_takes_so_that_an_older_whole_one_does_not_help(
    s3: Any, archive: LiveArchive
) -> None:
    archive_wal(s3, FIRST, SECOND)
    back_up(s3, OLD)
    back_up(s3, NEW)
    s3.delete_object(Bucket=BUCKET, Key=f"{ROOT}/base/{NEW}/data.tar.lz4")
    assert archive.missing_for_a_standby(SERVER) == f"the base backup s3://{BUCKET}/{ROOT}/base/{NEW}/ has no data.tar yet"
    s3.delete_object(Bucket=BUCKET, Key=f"{ROOT}/base/{NEW}/backup.info")
    assert archive.missing_for_a_standby(SERVER) is None, "without its label nobody takes it for a backup"


def test_nothing_is_lacking_where_the_follower_has_archived_again_what_there_is(s3: Any, archive: LiveArchive) -> None:
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(0), "nothing was archived by anybody"
    archived(s3, {segment(number): number for number in range(3, 9)})
    archive_wal(s3, *map(segment, range(3, 9)), server=FOLLOWER)
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(0)


def test_a_follower_of_which_more_is_there_than_of_its_primary_lacks_nothing(s3: Any, archive: LiveArchive) -> None:
    archived(s3, {segment(3): 0, segment(4): 50})
    archive_wal(s3, segment(5), segment(6, timeline=2), server=FOLLOWER)
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(0)


def test_behind_a_gap_everything_that_came_since_is_lacking(s3: Any, archive: LiveArchive) -> None:
    archived(s3, {segment(number): number for number in (3, 4, 6, 7, 16)})  # 5 has not been replicated
    archive_wal(s3, segment(3), segment(4), server=FOLLOWER)
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=12), "nobody says when the fifth was archived"
    put_mark(s3, segment=segment(16), archived=at(16), recent={segment(5): at(5)})
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=11)


def test_a_hole_in_a_quiet_archive_is_as_old_as_the_segment_that_is_missing(s3: Any, archive: LiveArchive) -> None:
    """The ninth was archived 50 minutes ago and never copied, the tenth has just come."""
    back_up(s3)
    archived(s3, {**{segment(number): -600.0 + number for number in range(3, 9)}, segment(10): 9.5})
    archive_wal(s3, *map(segment, range(3, 9)), server=FOLLOWER)
    put_mark(s3, segment=segment(10), archived=at(9.5), recent={segment(8): at(-592), segment(9): at(-40), segment(10): at(9.5)})
    assert missing(archive, FOLLOWER) == timedelta(minutes=51), "a minute of archive_timeout before it was archived"
    assert missing(archive) == timedelta(minutes=51)
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=49, seconds=30)
    assert archive.beyond_a_gap(SERVER) == timedelta(minutes=49, seconds=30)
    archive_wal(s3, segment(9), server=FOLLOWER)
    assert missing(archive, FOLLOWER) == timedelta(0), "the standby has it by another way"
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(0)


def test_a_segment_that_nobody_needs_any_more_is_not_missing(s3: Any, archive: LiveArchive) -> None:
    """Its base backup began after it, or the standby has replayed what came after it."""
    back_up(s3)
    archived(s3, {segment(3): 3.0, segment(4): 4.0})
    put_mark(s3, segment=segment(4), archived=at(4), recent={segment(2): at(2), segment(3): at(3), segment(4): at(4)})
    assert missing(archive) == timedelta(0)
    archive_wal(s3, segment(6), server=FOLLOWER)
    put_mark(s3, segment=segment(6), archived=at(6), recent={segment(5): at(5), segment(6): at(6)})
    assert missing(archive) == timedelta(minutes=6)
    assert missing(archive, FOLLOWER) == timedelta(0)


def test_of_the_oldest_segments_that_never_came_the_mark_says_how_old_they_are(s3: Any, archive: LiveArchive) -> None:
    archived(s3, {segment(2): 8.0})
    put_mark(s3, segment=segment(2), archived=at(8), recent={segment(1): at(5), segment(2): at(8)})
    assert missing(archive) == timedelta(minutes=6)


def test_what_came_before_the_archive_here_is_no_backlog_of_a_follower_that_is_new(s3: Any, archive: LiveArchive) -> None:
    archived(s3, {segment(3): 3.0, segment(4): 4.0})
    put_mark(s3, segment=segment(4), archived=at(4), recent={segment(1): at(-90), segment(3): at(3), segment(4): at(4)})
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=1)


def test_of_a_backlog_the_order_of_arrival_does_not_matter(s3: Any, archive: LiveArchive) -> None:
    archived(s3, {segment(3): 60, segment(4): 7, segment(5): 2, segment(6): 3})  # S3 replicates in no order
    archive_wal(s3, segment(3), server=FOLLOWER)
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=5)


def test_all_there_is_of_the_primary_is_lacking_to_a_follower_without_wal(s3: Any, archive: LiveArchive) -> None:
    archived(s3, {segment(3): 0, segment(4): 1, segment(5): 30})
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=30)
    put(s3, f"cnpg/{FOLLOWER}/base/{NEW}/backup.info", f"cnpg/{FOLLOWER}/wals/00000002.history")
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=30)


@pytest.mark.parametrize("suffix", ["", ".zst", ".gz", ".bz2", ".lz4", ".snappy", ".xz"])
def test_a_segment_is_one_however_each_of_both_has_compressed_it(s3: Any, archive: LiveArchive, suffix: str) -> None:
    archived(s3, {segment(3): 0, segment(4): 5, segment(5): 15}, suffix=suffix)
    archive_wal(s3, segment(3), server=FOLLOWER, suffix="")
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=10)
    archive_wal(s3, segment(5), server=FOLLOWER, suffix=suffix)
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(0)


def test_nothing_lies_beyond_a_gap_where_every_segment_since_the_base_backup_is_there(s3: Any, archive: LiveArchive) -> None:
    assert archive.beyond_a_gap(SERVER) == timedelta(0), "nothing was archived by anybody"
    back_up(s3)
    archived(s3, {segment(number): number for number in range(3, 9)})
    assert archive.beyond_a_gap(SERVER) == timedelta(0)


def test_beyond_a_gap_everything_is_lost_to_a_recovery_however_far_behind_it_lies(s3: Any, archive: LiveArchive) -> None:
    back_up(s3)
    archived(s3, {segment(number): number for number in (3, 4, 5, 7, 300, 600)})  # of 256 segments each a directory
    assert archive.beyond_a_gap(SERVER) == timedelta(minutes=600 - 5), "nobody says when the sixth was archived"


def test_a_gap_before_the_newest_whole_base_backup_is_no_loss(s3: Any, archive: LiveArchive) -> None:
    back_up(s3)
    archived(s3, {segment(number): number for number in (1, 3, 4)})
    assert archive.beyond_a_gap(SERVER) == timedelta(0)


def test_a_new_timeline_goes_on_where_the_old_one_ended_and_is_no_gap(s3: Any, archive: LiveArchive) -> None:
    back_up(s3)
    old, new = {segment(number): number for number in (3, 4, 5)}, {segment(number, timeline=2): number for number in (5, 6, 7)}
    archived(s3, {**old, **new})
    assert archive.beyond_a_gap(SERVER) == timedelta(0)
    s3.delete_object(Bucket=BUCKET, Key=f"{ROOT}/wals/{segment(5)[:16]}/{segment(5)}.zst")
    assert archive.beyond_a_gap(SERVER) == timedelta(0), "the segment in which the timelines part is in both"


@pytest.mark.parametrize("suffix", [".00000028.backup", ".00000028.backup.zst", ".partial", ".partial.zst"])
def test_a_label_and_a_partial_segment_are_no_segments_of_anybody(s3: Any, archive: LiveArchive, suffix: str) -> None:
    archived(s3, {segment(3): 0, segment(4): 1, segment(5): 4})
    archived(s3, {segment(6): 60}, suffix=suffix)
    archive_wal(s3, segment(3), server=FOLLOWER)
    archive_wal(s3, segment(9), server=FOLLOWER, suffix=suffix)
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=3)


def test_a_backlog_goes_on_from_one_directory_and_timeline_to_the_next(s3: Any, archive: LiveArchive) -> None:
    archived(s3, {segment(254): 0, segment(255): 1, segment(256): 9, segment(257): 21})
    archive_wal(s3, segment(254), server=FOLLOWER)
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=20)
    put(s3, f"{ROOT}/wals/00000002.history")
    archived(s3, {segment(257, timeline=2): 40})
    archive_wal(s3, segment(257), server=FOLLOWER)
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(0), "one segment, which has only just come"
    archived(s3, {segment(258, timeline=2): 52})
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=12)
    archive_wal(s3, segment(258, timeline=2), server=FOLLOWER)
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(0)


def test_no_other_server_is_counted_and_old_directories_are_not_read(
    s3: Any, archive: LiveArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive_wal(s3, segment(9), server="app-database-primary-g10")
    archived(s3, {segment(256 * directory): 10.0 * directory for directory in range(5)})
    listed: list[str] = []
    objects = archive._objects

    def listing(prefix: str) -> dict[str, datetime]:
        listed.append(prefix)
        return objects(prefix)

    monkeypatch.setattr(archive, "_objects", listing)
    assert archive.backlog(SERVER, FOLLOWER) == timedelta(minutes=10)
    assert listed == [f"{ROOT}/wals/{segment(256 * directory)[:16]}/" for directory in (3, 4)]


def put_mark(s3: Any, **changes: Any) -> None:
    mark = {"written": "2026-03-01T12:10:00Z", "segment": segment(9), "archived": "2026-03-01T12:09:00+00:00", "bases": {}}
    put(s3, f"freshness/{SERVER}.json", text=json.dumps({**mark, **changes}))


def marked(archive: LiveArchive) -> Mark:
    mark = archive.mark(SERVER)
    assert mark
    return mark


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"written": 5, "segment": "", "archived": "", "bases": {}}'])
def test_what_is_no_mark_is_as_good_as_none(s3: Any, archive: LiveArchive, text: str) -> None:
    assert archive.mark(SERVER) is None
    put(s3, f"freshness/{SERVER}.json", text=text)
    assert archive.mark(SERVER) is None


def missing(archive: LiveArchive, follower: str | None = None) -> timedelta:
    return archive.missing_wal(SERVER, marked(archive), follower, timedelta(seconds=60))


def test_nothing_is_missing_where_the_marks_segment_is_here_whatever_came_after_it(s3: Any, archive: LiveArchive) -> None:
    put_mark(s3)
    archived(s3, {segment(9): 9.0, segment(700): 30.0, segment(1100): 31.0, segment(1500): 40.0})
    assert missing(archive) == timedelta(0)


def test_nothing_is_missing_of_an_archive_that_was_empty(s3: Any, archive: LiveArchive) -> None:
    put_mark(s3, segment="", archived="")
    assert missing(archive) == timedelta(0)


def test_what_the_primary_has_archived_since_the_last_segment_here_is_missing_up_to_its_mark(
    s3: Any, archive: LiveArchive
) -> None:
    put_mark(s3)
    archived(s3, {segment(3): 2.0, segment(4): 5.0, segment(10): 9.5})
    assert missing(archive) == timedelta(minutes=5)
    archive_wal(s3, f"{segment(9)}.00000028.backup", suffix="")
    assert missing(archive) == timedelta(minutes=5), "a label is no segment"


def at(minute: float) -> str:
    return (datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(minutes=minute)).isoformat()


def test_a_database_that_writes_rarely_has_lost_only_what_it_wrote_since_it_wrote_again(s3: Any, archive: LiveArchive) -> None:
    """Its last segment but one is ten hours old. The next was archived a minute ago, and its mark overtook it."""
    archived(s3, {segment(8): -600.0})
    put_mark(s3)
    assert missing(archive) == timedelta(minutes=2), "a minute of archive_timeout before it was archived"
    put_mark(s3, segment=segment(10), archived=at(9.5), recent={segment(8): at(-600), segment(9): at(7), segment(10): at(9.5)})
    assert missing(archive) == timedelta(minutes=4)
    put_mark(s3, segment=segment(10), archived=at(9.5), recent={segment(10): at(9.5)})
    assert missing(archive) == timedelta(minutes=610), "of the one between them nobody says when it was archived"


def test_a_segment_that_never_comes_is_a_loss_that_grows(s3: Any, archive: LiveArchive) -> None:
    archived(s3, {segment(8): -600.0})
    put_mark(s3, archived=at(-180))
    assert missing(archive) == timedelta(minutes=191)


def test_a_timeline_begins_in_the_segment_in_which_the_last_one_ended(s3: Any, archive: LiveArchive) -> None:
    archived(s3, {segment(8): -600.0})
    put_mark(s3, segment=segment(8, timeline=2))
    assert missing(archive) == timedelta(minutes=2)


def test_what_the_standby_has_archived_again_has_come_whatever_s3_has_copied(s3: Any, archive: LiveArchive) -> None:
    put_mark(s3)
    archived(s3, {segment(3): 2.0})
    archive_wal(s3, segment(8), server=FOLLOWER)
    assert missing(archive) == timedelta(minutes=8)
    assert missing(archive, FOLLOWER) == timedelta(minutes=1), "the ninth alone, which was archived a minute before the mark"
    archive_wal(s3, segment(9), server=FOLLOWER)
    assert missing(archive, FOLLOWER) == timedelta(0)


def test_all_is_missing_where_no_segment_has_come(s3: Any, archive: LiveArchive) -> None:
    put_mark(s3)
    assert missing(archive) == timedelta.max
    archive_wal(s3, segment(9), server=FOLLOWER)
    assert missing(archive, FOLLOWER) == timedelta(0)


def test_when_a_server_archived_last_is_the_time_of_its_newest_segment(s3: Any, archive: LiveArchive) -> None:
    assert archive.last_archived(SERVER) is None
    archived(s3, {segment(5): 4.0, segment(4): 8.0})
    assert archive.last_archived(SERVER) == datetime(2026, 3, 1, 12, 4, tzinfo=UTC)


def test_a_base_backup_has_every_file_that_the_primary_says_it_has(s3: Any, archive: LiveArchive) -> None:
    back_up(s3)
    archive_wal(s3, FIRST, SECOND)
    label = s3.head_object(Bucket=BUCKET, Key=f"{ROOT}/base/{NEW}/backup.info")["ContentLength"]
    files = {"backup.info": label, "data.tar.lz4": 0, "data_0001.tar.lz4": 5}
    put_mark(s3, bases={OLD: {"data.tar": 1}, NEW: files})
    assert archive.missing_by_mark(SERVER) == f"the base backup s3://{BUCKET}/{ROOT}/base/{NEW}/ has no data_0001.tar.lz4 yet"
    assert archive.missing_for_a_standby(SERVER) is None, "a mark that names a file too many must not close the gate for ever"
    put(s3, f"{ROOT}/base/{NEW}/data_0001.tar.lz4", text="12345")
    assert archive.missing_by_mark(SERVER) is None


def test_a_mark_from_before_a_base_backup_was_done_says_nothing_of_its_files(s3: Any, archive: LiveArchive) -> None:
    back_up(s3)
    archive_wal(s3, FIRST, SECOND)
    put_mark(s3, bases={NEW: {"backup.info": 1, "data.tar.lz4": 10**9, "data_0001.tar.lz4": 5}})
    assert archive.missing_by_mark(SERVER) is None


@pytest.mark.parametrize(
    "lines",
    [
        f"status=DONE\nend_wal={SECOND}\n",
        f"status=DONE\nend_wal={SECOND}\nbegin_wal=../../x\n",
        f"status=DONE\nbegin_wal={FIRST}\nend_wal={SECOND}\ntablespaces=[\n",
        f"status=DONE\nbegin_wal={FIRST}\nend_wal={SECOND}\ntablespaces={{1: 2}}\n",
    ],
)
def test_a_label_that_is_not_barmans_is_told_and_breaks_no_question(s3: Any, archive: LiveArchive, lines: str) -> None:
    back_up(s3)
    archive_wal(s3, FIRST, SECOND)
    put(s3, f"{ROOT}/base/{NEW}/backup.info", text=lines)
    address = f"s3://{BUCKET}/{ROOT}/base/{NEW}/"
    assert archive.missing_for_a_standby(SERVER) == (
        f"the base backup {address} has a backup.info that is not Barman's: remove that backup"
    )
    assert archive.newest_base(SERVER) is None
    assert archive.beyond_a_gap(SERVER) == timedelta(0)


def test_a_label_or_a_mark_that_is_larger_than_any_is_not_read(s3: Any, archive: LiveArchive) -> None:
    back_up(s3, more="x" * 1024**2)
    assert "is without a status, not DONE" in str(archive.missing_for_a_standby(SERVER))
    put_mark(s3, more="x" * 64 * 1024)
    assert archive.mark(SERVER) is None
    s3.put_object(Bucket=BUCKET, Key=f"freshness/{SERVER}.json", Body=b"\xff")
    assert archive.mark(SERVER) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"written": "0001-01-01T00:00:00+23:00"},
        {"segment": "../../another"},
        {"recent": {"x": "2026-03-01T12:00:00Z"}},
        {"recent": {f"{number:024X}": "2026-03-01T12:00:00Z" for number in range(200)}},
    ],
)
def test_a_mark_that_breaks_whoever_reads_it_is_none(s3: Any, archive: LiveArchive, changes: dict[str, Any]) -> None:
    put_mark(s3, **changes)
    assert archive.mark(SERVER) is None


def test_a_server_name_is_used_once_anything_is_below_it_and_no_other_name_counts(s3: Any, archive: LiveArchive) -> None:
    archive_wal(s3, FIRST)
    assert archive.used(SERVER)
    assert not archive.used("app-database-primary-g")
    assert not archive.used("app-database-primary-g10")
    assert not archive.used("database-primary-g1")


def test_a_bucket_that_is_not_there_is_named_in_one_line(s3: Any) -> None:
    elsewhere = LiveArchive("acme-database-us-east-1-123456789012", REGION, Aws())
    for ask in (elsewhere.missing_for_a_standby, elsewhere.used, lambda server: elsewhere.backlog(server, FOLLOWER)):
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
    with pytest.raises(ArchiveUnreadableError, match=r"backup\.info cannot be read: .*AccessDenied.*not you; allow s3:GetObject"):
        archive.missing_for_a_standby(SERVER)


def test_a_silent_endpoint_is_given_up_and_an_unknown_profile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with pytest.raises(ArchiveUnreadableError, match="cannot be listed: Could not connect"):
        LiveArchive(BUCKET, REGION, Aws(endpoint="http://127.0.0.1:9")).used(SERVER)
    with pytest.raises(ArchiveUnreadableError, match=r"nobody.*; log in"):
        LiveArchive(BUCKET, REGION, Aws(profile="nobody")).used(SERVER)
