"""The step `stand_by`: a region that gives up, or stands by, runs what a standby runs, and notes what ran.

The task is that of `scale`; `replicas` is how many of each workload run in a region that stands by.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from .alarm import Alarm, Rest, Seen
from .api import Api, ApiError, Object
from .failure import StepFailedError
from .inventory import (
    CLAIMS_GO,
    PAUSED,
    PAUSED_JOBS,
    PAUSED_REPLICAS,
    RAN,
    Decider,
    Entry,
    Item,
    Namespace,
    Workload,
    entries_of,
    set_back,
)
from .report import Report
from .trouble import why

_POLL_SECONDS = 1.0
"""How long a pause is at most. It ends as soon as the Pods that are waited for are gone, as a watch says."""


def run(task: Mapping[str, Any]) -> str:
    """Scale down and suspend. Returns what was done, in one line. Raises StepFailedError with what still runs, and why."""
    namespace = Namespace(Api.in_cluster(seconds=task["seconds"]), task["namespace"])
    return stand_down(namespace, task, rest=Alarm(namespace.api, namespace.lists, task["seconds"]).rest)


def stand_down(namespace: Namespace, task: Mapping[str, Any], *, rest: Rest, clock: Callable[[], float] = time.monotonic) -> str:
    """As `run`, in this namespace, by this clock and with these pauses. Nothing is waited for but the end of what is surplus:
    whether a standby's workloads are well must not hold up a region that gives up."""
    end = clock() + task["seconds"]
    entries, report = entries_of(task), Report(namespace.name)
    try:
        lowered = lower(namespace, task, report)
        report.raise_failures()
        while left := surplus(namespace, entries, lowered):
            if all(_kept(workload, entry) for workload, entry in left):
                for workload, _ in left:
                    report.did(f"{workload.name} went back to {workload.replicas}: {workload.keeper} decides")
                break
            _refuse_set_back(left)
            _refuse_resumed(namespace, task, report)
            if clock() >= end:
                raise StepFailedError(
                    f"in {namespace.name} still running: {' | '.join(_told(namespace, *each) for each in left)}"
                )
            rest(_POLL_SECONDS, partial(_all_down, left, lowered))
        _refuse_resumed(namespace, task, report)
    except ApiError as error:
        raise StepFailedError(f"in {namespace.name}: {error}") from None
    return report.text()


def lower(namespace: Namespace, task: Mapping[str, Any], report: Report) -> list[str]:
    """Scale down and suspend, and wait for nothing. Returns the workloads that had more replicas. Whatever refuses is a failure
    in the report, after everything else was done."""
    # CronJobs first: a run that begins while the workloads go down would be one more that is cut off.
    if task["cronJobs"] == "suspend":
        _suspend(namespace, report)
    lowered = []
    for workload, entry in namespace.workloads(entries_of(task)):
        # Required or not: what goes on running here does its work twice.
        with report.about(workload.name, required=True):
            lowered += [workload.name] if _lower(namespace, workload, entry, report) else []
    return lowered


def wanted(workload: Workload, entry: Entry) -> int:
    """How many replicas the workload shall have. A workload at zero without a note is switched off, and stays so."""
    now, sort = workload.replicas, workload.decider and workload.decider.sort
    if sort == "operator" or not (now or workload.ran):
        return now
    if sort == "autoscaler" and now and entry.replicas:
        return now  # it keeps its own least number, whatever else is set; only zero switches it off
    return entry.replicas


def _lower(namespace: Namespace, workload: Workload, entry: Entry, report: Report) -> bool:
    """Bring the workload to the number of a standby; returns whether it had more."""
    _keep_claims(namespace, workload, entry)  # before the pause: KEDA lowers as soon as it sees that
    _pause(namespace, workload.decider, entry.replicas)
    lowered = False

    def decide(seen: Workload) -> Object | None:
        nonlocal lowered
        number, now = wanted(seen, entry), seen.replicas
        lowered = number < now
        if seen.decider and number == now and now > entry.replicas:
            report.did(f"{seen.name} stays at {now}: {seen.decider} decides")
        if number == now:
            return None
        report.did(f"{seen.name} {now} → {number}")
        # Number and note in one request: there is no moment at which one is there without the other.
        # An older note is of the time when this region served; a smaller number since then is only a standby's.
        note = {"metadata": {"annotations": {RAN: str(max(now, seen.ran or 0))}}} if lowered else {}
        return {"spec": {"replicas": number}, **note}

    namespace.change(workload, decide)
    return lowered


