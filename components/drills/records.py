"""The records of drills in a region's bucket: the last of each kind, and what an ordinary `up` says of it.

Whoever may write records could have written anything, so they are read with a limit, and what is no record is said to be none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import boto3
import botocore.config
import botocore.exceptions

from components.drills.pods import name_of
from components.iam.errors import explain
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.runner.drill_record import FAILED, PASSED, SCHEMA, SKIPPED, moment
from components.storage.bounded import TooLargeError, read_at_most
from settings.aws import Aws
from settings.drills import KINDS, Kind
from settings.durations import longest_gap, spoken
from settings.model import Settings
from settings.names import DRILLS_PREFIX, PROGRAM_NAMESPACE, Names
from settings.people import PeoplesKind, missed

AnyKind = Kind | PeoplesKind

NOT_ASKED = "asked in each pulumi up that is no failover"
NONE = "none: drills.enabled is false, or there is nothing to drill"

_BYTES = 256 * 1024
"""A record has some KB."""

_SHOWN = 300


class RecordsUnreadableError(Exception):
    """The records cannot be read; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is read of a record: when the drill began and ended, whether it passed (None where it had nothing to do), and why."""

    key: str
    started: datetime
    ended: datetime
    passed: bool | None
    reasons: Sequence[str]
    rpo: float | None
    rto: float | None

    @property
    def word(self) -> str:
        return FAILED if self.passed is False else PASSED if self.passed else SKIPPED


class Records(Protocol):
    """What the program asks of the records of its own region."""

    def last(self, kind: AnyKind) -> Record | None:
        """The last record of a kind; None if there is none. Raises RecordsUnreadableError."""


class LiveRecords:
    """`Records` in this region's bucket. Connects at the first question."""

    def __init__(self, names: Names, settings: Aws) -> None:
        self._names, self._settings = names, settings
        self._connected: Any = None

    @property
    def _s3(self) -> Any:
        if self._connected is None:
            timeouts = botocore.config.Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
            session = boto3.session.Session(profile_name=self._settings.profile, region_name=self._names.region)
            self._connected = session.client("s3", endpoint_url=self._settings.endpoint, config=timeouts)
        return self._connected

    def last(self, kind: AnyKind) -> Record | None:
        bucket, prefix = self._names.bucket("velero"), f"{DRILLS_PREFIX}/{self._names.role}/{kind}/"
        try:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            # A key begins with the time at which its drill began.
            key = max((entry["Key"] for page in pages for entry in page.get("Contents", ())), default=None)
            return None if key is None else record_of(key, read_at_most(self._s3, bucket, key, _BYTES))
        except TooLargeError as error:
            raise RecordsUnreadableError(str(error)) from None
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = explain(error, f"s3:ListBucket and s3:GetObject on s3://{bucket}/{DRILLS_PREFIX}/*")
            raise RecordsUnreadableError(f"s3://{bucket}/{prefix} cannot be read: {why}") from None


