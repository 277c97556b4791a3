"""The step `guard`: a region that was replaced while it was away stops by itself what it runs, by what the traffic flag says.

An init container has fetched the flag into a directory. The step acts only if the flag certainly names the other region while
this one still has its record `serving`: then it fences the databases, pauses Velero's Schedules and does to the workloads what
`stand_by` does. It waits for nothing, for it runs again a minute later, and it restores nothing: that is a person's `pulumi
up`.

The task: `role` of this region; `databases`, each with `namespace` and `name`; `schedules`, the names of Velero's; `workloads`, a
task of `stand_by` each; `advice`, what a person runs once it has stopped something; `rights`, which are asked for at the end; and
`once`, for a Pod that nobody makes anew: it fails for want of a right alone, and only says all else; `seconds`, for how long
what is refused is tried.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from .api import Api, ApiError, Object
from .failure import StepFailedError
from .flag import LONGEST, Flag, FlagInvalidError, parse
from .inventory import Item, Namespace, entries_of
from .report import Report
from .rights import Right, refuse_missing
from .stand_by import lower, surplus

BODY, ANSWER, COMPLAINT = "active.json", "answer.json", "error"
"""Files of the directory: the flag itself, what S3 said of it, and what the AWS CLI said if it got none."""

FENCED = "cnpg.io/fencedInstances"
"""CloudNativePG's own annotation of a Cluster, a JSON list: it stops PostgreSQL in these instances, whatever the Cluster's phase,
and does not start it until they are taken out. `*` means all of them."""

EVERY_INSTANCE = '["*"]'
NAMESPACE, RECORD, SERVING = "k8s-dr", "guard", "serving"
VELERO = "velero"

_DIRECTORY = Path("/flag")
_PATIENCE_SECONDS, _PAUSE_SECONDS = 2.0, 1.0
"""One thing that is refused must not hold up the rest, so all of it is tried again and again, and each request for a moment only.
When a region comes back, its API server is up before CloudNativePG's webhook, without which no Cluster can be changed."""

_EVENT_LENGTH = 1024
_RECORD_PATH = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{RECORD}"


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The flag, and when S3 was given it."""

    flag: Flag
    written: datetime


def run(task: Mapping[str, Any]) -> str:
    """Stop the region if it was replaced. Returns what is as it should be. Raises StepFailedError with what was stopped, or why
    nobody knows whether something should be."""
    return guard(Api.in_cluster(patience=_PATIENCE_SECONDS), task, lambda: fetched(_DIRECTORY))


def fetched(directory: Path) -> Fetched:
    """What the init container has fetched. Raises StepFailedError if it is not certain what the flag says."""
    try:
        body = (directory / BODY).read_bytes()
        written = _moment(json.loads((directory / ANSWER).read_text())["LastModified"])
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


def guard(
    api: Api,
    task: Mapping[str, Any],
    fetch: Callable[[], Fetched],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """As `run`, by this API server and by this clock, with what `fetch` returns."""
    end, done = clock() + task["seconds"], list[str]()
    while True:
        try:
            told = _look(api, task, fetch, done)
        except StepFailedError as failure:
            if isinstance(failure, _AgainError) and clock() < end:
                sleep(_PAUSE_SECONDS)
                continue
            if not task["once"]:
                raise
            told = str(failure)
        refuse_missing(api, [Right(**right) for right in task["rights"]])
        return told


def _look(api: Api, task: Mapping[str, Any], fetch: Callable[[], Fetched], done: list[str]) -> str:
    try:
        if api.find(f"/api/v1/namespaces/{NAMESPACE}/configmaps/{SERVING}") is None:
            return "this region stands by, so there is nothing to stop"
        seen, role = fetch(), task["role"]
        _remember(api, seen.written)
        if seen.flag.active == role:
            return f"this region serves, as the traffic flag of {_text(seen.written)} says"
        if seen.flag.handover == role:
            return f"by the traffic flag of {_text(seen.written)} the other region hands over to this one, so nothing is stopped"
        raise _stop(api, task, seen.written, done)
    except ApiError as error:
        raise _AgainError(f"whether this region was replaced is not known, or it is not stopped: {error}") from None


def _stop(api: Api, task: Mapping[str, Any], written: datetime, done: list[str]) -> StepFailedError:
    """Stop what runs, and go on where one thing refuses: what can be stopped is. Returns what is wrong with this region. What was
    stopped is added to `done`."""
    # Before all else, so that whoever wakes the region knows that something was stopped, wherever this Pod dies.
    _change_record(api, lambda data: None if data.get("stopped") == _text(written) else {"stopped": _text(written)})
    areas = list(_stopped(api, task))
    now = [area.text() for area in areas if area.lines]
    done += now
    failures = [failure for area in areas for failure in area.failures]
    running = [name for area in areas for name in area.running]
    parts = [
        f"the other region has taken over (the traffic flag of {_text(written)}), and this one was still active",
        f"stopped: {'; '.join(done)}" if done else "all was stopped before",
        *([f"still ending: {', '.join(running)}"] if running else []),
        *([f"not stopped: {' | '.join(failures)}"] if failures else []),
    ]
    told = "; ".join(parts)
    if now:
        _tell(api, told)
    return (_AgainError if failures else StepFailedError)(f"{told}; nothing starts again by itself; run: {task['advice']}")


class _Area(Report):
    """What was stopped in one namespace, and what of it still ends."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.running: list[str] = []


