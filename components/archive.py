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

from settings.model import Aws
from settings.names import ARCHIVE_PREFIX

_SEGMENT = re.compile(r"/([0-9A-F]{24})(\.(?!partial)[a-z]\w*)?$")
"""A WAL segment, compressed or not; not the label of a backup that began in it, nor one that is `.partial`."""


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
            raise ArchiveUnreadableError(f"s3://{self._bucket}/{prefix} cannot be listed: {error}") from None

    def _objects(self, prefix: str) -> dict[str, datetime]:
        return {entry["Key"]: entry["LastModified"] for page in self._pages(prefix) for entry in page.get("Contents", ())}

    def _directories(self, prefix: str) -> list[str]:
        pages = self._pages(prefix, Delimiter="/")
        return sorted(entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", ()))

    def missing_for_a_standby(self, server: str) -> str | None:
        root = f"{ARCHIVE_PREFIX}/{server}"
        backups = self._directories(f"{root}/base/")
        reasons = [self._incomplete(root, directory) for directory in reversed(backups)]
        if not reasons:
            return f"there is no base backup of {server} in s3://{self._bucket}/{root}/"
        return None if None in reasons else reasons[0]

    def _incomplete(self, root: str, directory: str) -> str | None:
        """What the base backup in `directory` lacks. S3 replicates objects in no order: its label may come before its data."""
        where = f"s3://{self._bucket}/{directory}"
        objects = self._objects(directory)
        label = f"{directory}backup.info"
        if label not in objects:
            return f"the base backup {where} has no backup.info yet"
        try:
            text = self._s3.get_object(Bucket=self._bucket, Key=label)["Body"].read().decode()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise ArchiveUnreadableError(f"s3://{self._bucket}/{label} cannot be read: {error}") from None
        entries = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if entries.get("status") != "DONE":
            return f"the base backup {where} is {entries.get('status', 'without a status')}, not DONE"
        if not any(key.startswith(f"{directory}data.tar") for key in objects):
            return f"the base backup {where} has no data.tar yet"
        for segment in (entries["begin_wal"], entries["end_wal"]):
            # Beside a segment there may be the label of a backup that began in it, under the same name and more.
            if all(".backup" in key for key in self._objects(f"{root}/wals/{segment[:16]}/{segment}")):
                return f"WAL segment {segment}, which the base backup {where} needs, is not there yet"
        return None

    def backlog(self, server: str, follower: str) -> timedelta:
        newest = max(self._segments(follower), default="")
        lacking = [archived for segment, archived in self._segments(server).items() if segment > newest]
        return max(lacking) - min(lacking) if lacking else timedelta(0)

    def _segments(self, server: str) -> dict[str, datetime]:
        """The newest WAL segments and when each was archived: those of the last two directories, 256 to 512 of them or fewer."""
        directories = self._directories(f"{ARCHIVE_PREFIX}/{server}/wals/")[-2:]
        objects = {key: archived for directory in directories for key, archived in self._objects(directory).items()}
        return {found[1]: archived for key, archived in objects.items() if (found := _SEGMENT.search(key))}

    def used(self, server: str) -> bool:
        return bool(self._directories(f"{ARCHIVE_PREFIX}/{server}/"))