def record_of(key: str, content: bytes) -> Record:
    """Raises RecordsUnreadableError for what is no record of this version."""
    try:
        said = json.loads(content)
        passed, reasons = {True: True, False: False, None: None}[said["passed"]], list(said["reasons"])
        _refuse_others(said["schema"])
        return Record(
            key=key,
            started=moment(said["started"]),
            ended=moment(said["ended"]),
            passed=passed,
            reasons=[" ".join(str(each).split()) for each in reasons],
            rpo=_seconds(said["rpo"]["measured"]),
            rto=_seconds(said["rto"]["measured"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordsUnreadableError(f"{key} is no record of a drill of this version: {type(error).__name__}: {error}") from None


def _refuse_others(schema: Any) -> None:
    if schema != SCHEMA:
        raise ValueError(f"its schema is {schema!r}")


def _seconds(said: Any) -> float | None:
    return None if said is None else float(said)


@dataclass(frozen=True, kw_only=True)
class Last:
    """What is known of the drills of one stack: an answer for each kind that it runs, a record, None or why nobody knows."""

    found: Mapping[AnyKind, Record | str | None]

    def in_words(self) -> str:
        """In one line, for the stack's outputs."""
        return "; ".join(f"{kind}: {_in_words(found)}" for kind, found in self.found.items()) or NONE

    def details(self) -> dict[str, Any]:
        """The same for programs."""
        return {kind: _details(found) for kind, found in self.found.items()}


def ask(records: Records, settings: Settings) -> Last:
    """The last record of each drill of this stack; of what people practise only where one was filed.

    A bucket that does not answer is not asked for those as well: each question takes its time, and all have the same answer.
    """
    found: dict[AnyKind, Record | str | None] = {kind: _last(records, kind) for kind in settings.drilled}
    if not any(isinstance(each, str) for each in found.values()):
        practised = {kind: _last(records, kind) for kind in _filed_here(settings)}
        found |= {kind: each for kind, each in practised.items() if each is not None}
    return Last(found=found)


def _last(records: Records, kind: AnyKind) -> Record | str | None:
    try:
        return records.last(kind)
    except RecordsUnreadableError as error:
        return str(error)


def _filed_here(settings: Settings) -> Mapping[PeoplesKind, str]:
    """What people practise, with its cron line, if its records are in this region's bucket: in the secondary's."""
    return settings.practised if settings.role == "secondary" else {}


def _in_words(found: Record | str | None) -> str:
    if isinstance(found, str):
        return f"not known: {_short(found)}"
    if found is None:
        return "none yet"
    why = f" ({_short(found.reasons[0])})" if found.reasons else ""
    times = "".join(
        f", {name} {spoken(timedelta(seconds=seconds))}" for name, seconds in (("RPO", found.rpo), ("RTO", found.rto)) if seconds
    )
    return f"{found.word} {found.ended:%Y-%m-%dT%H:%M:%SZ}{why}{times}"


def _details(found: Record | str | None) -> dict[str, Any] | None:
    if found is None:
        return None
    if isinstance(found, str):
        return {"unknown": found}
    times = {"started": found.started.isoformat(), "ended": found.ended.isoformat()}
    return {"passed": found.passed, "reasons": list(found.reasons), "rpo": found.rpo, "rto": found.rto, "key": found.key, **times}


def _short(text: str) -> str:
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def warnings(settings: Settings, cluster: ClusterApi, last: Last, now: Callable[[], datetime] | None = None) -> list[str]:
    """What is wrong with the drills themselves, a line each: the last one failed, or one is overdue."""
    time = now() if now else datetime.now(UTC)
    of_machines = [_warning(settings, cluster, kind, last.found.get(kind), time) for kind in KINDS if kind in last.found]
    known = not any(isinstance(found, str) for found in last.found.values())
    of_people = [
        _warning_of_people(settings, cluster, kind, cron, last.found.get(kind), time)
        for kind, cron in (_filed_here(settings) if known else {}).items()
    ]
    return [line for line in (*of_machines, *of_people) if line]


def _warning(settings: Settings, cluster: ClusterApi, kind: Kind, found: Record | str | None, now: datetime) -> str | None:
    run = f"kubectl create job --from=cronjob/{name_of(kind)} {name_of(kind)}-now -n {PROGRAM_NAMESPACE}"
    if isinstance(found, str):
        return f"whether drill {kind} passed is not known: {_short(found)}"
    if found is not None and found.passed is False:
        return (
            f"the last drill {kind} FAILED at {found.ended:%Y-%m-%dT%H:%M:%SZ}: "
            f"{_short(' | '.join(found.reasons) or 'it gives no reason')}; once that is mended: {run} (docs/drills.md)"
        )
    cron = settings.drills.of(kind).cron
    longest = 2 * longest_gap(cron)
    try:
        since = found.ended if found else _made(cluster, kind)
    except ClusterUnreachableError as error:
        return f"whether drill {kind} is overdue is not known: {error}"
    if since is None or now - since <= longest:
        return None
    what = (
        f"the last one ended {spoken(now - since)} ago"
        if found
        else f"there was none in the {spoken(now - since)} of its CronJob"
    )
    return (
        f"drill {kind} is overdue: {what}, and by its cron line ({cron}) one begins every {spoken(longest_gap(cron))} at the "
        f"latest; see: kubectl get cronjob,job -n {PROGRAM_NAMESPACE} -l app.kubernetes.io/name={name_of(kind)}; to run it now: "
        f"{run}"
    )


def _warning_of_people(
    settings: Settings, cluster: ClusterApi, kind: PeoplesKind, cron: str, found: Record | str | None, now: datetime
) -> str | None:
    """Of what people practise. No date counts before the stack's own drills were made, which are as old as the calendar."""
    if isinstance(found, str):
        return f"whether drill {kind} passed is not known: {_short(found)}"
    if found is not None and found.passed is False:
        why = _short(" | ".join(found.reasons) or "it gives no reason")
        return f"the last drill {kind} FAILED at {found.ended:%Y-%m-%dT%H:%M:%SZ}: {why}; practise it anew (docs/drills.md)"
    try:
        begun = next((made for each in settings.drilled if (made := _made(cluster, each))), None)
    except ClusterUnreachableError as error:
        return f"whether drill {kind} is overdue is not known: {error}"
    last = found.ended.date() if found else None
    due = missed(cron, last=last, begun=begun.date(), today=now.date()) if begun else None
    if due is None:
        return None
    return (
        f"drill {kind} is overdue: it was due on {due}, and no record of it was filed since; practise it, then: "
        f".venv/bin/python -m scripts.file_drill {kind} --help (docs/drills.md)"
    )


def _made(cluster: ClusterApi, kind: Kind) -> datetime | None:
    """When the CronJob was made; None where there is none yet, as in the `up` that makes it."""
    path = f"/apis/batch/v1/namespaces/{PROGRAM_NAMESPACE}/cronjobs/{name_of(kind)}"
    created = ((cluster.read(path) or {}).get("metadata") or {}).get("creationTimestamp")
    return moment(str(created)) if created else None
