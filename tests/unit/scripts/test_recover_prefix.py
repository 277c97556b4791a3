"""A prefix as it was at a time: what a writer deleted or overwrote comes back, and no version is ever deleted."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from moto import mock_aws
from moto.s3 import models

from scripts import recover_prefix
from tests.examples import ROOT

BUCKET = "acme-velero-us-west-2-123456789012"
PREFIX = "velero/primary"
BEGIN = datetime(2024, 3, 4, 5, 0, tzinfo=UTC)


class Store:
    """A versioned bucket whose clock goes on by a minute with every change. `at()` is now, as the script is told it."""

    def __init__(self, *, lock: bool = False) -> None:
        self.now, self.prefix = BEGIN, PREFIX
        self.s3 = boto3.client("s3", region_name="us-west-2")
        place = {"LocationConstraint": "us-west-2"}
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place, ObjectLockEnabledForBucket=lock)
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        if lock:
            rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
            configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
            self.s3.put_object_lock_configuration(Bucket=BUCKET, ObjectLockConfiguration=configuration)

    def clock(self) -> datetime:
        return self.now.replace(tzinfo=None)

    def later(self) -> None:
        self.now += timedelta(minutes=1)

    def at(self) -> str:
        return self.now.isoformat()

    def put(self, key: str, content: str, **how: Any) -> None:
        self.later()
        self.s3.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}", Body=content.encode(), **how)

    def delete(self, key: str) -> None:
        self.later()
        self.s3.delete_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}")

    def current(self) -> dict[str, str]:
        """What a reader finds, keys below the prefix and their contents."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        contents = {key: self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() for key in keys}
        return {key.removeprefix(f"{self.prefix}/"): content for key, content in contents.items()}

    def versions(self) -> set[tuple[str, str]]:
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=self.prefix)
        return {
            (found["Key"], found["VersionId"])
            for page in pages
            for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        }

    def recover(self, at: str, *options: str, prefix: str | None = None) -> int:
        self.later()
        return recover_prefix.main(
            [BUCKET, self.prefix if prefix is None else prefix, "--at", at, "--region", "us-west-2", *options]
        )


@contextmanager
def stored(*, lock: bool = False) -> Iterator[Store]:
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        store = Store(lock=lock)
        patch.setattr(models, "utcnow", store.clock)
        yield store


@pytest.fixture
def store() -> Iterator[Store]:
    with stored() as made:
        yield made


def test_what_was_deleted_comes_back_with_its_metadata_and_tags(store: Store) -> None:
    store.put(
        "a", "one", ContentType="application/json", CacheControl="no-store", Metadata={"who": "velero"}, Tagging="k=v&l=a b"
    )
    before = store.at()
    store.delete("a")
    assert store.recover(before, "--apply") == 0
    found = store.s3.get_object(Bucket=BUCKET, Key=f"{PREFIX}/a")
    assert found["Body"].read() == b"one"
    assert (found["ContentType"], found["CacheControl"], found["Metadata"]["who"]) == ("application/json", "no-store", "velero")
    tags = store.s3.get_object_tagging(Bucket=BUCKET, Key=f"{PREFIX}/a")["TagSet"]
    found_tags = {tag["Key"]: tag["Value"] for tag in tags}
    assert found_tags.pop(recover_prefix.MARK)
    assert found_tags == {"k": "v", "l": "a b"}


def test_what_was_overwritten_comes_back(store: Store) -> None:
    store.put("a", "one")
    before = store.at()
    store.put("a", "two")
    store.put("a", "three")
    assert store.recover(before, "--apply") == 0
    assert store.current() == {"a": "one"}


def test_a_forgery_that_says_it_is_the_recovered_version_is_not_believed(store: Store) -> None:
    """A writer is told the id of each version that it writes, and may put any metadata."""
    store.put("a", "one")
    before = store.at()
    good = store.s3.head_object(Bucket=BUCKET, Key=f"{PREFIX}/a")["VersionId"]
    store.put("a", "forged", Metadata={recover_prefix.MARK: good})
    assert store.recover(before, "--apply") == 0
    assert store.current() == {"a": "one"}


def test_an_object_that_has_all_the_tags_it_can_have_comes_back_with_them(store: Store) -> None:
    tags = {f"k{number}": "v" for number in range(recover_prefix.MOST_TAGS)}
    store.put("a", "one", Tagging="&".join(f"{key}={value}" for key, value in tags.items()))
    before = store.at()
    store.delete("a")
    assert store.recover(before, "--apply") == 0
    found = store.s3.get_object_tagging(Bucket=BUCKET, Key=f"{PREFIX}/a")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in found} == tags


def test_what_was_deleted_and_made_again_comes_back_as_it_was(store: Store) -> None:
    store.put("a", "one")
    before = store.at()
    store.delete("a")
    store.put("a", "forged")
    assert store.recover(before, "--apply") == 0
    assert store.current() == {"a": "one"}


