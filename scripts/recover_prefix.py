#!/usr/bin/env python3
"""Bring everything below a prefix of a versioned bucket back as it was at a time.

For whoever has to undo what a compromised writer deleted or overwrote; docs/worst-day.md has the whole procedure. Without --apply
it only says what it would do. It never deletes a version: it brings one back as a copy, which is a new version. Stop the writers
first. Run it with the program's environment, which has boto3: .venv/bin/python scripts/recover_prefix.py …
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

try:
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    sys.exit("recover_prefix: this Python has no boto3; use the program's: .venv/bin/python scripts/recover_prefix.py …")

sys.path.append(str(Path(__file__).resolve().parent.parent))  # run by its path, it would only find its neighbours
from components.iam import errors as aws_errors

explain = functools.partial(aws_errors.explain, profile="--profile", region="--region")

MARK = "recovered-version"
"""Tag of an object that was brought back, with the id of the version that it is a copy of, so that a second run recognises it.
Nothing else tells: an encrypted copy has an ETag of its own. Metadata would not do, because they come with every PutObject: a
writer knows the ids of what it wrote, and could mark a forgery with them. A writer may set no tags."""

MOST_TAGS = 10
"""Tags that an object can have. One that has them all gets no mark, and a second run brings it back again."""

SINGLE_COPY = 5 * 1024**3
"""Bytes above which S3 copies an object in parts only."""

_WORKERS = 16
_PROGRESS_SECONDS = 5.0
_KEYS_NAMED = 20
"""Keys that a message names; it counts the rest."""

_KEPT_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "StorageClass")


class RecoveryError(Exception):
    """Why the recovery stops, in one line. What was brought back stays, and the same command goes on from there."""


class _GoneError(Exception):
    """A version disappeared between listing and copying."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One version of a key, or a delete marker: then `size`, in bytes, is None."""

    version: str
    when: datetime
    latest: bool
    size: int | None


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A version that shall be current again, and why it is not."""

    key: str
    version: str
    size: int
    why: Literal["deleted", "overwritten"]


@dataclass(kw_only=True)
class Plan:
    """What has to be done. `newer` are keys that did not exist at the time and do now. `gone` are keys that existed then, and of
    which no version from then is left."""

    copies: list[Copy] = field(default_factory=list)
    unchanged: int = 0
    newer: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(copy.size for copy in self.copies)

    @property
    def empty(self) -> bool:
        return not (self.copies or self.unchanged or self.newer or self.gone)

    def add(self, key: str, entries: Sequence[Entry], at: datetime) -> None:
        """Decide on one key from its entries, newest first."""
        current = entries[0]
        then = next((entry for entry in entries if entry.when <= at), None)
        if then is not None and then.size is not None:
            if then is current:
                self.unchanged += 1
            else:
                why: Literal["deleted", "overwritten"] = "deleted" if current.size is None else "overwritten"
                self.copies.append(Copy(key=key, version=then.version, size=then.size, why=why))
        elif then is None and entries[-1].size is None:
            # The oldest entry left is a delete marker, so the version that it deleted is gone.
            self.gone.append(key)
        elif current.size is None:
            self.unchanged += 1
        else:
            self.newer.append(key)


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """The bucket, through a boto3 client of S3. `tell` prints a line of progress."""

    s3: Any
    name: str
    tell: Callable[[str], None]

    def plan(self, prefix: str, at: datetime) -> Plan:
        """What has to be done so that everything below `prefix` is as it was. Raises RecoveryError."""
        plan = Plan()
        try:
            for key, entries in self._histories(prefix):
                plan.add(key, entries, at)
        except (BotoCoreError, ClientError) as error:
            why = explain(error, f"s3:ListBucketVersions on s3://{self.name}")
            raise RecoveryError(f"the versions of s3://{self.name}/{prefix} cannot be listed: {why}") from None
        overwritten = [copy for copy in plan.copies if copy.why == "overwritten"]
        done = set(self._in_parallel("looked at", overwritten, self._is_back, plan))
        plan.unchanged += len(done)
        plan.copies = [copy for copy in plan.copies if copy not in done]
        return plan

    def apply(self, plan: Plan, *, delete_newer: bool) -> None:
        """Carry the plan out. Adds to `plan.gone` the keys whose version has disappeared meanwhile. Raises RecoveryError."""
        for _ in self._in_parallel("brought back", plan.copies, self._bring_back, plan):
            pass
        newer = [Copy(key=key, version="", size=0, why="deleted") for key in plan.newer if delete_newer]
        for _ in self._in_parallel("hidden by a delete marker", newer, self._hide, plan):
            pass

    def _histories(self, prefix: str) -> Iterator[tuple[str, list[Entry]]]:
        """Every key with all its entries, newest first. A key's entries may be spread over several pages."""
        unfinished: dict[str, list[Entry]] = {}
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=prefix):
            for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                entry = Entry(
                    version=found["VersionId"], when=found["LastModified"], latest=found["IsLatest"], size=found.get("Size")
                )
                unfinished.setdefault(found["Key"], []).append(entry)
            goes_on = page.get("NextKeyMarker") if page.get("IsTruncated") else None
            for key in [key for key in unfinished if key != goes_on]:
                # S3 gives times in seconds. If a version and a marker have the same second, the version counts as the newer: to
                # bring back one object too many harms less than one too few.
                yield key, sorted(unfinished.pop(key), key=lambda entry: (entry.latest, entry.when), reverse=True)

    def _is_back(self, copy: Copy) -> bool:
        """Whether the current version is a copy of the right version already."""
        current = self.s3.head_object(Bucket=self.name, Key=copy.key)["VersionId"]
        return self._tags({"Bucket": self.name, "Key": copy.key, "VersionId": current}).get(MARK) == copy.version

    def _tags(self, version: dict[str, str]) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.s3.get_object_tagging(**version)["TagSet"]}

    def _bring_back(self, copy: Copy) -> bool:
        source = {"Bucket": self.name, "Key": copy.key, "VersionId": copy.version}
        original = self.s3.head_object(**source)
        # The headers are set anew, because S3 copies in parts without them. Encryption is left out: the bucket's own is right.
        headers = {name: original[name] for name in _KEPT_HEADERS if name in original}
        headers |= {"Metadata": original["Metadata"], "MetadataDirective": "REPLACE"}
        tags = self._tags(source) if original.get("TagCount") else {}
        if MARK in tags or len(tags) < MOST_TAGS:
            tags[MARK] = copy.version
        headers |= {"Tagging": urlencode(tags), "TaggingDirective": "REPLACE"}
        if copy.size <= SINGLE_COPY:
            self.s3.copy_object(Bucket=self.name, Key=copy.key, CopySource=source, **headers)
        else:
            config = TransferConfig(multipart_threshold=SINGLE_COPY, multipart_chunksize=SINGLE_COPY // 10)
            self.s3.copy(source, self.name, copy.key, ExtraArgs=headers, Config=config)
        return True

    def _hide(self, newer: Copy) -> bool:
        self.s3.delete_object(Bucket=self.name, Key=newer.key)
        return True

    def _in_parallel(self, done: str, copies: Sequence[Copy], work: Callable[[Copy], bool], plan: Plan) -> Iterator[Copy]:
        """The copies for which `work` returns True. Notes in `plan` those whose version is gone. Other failures end all work."""
        with ThreadPoolExecutor(_WORKERS) as pool:
            futures: dict[Future[bool], Copy] = {pool.submit(self._guarded, work, copy): copy for copy in copies}
            told = time.monotonic()
            try:
                for number, future in enumerate(as_completed(futures), 1):
                    try:
                        if future.result():
                            yield futures[future]
                    except _GoneError:
                        plan.gone.append(futures[future].key)
                    if time.monotonic() - told > _PROGRESS_SECONDS:
                        told = time.monotonic()
                        self.tell(f"{number} of {len(copies)} {done}")
            finally:
                pool.shutdown(cancel_futures=True)

    def _guarded(self, work: Callable[[Copy], bool], copy: Copy) -> bool:
        try:
            return work(copy)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchVersion", "NoSuchKey", "404", "405"):
                raise _GoneError from None
            raise self._failed(copy, error) from None
        except BotoCoreError as error:
            raise self._failed(copy, error) from None

    def _failed(self, copy: Copy, error: Exception) -> RecoveryError:
        return RecoveryError(f"s3://{self.name}/{copy.key}: {explain(error, 'what docs/worst-day.md lists')}")


def moment(text: str) -> datetime:
    """A time as a person writes it; without an offset it is UTC."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a time; write one as in 2026-03-04T05:06:07Z") from None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    if when > datetime.now(UTC):
        raise argparse.ArgumentTypeError(f"{text} has not come yet (it is {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ})")
    return when


def human(size: int) -> str:
    amount, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}" if unit != "bytes" else f"{size} bytes"


def described(plan: Plan, *, delete_newer: bool) -> Iterator[str]:
    """The lines that sum up a plan."""
    newer = "to be hidden by a delete marker" if delete_newer else "left as they are; --delete-newer hides them"
    yield f"  {len(plan.copies):>8}  to bring back, {human(plan.size)}"
    yield f"  {plan.unchanged:>8}  as they were"
    yield f"  {len(plan.newer):>8}  newer, {newer}"
    yield f"  {len(plan.gone):>8}  gone"


def first_of(keys: Iterable[str]) -> str:
    """The first of `keys` by name, and how many more there are."""
    names = sorted(keys)
    more = f" and {len(names) - _KEYS_NAMED} more" if len(names) > _KEYS_NAMED else ""
    return ", ".join(names[:_KEYS_NAMED]) + more


def client(options: argparse.Namespace) -> Any:
    session = boto3.session.Session(profile_name=options.profile, region_name=options.region)
    config = Config(max_pool_connections=_WORKERS, connect_timeout=10, retries={"mode": "standard", "total_max_attempts": 10})
    return session.client("s3", endpoint_url=options.endpoint_url, config=config)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="recover_prefix.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("bucket", help="the bucket's name")
    parser.add_argument("prefix", help="what to bring back, as in velero/primary; everything below it, '' for the whole bucket")
    parser.add_argument("--at", required=True, type=moment, help="the time, in UTC, as in 2026-03-04T05:06:07Z")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="only say what would be done (the default)")
    mode.add_argument("--apply", action="store_true", help="do it")
    parser.add_argument("--delete-newer", action="store_true", help="put a delete marker on keys that did not exist then")
    parser.add_argument("--list", action="store_true", help="name every key that is not as it was")
    parser.add_argument("--region", help="the bucket's region; by default that of the AWS configuration")
    parser.add_argument("--profile", help="a profile of the AWS configuration")
    parser.add_argument("--endpoint-url", help="URL of an S3-compatible store in place of AWS")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> Plan:
    """Plan the recovery, print the plan and, with --apply, carry it out. Raises RecoveryError."""
    prefix = f"{options.prefix.rstrip('/')}/" if options.prefix else ""
    where = f"s3://{options.bucket}/{prefix}"
    try:
        s3 = client(options)
    except BotoCoreError as error:
        raise RecoveryError(f"no connection to S3 can be made: {explain(error, 's3:ListBucketVersions')}") from None
    bucket = Bucket(s3=s3, name=options.bucket, tell=lambda line: print(line, file=sys.stderr, flush=True))
    plan = bucket.plan(prefix, options.at)
    if plan.empty:
        raise RecoveryError(f"there is nothing below {where} and never was; look at bucket and prefix")
    print(f"{where} as of {options.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    if options.list:
        for copy in plan.copies:
            print(f"{copy.why} {copy.key} (version {copy.version})")
        for key in plan.newer:
            print(f"newer {key}")
    print("\n".join(described(plan, delete_newer=options.delete_newer)), flush=True)
    if not options.apply:
        print("Nothing was changed; --apply does it.")
        return plan
    bucket.apply(plan, delete_newer=options.delete_newer)
    print("Done.")
    return plan


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        plan = run(options)
    except RecoveryError as error:
        print(f"recover_prefix: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("recover_prefix: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    if plan.gone:
        reason = "older than the bucket's noncurrentDays, or deleted by somebody who may delete versions"
        print(
            f"recover_prefix: {len(plan.gone)} keys have no version of that time any more ({reason}): {first_of(plan.gone)}",
            file=sys.stderr,
        )
    return 1 if plan.gone else 0


if __name__ == "__main__":
    sys.exit(main())
