"""What a database archive in S3 holds: whether a standby can be made from it, and how much of it one has not followed.

Read from objects alone, as the Barman Cloud plugin writes them: `<prefix>/<server>/base/<id>/…` and `<prefix>/<server>/wals/…`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Protocol

import boto3
import botocore.config
import botocore.exceptions

from components.iam.errors import explain
from settings.model import Aws
from settings.names import ARCHIVE_PREFIX

_SEGMENT = re.compile(r"/([0-9A-F]{24})(\.(?!partial)[a-z]\w*)?$")
"""A WAL segment, compressed or not; not the label of a backup that began in it, nor one that is `.partial`."""


def _number(segment: str) -> int:
    """Place of a segment in the WAL, whatever its timeline: a new one goes on where it left the old, in segments of 16 MB."""
    return int(segment[8:16], 16) * 256 + int(segment[16:], 16)


class ArchiveUnreadableError(Exception):
    """The archive's bucket does not answer, or refuses; the message says which and why."""


class Archive(Protocol):
    """What the program asks of an archive."""

    def missing_for_a_standby(self, server: str) -> str | None:
        """What a standby could not be made from this archive for; None if it could."""

    def used(self, server: str) -> bool:
        """Whether anything was ever archived under this name."""

    def backlog(self, server: str, follower: str) -> timedelta:
        """WAL of how long was archived by `server` and not by `follower`, which archives again what it has restored."""

    def beyond_a_gap(self, server: str) -> timedelta:
        """WAL of how long a recovery from `server`'s archive would not replay, for a segment before it is missing."""


class LiveArchive:
    """`Archive` in one bucket. Connects when first asked; raises ArchiveUnreadableError."""

    def __init__(self, bucket: str, region: str, settings: Aws) -> None:
        self._bucket, self._region, self._settings = bucket, region, settings
        self._connected: Any = None

    @property
    def _s3(self) -> Any:
        if self._connected is None:
            patience = botocore.config.Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
            session = boto3.session.Session(profile_name=self._settings.profile, region_name=self._region)
            self._connected = session.client("s3", endpoint_url=self._settings.endpoint, config=patience)
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
        """The base backup that a recovery takes: the newest that is done, whether or not all of it has come. Else why the newest
        is not done."""
        reasons: list[str] = []
        for directory in reversed(self._directories(f"{root}/base/")):
            reason = self._unfinished(directory)
            if reason is None:
                return directory, None
            reasons.append(reason)
        return None, reasons[0] if reasons else None

    def _unfinished(self, directory: str) -> str | None:
        where = f"s3://{self._bucket}/{directory}"
        if f"{directory}backup.info" not in self._objects(f"{directory}backup.info"):
            return f"the base backup {where} has no backup.info yet"
        status = self._label(directory).get("status", "without a status")
        return None if status == "DONE" else f"the base backup {where} is {status}, not DONE"

    def _incomplete(self, root: str, directory: str) -> str | None:
        """What a base backup that is done lacks here. S3 replicates objects in no order: its label may come before its data."""
        where, entries = f"s3://{self._bucket}/{directory}", self._label(directory)
        if not self._objects(f"{directory}data.tar"):
            return f"the base backup {where} has no data.tar yet"
        for segment in (entries["begin_wal"], entries["end_wal"]):
            # Beside a segment there may be the label of a backup that began in it, under the same name and more.
            if all(".backup" in key for key in self._objects(f"{root}/wals/{segment[:16]}/{segment}")):
                return f"WAL segment {segment}, which the base backup {where} needs, is not there yet"
        return None

    def _label(self, directory: str) -> dict[str, str]:
        """What a base backup says of itself."""
        label = f"{directory}backup.info"
        try:
            text = self._s3.get_object(Bucket=self._bucket, Key=label)["Body"].read().decode()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = explain(error, f"s3:GetObject on s3://{self._bucket}/{label}")
            raise ArchiveUnreadableError(f"s3://{self._bucket}/{label} cannot be read: {why}") from None
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def backlog(self, server: str, follower: str) -> timedelta:
        newest = max(self._segments(follower), default="")
        lacking = [archived for segment, archived in self._segments(server).items() if segment > newest]
        return max(lacking) - min(lacking) if lacking else timedelta(0)

    def beyond_a_gap(self, server: str) -> timedelta:
        root = f"{ARCHIVE_PREFIX}/{server}"
        newest, _ = self._newest_backup(root)
        if newest is None:
            return timedelta(0)
        begin = self._label(newest)["begin_wal"]
        archived = {_number(segment): when for segment, when in self._segments(server, begin).items() if segment >= begin}
        if not archived:
            return timedelta(0)
        gap = next((number for number in range(_number(begin), max(archived)) if number not in archived), None)
        lost = [when for number, when in archived.items() if gap is not None and number > gap]
        return max(lost) - min(lost) if lost else timedelta(0)

    def _segments(self, server: str, since: str | None = None) -> dict[str, datetime]:
        """WAL segments and when each was archived: those of the directories from the one of segment `since`; without it of the
        last two, 256 to 512 segments or fewer."""
        root = f"{ARCHIVE_PREFIX}/{server}/wals/"
        directories = self._directories(root)
        chosen = directories[-2:] if since is None else [each for each in directories if each >= f"{root}{since[:16]}/"]
        objects = {key: archived for directory in chosen for key, archived in self._objects(directory).items()}
        return {found[1]: archived for key, archived in objects.items() if (found := _SEGMENT.search(key))}

    def used(self, server: str) -> bool:
        return bool(self._directories(f"{ARCHIVE_PREFIX}/{server}/"))