def test_what_nobody_touched_is_not_copied(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.put("a", "one")
    existing = store.versions()
    assert store.recover(store.at(), "--apply") == 0
    assert store.versions() == existing
    assert "1  as they were" in capsys.readouterr().out


def test_what_is_newer_stays_unless_it_is_to_be_hidden(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.put("a", "one")
    store.put("gone-by-then", "x")
    store.delete("gone-by-then")
    before = store.at()
    store.put("b", "forged")
    store.put("gone-by-then", "forged")
    assert store.recover(before, "--apply") == 0
    assert store.current().keys() == {"a", "b", "gone-by-then"}
    assert "2  newer, left as they are; --delete-newer hides them" in capsys.readouterr().out
    assert store.recover(before, "--apply", "--delete-newer") == 0
    assert store.current() == {"a": "one"}
    existing = store.versions()
    assert store.recover(before, "--apply", "--delete-newer") == 0
    assert store.versions() == existing, "what is hidden is not hidden again"


def test_without_apply_nothing_changes_and_the_plan_is_told(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.put("a", "one" * 1000)
    store.put("b", "two")
    before = store.at()
    store.delete("a")
    store.put("b", "forged")
    store.put("c", "new")
    existing = store.versions()
    assert store.recover(before, "--delete-newer", "--list") == 0
    assert store.versions() == existing
    told = capsys.readouterr().out
    assert f"s3://{BUCKET}/{PREFIX}/ as of 2024-03-04T05:02:00Z" in told
    assert "2  to bring back, 2.9 KiB" in told
    assert "1  newer, to be hidden by a delete marker" in told
    assert f"deleted {PREFIX}/a (version " in told
    assert f"newer {PREFIX}/c\n" in told
    assert "Nothing was changed; --apply does it." in told


def test_a_second_run_finds_nothing_to_do(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.put("a", "one")
    before = store.at()
    store.put("a", "two")
    assert store.recover(before, "--apply") == 0
    existing = store.versions()
    assert store.recover(before, "--apply") == 0
    assert store.versions() == existing
    assert "0  to bring back" in capsys.readouterr().out.rpartition("as of")[2]


def test_keys_and_versions_on_many_pages_are_all_seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for number in range(7):
        store.put(f"{number}", "one")
    before = store.at()
    for number in range(7):
        for content in ("two", "three", "four", "five"):
            store.put(f"{number}", content)
        store.delete(f"{number}")
    assert store.recover(before, "--apply") == 0
    assert store.current() == {f"{number}": "one" for number in range(7)}


def test_keys_in_any_script_come_back(store: Store) -> None:
    keys = ["größe/日本 +%20&=.json", "a//b", "?x=1#y", "'\"<>"]
    for key in keys:
        store.put(key, key)
    before = store.at()
    for key in keys:
        store.delete(key)
    assert store.recover(before, "--apply") == 0
    assert store.current() == {key: key for key in keys}


def test_only_what_is_below_the_prefix_is_touched(store: Store) -> None:
    beside = f"{PREFIX}-old/a"
    store.s3.put_object(Bucket=BUCKET, Key=beside, Body=b"one")
    store.put("a", "one")
    before = store.at()
    store.later()
    store.s3.delete_object(Bucket=BUCKET, Key=beside)
    store.delete("a")
    assert store.recover(before, "--apply") == 0
    assert store.current() == {"a": "one"}
    with pytest.raises(botocore.exceptions.ClientError):
        store.s3.head_object(Bucket=BUCKET, Key=beside)
    assert store.recover(before, "--apply", prefix="") == 0
    store.s3.head_object(Bucket=BUCKET, Key=beside)


def test_a_version_that_is_gone_is_named_and_the_rest_comes_back(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.put("a", "one")
    store.put("b", "one")
    before = store.at()
    (lost,) = [version for key, version in store.versions() if key.endswith("/b")]
    store.delete("a")
    store.delete("b")
    store.s3.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/b", VersionId=lost)
    assert store.recover(before, "--apply") == 1
    assert store.current() == {"a": "one"}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("recover_prefix: 1 keys have no version of that time any more")
    assert line.endswith(f": {PREFIX}/b")


class Refusing:
    """S3 that refuses to copy one key, or has just lost its version."""

    def __init__(self, s3: Any, key: str, code: str) -> None:
        self._s3, self._key, self._code = s3, key, code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def copy_object(self, **request: Any) -> Any:
        if request["Key"] == self._key:
            raise botocore.exceptions.ClientError({"Error": {"Code": self._code, "Message": "no"}}, "CopyObject")
        return self._s3.copy_object(**request)


def test_a_run_that_was_stopped_is_run_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in "abc":
        store.put(key, key)
    before = store.at()
    for key in "abc":
        store.put(key, "X")
    with monkeypatch.context() as patch:
        patch.setattr(recover_prefix, "client", lambda _: Refusing(store.s3, f"{PREFIX}/c", "AccessDenied"))
        assert store.recover(before, "--apply") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"recover_prefix: s3://{BUCKET}/{PREFIX}/c: An error occurred (AccessDenied)")
    assert line.endswith("; allow what docs/worst-day.md lists")
    existing = store.versions()
    assert store.recover(before, "--apply") == 0
    assert store.current() == {key: key for key in "abc"}
    assert {key for key, _ in store.versions() - existing} >= {f"{PREFIX}/c"}


def test_a_version_that_goes_meanwhile_is_named_too(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store.put("a", "one")
    before = store.at()
    store.delete("a")
    monkeypatch.setattr(recover_prefix, "client", lambda _: Refusing(store.s3, f"{PREFIX}/a", "NoSuchVersion"))
    assert store.recover(before, "--apply") == 1
    assert capsys.readouterr().err.rstrip().endswith(f": {PREFIX}/a")


def test_an_object_too_big_for_one_copy_comes_back_in_parts_with_its_metadata(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover_prefix, "SINGLE_COPY", 6 * 1024**2)
    content = "0123456789abcdef" * (7 * 1024**2 // 16)
    store.put("a", content, ContentType="application/zip", Metadata={"who": "kopia"}, Tagging="k=v")
    before = store.at()
    store.delete("a")
    assert store.recover(before, "--apply") == 0
    found = store.s3.get_object(Bucket=BUCKET, Key=f"{PREFIX}/a")
    assert found["ETag"].rstrip('"').endswith("-2"), "it was copied in parts"
    assert found["Body"].read().decode() == content
    assert (found["ContentType"], found["Metadata"]["who"]) == ("application/zip", "kopia")
    assert store.recover(before) == 0


def _as_an_upload(request: Any, **_: Any) -> None:
    request.headers["x-amz-sdk-checksum-algorithm"] = "CRC32"


def test_under_object_lock_it_works_and_what_it_makes_is_locked_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with stored(lock=True) as store:
        # moto demands of a copy too what S3 demands of an upload under a lock.
        store.s3.meta.events.register("before-sign.s3.CopyObject", _as_an_upload)
        monkeypatch.setattr(recover_prefix, "client", lambda _: store.s3)
        # moto asks its own clock whether a lock is over.
        store.now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
        store.put("a", "one")
        before = store.at()
        store.put("a", "two")
        store.delete("a")
        assert store.recover(before, "--apply") == 0
        assert store.current() == {"a": "one"}
        for version in store.s3.list_object_versions(Bucket=BUCKET)["Versions"]:
            with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
                store.s3.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])


changes = st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "delete"]))


def test_whatever_happened_the_prefix_is_as_it_was_and_no_version_is_deleted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover_prefix, "client", lambda _: store.s3)
    prefixes = (f"velero/{number}" for number in itertools.count())

    @hypothesis_settings(max_examples=40, deadline=None)
    @given(history=st.lists(changes, min_size=1, max_size=12), split=st.integers(0, 12))
    def check(history: list[tuple[str, str]], split: int) -> None:
        store.prefix = next(prefixes)
        then, before = store.current(), store.at()
        for number, (key, what) in enumerate(history):
            if number == split:
                then, before = store.current(), store.at()
            store.put(key, f"{number}") if what == "put" else store.delete(key)
        existing = store.versions()
        assert store.recover(before, "--apply", "--delete-newer") == (0 if existing else 1)
        assert store.current() == then
        assert existing <= store.versions(), "a version was deleted"

    check()


