"""The step `scale`: a region that serves brings up what serves users, and waits until it does.

The task: `namespace`; `entries`, each with `names` (as in `deployment/web`; empty for every other workload), `replicas` (the
least with which users are served) and `required`; `cronJobs`, `suspend` or `leave`; `seconds`, how long all may take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
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
    STOOD_BY,
    Decider,
    Entry,
    Item,
    Namespace,
    Workload,
    entries_of,
    entry_of,
    set_back,
)
from .report import Report
from .trouble import why

_POLL_SECONDS = 1.0
"""How long a pause is at most. It ends as soon as the workloads that are waited for are there, as a watch says."""


def run(task: Mapping[str, Any]) -> str:
    """Scale and wait. Returns what was done, in one line. Raises StepFailedError with the workloads that are late, and why."""
    namespace = Namespace(Api.in_cluster(seconds=task["seconds"]), task["namespace"])
    return stand_up(namespace, task, rest=Alarm(namespace.api, namespace.lists, task["seconds"]).rest)


def stand_up(namespace: Namespace, task: Mapping[str, Any], *, rest: Rest, clock: Callable[[], float] = time.monotonic) -> str:
    """As `run`, in this namespace, by this clock and with these pauses."""
    end = clock() + task["seconds"]
    entries, report = entries_of(task), Report(namespace.name)
    try:
        found = _marked(namespace, entries, report)
        _tell_missing(entries, found, report)
        expected: dict[str, int] = {}
        for workload, entry in found:
            with report.about(workload.name, required=entry.required):
                expected[workload.name] = _raise(namespace, workload, entry, report)
        report.raise_failures()
        _wait(namespace, entries, expected, report, late=lambda: clock() >= end, rest=rest)
        _resume(namespace, report)  # whatever the task says now: only what this program suspended has its note
    except ApiError as error:
        raise StepFailedError(f"in {namespace.name}: {error}") from None
    return report.text()


def wanted(workload: Workload, entry: Entry) -> int:
    """How many replicas the workload shall have: never fewer than now.

    A workload at zero that has no note of what ran, and is not marked as one that stood by, was switched off on purpose.
    """
    decider, now, ran = workload.decider, workload.replicas, workload.ran
    if now:
        # An autoscaler or an operator raises it by itself, and what we set it would set back.
        return now if decider else max(now, entry.replicas, ran or 0)
    if ran == 0 or (ran is None and not workload.stood_by):
        return 0
    if decider is None:
        return max(entry.replicas, ran or 0)
    if decider.sort == "autoscaler":  # it does nothing for a workload at zero, which must be given a start
        return min(decider.most or 0, max(decider.least, entry.replicas, ran or 0))
    return decider.least


def _marked(namespace: Namespace, entries: Sequence[Entry], report: Report) -> list[tuple[Workload, Entry]]:
    """The workloads, after those that stood by have got their mark. All are marked before one is raised: a step that dies
    between two of them leaves nothing for the next one to guess."""
    found = namespace.workloads(entries)
    unmarked = [(workload, entry) for entry in entries for workload in _stood_by(entry, found) if not workload.stood_by]

    def mark(seen: Workload) -> Object | None:
        return None if seen.replicas or seen.noted else {"metadata": {"annotations": {STOOD_BY: "true"}}}

    for workload, entry in unmarked:
        with report.about(workload.name, required=entry.required):
            namespace.change(workload, mark)
    report.raise_failures()  # or the next step would take what could not be marked for switched off
    return namespace.workloads(entries) if unmarked else found


def _stood_by(entry: Entry, found: Sequence[tuple[Workload, Entry]]) -> list[Workload]:
    """The workloads of an entry of which nothing runs and nothing notes what ran: the whole entry is at the number of a region
    that stands by."""
    # What a restore brought has the number of the other region, and what an operator or KEDA scales has theirs. Neither says how
    # this region stood by.
    own = [
        workload
        for workload, its in found
        if its is entry and not workload.restored and (workload.decider is None or workload.decider.sort == "autoscaler")
    ]
    return [] if any(workload.replicas or workload.noted for workload in own) else own


def _raise(namespace: Namespace, workload: Workload, entry: Entry, report: Report) -> int:
    """Raise the workload to what it shall have, and return that."""
    _unpause(namespace, workload.decider)
    number = 0

    def decide(seen: Workload) -> Object | None:
        nonlocal number
        number = wanted(seen, entry)
        if number > seen.replicas:
            report.did(f"{seen.name} {seen.replicas} → {number}")
        elif not number:
            report.did(f"{seen.name} stays at 0: {f'{seen.decider} decides' if seen.decider else 'nothing notes that it ran'}")
        changed: Object = {"replicas": number} if number > seen.replicas else {}
        # A note of what ran once must not outlive its use: it would start again what somebody switches off later. A note of 0
        # is a person's, who says that the workload stays down.
        forgotten = {**({RAN: None} if seen.ran else {}), **({STOOD_BY: None} if seen.stood_by else {})}
        # KEDA may raise from zero what ran, and lowers it again as its owner wants it.
        if (number or seen.ran) and CLAIMS_GO in seen.annotations:
            changed["persistentVolumeClaimRetentionPolicy"] = {"whenScaled": "Delete"}
            forgotten[CLAIMS_GO] = None
        asked = {"spec": changed, "metadata": {"annotations": forgotten} if forgotten else {}}
        return {key: value for key, value in asked.items() if value} or None

    namespace.change(workload, decide)
    return number


def _unpause(namespace: Namespace, decider: Decider | None) -> None:
    """Undo what `stand_by` did to a ScaledObject; leave alone one that a person has paused."""
    if decider is None or decider.object is None:
        return

    def decide(seen: Item) -> Object | None:
        if PAUSED not in seen.annotations:
            return None
        return {"metadata": {"annotations": {PAUSED: None, PAUSED_REPLICAS: seen.annotations[PAUSED] or None}}}

    namespace.change(decider.object, decide)


def _tell_missing(entries: Sequence[Entry], found: Sequence[tuple[Workload, Entry]], report: Report) -> None:
    there = {workload.name for workload, _ in found}
    for entry in entries:
        for name in entry.names:
            if name not in there:
                told = f"{name} does not exist; deploy it, or take it out of names in k8s-dr:workloads"
                report.failed(told, required=entry.required)
    if not found and not any(entry.names for entry in entries):
        told = "there is no Deployment and no StatefulSet; deploy one, or take the namespace out of k8s-dr:workloads"
        report.failed(told, required=entries[0].required)


def _wait(
    namespace: Namespace,
    entries: Sequence[Entry],
    expected: Mapping[str, int],
    report: Report,
    *,
    late: Callable[[], bool],
    rest: Rest,
) -> None:
    """Wait until every required workload is available. Of those that are not required, say how they are then."""
    while True:
        found = [(workload, entry) for workload, entry in namespace.workloads(entries) if workload.name in expected]
        _refuse_lost(found, expected, entries)
        _refuse_set_back(found, expected)
        missing = [(workload, entry) for workload, entry in found if not _serves(workload, entry)]
        if not any(entry.required for _, entry in missing):
            break
        if late():
            culprits = [
                f"{workload.name} {_share(workload, entry)}: {why(namespace, workload)}"
                for workload, entry in missing
                if entry.required
            ]
            raise StepFailedError(
                f"in {namespace.name} not available in time: {' | '.join(culprits)} | Put this right and run the same pulumi up; "
                "or give it an entry of its own in k8s-dr:workloads with required: false, and the rest goes on without it"
            )
        rest(_POLL_SECONDS, partial(_all_serve, [each for each in missing if each[1].required]))
    for workload, _ in found:
        if workload.keeper and workload.decider is None and workload.replicas < expected[workload.name]:
            report.did(f"{workload.name} went back to {workload.replicas}: {workload.keeper} decides")
    for workload, entry in missing:
        report.did(f"{workload.name} is not required and {_share(workload, entry)}")
    report.did(f"{len(found) - len(missing)} available")


def _serves(workload: Workload, entry: Entry) -> bool:
    """Whether as many replicas are available as a person called the least, or as there shall be, if that is fewer.

    The rollout does not matter: a StatefulSet with OnDelete has none that ends, and a Deployment past its progress deadline may
    serve with its old Pods.
    """
    least = min(entry.replicas, workload.replicas)
    return not least or (workload.observed and workload.available >= least)


def _all_serve(missing: Sequence[tuple[Workload, Entry]], seen: Seen) -> bool:
    """Whether all that was missed was seen to serve."""
    return all((now := seen.get(workload.name)) is not None and _serves(now, entry) for workload, entry in missing)


def _share(workload: Workload, entry: Entry) -> str:
    return f"has {workload.available} of {min(entry.replicas, workload.replicas)} available"


def _refuse_lost(found: Sequence[tuple[Workload, Entry]], expected: Mapping[str, int], entries: Sequence[Entry]) -> None:
    """Raise StepFailedError if a required workload is gone: nobody could be sure that what is left serves users."""
    there = {workload.name for workload, _ in found}
    for name in expected:
        entry = entry_of(name, entries)
        if name not in there and entry and entry.required:
            raise StepFailedError(
                f"{name} was deleted while its Pods were waited for; find out by whom, then run the same pulumi up"
            )


def _refuse_set_back(found: Sequence[tuple[Workload, Entry]], expected: Mapping[str, int]) -> None:
    """Raise StepFailedError if somebody lowers again what this step has raised. What goes with another object is left to that
    one's operator as long as anything runs."""
    for workload, entry in found:
        least = min(entry.replicas, expected[workload.name])
        decides = workload.decider or (workload.keeper and workload.replicas)
        if entry.required and not decides and workload.replicas < least:
            raise set_back(workload, "raised", expected[workload.name])


def _resume(namespace: Namespace, report: Report) -> None:
    """Resume what `stand_by` stopped: CronJobs, and their runs, which would block the next ones for ever, CronWorkflows and
    ScaledJobs.

    A Job that nobody's schedule made stays suspended. The other region may have done its work meanwhile.
    """

    def decide(seen: Item) -> Object | None:
        return {"metadata": {"annotations": {RAN: None}}, "spec": {"suspend": False}} if seen.noted else None

    def unpause(seen: Item) -> Object | None:
        return {"metadata": {"annotations": {RAN: None, PAUSED_JOBS: None}}} if seen.noted else None

    for scaled_job in namespace.scaled_jobs():
        namespace.change(scaled_job, unpause)
    for cron_job in namespace.cron_jobs():
        if cron_job.noted:
            namespace.change(cron_job, decide)
            report.did(f"{cron_job.name} resumed")
    for job in namespace.unfinished_jobs():
        if job.noted and job.owner:
            namespace.change(job, decide)
        elif job.noted:
            report.did(f"{job.name} stays suspended: it was interrupted here, and may have run in the other region")
