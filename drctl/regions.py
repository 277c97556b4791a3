"""What is asked of the two regions beside their stacks: clusters, archives, buckets and the traffic flag. A test has others."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import boto3
import botocore.config
import botocore.exceptions

from components.database.archive import Archive, LiveArchive
from components.drills.records import LiveRecords, Records
from components.iam.errors import explain
from components.kube.cluster_api import ClusterApi, LiveCluster
from components.kube.runner.flag import Flag
from components.traffic.flag_object import read_flag
from drctl.checkers import flag_unseen
from settings import Settings
from settings.names import Names

LONGEST = 1024 * 1024
"""Bytes of a report that are read: a record has some thousand."""


class BucketUnreadableError(Exception):
    """S3 refused or did not answer. The message names the bucket."""


class Bucket(Protocol):
    def documents(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The JSON objects below `prefix`, by key. Raises BucketUnreadableError."""

    def last(self, prefix: str) -> dict[str, Any] | None:
        """The JSON object with the last key below `prefix`; None if there is none. Raises BucketUnreadableError."""

    def keep(self, key: str, document: Mapping[str, Any]) -> str:
        """Write a new object and return its URL. Raises BucketUnreadableError."""


class LiveBucket:
    """One bucket of a region. Connects at the first question."""

    def __init__(self, name: str, region: str, settings: Settings) -> None:
        self._name, self._region, self._settings = name, region, settings

    @cached_property
    def _s3(self) -> Any:
        timeouts = botocore.config.Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
        session = boto3.session.Session(profile_name=self._settings.aws.profile, region_name=self._region)
        return session.client("s3", endpoint_url=self._settings.aws.endpoint, config=timeouts)

    def documents(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        with self._reads(prefix):
            for key in self._keys(prefix):
                if found := self._document(key):
                    yield key, found

    def last(self, prefix: str) -> dict[str, Any] | None:
        with self._reads(prefix):
            key = max(self._keys(prefix), default=None)
            return self._document(key) if key else None

    def _keys(self, prefix: str) -> Iterator[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
        yield from (str(entry["Key"]) for page in pages for entry in page.get("Contents", ()))

    def _document(self, key: str) -> dict[str, Any] | None:
        return _object(self._s3.get_object(Bucket=self._name, Key=key)["Body"].read(LONGEST))

    @contextmanager
    def _reads(self, prefix: str) -> Iterator[None]:
        try:
            yield
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = explain(error, f"s3:ListBucket and s3:GetObject on s3://{self._name}/{prefix}")
            raise BucketUnreadableError(f"s3://{self._name}/{prefix} cannot be read: {why}") from None

    def keep(self, key: str, document: Mapping[str, Any]) -> str:
        try:
            self._s3.put_object(
                Bucket=self._name,
                Key=key,
                Body=json.dumps(document, indent=2, default=str).encode(),
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = explain(error, f"s3:PutObject on s3://{self._name}/{key}")
            raise BucketUnreadableError(f"s3://{self._name}/{key} cannot be written: {why}") from None
        return f"s3://{self._name}/{key}"


def _object(body: bytes) -> dict[str, Any] | None:
    """A JSON object; None for what is none, which somebody else has put there."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _cluster(settings: Settings) -> ClusterApi:
    return LiveCluster(settings.cluster, settings.images.python, settings.pods)


def _archive(settings: Settings, names: Names) -> Archive:
    return LiveArchive(names.bucket("database"), names.region, settings.aws)


def _bucket(settings: Settings, names: Names) -> Bucket:
    return LiveBucket(names.bucket("velero"), names.region, settings)


def _records(settings: Settings, names: Names) -> Records:
    return LiveRecords(names, settings.aws)


def _flag(settings: Settings, names: Names) -> Flag | None:
    return read_flag(names, settings.aws)


@dataclass(frozen=True, kw_only=True)
class Regions:
    """How each part of a region is reached."""

    cluster: Callable[[Settings], ClusterApi] = _cluster
    archive: Callable[[Settings, Names], Archive] = _archive
    bucket: Callable[[Settings, Names], Bucket] = _bucket
    """The bucket in which the drills leave their records."""

    records: Callable[[Settings, Names], Records] = _records
    """The last record of each drill."""

    flag: Callable[[Settings, Names], Flag | None] = _flag
    flag_unseen: Callable[[Settings], Sequence[str]] = flag_unseen
    """What keeps Route 53's checkers from reading the traffic flag, a line each."""


def ask_all(questions: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, Any]:
    """The answer to each question, or the exception that it raised; TimeoutError for one that takes longer. All at once.

    The threads are daemons: whatever hangs does not keep the command.
    """
    answers: dict[str, Any] = {}

    def ask(name: str, question: Callable[[], Any]) -> None:
        try:
            answers[name] = question()
        except Exception as error:  # noqa: BLE001 - whatever a region answers is a line, and no stack trace
            answers[name] = error

    threads = {
        name: threading.Thread(target=ask, args=(name, question), daemon=True, name=name) for name, question in questions.items()
    }
    for thread in threads.values():
        thread.start()
    deadline = threading.Event()
    timer = threading.Timer(seconds, deadline.set)
    timer.daemon = True
    timer.start()
    for thread in threads.values():
        while thread.is_alive() and not deadline.is_set():
            thread.join(0.05)
    timer.cancel()
    return {name: answers.get(name, TimeoutError(f"did not answer within {seconds:g} s")) for name in questions}
