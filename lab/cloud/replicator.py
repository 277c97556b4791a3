"""Replicates objects like S3, by the replication rules of the buckets.

    python -m lab.cloud.replicator --endpoint http://172.30.0.1:5555 --state FILE [--lag SECONDS]

The replicator reads the endpoint's journal. It copies each new version with its key, metadata, content type and tags, `lag`
seconds after it was written. It replicates delete markers if the rule says so. It does not replicate objects from before the
rule, replicas, or deletions of single versions. While the region of the source or the destination is silent, objects wait in
order. The state file lists what waits and what was copied last. It also says where to continue after a restart; without it, the
replicator reads the journal from its beginning.
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
"""Seconds from one reading of the journal to the next."""

_ANSWER_TIMEOUT = 5.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """One object version or delete marker that one rule replicates to one bucket."""

    event: Event
    rule: Rule

    @property
    def where(self) -> tuple[str, str]:
        return self.rule.destination, self.event.key


class Replicator:
    """The replicator of one lab. Not safe for threads. `say` gets one line for each copy."""

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
        """Read new events, and copy what is due at `now` (seconds since the epoch). Raises OSError without an endpoint."""
        state = control(self._endpoint, "state")
        before = self._summary()
        self._lag = self._own_lag if state["replication_lag"] is None else state["replication_lag"]
        self._learn(state)
        self._work(time.time() if now is None else now, state["buckets"], state["silent"])
        if self._summary() != before or not self._state_file.exists():
            self._save()

    def _learn(self, state: Mapping[str, Any]) -> None:
        if state["instance"] != self._instance:
            # The endpoint restarted with an empty moto: its old rules and the objects that waited no longer exist.
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
        """Do a task. Returns whether it is finished, because it succeeded, or failed in a way that S3 would not retry."""
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
    """Whether the rule replicates this kind of event. The caller has already compared the prefix."""
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
    """The S3 client for one region. It tries once, with short timeouts, because a failed task stays on the list anyway."""
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
    """Whether the replica has every current object below `prefix`, with the same size. Tests and the demo wait for this.

    `source` and `destination` are boto3 clients of S3. False if there is nothing to replicate yet.
    """
    wanted_objects = _objects(source, bucket, prefix)
    return bool(wanted_objects) and wanted_objects.items() <= _objects(destination, replica, prefix).items()


def _objects(s3: Any, bucket: str, prefix: str) -> dict[str, int]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", ())}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab.cloud.replicator", description="S3 replication for the lab.")
    parser.add_argument("--endpoint", required=True, help="URL of the lab's AWS endpoint")
    parser.add_argument("--state", required=True, type=Path, help="file for what waits and what was copied, in JSON")
    parser.add_argument("--lag", type=float, default=1.0, help="seconds from the write of an object to its copy (default: 1)")
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
