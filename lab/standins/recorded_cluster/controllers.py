"""Imitates the controllers of a real cluster. They finish at once; a test can order another outcome beforehand."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lab.standins.recorded_cluster.kinds import VELERO, Kind, defined_by
from lab.standins.recorded_cluster.steps import end_of
from lab.standins.recorded_cluster.store import Object, Refused, Store, now


@dataclass(kw_only=True)
class Outcomes:
    """Ordered outcomes: how objects of a kind, or those with a name prefix, end instead of succeeding."""

    ordered: list[dict[str, Any]] = field(default_factory=list)

    def order(self, outcome: Mapping[str, Any]) -> None:
        """Order an outcome. `kind` is required; `name` is a prefix. Without `phase`, withdraw the order of that kind and name."""
        where = (outcome["kind"], outcome.get("name", ""))
        self.ordered = [other for other in self.ordered if (other["kind"], other.get("name", "")) != where]
        if outcome.get("phase"):
            self.ordered.append(dict(outcome))

    def of(self, obj: Object) -> dict[str, Any] | None:
        """The order for an object: the one with the longest matching name prefix."""
        fitting = [
            outcome
            for outcome in self.ordered
            if outcome["kind"] == obj["kind"] and obj["metadata"]["name"].startswith(outcome.get("name", ""))
        ]
        return max(fitting, key=lambda outcome: len(outcome.get("name", "")), default=None)


def judge(kind: Kind, name: str, outcomes: Outcomes) -> None:
    """Answer for an operator's webhook, in dry runs too. Raises Refused, with the order's `message`, if `Refused` was ordered."""
    outcome = outcomes.of({"kind": kind.kind, "metadata": {"name": name}}) or {}
    if outcome.get("phase") == "Refused":
        raise Refused(500, "InternalError", str(outcome["message"]))


def check_bootstrap(cluster: Object) -> None:
    """As CloudNativePG's webhook for Clusters. An apply of another way to begin leaves the one that is there. Raises Refused."""
    if len((cluster.get("spec") or {}).get("bootstrap") or {}) > 1:
        why = "spec.bootstrap: Forbidden: Only one bootstrap method can be specified at a time"
        raise Refused(422, "Invalid", f'Cluster.cluster.cnpg.io "{cluster["metadata"]["name"]}" is invalid: {why}')


def reconcile(store: Store, obj: Object, outcomes: Outcomes) -> None:
    """Act as the controller of the object's kind, and of what that one makes. If `Pending` was ordered, leave the object as if no
    controller had seen it."""
    rule = _RULES.get((obj["apiVersion"].rpartition("/")[0], obj["kind"]))
    outcome = outcomes.of(obj) or {}
    if rule and outcome.get("phase") != "Pending" and (made := rule(store, obj, outcome)):
        reconcile(store, made, outcomes)


def _status(store: Store, obj: Object, status: Object) -> None:
    kinds = {(kind.api_version, kind.kind): kind for kind in store.kinds()}
    store.set_status(kinds[obj["apiVersion"], obj["kind"]], obj, status)


def _observed(obj: Object) -> dict[str, Any]:
    return {"observedGeneration": obj["metadata"]["generation"]}


def _condition(kind: str, reason: str, message: str = "", *, status: bool = True) -> dict[str, str]:
    return {"type": kind, "status": str(status), "reason": reason, "message": message, "lastTransitionTime": now()}


def _namespace(store: Store, obj: Object, _: Mapping[str, Any]) -> None:
    _status(store, obj, {"phase": "Active"})


def _deployment(store: Store, obj: Object, _: Mapping[str, Any]) -> None:
    replicas = obj["spec"].get("replicas", 1)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    conditions = [_condition("Available", "MinimumReplicasAvailable"), _condition("Progressing", "NewReplicaSetAvailable")]
    _status(store, obj, {**_observed(obj), **counts, "conditions": conditions})


def _daemon_set(store: Store, obj: Object, _: Mapping[str, Any]) -> None:
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberReady", "numberAvailable")
    _status(store, obj, {**_observed(obj), **dict.fromkeys(counts, 1), "numberMisscheduled": 0})


def _stateful_set(store: Store, obj: Object, _: Mapping[str, Any]) -> None:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), obj["spec"].get("replicas", 1))
    _status(store, obj, {**_observed(obj), **counts, "currentRevision": "1", "updateRevision": "1"})