def _stopped(api: Api, task: Mapping[str, Any]) -> Iterator[_Area]:
    # Databases first: what they take from now on is lost or in conflict. The rest only does its work twice.
    for database in task["databases"]:
        area = _Area(database["namespace"])
        with area.about(f"database/{database['name']}", required=True):
            _fence(Namespace(api, database["namespace"]), database["name"], area)
        yield area
    schedules = _Area(VELERO)
    for name in task["schedules"]:
        with schedules.about(f"schedule/{name}", required=True):
            _pause(Namespace(api, VELERO), name, schedules)
    yield schedules
    for each in task["workloads"]:
        namespace, area = Namespace(api, each["namespace"]), _Area(each["namespace"])
        with area.about("the workloads", required=True):
            lowered = lower(namespace, each, area)
            area.running += [workload.name for workload, _ in surplus(namespace, entries_of(each), lowered)]
        yield area


def _fence(namespace: Namespace, name: str, area: _Area) -> None:
    """Fence a database that takes writes. One that follows the other region must go on following."""
    path = f"/apis/postgresql.cnpg.io/v1/namespaces/{namespace.name}/clusters/{name}"
    body = namespace.api.find(path)
    if body is None:
        return

    def decide(seen: Item) -> Object | None:
        if _follows(seen.body) or fences_all(seen.annotations.get(FENCED)):
            return None
        area.did(f"{seen.name} fenced")
        return {"metadata": {"annotations": {FENCED: EVERY_INSTANCE}}}

    namespace.change(Item(kind="database", path=path, body=body), decide)
    if not _follows(body) and (body.get("status") or {}).get("readyInstances"):
        area.running.append(f"database/{name}")


def _follows(cluster: Object) -> bool:
    replica = cluster["spec"].get("replica") or {}
    primary = replica.get("primary")
    return bool(replica.get("enabled")) if primary is None else primary != replica.get("self", cluster["metadata"]["name"])


def fences_all(annotation: str | None) -> bool:
    """Whether the annotation fences every instance, as the operator reads it."""
    try:
        instances = json.loads(annotation or "[]")
    except ValueError:
        return False  # the operator cannot read it either, and fences nothing
    return isinstance(instances, list) and "*" in instances


def _pause(namespace: Namespace, name: str, area: _Area) -> None:
    path = f"/apis/velero.io/v1/namespaces/{namespace.name}/schedules/{name}"
    body = namespace.api.find(path)
    if body is None:
        return

    def decide(seen: Item) -> Object | None:
        if seen.body["spec"].get("paused"):
            return None
        area.did(f"{seen.name} paused")
        return {"spec": {"paused": True}}

    namespace.change(Item(kind="schedule", path=path, body=body), decide)


def _remember(api: Api, written: datetime) -> None:
    """Keep when the newest flag was written. Raises StepFailedError if this one is older than one that was here before."""

    def decide(data: Mapping[str, str]) -> dict[str, str] | None:
        try:
            newest = _moment(data["seen"]) if "seen" in data else None
        except ValueError:
            raise StepFailedError(
                f"the ConfigMap {RECORD} says seen: {data['seen']!r}, which is no time; nothing was stopped; take the key out: "
                f"""kubectl patch configmap {RECORD} -n {NAMESPACE} --type merge -p '{{"data":{{"seen":null}}}}'"""
            ) from None
        if newest is not None and newest > written:
            raise StepFailedError(
                f"the traffic flag is of {_text(written)}, and one of {_text(newest)} was here before: somebody has put an old "
                "version back; nothing was stopped; write the flag anew (docs/traffic.md)"
            )
        return None if newest == written else {"seen": _text(written)}

    _change_record(api, decide)


def _change_record(api: Api, decide: Callable[[Mapping[str, str]], dict[str, str] | None]) -> None:
    body = api.find(_RECORD_PATH)
    if body is None:
        raise StepFailedError(
            f"the ConfigMap {RECORD} is gone, so nobody knows how old the flag may be; pulumi up --refresh --run-program"
        )

    def patch(seen: Item) -> Object | None:
        changed = decide(seen.body.get("data") or {})
        return None if changed is None else {"data": changed}

    Namespace(api, NAMESPACE).change(Item(kind="configmap", path=_RECORD_PATH, body=body), patch)


def _tell(api: Api, told: str) -> None:
    """An Event, from which a metric or a message can be made. What was stopped stays so if nobody can be told."""
    now = _text(datetime.now(UTC))
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{RECORD}-", "namespace": NAMESPACE},
        "involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "name": RECORD, "namespace": NAMESPACE},
        "type": "Warning",
        "reason": "RegionStopped",
        "message": told[:_EVENT_LENGTH],
        "source": {"component": "k8s-dr-guard"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    with suppress(ApiError):
        api.create(f"/api/v1/namespaces/{NAMESPACE}/events", event)


def _moment(text: str) -> datetime:
    """A time as version 2 of the AWS CLI writes it, or as version 1 does. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = parsedate_to_datetime(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).replace(microsecond=0)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
