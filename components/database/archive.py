"""What a database archive in S3 holds: whether a standby can be made from it, and how far a standby has followed it.

Read from objects alone, as the Barman Cloud plugin writes them: `<prefix>/<server>/base/<id>/…`, `<prefix>/<server>/wals/…`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import boto3
import botocore.config
import botocore.exceptions

from components.iam.errors import explain
from settings.model import Aws
from settings.names import ARCHIVE_PREFIX

_SEGMENT = re.compile(r"/([0-9A-F]{24})(\.(?!partial)[a-z]\w*)?$")
"""The key of a WAL segment, compressed or not. A `.partial` segment or the label of a backup that began in one does not match."""


def _position(segment: str) -> int:
    """Position of a segment in the WAL, in segments of 16 MB. A new timeline goes on counting where it left the old one."""
    return int(segment[8:16], 16) * 256 + int(segment[16:], 16)


def _span(times: Sequence[datetime]) -> timedelta:
    """From the first of `times` to the last; zero if there are none."""
    return max(times) - min(times) if times else timedelta(0)


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
        if not self._objects(f"{directory}data.tar"):
            return f"the base backup {address} has no data.tar yet"
        for segment in (label["begin_wal"], label["end_wal"]):
            # The label of a backup that began in a segment is beside it, and its key begins with the segment's key.
            if all(".backup" in key for key in self._objects(f"{root}/wals/{segment[:16]}/{segment}")):
                return f"WAL segment {segment}, which the base backup {address} needs, is not there yet"
        return None

    def _label(self, directory: str) -> dict[str, str]:
        """The entries of a base backup's label, `backup.info`."""
        label = f"{directory}backup.info"
        try:
            text = self._s3.get_object(Bucket=self._bucket, Key=label)["Body"].read().decode()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = explain(error, f"s3:GetObject on s3://{self._bucket}/{label}")
            raise ArchiveUnreadableError(f"s3://{self._bucket}/{label} cannot be read: {why}") from None
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def backlog(self, server: str, follower: str) -> timedelta:
        newest = max(self._segments(follower), default="")
        return _span([archived for segment, archived in self._segments(server).items() if segment > newest])

    def beyond_a_gap(self, server: str) -> timedelta:
        root = f"{ARCHIVE_PREFIX}/{server}"
        newest, _ = self._newest_backup(root)
        if newest is None:
            return timedelta(0)
        begin = self._label(newest)["begin_wal"]
        segments = {_position(name): archived for name, archived in self._segments(server, begin).items() if name >= begin}
        if not segments:
            return timedelta(0)
        gap = next((position for position in range(_position(begin), max(segments)) if position not in segments), None)
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
