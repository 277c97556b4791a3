"""The records of drills in a region's bucket: the last of each kind, and what an ordinary `up` says of it.

Whoever may write records could have written anything, so they are read with a limit, and what is no record is said to be none.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import boto3
import botocore.config
import botocore.exceptions

from components.drills.ended import without_record
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
_MOST_SECONDS = 1e9
"""Thirty years: no recovery takes as long."""

_AHEAD = timedelta(hours=1)
"""How far the clock of who wrote a record may be ahead of this machine's."""

_STAMP = re.compile(r"/(\d{8}T\d{6}Z)-[^/]*\.json$")


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
    ignored: Sequence[str] = ()
    """Keys that come after this one and are no record of a drill that has begun."""

    @property
    def word(self) -> str:
        return FAILED if self.passed is False else PASSED if self.passed else SKIPPED


class Records(Protocol):
    """What the program asks of the records of its own region."""

    def last(self, kind: AnyKind) -> Record | None:
        """The last record of a kind; None if there is none. Raises RecordsUnreadableError."""


def begun(key: str, now: datetime) -> bool:
    """Whether a key names a drill that can have begun. One of the future would be the last for ever."""
    try:
        stamp = datetime.strptime(_STAMP.search(key)[1], "%Y%m%dT%H%M%SZ")  # type: ignore[index]
    except (TypeError, ValueError):
        return False
    return stamp.replace(tzinfo=UTC) <= now + _AHEAD


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
            now, key, ignored = datetime.now(UTC), "", ""
            # A key begins with the time at which its drill began.
            for found in (entry["Key"] for page in pages for entry in page.get("Contents", ())):
                if begun(found, now):
                    key = max(key, found)
                else:
                    ignored = max(ignored, found)
            if not key and ignored:
                raise RecordsUnreadableError(f"s3://{bucket}/{prefix} has no record of a drill that has begun, but {ignored}")
            if not key:
                return None
            last = record_of(key, read_at_most(self._s3, bucket, key, _BYTES))
            if max(last.started, last.ended) > now + _AHEAD:
                raise RecordsUnreadableError(
                    f"s3://{bucket}/{key} says that its drill ended {last.ended:%Y-%m-%d}, which is to come"
                )
            return replace(last, ignored=[ignored]) if ignored else last
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
            started=moment(said["started"]).astimezone(UTC),
            ended=moment(said["ended"]).astimezone(UTC),
            passed=passed,
            reasons=[" ".join(str(each).split()) for each in reasons],
            rpo=_seconds(said["rpo"]["measured"]),
            rto=_seconds(said["rto"]["measured"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise RecordsUnreadableError(f"{key} is no record of a drill of this version: {type(error).__name__}: {error}") from None


def _refuse_others(schema: Any) -> None:
    if schema != SCHEMA:
        raise ValueError(f"its schema is {schema!r}")


def _seconds(said: Any) -> float | None:
    if said is None:
        return None
    seconds = float(said)
    if not (math.isfinite(seconds) and 0 <= seconds <= _MOST_SECONDS):
        raise ValueError(f"{said!r} is no time that a recovery takes")
    return seconds


@dataclass(frozen=True, kw_only=True)
class Last:
    """What is known of the drills of one stack: an answer for each kind that it runs, a record, None or why nobody knows."""

    found: Mapping[AnyKind, Record | str | None]

    def in_words(self) -> str:
        """In one line, for the stack's outputs."""
        return "; ".join(f"{kind}: {_told(_in_words, found, _unknown)}" for kind, found in self.found.items()) or NONE

    def details(self) -> dict[str, Any]:
        """The same for programs."""
        return {kind: _told(_details, found, lambda why: {"unknown": why}) for kind, found in self.found.items()}


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
    except Exception as error:  # noqa: BLE001 - a record may hold anything, and an `up` must not end by it
        return f"{type(error).__name__}: {error}"


def _filed_here(settings: Settings) -> Mapping[PeoplesKind, str]:
    """What people practise, with its cron line, if its records are in this region's bucket: in the secondary's."""
    return settings.practised if settings.role == "secondary" else {}


def _told(tell: Callable[[Record | str | None], Any], found: Record | str | None, unknown: Callable[[str], Any]) -> Any:
    """What `tell` says. It is said in an output, and what went wrong there would end the `up`."""
    try:
        return tell(found)
    except Exception as error:  # noqa: BLE001 - whoever may write records could have written anything
        return unknown(f"{type(error).__name__}: {error}")


def _unknown(why: str) -> str:
    return f"not known: {_short(why)}"


def _in_words(found: Record | str | None) -> str:
    if isinstance(found, str):
        return _unknown(found)
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
    """What is wrong with the drills themselves, a line each: the last one failed or left no record, or one is overdue."""
    time = now() if now else datetime.now(UTC)
    of_machines = [_warning(settings, cluster, kind, last.found.get(kind), time) for kind in KINDS if kind in last.found]
    known = not any(isinstance(found, str) for found in last.found.values())
    of_people = [
        _warning_of_people(settings, cluster, kind, cron, last.found.get(kind), time)
        for kind, cron in (_filed_here(settings) if known else {}).items()
    ]
    strange = [line for kind, found in last.found.items() for line in _ignored(kind, found)]
    return [*(line for line in (*of_machines, *of_people) if line), *strange]


def _ignored(kind: AnyKind, found: Record | str | None) -> list[str]:
    return [
        f"{_short(each)} is among the records of drill {kind}, and no drill of that time has begun; ignored: see who wrote it"
        for each in (found.ignored if isinstance(found, Record) else ())
    ]


def _warning(settings: Settings, cluster: ClusterApi, kind: Kind, found: Record | str | None, now: datetime) -> str | None:
    # With the time in its name it can be run twice: a Job of that name may still be there.
    run = f"kubectl create job --from=cronjob/{name_of(kind)} {name_of(kind)}-$(date +%s) -n {PROGRAM_NAMESPACE}"
    if isinstance(found, str):
        return f"whether drill {kind} passed is not known: {_short(found)}"
    try:
        died = without_record(cluster, kind, found.started if found else None)
        since = found.ended if found else _made(cluster, kind)
    except ClusterUnreachableError as error:
        unknown = f"whether drill {kind} has run since, or is overdue, is not known: {error}"
        return _failed(kind, found, run) or unknown
    if died:
        return f"the last drill {kind} ended without a record: {_short(died)}; once that is mended: {run} (docs/drills.md)"
    if failed := _failed(kind, found, run):
        return failed
    cron = settings.drills.of(kind).cron
    if since is None or now - since <= settings.drills.overdue_after(kind):
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


def _failed(kind: Kind, found: Record | None, run: str) -> str | None:
    if found is None or found.passed is not False:
        return None
    return (
        f"the last drill {kind} FAILED at {found.ended:%Y-%m-%dT%H:%M:%SZ}: "
        f"{_short(' | '.join(found.reasons) or 'it gives no reason')}; once that is mended: {run} (docs/drills.md)"
    )


def _made(cluster: ClusterApi, kind: Kind) -> datetime | None:
    """When the CronJob was made; None where there is none yet, as in the `up` that makes it."""
    path = f"/apis/batch/v1/namespaces/{PROGRAM_NAMESPACE}/cronjobs/{name_of(kind)}"
    created = ((cluster.read(path) or {}).get("metadata") or {}).get("creationTimestamp")
    return moment(str(created)) if created else None
