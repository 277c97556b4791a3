"""What a database archive in S3 holds: whether a standby can be made from it, and how far a standby has followed it.

Read from objects alone, as the Barman Cloud plugin writes them: `<prefix>/<server>/base/<id>/…`, `<prefix>/<server>/wals/…`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import boto3
import botocore.config
import botocore.exceptions

from components.database.mark import Mark, mark_of, oldest_after, position_of
from components.iam.errors import explain
from settings.aws import Aws
from settings.names import ARCHIVE_PREFIX, FRESHNESS_PREFIX

_SEGMENT = re.compile(r"/([0-9A-F]{24})(\.(?!partial)[a-z]\w*)?$")
"""The key of a WAL segment, compressed or not. A `.partial` segment or the label of a backup that began in one does not match."""


_DATA_FILE = re.compile(r"(data|\d+)(?:_(\d{4,}))?\.tar(?:\.\w+)?")
"""A file of a base backup, by its name in the backup's directory: of the data or of a tablespace by oid, and its number."""

_LABEL = "backup.info"
"""The file that says what a base backup is, and whether it is done. Barman writes it when a backup begins and when it ends."""

_FULL = 100 * 1024**3
"""Bytes from which Barman goes on with the next file of the data, before it adds the last pieces, which are small."""


def _span(times: Sequence[datetime]) -> timedelta:
    """From the first of `times` to the last; zero if there are none."""
    return max(times) - min(times) if times else timedelta(0)


@dataclass(frozen=True, kw_only=True)
class BaseBackup:
    """When a base backup began and ended, by its label."""

    began: datetime
    ended: datetime


def _times(label: Mapping[str, str]) -> BaseBackup | None:
    """The times of a label; None for one without them, or in a form that is not Barman's."""
    try:
        began, ended = (datetime.fromisoformat(label[key]) for key in ("begin_time", "end_time"))
        return BaseBackup(began=began.astimezone(UTC), ended=ended.astimezone(UTC))
    except (KeyError, ValueError):
        return None


def _missing_files(sizes: Mapping[str, int], label: Mapping[str, str], marked: Mapping[str, int] | None = None) -> str | None:
    """The first file that a base backup lacks by its label, by the files that are here, and by its files in the mark of the
    region that took it; None if it lacks none. `sizes` and `marked` are the bytes of each file.

    The mark counts if it was written after the backup was done, when the label had its last size.

    Barman writes `data.tar`, then `data_0001.tar` and so on, and as many for each tablespace, by its oid. The label names the
    tablespaces, and no number of files. So that the last is the last shows in its size: Barman ends each one before it when it is
    full, and adds two small pieces after all data.
    """
    numbers: dict[str, dict[int, int]] = {"data": {}}
    for _, oid, *_ in ast.literal_eval(label.get("tablespaces", "None")) or ():
        numbers[str(oid)] = {}
    for name, size in sizes.items():
        if (match := _DATA_FILE.fullmatch(name)) and match[1] in numbers:
            numbers[match[1]][int(match[2] or 0)] = size
    for name, found in numbers.items():
        first = next(number for number in range(len(found) + 1) if number not in found)
        complete = found and first > max(found) and not (name == "data" and found[max(found)] > _FULL)
        if not complete:
            return f"{name}_{first:04}.tar" if first else f"{name}.tar"
    if marked and marked.get(_LABEL) == sizes.get(_LABEL):
        return next((name for name, size in sorted(marked.items()) if sizes.get(name) != size), None)
    return None


class ArchiveUnreadableError(Exception):
    """The archive's bucket does not answer, or refuses; the message says which and why."""


