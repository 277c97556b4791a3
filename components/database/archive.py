"""What a database archive in S3 holds: whether a standby can be made from it, and how far a standby has followed it.

Read from objects alone, as the Barman Cloud plugin writes them: `<prefix>/<server>/base/<id>/…`, `<prefix>/<server>/wals/…`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import boto3
import botocore.config
import botocore.exceptions

from components.iam.errors import explain
from components.kube.runner.base_backup import LABEL, BaseBackup, missing_files, times_of, unlike
from components.kube.runner.mark import MARK_BYTES, SEGMENT_KEY, Mark, first_gap, is_segment, mark_of, oldest_after, position_of
from components.storage.bounded import read_at_most
from settings.aws import Aws
from settings.names import ARCHIVE_PREFIX, FRESHNESS_PREFIX

_ANY_SEGMENT = re.compile(r"/([0-9A-F]{24})(\.partial)?(\.[a-z]\w*)?$")
"""The key of a WAL segment, and of the last one of a database that has shut down, which is archived as it is: `.partial`."""

_LABEL_BYTES = 1024**2
"""A label has some KB, and names each tablespace."""


class ArchiveUnreadableError(Exception):
    """The archive's bucket does not answer, or refuses; the message says which and why."""


class Archive(Protocol):
    """What the program asks of an archive. Each method raises ArchiveUnreadableError if the bucket does not answer or refuses."""

    def missing_for_a_standby(self, server: str) -> str | None:
        """What the archive of `server` lacks for a standby to be made from it; None if it lacks nothing."""

    def missing_by_mark(self, server: str) -> str | None:
        """What its newest base backup lacks if the mark is right, which names each file; None if nothing."""

    def used(self, server: str) -> bool:
        """Whether anything was ever archived under this server name."""

    def backlog(self, server: str, follower: str) -> timedelta:
        """Time span of WAL that `server` archived and `follower`, which re-archives what it replays, has not yet re-archived.

        It begins with the oldest, which may be missing.
        """

    def beyond_a_gap(self, server: str) -> timedelta:
        """Time span of WAL from the first missing segment on, which a recovery from `server`'s archive cannot reach."""

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

    def newest_segment(self, server: str) -> str | None:
        """The last WAL segment of the newest timeline that `server` has archived, whole or in part; None if there is none."""


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
            if not (self._unfinished(directory) or self._incomplete(root, directory) or self._unlike_its_mark(server, directory)):
                return times_of(self._label(directory))
        return None

    def _unfinished(self, directory: str) -> str | None:
        """Why a base backup is not done; None if it is."""
        address = f"s3://{self._bucket}/{directory}"
        if f"{directory}backup.info" not in self._objects(f"{directory}backup.info"):
            return f"the base backup {address} has no backup.info yet"
        status = self._label(directory).get("status", "without a status")
        return None if status == "DONE" else f"the base backup {address} is {status}, not DONE"

    def _incomplete(self, root: str, directory: str) -> str | None:
        """What a base backup that is done lacks in this bucket, by its label; None if nothing. S3 replicates in no order, so a
        backup's label may come before its data."""
        address, label = f"s3://{self._bucket}/{directory}", self._label(directory)
        needed = [label.get(key, "") for key in ("begin_wal", "end_wal")]
        try:
            missing = missing_files(self._sizes(directory), label)
        except Exception:  # noqa: BLE001 - a label may hold anything, and then it is none of Barman's
            needed, missing = [], None
        if not needed or not all(map(is_segment, needed)):
            return f"the base backup {address} has a {LABEL} that is not Barman's: remove that backup"
        if missing:
            return f"the base backup {address} has no {missing} yet"
        for segment in needed:
            # The label of a backup that began in a segment is beside it, and its key begins with the segment's key.
            if all(".backup" in key for key in self._objects(f"{root}/wals/{segment[:16]}/{segment}")):
                return f"WAL segment {segment}, which the base backup {address} needs, is not there yet"
        return None

    def missing_by_mark(self, server: str) -> str | None:
        newest, _ = self._newest_backup(f"{ARCHIVE_PREFIX}/{server}")
        return self._unlike_its_mark(server, newest) if newest else None

    def _unlike_its_mark(self, server: str, directory: str) -> str | None:
        """What a base backup lacks by the mark of the region that took it; None if nothing, or if nobody can tell."""
        mark = self.mark(server)
        marked = mark.bases.get(directory.removesuffix("/").rpartition("/")[2]) if mark else None
        missing = unlike(self._sizes(directory), marked or {})
        return f"the base backup s3://{self._bucket}/{directory} has no {missing} yet" if missing else None

    def _label(self, directory: str) -> dict[str, str]:
        """The entries of a base backup's label, `backup.info`; empty for one that cannot be read."""
        try:
            text = self._text(f"{directory}{LABEL}", _LABEL_BYTES) or ""
        except ValueError:
            return {}
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def _text(self, key: str, most: int) -> str | None:
        """The content of an object; None if there is none. Raises ValueError for one of more bytes than `most`, or no text."""
        try:
            return read_at_most(self._s3, self._bucket, key, most).decode()
        except self._s3.exceptions.NoSuchKey:
            return None
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = explain(error, f"s3:GetObject on s3://{self._bucket}/{key}")
            raise ArchiveUnreadableError(f"s3://{self._bucket}/{key} cannot be read: {why}") from None

    def mark(self, server: str) -> Mark | None:
        try:
            text = self._text(f"{FRESHNESS_PREFIX}/{server}.json", MARK_BYTES)
            return None if text is None else mark_of(text)
        except ArchiveUnreadableError:
            raise
        except Exception:  # noqa: BLE001 - what was written there may be anything, and then nobody has said anything
            return None

    def missing_wal(self, server: str, mark: Mark, follower: str | None, timeout: timedelta) -> timedelta:
        marked = mark.segments
        if not marked.keys() - (found := self._with(server, marked)).keys():
            return timedelta(0)
        followed = self._segments(follower) if follower else {}
        here = self._segments(server) | found
        needed = self._needed_from(server, followed)
        missing = {name: time for name, time in marked.items() if name not in here and needed(name)}
        if not missing:
            return timedelta(0)
        if not here and not followed:
            return timedelta.max
        first = min(missing)
        before = {name: archived for name, archived in (followed | here).items() if name < first}
        return mark.written - oldest_after(before, missing, timeout)

    def _needed_from(self, server: str, followed: Mapping[str, datetime]) -> Callable[[str], bool]:
        """Whether a segment is needed: one that the standby has not archived again; without one, of the newest base backup on."""
        if followed:
            newest = max(followed)
            return lambda name: name > newest
        base, _ = self._newest_backup(f"{ARCHIVE_PREFIX}/{server}")
        begin = self._label(base).get("begin_wal", "") if base else ""
        return lambda name: name >= begin

    def last_archived(self, server: str) -> datetime | None:
        segments = self._segments(server)
        return segments[max(segments)] if segments else None

    def newest_segment(self, server: str) -> str | None:
        directories = self._directories(f"{ARCHIVE_PREFIX}/{server}/wals/")
        keys = [key for directory in directories[-2:] for key in self._objects(directory)]
        return max((match[1] for key in keys if (match := _ANY_SEGMENT.search(key))), default=None)

    def backlog(self, server: str, follower: str) -> timedelta:
        followed, here = self._segments(follower), self._segments(server)
        newest = max(followed, default="")
        unreplayed = {name: archived for name, archived in here.items() if name > newest}
        before = {name: archived for name, archived in (followed | here).items() if name <= newest}
        return self._span(server, before, unreplayed)

    def beyond_a_gap(self, server: str) -> timedelta:
        base, _ = self._newest_backup(f"{ARCHIVE_PREFIX}/{server}")
        begin = self._label(base).get("begin_wal", "") if base else ""
        if not is_segment(begin):
            return timedelta(0)
        segments = {name: archived for name, archived in self._segments(server, begin).items() if name >= begin}
        gap = first_gap(begin, segments)
        if gap is None:
            return timedelta(0)
        before = {name: archived for name, archived in segments.items() if position_of(name) < gap}
        return self._span(server, before, {name: archived for name, archived in segments.items() if name not in before})

    def _span(self, server: str, before: Mapping[str, datetime], after: Mapping[str, datetime]) -> timedelta:
        """From the oldest WAL after the segments `before` to the last of the segments `after` them; zero without these.

        The first may be missing: the mark says when it was archived. What it does not name may be as old as what is before.
        """
        if not after:
            return timedelta(0)
        mark, last, first = self.mark(server), max(before, default=""), min(map(position_of, after))
        named = mark.segments if mark and before else {}
        between = {name: time for name, time in named.items() if name > last and position_of(name) <= first}
        return max(after.values()) - min(oldest_after(before, {**after, **between}), *after.values())

    def _segments(self, server: str, since: str | None = None) -> dict[str, datetime]:
        """WAL segments and when each was archived. With `since`, from the directory of that segment on; without it, from the last
        two directories, which hold at most 512 segments."""
        root = f"{ARCHIVE_PREFIX}/{server}/wals/"
        directories = self._directories(root)
        chosen = directories[-2:] if since is None else [each for each in directories if each >= f"{root}{since[:16]}/"]
        objects = {key: archived for directory in chosen for key, archived in self._objects(directory).items()}
        return {match[1]: archived for key, archived in objects.items() if (match := SEGMENT_KEY.search(key))}

    def _with(self, server: str, names: Iterable[str]) -> dict[str, datetime]:
        """Of these segments those that are here, and when each was archived, in whatever directories they are."""
        root = f"{ARCHIVE_PREFIX}/{server}/wals/"
        objects = {key: at for each in {name[:16] for name in names} for key, at in self._objects(f"{root}{each}/").items()}
        return {match[1]: at for key, at in objects.items() if (match := SEGMENT_KEY.search(key)) and match[1] in names}

    def used(self, server: str) -> bool:
        return bool(self._directories(f"{ARCHIVE_PREFIX}/{server}/"))
