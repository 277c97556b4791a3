"""When the Kubernetes stand-in holds an object for ready."""

import pytest

from lab.standins.kubernetes_provider.awaiting import pod_messages
from lab.standins.kubernetes_provider.readiness import judge


def an(api_version, kind, *, spec=None, status=None, generation=2):
    metadata = {"name": "x", "generation": generation}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec or {}, "status": status or {}}


DONE = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "ready"),
        ({"observedGeneration": 1}, "waiting"),
        ({"updatedReplicas": 1}, "waiting"),
        ({"availableReplicas": 1}, "waiting"),
        ({"replicas": 3}, "waiting"),
        ({"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}, "failed"),
    ],
)
def test_a_deployment_is_ready_when_the_newest_replicas_are_available_and_no_others_are_left(change, state):
    assert judge(an("apps/v1", "Deployment", spec={"replicas": 2}, status=DONE | change)).state == state


def test_a_deployment_of_no_replicas_is_ready_once_it_was_seen():
    assert judge(an("apps/v1", "Deployment", spec={"replicas": 0}, status={"observedGeneration": 2})).state == "ready"


@pytest.mark.parametrize(("available", "state"), [(3, "ready"), (2, "waiting")])
def test_a_daemon_set_is_ready_when_every_node_has_its_pod(available, state):
    status = {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": available}
    assert judge(an("apps/v1", "DaemonSet", status=status)).state == state


def test_a_daemon_set_that_nobody_has_counted_yet_is_not_ready():
    assert judge(an("apps/v1", "DaemonSet", status={})).state == "waiting"


@pytest.mark.parametrize(("revision", "state"), [("b", "ready"), ("a", "waiting")])
def test_a_stateful_set_is_ready_when_no_replica_is_of_the_former_revision(revision, state):
    status = DONE | {"currentRevision": revision, "updateRevision": "b"}
    assert judge(an("apps/v1", "StatefulSet", spec={"replicas": 2}, status=status)).state == state


def job(*conditions, **status):
    entries = [{"type": kind, "status": "True", "reason": reason, "message": "m"} for kind, reason in conditions]
    return an("batch/v1", "Job", status={"conditions": entries, **status})


def test_a_job_is_ready_when_it_is_complete():
    assert judge(job(("Complete", "CompletionsReached"), startTime="t")).state == "ready"


def test_a_job_that_runs_is_waited_for_and_its_pods_are_counted():
    verdict = judge(job(startTime="t", active=1))
    assert (verdict.state, verdict.reason) == ("waiting", "waiting for the Job to succeed (Active: 1 | Succeeded: 0 | Failed: 0)")


@pytest.mark.parametrize("reason", ["BackoffLimitExceeded", "DeadlineExceeded"])
def test_a_job_that_ran_out_of_attempts_or_time_has_failed_at_once_with_its_reason(reason):
    verdict = judge(job(("Failed", reason), startTime="t"))
    assert (verdict.state, verdict.reason) == ("failed", f"[{reason}] m")


@pytest.mark.parametrize("reason", ["PodFailurePolicy", "MaxFailedIndexesExceeded", "FailedIndexes"])
def test_a_job_that_failed_for_another_reason_is_waited_for_as_by_the_real_provider(reason):
    assert judge(job(("Failed", reason), startTime="t", failed=1)).state == "waiting"


@pytest.mark.parametrize(
    ("kind", "spec", "status", "state"),
    [
        ("Service", {"type": "LoadBalancer"}, {}, "waiting"),
        ("Service", {"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "1"}]}}, "ready"),
        ("Service", {"type": "ExternalName"}, {}, "ready"),
        ("PersistentVolumeClaim", {}, {"phase": "Pending"}, "waiting"),
        ("PersistentVolumeClaim", {}, {"phase": "Bound"}, "ready"),
        ("Pod", {}, {"phase": "Pending"}, "waiting"),
        ("Pod", {}, {"phase": "Succeeded"}, "ready"),
        ("ConfigMap", {}, {}, "ready"),
    ],
)
def test_core_objects_are_judged_by_their_status(kind, spec, status, state):
    assert judge(an("v1", kind, spec=spec, status=status)).state == state


def test_a_custom_resource_is_not_waited_for_by_itself():
    assert judge(an("velero.io/v1", "Restore")).state == "ready"


def test_a_container_that_ended_badly_is_quoted():
    ended = {"name": "verify", "state": {"terminated": {"exitCode": 1, "message": "no endpoints\n"}}}
    well = {"name": "scale", "state": {"terminated": {"exitCode": 0}}}
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [ended], "initContainerStatuses": [well]}}
    assert pod_messages(pod) == ["[Pod p] container verify ended with exit code 1: no endpoints"]