class Archive(Protocol):
    """What the program asks of an archive. Each method raises ArchiveUnreadableError if the bucket does not answer or refuses."""

    def missing_for_a_standby(self, server: str) -> str | None:
        """What the archive of `server` lacks for a standby to be made from it; None if it lacks nothing."""

    def used(self, server: str) -> bool:
        """Whether anything was ever archived under this server name."""

    def backlog(self, server: str, follower: str) -> timedelta:
        """Time span of WAL that `server` archived and `follower`, which re-archives what it replays, has not yet re-archived."""

    def beyond_a_gap(self, server: str) -> timedelta:
        """Time span of WAL after the first missing segment, which a recovery from `server`'s archive cannot reach."""

    def newest_base(self, server: str) -> BaseBackup | None:
        """The newest base backup of `server` that is whole here; None if there is none, or if its label has no times."""

    def mark(self, server: str) -> Mark | None:
        """What the region that writes the archive of `server` last said of it; None if no mark has come
        that can be read."""

    def missing_wal(self, server: str, mark: Mark, follower: str | None, timeout: timedelta) -> timedelta:
        """How long before `mark` was written the oldest WAL was written that it says was archived and that has not come: zero if
        all is here, timedelta.max if none is.

        What `follower` has archived again has come too, by whatever way. `timeout` is PostgreSQL's `archive_timeout`: what a
        segment has was written so long before it was archived at the most.
        """

    def last_archived(self, server: str) -> datetime | None:
        """When `server` archived its newest WAL segment; None if it has archived none."""