def _keep_claims(namespace: Namespace, workload: Workload, entry: Entry) -> None:
    """Have the claims of a StatefulSet stay that go when it is scaled down: what is on them may be nowhere else, and the last
    backup of a region that gives up is made afterwards."""

    def decide(seen: Workload) -> Object | None:
        if not (seen.claims_go and wanted(seen, entry) < seen.replicas):
            return None
        return {
            "metadata": {"annotations": {CLAIMS_GO: "true"}},
            "spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Retain"}},
        }

    namespace.change(workload, decide)


def _pause(namespace: Namespace, decider: Decider | None, replicas: int) -> None:
    """Hold what a ScaledObject scales at `replicas`, and keep what KEDA's annotation said before."""
    if decider is None or decider.object is None:
        return

    def decide(seen: Item) -> Object | None:
        annotations = seen.annotations
        if PAUSED in annotations and annotations.get(PAUSED_REPLICAS) == str(replicas):
            return None
        before = annotations.get(PAUSED, annotations.get(PAUSED_REPLICAS, ""))
        return {"metadata": {"annotations": {PAUSED: before, PAUSED_REPLICAS: str(replicas)}}}

    namespace.change(decider.object, decide)


def _suspend(namespace: Namespace, report: Report) -> None:
    """Suspend the CronJobs, Argo's CronWorkflows and the Jobs that run, and pause KEDA's ScaledJobs, with a note on each."""

    def decide(seen: Item) -> Object | None:
        if seen.suspended:  # By a person, or noted already.
            return None
        report.did(f"{seen.name} suspended")
        return {"metadata": {"annotations": {RAN: "true"}}, "spec": {"suspend": True}}

    def pause(seen: Item) -> Object | None:
        if seen.annotations.get(PAUSED_JOBS) == "true":
            return None
        report.did(f"{seen.name} paused")
        return {"metadata": {"annotations": {RAN: "true", PAUSED_JOBS: "true"}}}

    for scaled_job in namespace.scaled_jobs():
        with report.about(scaled_job.name, required=True):
            namespace.change(scaled_job, pause)
    for item in [*namespace.cron_jobs(), *namespace.unfinished_jobs()]:
        with report.about(item.name, required=True):
            namespace.change(item, decide)


def surplus(namespace: Namespace, entries: Sequence[Entry], lowered: Collection[str]) -> list[tuple[Workload, Entry]]:
    """The required workloads that still have more Pods than a standby shall have."""
    found = namespace.workloads(entries)
    return [(workload, entry) for workload, entry in found if entry.required and _has_more(workload, entry, lowered)]


def _has_more(workload: Workload, entry: Entry, lowered: Collection[str]) -> bool:
    # An earlier step may have lowered it and ended before its Pods did.
    if workload.replicas <= entry.replicas < workload.present:
        return True
    return workload.name in lowered and (workload.replicas > entry.replicas or not workload.observed)


def _all_down(left: Sequence[tuple[Workload, Entry]], lowered: Collection[str], seen: Seen) -> bool:
    """Whether of all that was left nothing more than a standby's was seen."""
    return all(
        workload.name in seen and ((now := seen[workload.name]) is None or not _has_more(now, entry, lowered))
        for workload, entry in left
    )


def _told(namespace: Namespace, workload: Workload, entry: Entry) -> str:
    return f"{workload.name} has {workload.present} Pods, and shall have {entry.replicas}: {why(namespace, workload)}"


def _refuse_set_back(left: Sequence[tuple[Workload, Entry]]) -> None:
    """Raise StepFailedError if somebody raises again what this step has lowered."""
    for workload, entry in left:
        if workload.replicas > entry.replicas and workload.decider is None and not workload.keeper:
            raise set_back(workload, "lowered", entry.replicas)


def _kept(workload: Workload, entry: Entry) -> bool:
    """Whether the operator of what the workload goes with has raised it again: it decides, as one that says so does."""
    return workload.decider is None and workload.keeper is not None and workload.replicas > entry.replicas


def _refuse_resumed(namespace: Namespace, task: Mapping[str, Any], report: Report) -> None:
    """Raise StepFailedError if somebody resumes again what this step has suspended: its runs would go on beside those of the
    other region. What goes with another object is left to that one's operator, as workloads are: no manifest could end that."""
    if task["cronJobs"] != "suspend":
        return
    for item in [*namespace.cron_jobs(), *namespace.unfinished_jobs()]:
        if item.noted and not item.suspended and item.owner is None and item.keeper:
            report.did(f"{item.name} was resumed again: {item.keeper} decides")
        elif item.noted and not item.suspended:
            raise StepFailedError(
                f"{item.name}: {item.set_by('suspend')} set suspend back to false right after it was suspended; take suspend out "
                "of what it deploys (docs/gitops.md), or stop what admits Jobs to its queue, then run the same pulumi up"
            )
