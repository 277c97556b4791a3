"""S3's replication, as the rules in the buckets say it.

    python -m lab.cloud.replicator --endpoint http://172.30.0.1:5555 --state FILE [--lag SECONDS]

Reads the endpoint's journal and copies each new version, key for key with metadata, content type and tags, `lag` seconds after
it was written. Objects from before the rule, replicas, and deletions of single versions are not replicated; delete markers are
where the rule says so. While the source's or the destination's region is silent its objects wait, in order. The state file says
what waits and what was copied last, and where to go on after a restart; without it the journal is read from its beginning.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lab.cloud.access_keys import ADMINISTRATOR
from lab.cloud.access_log import REPLICATOR, user_agent
from lab.cloud.lines import read_state, timestamp, write_state
from lab.cloud.network import control
from lab.cloud.replication import Event, Rule, rules_for

INTERVAL = 0.5
"""Seconds between two looks at the journal."""

_ANSWER_TIMEOUT = 5.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """One object or delete marker that one rule sends to one bucket."""

    event: Event
    rule: Rule

    @property
    def where(self) -> tuple[str, str]:
        return self.rule.destination, self.event.key


class Replicator:
    """One a lab; not for use from several threads. `say` gets one line for each copy."""

    def __init__(self, endpoint: str, state: Path, *, lag: float, say: Callable[[str], None] = lambda _: None) -> None:
        self._endpoint, self._state_file, self._own_lag, self._say = endpoint, state, lag, say
        self._lag = lag
        self._instance = ""
        self._position = 0
        self._rules: dict[str, tuple[Rule, ...]] = {}
        self._tasks: list[Task] = []
        self._counts = {"copied": 0, "deleted": 0, "failed": 0}
        self._last: dict[str, Any] | None = None
        self._resume(read_state(state) or {})

    def step(self, now: float | None = None) -> None:
        """Learn what happened and do what is due at `now` (seconds since the epoch). Raises OSError without an endpoint."""
        state = control(self._endpoint, "state")
        before = self._summary()
        self._lag = self._own_lag if state["replication_lag"] is None else state["replication_lag"]
        self._learn(state)
        self._work(time.time() if now is None else now, state["buckets"], state["silent"])
        if self._summary() != before or not self._state_file.exists():
            self._save()

    def _learn(self, state: Mapping[str, Any]) -> None:
        if state["instance"] != self._instance:
            # Another moto: what the last one knew is gone, and with it everything that waited.
            self._instance, self._position, self._rules, self._tasks = state["instance"], 0, {}, []
        if state["journal"] <= self._position:
            return
        for fields in control(self._endpoint, f"journal/{self._position}"):
            event = Event.from_json(fields)
            self._position = event.sequence
            if event.kind == "rules":
                self._rules[event.bucket] = event.rules
            else:
                chosen = rules_for(self._rules.get(event.bucket, ()), event.key)
                self._tasks += [Task(event=event, rule=rule) for rule in chosen if wanted(event, rule)]

    def _work(self, now: float, regions: Mapping[str, str], silent: Sequence[str]) -> None:
        waiting: list[Task] = []
        held: set[tuple[str, str]] = set()
        for task in self._tasks:
            needed = {regions.get(task.event.bucket), regions.get(task.rule.destination)}
            due = now >= task.event.time + self._lag
            # Versions of one key must arrive in the order in which they were written.
            if not due or task.where in held or needed & set(silent) or not self._do(task, regions, now):
                held.add(task.where)
                waiting.append(task)
        self._tasks = waiting

    def _do(self, task: Task, regions: Mapping[str, str], now: float) -> bool:
        """Whether the task is over: done, or failed for good as S3's would be."""
        event, rule = task.event, task.rule
        try:
            s3 = client(self._endpoint, regions.get(rule.destination, "us-east-1"))
            if event.kind == "deleted":
                s3.delete_object(Bucket=rule.destination, Key=event.key)
            else:
                s3.copy_object(**copy_arguments(event, rule))
        except ClientError as refused:
            if refused.response["ResponseMetadata"]["HTTPStatusCode"] >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return False
            self._counts["failed"] += 1
            self._say(f"not replicated: s3://{event.bucket}/{event.key} to {rule.destination}: {refused}")
            return True
        except (BotoCoreError, OSError) as silence:
            self._say(f"waiting: s3://{event.bucket}/{event.key} to {rule.destination}: {silence}")
            return False
        kind = "deleted" if event.kind == "deleted" else "copied"
        self._counts[kind] += 1
        age = round(now - event.time, 3)
        self._last = {"time": timestamp(now), "from": event.bucket, "to": rule.destination, "key": event.key, "age_seconds": age}
        self._say(f"{kind}: s3://{event.bucket}/{event.key} to {rule.destination}, {age:.1f} s old")
        return True

    def _summary(self) -> dict[str, Any]:
        return {
            "lag": self._lag,
            "pending": len(self._tasks),
            **self._counts,
            "last": self._last,
            "instance": self._instance,
            "position": self._position,
        }

    def _save(self) -> None:
        rules = {bucket: [asdict(rule) for rule in rules] for bucket, rules in self._rules.items()}
        tasks = [{"event": task.event.to_json(), "rule": asdict(task.rule)} for task in self._tasks]
        write_state(self._state_file, {**self._summary(), "rules": rules, "tasks": tasks})

    def _resume(self, state: Mapping[str, Any]) -> None:
        if not state:
            return
        self._instance, self._position, self._last = state["instance"], state["position"], state["last"]
        self._counts = {kind: state[kind] for kind in self._counts}
        self._rules = {bucket: tuple(Rule(**rule) for rule in rules) for bucket, rules in state["rules"].items()}
        self._tasks = [Task(event=Event.from_json(task["event"]), rule=Rule(**task["rule"])) for task in state["tasks"]]