def _job(store: Store, obj: Object, outcome: Mapping[str, Any]) -> None:
    """A Job ends only once. An order that comes later does not change it."""
    if (obj.get("status") or {}).get("startTime"):
        return
    if outcome.get("phase") == "Failed":
        _fail(store, obj, outcome.get("reason", "BackoffLimitExceeded"), outcome.get("message", ""))
        return
    pod = obj["spec"]["template"]["spec"]
    end = end_of(pod, partial(store.config_map, obj["metadata"]["namespace"]))
    if end and end.phase != "Succeeded":
        # A Pod whose volume is not there never starts, and its Job ends by its deadline.
        reason = "DeadlineExceeded" if end.phase == "Pending" else "BackoffLimitExceeded"
        _fail(store, obj, reason, end.message)
        return
    containers = pod["containers"]
    if any("--crds-only" in (container.get("args") or []) for container in containers):
        store.install(VELERO)
    complete = [_condition(kind, "CompletionsReached") for kind in ("Complete", "SuccessCriteriaMet")]
    _status(store, obj, {"startTime": now(), "completionTime": now(), "succeeded": 1, "conditions": complete})


def _fail(store: Store, job: Object, reason: str, message: str) -> None:
    """Fail a Job for `reason`, with a Pod whose last words are `message`."""
    _failed_pod(store, job, message)
    failed = [_condition(kind, reason, "Job has reached the specified backoff limit") for kind in ("Failed", "FailureTarget")]
    _status(store, job, {"startTime": now(), "failed": 1, "conditions": failed})


def _failed_pod(store: Store, job: Object, message: str) -> None:
    meta = job["metadata"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{meta['name']}-{uuid.uuid4().hex[:5]}",
            "labels": {"job-name": meta["name"], "batch.kubernetes.io/job-name": meta["name"]},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}],
        },
        "spec": job["spec"]["template"]["spec"],
        "status": {
            "phase": "Failed",
            "conditions": [_condition(kind, "PodFailed", status=False) for kind in ("ContainersReady", "Ready")],
            "containerStatuses": [_ended_container(job["spec"]["template"]["spec"], message, code=1)],
        },
    }
    store.create(store.kind("v1", "pods"), meta["namespace"], pod)


def _ended_container(spec: Mapping[str, Any], message: str, *, code: int) -> dict[str, Any]:
    """The status of an ended Pod's last container, with `message` as its termination message and `code` as its exit code."""
    container = spec["containers"][-1]
    ended = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message, "finishedAt": now()}
    image = {"image": container.get("image", ""), "imageID": ""}
    return {"name": container["name"], **image, "ready": False, "restartCount": 0, "state": {"terminated": ended}}


def _definition(store: Store, obj: Object, _: Mapping[str, Any]) -> None:
    _status(store, obj, {"conditions": [_condition("Established", "InitialNamesAccepted")]})
    store.install(defined_by(obj))


def _location(store: Store, obj: Object, outcome: Mapping[str, Any]) -> None:
    status = {"phase": outcome.get("phase", "Available"), "lastValidationTime": now(), **_extra(outcome)}
    _status(store, obj, {**status, **({"lastSyncedTime": now()} if status["phase"] == "Available" else {})})


def read_again(kind: Kind, objects: Sequence[Object]) -> None:
    """Set the last sync of each location to now. A real Velero would sync it once a minute."""
    if kind.kind == "BackupStorageLocation":
        for obj in objects:
            if obj.get("status", {}).get("phase") == "Available":
                obj["status"]["lastSyncedTime"] = now()


def _schedule(store: Store, obj: Object, outcome: Mapping[str, Any]) -> None:
    """Velero sets no phase on a paused Schedule, and resets `skipImmediately` after it has skipped a run."""
    if obj["spec"].get("paused"):
        return
    _status(store, obj, {"phase": outcome.get("phase", "Enabled"), **_extra(outcome)})
    if obj["spec"].get("skipImmediately"):
        meta = obj["metadata"]
        skipped = {"spec": {"skipImmediately": False}, "status": {"lastSkipped": now()}}
        store.patch(store.kind("velero.io/v1", "schedules"), meta["namespace"], meta["name"], skipped)


def _restore(store: Store, obj: Object, outcome: Mapping[str, Any]) -> None:
    """Velero processes a Restore only once, even if its spec changes."""
    if (obj.get("status") or {}).get("phase"):
        return
    phase = outcome.get("phase", "Completed")
    times = {} if phase == "FailedValidation" else {"startTimestamp": now(), "completionTimestamp": now()}
    _status(store, obj, {"phase": phase, **times, **_extra(outcome)})


