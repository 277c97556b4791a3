"""What S3 has failed to copy to the peer's region, as each `pulumi up` of the region that serves says it by day.

S3 marks such an object FAILED and never tries it again, for example where it was written before the key's alias was known
everywhere. Nothing else tells anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

from components.iam.errors import explain
from settings.aws import Aws
from settings.names import ARCHIVE_PREFIX, FRESHNESS_PREFIX, Names
from settings.topology import Purpose

LATE = timedelta(minutes=15)
"""What S3 has not copied within this time is told too, although it may still come."""

_SEGMENTS, _BACKUPS = 10, 3
_WAITS = "PENDING"
_TIME = re.compile(r"-(\d{14})/$")
"""How the directory of a scheduled backup of Velero ends."""


def not_copied(
    names: Names, settings: Aws, servers: Sequence[str], *, velero: bool, silent: Callable[[], bool] = lambda: False
) -> list[str]:
    """What of the newest backups has not been copied, a line for each bucket; empty if all has been. `servers` are the databases'
    server names of this region; `velero` says whether this program runs Velero. It never raises: what cannot be asked is a line.

    `silent` says whether the peer's region is silent as a whole. What still waits for S3 is then part of that outage, of which
    the caller tells, and only what FAILED is told; it is asked only where something waits.

    Data of a backup are asked only where the caller may read them. Labels and marks, which the deploy role may read too, are
    written last, so that they show a fault that lasts.
    """
    timeouts = botocore.config.Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
    try:
        session = boto3.session.Session(profile_name=settings.profile, region_name=names.region)
        s3 = session.client("s3", endpoint_url=settings.endpoint, config=timeouts)
    except botocore.exceptions.BotoCoreError as error:
        return [f"whether S3 copies to {names.peer_region} is not known: {explain(error, 's3:ListBucket')}"]
    told: list[str] = []
    newest: list[tuple[Purpose, Iterator[str]]] = [("database", _of_databases(s3, names.bucket("database"), servers))]
    if velero:
        newest.append(("velero", _of_velero(s3, names.bucket("velero"), names.velero_prefix(names.role))))
    for purpose, keys in newest:
        bucket = names.bucket(purpose)
        try:
            with ThreadPoolExecutor(8) as pool:
                late = [found for found in pool.map(lambda key, bucket=bucket: _late(s3, bucket, key), list(keys)) if found]
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = explain(error, f"s3:ListBucket and s3:GetObject on s3://{bucket}")
            told.append(f"whether S3 copies s3://{bucket} to {names.peer_region} is not known: {why}")
            continue
        if any(state == _WAITS for _, state in late) and silent():
            late = [(key, state) for key, state in late if state != _WAITS]
        if late:
            (key, state), more = late[0], f" and {len(late) - 1} more" if len(late) > 1 else ""
            told.append(
                f"s3://{bucket}: S3 has not copied {key} ({state}){more} to {names.peer_region}; S3 does not try again what "
                "FAILED: once the cause is gone (key, role, bucket there), run S3 Batch Replication for this bucket, or take a "
                "new backup: docs/recovery.md, Freshness"
            )
    return told


def _late(s3: Any, bucket: str, key: str) -> tuple[str, str] | None:
    """An object that was not copied, and its state; None if it was, if nothing copies it, or if its data may not be read."""
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except botocore.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            return None
        raise
    status = head.get("ReplicationStatus")
    if status == "FAILED" or (status == _WAITS and datetime.now(UTC) - head["LastModified"] > LATE):
        return key, status
    return None


def _listed(s3: Any, bucket: str, prefix: str, **options: Any) -> Iterator[dict[str, Any]]:
    yield from s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **options)


def _keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    return sorted(entry["Key"] for page in _listed(s3, bucket, prefix) for entry in page.get("Contents", ()))


def _directories(s3: Any, bucket: str, prefix: str) -> list[str]:
    pages = _listed(s3, bucket, prefix, Delimiter="/")
    return sorted(entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", ()))


def _of_databases(s3: Any, bucket: str, servers: Sequence[str]) -> Iterator[str]:
    """The mark of each archive, its last base backups, and its last segments."""
    for server in servers:
        root = f"{ARCHIVE_PREFIX}/{server}"
        yield f"{FRESHNESS_PREFIX}/{server}.json"
        for directory in _directories(s3, bucket, f"{root}/base/")[-2:]:
            yield from _keys(s3, bucket, directory)
        for directory in _directories(s3, bucket, f"{root}/wals/")[-1:]:
            yield from _keys(s3, bucket, directory)[-_SEGMENTS:]


def _of_velero(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    """The label of each of the newest scheduled backups."""
    backups = [each for each in _directories(s3, bucket, f"{prefix}/backups/") if _TIME.search(each)]
    for directory in sorted(backups, key=lambda each: each[-15:])[-_BACKUPS:]:
        yield f"{directory}velero-backup.json"
