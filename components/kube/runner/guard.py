"""The step `guard`: a region that was replaced while it was away stops by itself what it runs, by what the traffic flag says.

An init container has fetched the flag into a directory. The step acts only if the flag certainly names the other region while
this one still has its record `serving`: then it fences the databases, pauses Velero's Schedules and does to the workloads what
`stand_by` does. It waits for nothing, for it runs again a minute later, and it restores nothing: that is a person's `pulumi
up`.

The task: `role` of this region; `databases`, each with `namespace` and `name`; `schedules`, the names of Velero's; `workloads`, a
task of `stand_by` each; `advice`, what a person runs once it has stopped something; `anew`, what makes a record that is lost;
`rights`, which are asked for at the end; `once`, for a Pod that nobody makes anew: it fails for want of a right alone, and only
says all else; `seconds`, for how long it tries.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from .api import Api, ApiError
from .failure import StepFailedError
from .fencing import EVERY_INSTANCE, FENCED, takes_writes
from .flag import LONGEST, Flag, FlagInvalidError, parse
from .guard_record import NAMESPACE, RECORD, announce, moment, remember, text
from .rights import Right, refuse_missing
from .stop import cluster_path, stop

BODY, ANSWER, COMPLAINT = "active.json", "answer.json", "error"
"""Files of the directory: the flag itself, what S3 said of it, and what the AWS CLI said if it got none."""

SERVING = "serving"

_DIRECTORY = Path("/flag")
_PATIENCE_SECONDS, _ANSWER_SECONDS, _PAUSE_SECONDS = 2.0, 5.0, 1.0
"""One thing that is refused must not hold up the rest, so all of it is tried again and again, and each request for a moment only.
When a region comes back, its API server is up before CloudNativePG's webhook, without which no Cluster can be changed."""

_LEAST_SECONDS = 5.0
"""How long what is to be stopped has at least, however late it is."""