def test_a_bucket_or_a_prefix_that_is_not_there_is_one_line(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert store.recover(store.at()) == 1
    assert f"there is nothing below s3://{BUCKET}/{PREFIX}/ and never was" in capsys.readouterr().err
    assert recover_prefix.main(["no-such-bucket", PREFIX, "--at", store.at(), "--region", "us-west-2"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be listed" in line
    assert "NoSuchBucket" in line


@pytest.mark.parametrize(("written", "reason"), [("yesterday", "is not a time; write one"), ("2999-01-01", "has not come yet")])
def test_a_time_that_is_none_or_has_not_come_is_refused(written: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        recover_prefix.main([BUCKET, PREFIX, "--at", written])
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_time_without_an_offset_is_utc_and_one_with_an_offset_is_that_moment() -> None:
    assert recover_prefix.moment("2024-03-04T05:06:07") == datetime(2024, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert recover_prefix.moment("2024-03-04T05:06:07Z") == recover_prefix.moment("2024-03-04T06:06:07+01:00")


def test_an_unknown_profile_is_a_matter_of_logging_in(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--at", "2024-03-04T05:06:07Z", "--region", "us-west-2", "--profile", "nobody"]
    assert recover_prefix.main([BUCKET, PREFIX, *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "nobody" in line
    assert line.endswith("; log in (aws sso login), or name a profile with valid credentials (--profile, or AWS_PROFILE)")


def test_it_runs_by_its_path_from_anywhere(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "recover_prefix.py"
    ran = subprocess.run([sys.executable, str(script), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_python_without_boto3_is_told_which_one_has_it() -> None:
    script = ROOT / "scripts" / "recover_prefix.py"
    ran = subprocess.run([sys.executable, "-S", str(script), "--help"], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert (
        ran.stderr
        == "recover_prefix: this Python has no boto3; use the program's: .venv/bin/python scripts/recover_prefix.py …\n"
    )