class LiveArchive:
    """`Archive` in one bucket. Connects at the first question."""

    def __init__(self, bucket: str, region: str, settings: Aws) -> None:
        self._bucket, self._region, self._settings = bucket, region, settings
        self._connected: Any = None

    @property
    def _s3(self) -> Any:
        if self._connected is None:
            timeouts = botocore.config.Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
            session = boto3.session.Session(profile_name=self._settings.profile, region_name=self._region)
            self._connected = session.client("s3", endpoint_url=self._settings.endpoint, config=timeouts)
        return self._connected

    def _pages(self, prefix: str, **options: Any) -> Iterator[dict[str, Any]]:
        try:
            yield from self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix, **options)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = explain(error, f"s3:ListBucket on s3://{self._bucket}")
            raise ArchiveUnreadableError(f"s3://{self._bucket}/{prefix} cannot be listed: {why}") from None

    def _objects(self, prefix: str) -> dict[str, datetime]:
        return {entry["Key"]: entry["LastModified"] for page in self._pages(prefix) for entry in page.get("Contents", ())}

    def _sizes(self, directory: str) -> dict[str, int]:
        """Bytes of each file of a directory, by its name there."""
        return {
            entry["Key"].removeprefix(directory): entry["Size"]
            for page in self._pages(directory)
            for entry in page.get("Contents", ())
        }

    def _directories(self, prefix: str) -> list[str]:
        pages = self._pages(prefix, Delimiter="/")
        return sorted(entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", ()))

    def missing_for_a_standby(self, server: str) -> str | None:
        root = f"{ARCHIVE_PREFIX}/{server}"
        newest, unfinished = self._newest_backup(root)
        if newest is not None:
            return self._incomplete(root, newest)
        return unfinished or f"there is no base backup of {server} in s3://{self._bucket}/{root}/"

    def _newest_backup(self, root: str) -> tuple[str | None, str | None]:
        """The directory of the newest base backup that is done, even if some of its data have not come yet: a recovery takes that
        one. If none is done, None and why the newest is not."""
        reasons: list[str] = []
        for directory in reversed(self._directories(f"{root}/base/")):
            reason = self._unfinished(directory)
            if reason is None:
                return directory, None
            reasons.append(reason)
        return None, reasons[0] if reasons else None

    def newest_base(self, server: str) -> BaseBackup | None:
        root = f"{ARCHIVE_PREFIX}/{server}"
        for directory in reversed(self._directories(f"{root}/base/")):
            if self._unfinished(directory) is None and self._incomplete(root, directory) is None:
                return _times(self._label(directory))
        return None

    def _unfinished(self, directory: str) -> str | None:
        """Why a base backup is not done; None if it is."""
        address = f"s3://{self._bucket}/{directory}"
        if f"{directory}backup.info" not in self._objects(f"{directory}backup.info"):
            return f"the base backup {address} has no backup.info yet"
        status = self._label(directory).get("status", "without a status")
        return None if status == "DONE" else f"the base backup {address} is {status}, not DONE"

    def _incomplete(self, root: str, directory: str) -> str | None:
        """What a base backup that is done lacks in this bucket; None if nothing. S3 replicates in no order, so a backup's label
        may come before its data."""
        address, label = f"s3://{self._bucket}/{directory}", self._label(directory)
        mark = self.mark(root.removeprefix(f"{ARCHIVE_PREFIX}/"))
        marked = mark.bases.get(directory.removesuffix("/").rpartition("/")[2]) if mark else None
        if missing := _missing_files(self._sizes(directory), label, marked):
            return f"the base backup {address} has no {missing} yet"
        for segment in (label["begin_wal"], label["end_wal"]):
            # The label of a backup that began in a segment is beside it, and its key begins with the segment's key.
            if all(".backup" in key for key in self._objects(f"{root}/wals/{segment[:16]}/{segment}")):
                return f"WAL segment {segment}, which the base backup {address} needs, is not there yet"
        return None

    def _label(self, directory: str) -> dict[str, str]:
        """The entries of a base backup's label, `backup.info`."""
        text = self._text(f"{directory}{_LABEL}") or ""
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def _text(self, key: str) -> str | None:
        """The content of an object; None if there is none."""
        try:
            return str(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read().decode())
        except self._s3.exceptions.NoSuchKey:
            return None
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = explain(error, f"s3:GetObject on s3://{self._bucket}/{key}")
            raise ArchiveUnreadableError(f"s3://{self._bucket}/{key} cannot be read: {why}") from None

    def mark(self, server: str) -> Mark | None:
        text = self._text(f"{FRESHNESS_PREFIX}/{server}.json")
        try:
            return None if text is None else mark_of(text)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def missing_wal(self, server: str, mark: Mark, follower: str | None, timeout: timedelta) -> timedelta:
        if mark.segment is None or mark.archived is None:
            return timedelta(0)
        segment, directory = mark.segment, f"{ARCHIVE_PREFIX}/{server}/wals/{mark.segment[:16]}/"
        if any(_SEGMENT.search(key) for key in self._objects(f"{directory}{segment}")):
            return timedelta(0)
        followed = self._segments(follower) if follower else {}
        if max(followed, default="") >= segment:
            return timedelta(0)
        before = {name: archived for name, archived in (followed | self._segments(server)).items() if name < segment}
        return mark.written - oldest_after(before, {segment: mark.archived, **mark.recent}, timeout) if before else timedelta.max

    def last_archived(self, server: str) -> datetime | None:
        segments = self._segments(server)
        return segments[max(segments)] if segments else None

    def backlog(self, server: str, follower: str) -> timedelta:
        newest = max(self._segments(follower), default="")
        return _span([archived for segment, archived in self._segments(server).items() if segment > newest])

    def beyond_a_gap(self, server: str) -> timedelta:
        root = f"{ARCHIVE_PREFIX}/{server}"
        newest, _ = self._newest_backup(root)
        if newest is None:
            return timedelta(0)
        begin = self._label(newest)["begin_wal"]
        segments = {position_of(name): archived for name, archived in self._segments(server, begin).items() if name >= begin}
        if not segments:
            return timedelta(0)
        gap = next((position for position in range(position_of(begin), max(segments)) if position not in segments), None)
        return _span([archived for position, archived in segments.items() if gap is not None and position > gap])

    def _segments(self, server: str, since: str | None = None) -> dict[str, datetime]:
        """WAL segments and when each was archived. With `since`, from the directory of that segment on; without it, from the last
        two directories, which hold at most 512 segments."""
        root = f"{ARCHIVE_PREFIX}/{server}/wals/"
        directories = self._directories(root)
        chosen = directories[-2:] if since is None else [each for each in directories if each >= f"{root}{since[:16]}/"]
        objects = {key: archived for directory in chosen for key, archived in self._objects(directory).items()}
        return {match[1]: archived for key, archived in objects.items() if (match := _SEGMENT.search(key))}

    def used(self, server: str) -> bool:
        return bool(self._directories(f"{ARCHIVE_PREFIX}/{server}/"))