def _pod(store: Store, obj: Object, outcome: Mapping[str, Any]) -> None:
    """A Pod that runs a step of the runner ends as `end_of` says. Any other fails, because what it would call does not exist. An
    order can change its phase and termination `message`."""
    if (obj.get("status") or {}).get("phase", "Pending") != "Pending":
        return
    end = end_of(obj["spec"], partial(store.config_map, obj["metadata"]["namespace"]))
    phase = outcome.get("phase", end.phase if end else "Failed")
    if phase == "Pending":
        return
    message = outcome.get("message", end.message if end and not outcome else None)
    said = [_ended_container(obj["spec"], message, code=int(phase == "Failed"))] if message is not None else []
    _status(store, obj, {"phase": phase, "containerStatuses": said})


_HEALTHY = "Cluster in healthy state"


def _database(store: Store, obj: Object, outcome: Mapping[str, Any]) -> None:
    """CloudNativePG's Cluster: healthy, on timeline 2 after a promotion, hibernated or fenced if its annotations ask for it. One
    that is fenced does not hibernate: the operator waits for a ready instance first."""
    name, instances, phase = obj["metadata"]["name"], obj["spec"]["instances"], outcome.get("phase", _HEALTHY)
    healthy, topology = phase == _HEALTHY, obj["spec"].get("replica") or {}
    promoted = "recovery" in obj["spec"]["bootstrap"] and topology.get("self") == topology.get("primary")
    conditions = [_condition("Ready", "ClusterIsReady" if healthy else "ClusterIsNotReady", status=healthy)]
    if healthy:
        conditions.append(_condition("ContinuousArchiving", "ContinuousArchivingSuccess", "Continuous archiving is working"))
    annotations = obj["metadata"].get("annotations") or {}
    fenced, asleep = '"*"' in annotations.get("cnpg.io/fencedInstances", ""), annotations.get("cnpg.io/hibernation") == "on"
    if asleep:
        done = healthy and not fenced
        reason = "Hibernated" if done else "DeletingPods" if healthy else "WaitingForHealthy"
        conditions.append(_condition("cnpg.io/hibernation", reason, status=done))
    status = {
        "phase": phase,
        "phaseReason": None,
        "instances": instances,
        "readyInstances": 0 if asleep or fenced or not healthy else instances,
        "currentPrimary": f"{name}-1",
        "targetPrimary": f"{name}-1",
        "timelineID": 2 if promoted else (obj.get("status") or {}).get("timelineID", 1),
        "conditions": conditions,
    }
    _status(store, obj, status | _extra(outcome))


def _scheduled_backup(store: Store, obj: Object, _: Mapping[str, Any]) -> Object | None:
    """CloudNativePG's ScheduledBackup: one that is immediate makes its Backup once. No other time ever comes here."""
    meta, spec = obj["metadata"], obj["spec"]
    if spec.get("suspend") or not spec.get("immediate") or (obj.get("status") or {}).get("lastCheckTime"):
        return None
    _status(store, obj, {"lastCheckTime": now(), "lastScheduleTime": now()})
    backup = {
        "apiVersion": obj["apiVersion"],
        "kind": "Backup",
        "metadata": {
            "name": f"{meta['name']}-20260101000000",
            "labels": {"cnpg.io/scheduled-backup": meta["name"], "cnpg.io/immediateBackup": "true"},
            "ownerReferences": [
                {
                    "apiVersion": obj["apiVersion"],
                    "kind": obj["kind"],
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": {key: spec[key] for key in ("cluster", "method", "target", "pluginConfiguration") if key in spec},
    }
    return store.create(store.kind(obj["apiVersion"], "backups"), meta["namespace"], backup)


def _base_backup(store: Store, obj: Object, outcome: Mapping[str, Any]) -> None:
    """CloudNativePG's Backup: it completes without writing anything to a bucket."""
    if (obj.get("status") or {}).get("phase"):
        return
    _status(store, obj, {"phase": outcome.get("phase", "completed"), "startedAt": now(), "stoppedAt": now(), **_extra(outcome)})


def _extra(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Other status fields of the order, such as `validationErrors`, `errors`, `message`. `reason` becomes `failureReason`."""
    extra = {key: value for key, value in outcome.items() if key not in ("kind", "name", "phase", "reason")}
    return {**extra, **({"failureReason": outcome["reason"]} if "reason" in outcome else {})}


_RULES: Mapping[tuple[str, str], Callable[[Store, Object, Mapping[str, Any]], Object | None]] = {
    ("", "Namespace"): _namespace,
    ("", "Pod"): _pod,
    ("apps", "Deployment"): _deployment,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("velero.io", "BackupStorageLocation"): _location,
    ("velero.io", "Schedule"): _schedule,
    ("velero.io", "Restore"): _restore,
    ("postgresql.cnpg.io", "Cluster"): _database,
    ("postgresql.cnpg.io", "ScheduledBackup"): _scheduled_backup,
    ("postgresql.cnpg.io", "Backup"): _base_backup,
}
