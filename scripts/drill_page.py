"""Writes what the drills of both regions have shown, as a page for people and auditors and as JSON for programs.

    .venv/bin/python -m scripts.drill_page --html drills.html --json drills.json

It reads the records in the regions' buckets, with the credentials of whoever runs it (aws.profile of the stack files, or those of
the AWS CLI). S3 copies each region's records to the other, so one bucket that answers is enough; the page says what did not. It
ends with 1 where a last drill failed, one is overdue, or an object is no record, and with 2 where nothing can be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
from cronsim import CronSim

from components.iam.errors import explain
from components.storage.bounded import TooLargeError, read_at_most
from report import drills
from report.drills import Drills, Entry, NoRecordError, Standing
from scripts.stack_files import settings_of
from settings.durations import longest_gap, spoken
from settings.load import ConfigurationError
from settings.model import Settings
from settings.names import DRILLS_PREFIX, Names
from settings.people import dates, missed
from settings.roles import ROLES, Role

_BYTES = 256 * 1024
_MOST_RECORDS = 2000
"""Records that are read of each bucket, the newest: some years of them."""


Connect = Callable[[Settings], Any]


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """What one region's bucket gave: contents by key, or why it did not."""

    name: str
    contents: Mapping[str, bytes]
    problems: tuple[str, ...] = ()
    error: str | None = None
    left_out: int = 0


def connect(settings: Settings) -> Any:
    timeouts = botocore.config.Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2})
    session = boto3.session.Session(
        profile_name=settings.aws.profile, region_name=Names(topology=settings.topology, role=settings.role).region
    )
    return session.client("s3", endpoint_url=settings.aws.endpoint, config=timeouts)


def read(settings: Settings, connecting: Connect = connect) -> Bucket:
    """The records in a region's own bucket, its own and the copies of the other region's."""
    bucket = Names(topology=settings.topology, role=settings.role).bucket("velero")
    try:
        s3 = connecting(settings)
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{DRILLS_PREFIX}/")
        # The last part of a key begins with the time at which its drill began.
        keys = sorted(
            (each["Key"] for page in pages for each in page.get("Contents", ())), key=lambda key: key.rpartition("/")[2]
        )
        chosen = keys[-_MOST_RECORDS:]
        with ThreadPoolExecutor(max_workers=8) as threads:
            found = [*zip(chosen, threads.map(lambda key: _content(s3, bucket, key), chosen), strict=True)]
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        why = explain(error, f"s3:ListBucket and s3:GetObject on s3://{bucket}/{DRILLS_PREFIX}/*")
        return Bucket(name=bucket, contents={}, error=why)
    return Bucket(
        name=bucket,
        contents={key: content for key, content in found if isinstance(content, bytes)},
        problems=tuple(content for _, content in found if isinstance(content, str)),
        left_out=len(keys) - len(chosen),
    )


def _content(s3: Any, bucket: str, key: str) -> bytes | str:
    try:
        return read_at_most(s3, bucket, key, _BYTES)
    except TooLargeError as error:
        return str(error)


def known(stacks: Mapping[Role, Settings], buckets: Mapping[Role, Bucket], now: datetime) -> Drills:
    """What the buckets tell together."""
    entries, wrong = _entries(buckets)
    newest = tuple(sorted(entries, key=lambda each: (each.ended, each.key), reverse=True))
    return Drills(
        organization=stacks["secondary"].topology.organization,
        generated=now,
        standings=tuple(_standings(stacks, newest, now)),
        entries=newest,
        unreadable=tuple(dict.fromkeys(wrong)),
        sources=tuple(_source(bucket) for bucket in buckets.values()),
    )


def _entries(buckets: Mapping[Role, Bucket]) -> tuple[list[Entry], list[str]]:
    entries: dict[str, Entry] = {}
    wrong = [problem for bucket in buckets.values() for problem in bucket.problems]
    for role, bucket in buckets.items():
        others = [other.contents for other in buckets.values() if other is not bucket]
        for key, content in bucket.contents.items():
            copies = [other[key] for other in others if key in other]
            if any(copy != content for copy in copies):
                wrong.append(f"{key} is not the same in the two regions: somebody has written over one of them")
            # The region that wrote it has it at first hand.
            if key in entries and not key.startswith(f"{DRILLS_PREFIX}/{role}/"):
                continue
            try:
                entries[key] = drills.entry(key, content)
            except NoRecordError as error:
                wrong.append(str(error))
    return [*entries.values()], wrong


def _source(bucket: Bucket) -> str:
    if bucket.error:
        return f"s3://{bucket.name}/{DRILLS_PREFIX}/ did not answer: {bucket.error}"
    older = f"; {bucket.left_out} older ones were left out" if bucket.left_out else ""
    return f"s3://{bucket.name}/{DRILLS_PREFIX}/: {len(bucket.contents)} records, its own and copies{older}."


def _standings(stacks: Mapping[Role, Settings], entries: Sequence[Entry], now: datetime) -> Iterator[Standing]:
    """Of each drill that is not switched off. Nothing is overdue for which the pair, by its oldest record, is too young."""
    oldest = min((each.started for each in entries), default=now)
    for role, settings in stacks.items():
        for kind in settings.drilled:
            cron = settings.drills.of(kind).cron
            last = next((each for each in entries if (each.kind, each.role) == (kind, role)), None)
            since, longest = (last.ended if last else oldest), 2 * longest_gap(cron)
            told = f"the last ended {spoken(now - since)} ago" if last else f"there was none in {spoken(now - since)}"
            yield Standing(
                kind=kind,
                region=settings.topology.region(role),
                last=last,
                next=next(CronSim(cron, now)).date(),
                overdue=f"{told}, and one begins every {spoken(longest_gap(cron))}" if now - since > longest else None,
            )
    for practice, cron in stacks["secondary"].practised.items():
        last = next((each for each in entries if each.kind == practice), None)
        today = now.date()
        coming = dates(cron, today, today + timedelta(days=9 * 366))
        due = missed(cron, last=last.ended.date() if last else None, begun=oldest.date(), today=today)
        yield Standing(
            kind=practice,
            region=None,
            last=last,
            next=coming[0] if coming else None,
            overdue=f"it was due on {due}, and no record was filed since" if due else None,
        )


def main(arguments: Sequence[str] | None = None, connecting: Connect = connect, now: datetime | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.drill_page", description="What the drills of both regions have shown."
    )
    parser.add_argument("--html", type=Path, help="where the page goes")
    parser.add_argument("--json", type=Path, help="where the same goes for programs")
    parser.add_argument("--directory", type=Path, default=Path(), help="where Pulumi.yaml is")
    given = parser.parse_args(arguments)
    try:
        stacks: dict[Role, Settings] = {role: settings_of(role, given.directory) for role in ROLES}
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    buckets = {role: read(settings, connecting) for role, settings in stacks.items()}
    found = known(stacks, buckets, now or datetime.now(UTC))
    for line in found.sources:
        print(line)
    if all(bucket.error for bucket in buckets.values()):
        print("no bucket answered, so nothing was written", file=sys.stderr)
        return 2
    for file, rendered in ((given.html, drills.render), (given.json, drills.as_json)):
        if file:
            try:
                file.write_text(rendered(found), encoding="utf-8")
            except OSError as error:
                print(f"{file}: {error.strerror}; choose another file", file=sys.stderr)
                return 2
            print(f"Written: {file}")
    wrong = drills.reasons(found)
    print("\n".join(wrong or drills.held(found)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