def wanted(event: Event, rule: Rule) -> bool:
    """Whether the rule takes what the event is about, given that its prefix fits."""
    return rule.delete_markers if event.kind == "deleted" else rule.kms_encrypted or not event.kms_encrypted


def copy_arguments(event: Event, rule: Rule) -> dict[str, Any]:
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": rule.replica_kms_key} if rule.replica_kms_key else {}
    storage = {"StorageClass": rule.storage_class} if rule.storage_class else {}
    return {
        "Bucket": rule.destination,
        "Key": event.key,
        "CopySource": {"Bucket": event.bucket, "Key": event.key, "VersionId": event.version},
        "MetadataDirective": "COPY",
        "TaggingDirective": "COPY",
        **encryption,
        **storage,
    }


@lru_cache
def client(endpoint: str, region: str) -> Any:
    """S3 of one region; one try and a short patience, because what failed stays on the list anyway."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        **ADMINISTRATOR.client,
        config=Config(
            s3={"addressing_style": "path"},
            user_agent_extra=user_agent(REPLICATOR),
            connect_timeout=_ANSWER_TIMEOUT,
            read_timeout=_ANSWER_TIMEOUT,
            retries={"total_max_attempts": 1},
        ),
    )


def replicated(source: Any, destination: Any, *, bucket: str, replica: str, prefix: str = "") -> bool:
    """Whether every current object below `prefix` is in the replica, in the same size. For tests and the demo to wait for.

    `source` and `destination` are boto3 clients of S3. False where there is nothing to replicate yet.
    """
    wanted_objects = _objects(source, bucket, prefix)
    return bool(wanted_objects) and wanted_objects.items() <= _objects(destination, replica, prefix).items()


def _objects(s3: Any, bucket: str, prefix: str) -> dict[str, int]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", ())}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab.cloud.replicator", description="S3 replication for the lab.")
    parser.add_argument("--endpoint", required=True, help="URL of the lab's AWS endpoint")
    parser.add_argument("--state", required=True, type=Path, help="what waits and what was copied, in JSON")
    parser.add_argument("--lag", type=float, default=1.0, help="seconds from the write of an object to its copy (1)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    replicator = Replicator(options.endpoint, options.state, lag=options.lag, say=_say)
    while True:
        try:
            replicator.step()
        except OSError as error:
            _say(f"the endpoint {options.endpoint} does not answer: {error}")
        time.sleep(INTERVAL)


def _say(line: str) -> None:
    print(f"{timestamp()} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