_EVENT_LENGTH = 1024
_STANDS_BY = "this region stands by, so there is nothing to stop"


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The flag, and when S3 was given it."""

    flag: Flag
    written: datetime


def run(task: Mapping[str, Any]) -> str:
    """Stop the region if it was replaced. Returns what is as it should be. Raises StepFailedError with what was stopped, or why
    nobody knows whether something should be."""
    return guard(Api.in_cluster(patience=_PATIENCE_SECONDS, answer=_ANSWER_SECONDS), task, lambda: fetched(_DIRECTORY))


def fetched(directory: Path) -> Fetched:
    """What the init container has fetched. Raises StepFailedError if it is not certain what the flag says."""
    try:
        body = (directory / BODY).read_bytes()
        written = moment(json.loads((directory / ANSWER).read_text())["LastModified"])
    except (OSError, ValueError, KeyError, TypeError):
        said = ""
        with suppress(OSError):
            said = " ".join((directory / COMPLAINT).read_text(errors="replace").split())
        raise StepFailedError(
            f"the traffic flag could not be fetched: {said or 'the AWS CLI gives no reason'}; nothing was stopped, and this "
            "region would not notice now that it was replaced"
        ) from None
    try:
        return Fetched(flag=parse(body[: LONGEST + 1]), written=written)
    except FlagInvalidError as error:
        raise StepFailedError(f"the traffic flag {error}; nothing was stopped") from None


class _AgainError(StepFailedError):
    """It may go better in a moment."""


def _now() -> datetime:
    return datetime.now(UTC)


def guard(
    api: Api,
    task: Mapping[str, Any],
    fetch: Callable[[], Fetched],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = _now,
) -> str:
    """As `run`, by this API server, by this clock and this time of day, with what `fetch` returns."""
    end = clock() + task["seconds"]
    looks = _Guard(api=api, task=task, fetch=fetch, left=lambda: end - clock(), now=now)
    while True:
        try:
            told = looks.look()
        except StepFailedError as failure:
            if isinstance(failure, _AgainError) and clock() + _PAUSE_SECONDS < end:
                sleep(_PAUSE_SECONDS)
                continue
            if not task["once"]:
                raise
            told = str(failure)
        refuse_missing(api, [Right(**right) for right in task["rights"]])
        return told


@dataclass(kw_only=True)
class _Guard:
    """The looks of one run. `left` is how many seconds it has yet, `done` what it has stopped."""

    api: Api
    task: Mapping[str, Any]
    fetch: Callable[[], Fetched]
    left: Callable[[], float]
    now: Callable[[], datetime]
    done: list[str] = field(default_factory=list)
    announced: bool = False
    complaint: str | None = None
    lock: Lock = field(default_factory=Lock)

    def look(self) -> str:
        try:
            return self._look()
        except ApiError as error:
            raise _AgainError(f"whether this region was replaced is not known, or it is not stopped: {error}") from None

    def _look(self) -> str:
        if self.api.find(f"/api/v1/namespaces/{NAMESPACE}/configmaps/{SERVING}") is None:
            return self._without_record()
        seen, role = self.fetch(), self.task["role"]
        known, of = remember(self.api, seen.written, self.now()), text(seen.written)
        if seen.flag.active == role:
            told = f"this region serves, as the traffic flag of {of} says"
        elif seen.flag.handover == role:
            told = f"by the traffic flag of {of} the other region hands over to this one, so nothing is stopped"
        elif known.overruled is not None and seen.written <= known.overruled:
            told = (
                f"the traffic flag of {of} names the other region, but since then somebody has made this one serve with force, "
                "so nothing is stopped; users go by the flag: write it anew (docs/traffic.md)"
            )
        else:
            raise self._stop(seen.written, known.stopped, known.complaint)
        if known.complaint:
            raise StepFailedError(f"{told}, but {known.complaint}")
        return told

    def _without_record(self) -> str:
        """What is wrong with a region that has no record that it serves. It stands by, or the record is lost."""
        writable = [
            f"database/{each['name']} in {each['namespace']}"
            for each in self.task["databases"]
            if (body := self.api.find(cluster_path(each["namespace"], each["name"]))) and takes_writes(body)
        ]
        try:
            seen = self.fetch()
        except StepFailedError:
            if writable:
                raise
            return _STANDS_BY
        lost = f"which has no record that it serves (the ConfigMap {SERVING})"
        if seen.flag.active == self.task["role"]:
            return f"the traffic flag of {text(seen.written)} names this region, {lost}; run: {self.task['anew']}"
        if not writable or seen.flag.handover == self.task["role"]:
            return _STANDS_BY
        # A failover looks just so between its promotion and its flag, and so does a database that was woken to read it.
        raise StepFailedError(
            f"the traffic flag of {text(seen.written)} names the other region, and {', '.join(writable)} takes writes in this "
            f"one, {lost}; nothing was stopped, for so it is too while a pulumi up promotes; if none runs, and nobody has "
            "woken the database to read it, fence it: kubectl annotate cluster.postgresql.cnpg.io NAME -n NAMESPACE --overwrite "
            f"{FENCED}='{EVERY_INSTANCE}'"
        )

    def _stop(self, written: datetime, stopped_by: str | None, complaint: str | None) -> StepFailedError:
        """Stop what runs, and go on where one thing refuses: what can be stopped is. Returns what is wrong with this region."""
        self.announced = False
        if stopped_by != text(written) or self.complaint:
            self._announce(written)
        areas = stop(self.api, self.task, partial(self._announce, written), max(self.left(), _LEAST_SECONDS))
        now = [area.text() for area in areas if area.lines]
        self.done += now
        failures = [failure for area in areas for failure in area.failures]
        running = [name for area in areas for name in area.running]
        complaints = dict.fromkeys(each for each in (complaint, self.complaint) if each)
        parts = [
            f"the other region has taken over (the traffic flag of {text(written)}), and this one was still active",
            f"stopped: {'; '.join(self.done)}" if self.done else "all was stopped before",
            *([f"still ending: {', '.join(running)}"] if running else []),
            *([f"not stopped: {' | '.join(failures)}"] if failures else []),
            *([f"not recorded, so that an up may not know what to wake: {' | '.join(complaints)}"] if complaints else []),
        ]
        told = "; ".join(parts)
        if now:
            _tell(self.api, told, self.now())
        failed = f"{told}; nothing starts again by itself; run: {self.task['advice']}"
        return _AgainError(failed) if failures else StepFailedError(failed)

    def _announce(self, written: datetime) -> None:
        """Record the stop before its first change, so that whoever wakes the region knows that something was stopped, wherever
        this Pod dies. A record that refuses is told, and keeps nothing running."""
        with self.lock:
            if self.announced:
                return
            self.announced = True
            try:
                announce(self.api, written, self.now())
            except ApiError as error:
                self.complaint = f"the ConfigMap {RECORD} cannot be changed: {error}"
            except StepFailedError as error:
                self.complaint = str(error)
            else:
                self.complaint = None


def _tell(api: Api, told: str, now: datetime) -> None:
    """An Event, from which a metric or a message can be made. What was stopped stays so if nobody can be told."""
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{RECORD}-", "namespace": NAMESPACE},
        "involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "name": RECORD, "namespace": NAMESPACE},
        "type": "Warning",
        "reason": "RegionStopped",
        "message": told[:_EVENT_LENGTH],
        "source": {"component": "k8s-dr-guard"},
        "firstTimestamp": text(now),
        "lastTimestamp": text(now),
        "count": 1,
    }
    with suppress(ApiError):
        api.create(f"/api/v1/namespaces/{NAMESPACE}/events", event)
