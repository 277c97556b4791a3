"""`drctl drill`: runs a drill now, as its CronJob would."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import click

from components.drills.pods import name_of
from components.drills.records import Record, Records, RecordsUnreadableError
from components.kube.cluster_api import ClusterApi
from drctl.commands.options import YES, reads
from drctl.run import Operator
from drctl.show import FAILED, OK, WARNED
from settings.drills import KINDS, Kind
from settings.names import PROGRAM_NAMESPACE, fitting
from settings.roles import ROLES, Role

_JOBS = f"/apis/batch/v1/namespaces/{PROGRAM_NAMESPACE}"
_PODS = f"/api/v1/namespaces/{PROGRAM_NAMESPACE}/pods"
_INTERVAL = 5.0


@click.command(short_help="Run a drill now.")
@click.argument("name", type=click.Choice(KINDS))
@click.option("--region", type=click.Choice(ROLES), default="secondary", show_default=True, help="Where it runs.")
@click.option("--wait/--no-wait", default=True, help="Wait until it has ended; its exit code is then that of the drill.")
@YES
@reads
def drill(operator: Operator, name: Kind, region: Role, wait: bool) -> int:
    """Run a drill now. It leaves a record in the region's bucket, as each of its CronJob does.

    Ends with 4 where it had nothing to do, or its record cannot be read.
    """
    settings = operator.project.settings(region)
    cluster, cronjob = operator.regions.cluster(settings), name_of(name)
    found = cluster.read(f"{_JOBS}/cronjobs/{cronjob}")
    if found is None:
        return operator.finish(
            FAILED,
            f"there is no CronJob {cronjob} in {PROGRAM_NAMESPACE} of the {region}: the drill is off, or was never deployed",
        )
    job = fitting(f"{cronjob}-{datetime.now(UTC):%Y%m%d%H%M%S}")
    operator.screen.commands(
        [f"kubectl --context {settings.cluster.context} create job {job} --from=cronjob/{cronjob} -n {PROGRAM_NAMESPACE}"]
    )
    operator.screen.confirm(f"Run drill {name} in the {region}?")
    records = operator.regions.records(settings, operator.project.names(region))
    before = _last(records, name) if wait else None
    operator.begun = f"Job {job} goes on where it was made, and leaves its record"
    cluster.create(f"{_JOBS}/jobs", job_of(found, job))
    if not wait:
        return operator.finish(OK, f"Job {job} is made", job=job)
    with operator.screen.progress(f"drill {name} in the {region}"):
        succeeded = _ended(cluster, job)
    if not succeeded:
        return _finish(operator, FAILED, f"drill {name} has failed", _reason(cluster, job), job=job, passed=False)
    # A Job that had nothing to do ends as well as one that passed: only the record tells them apart.
    after = _last(records, name)
    unread = next((each for each in (before, after) if isinstance(each, str)), None)
    if unread or not isinstance(after, Record) or (isinstance(before, Record) and before.key == after.key):
        why = unread or "it has left no record"
        return _finish(operator, WARNED, f"the Job of drill {name} has ended, and how is not known", why, job=job, passed=None)
    code, how = {True: (OK, "has passed"), False: (FAILED, "has failed"), None: (WARNED, "was skipped")}[after.passed]
    why = "; ".join(after.reasons) or _reason(cluster, job)
    return _finish(operator, code, f"drill {name} {how}", why, job=job, passed=after.passed)


def _finish(operator: Operator, code: int, said: str, why: str, **more: Any) -> int:
    return operator.finish(code, f"{said}: {why}" if why else said, **more)


def _last(records: Records, name: Kind) -> Record | str | None:
    """The last record of a drill; a text where it cannot be read."""
    try:
        return records.last(name)
    except RecordsUnreadableError as error:
        return str(error)


def job_of(cronjob: dict[str, Any], name: str) -> dict[str, Any]:
    """The Job that `kubectl create job --from` would make."""
    template, of = cronjob["spec"]["jobTemplate"], cronjob["metadata"]
    annotations = {**((template.get("metadata") or {}).get("annotations") or {}), "cronjob.kubernetes.io/instantiate": "manual"}
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": of["name"], "uid": of["uid"], "controller": True}
    metadata = {
        "name": name,
        "namespace": PROGRAM_NAMESPACE,
        "annotations": annotations,
        "labels": (template.get("metadata") or {}).get("labels") or {},
        "ownerReferences": [owner],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}


def _ended(cluster: ClusterApi, job: str) -> bool:
    """Wait until the Job has ended. Returns whether it succeeded. Its own deadline ends it, so there is none here."""
    while True:
        found = cluster.read(f"{_JOBS}/jobs/{job}")
        if found is None:
            return False
        for condition in (found.get("status") or {}).get("conditions") or ():
            if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
                return bool(condition["type"] == "Complete")
        time.sleep(_INTERVAL)


def _reason(cluster: ClusterApi, job: str) -> str:
    """What the drill's last container said when it ended."""
    pods = (cluster.read(f"{_PODS}?labelSelector=batch.kubernetes.io/job-name={job}") or {}).get("items") or ()
    said = [
        str(ended["message"]).strip()
        for pod in pods
        for container in (pod.get("status") or {}).get("containerStatuses") or ()
        if (ended := (container.get("state") or {}).get("terminated") or {}).get("message")
    ]
    return " ".join(" ".join(said).split())
