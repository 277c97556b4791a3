"""Decides whether an object is ready, with the real provider's rule for each kind.

These are pure functions of the API server's answer. `awaiting` watches the API server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Object = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether an object is ready. `failed` is final: waiting longer would not help. `reason` says what is missing."""

    state: Literal["ready", "waiting", "failed"]
    reason: str = ""


READY = Verdict(state="ready")


def _waiting(reason: str) -> Verdict:
    return Verdict(state="waiting", reason=reason)


def judge(obj: Object) -> Verdict:
    """The verdict on an object of any kind. Kinds that the real provider does not wait for are ready at once."""
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    rule = _RULES.get((group, str(obj.get("kind"))))
    return rule(obj) if rule else READY


def _status(obj: Object) -> dict[str, Any]:
    return obj.get("status") or {}


def _spec(obj: Object) -> dict[str, Any]:
    return obj.get("spec") or {}


def _conditions(obj: Object) -> dict[str, dict[str, Any]]:
    return {entry["type"]: entry for entry in _status(obj).get("conditions") or []}


def _observed(obj: Object) -> bool:
    """Whether the controller has seen the newest spec. Until then, the status belongs to an older spec."""
    return int(_status(obj).get("observedGeneration") or 0) >= int(obj["metadata"].get("generation") or 1)


def _deployment(obj: Object) -> Verdict:
    if not _observed(obj):
        return _waiting("the controller has not seen the newest spec")
    progressing = _conditions(obj).get("Progressing", {})
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Verdict(state="failed", reason=f"[{progressing['reason']}] {progressing.get('message', '')}")
    replicas, status = int(_spec(obj).get("replicas", 1)), _status(obj)
    updated, available = int(status.get("updatedReplicas") or 0), int(status.get("availableReplicas") or 0)
    if updated < replicas or int(status.get("replicas") or 0) > updated or available < replicas:
        return _waiting(f"{updated} of {replicas} replicas updated, {available} available")
    return READY


def _daemon_set(obj: Object) -> Verdict:
    if (_spec(obj).get("updateStrategy") or {}).get("type") == "OnDelete":
        return READY
    status = _status(obj)
    if not _observed(obj) or "desiredNumberScheduled" not in status:
        return _waiting("the controller has not seen the newest spec")
    wanted = int(status["desiredNumberScheduled"])
    updated, available = int(status.get("updatedNumberScheduled") or 0), int(status.get("numberAvailable") or 0)
    if updated < wanted or available < wanted:
        return _waiting(f"{updated} of {wanted} pods updated, {available} available")
    return READY


def _stateful_set(obj: Object) -> Verdict:
    if not _observed(obj):
        return _waiting("the controller has not seen the newest spec")
    replicas, status = int(_spec(obj).get("replicas", 1)), _status(obj)
    ready = int(status.get("readyReplicas") or 0)
    if ready < replicas or int(status.get("replicas") or 0) != replicas:
        return _waiting(f"{ready} of {replicas} replicas ready")
    if status.get("updateRevision") and status.get("currentRevision") != status["updateRevision"]:
        return _waiting("some replicas are still of the former revision")
    return READY


_JOB_IS_OVER = ("BackoffLimitExceeded", "DeadlineExceeded")
"""The reasons for which the real provider treats a Job as failed (provider/pkg/await/checker/job). Else it keeps waiting."""


def _job(obj: Object) -> Verdict:
    conditions = _conditions(obj)
    failed = conditions.get("Failed", {})
    if failed.get("status") == "True" and failed.get("reason") in _JOB_IS_OVER:
        return Verdict(state="failed", reason=f"[{failed['reason']}] {failed.get('message', '')}")
    if _status(obj).get("startTime") and conditions.get("Complete", {}).get("status") == "True":
        return READY
    status = _status(obj)
    counts = " | ".join(f"{name.title()}: {int(status.get(name) or 0)}" for name in ("active", "succeeded", "failed"))
    return _waiting(f"waiting for the Job to succeed ({counts})")


def _service(obj: Object) -> Verdict:
    spec = _spec(obj)
    if spec.get("type") != "LoadBalancer" or (_status(obj).get("loadBalancer") or {}).get("ingress"):
        return READY
    return _waiting("no load balancer has an address for the Service yet")


def _claim(obj: Object) -> Verdict:
    if _status(obj).get("phase") == "Bound":
        return READY
    return _waiting(f"the claim is {_status(obj).get('phase', 'not seen')}")


def _pod(obj: Object) -> Verdict:
    if _status(obj).get("phase") == "Succeeded" or _conditions(obj).get("Ready", {}).get("status") == "True":
        return READY
    return _waiting(f"the pod is {_status(obj).get('phase', 'not seen')}")


def _definition(obj: Object) -> Verdict:
    if _conditions(obj).get("Established", {}).get("status") == "True":
        return READY
    return _waiting("the API server does not serve the kind yet")


_RULES: Mapping[tuple[str, str], Callable[[Object], Verdict]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
    ("", "Service"): _service,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Pod"): _pod,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}
