"""Workloads are scaled by Jobs that anybody can read: one kubectl command a container."""

from __future__ import annotations

import re
from typing import Any

import pytest

from settings.roles import Role
from tests.unit.components.conftest import Program
from tests.unit.recorder import Recorder, Seen, run_program

SCALE, VERIFY = "failover-workloads-scale-production", "failover-workloads-verify-production"
READY = "job-runner-ready"


def commands(job: Seen) -> list[list[str]]:
    """What the Job's containers run, in order."""
    pod = job.spec["template"]["spec"]
    return [container["args"] for container in (*pod.get("initContainers", ()), *pod["containers"])]


def takes_over(**workload: Any) -> Recorder:
    return run_program(
        "secondary", {"active": "secondary", "workloads": [{"namespace": "production", "replicas": 3, **workload}]}
    )


def scaled(region: Recorder) -> list[str]:
    """Names of the Jobs that scale."""
    return [seen.name for seen in region.of("Job") if "scale" in seen.name]


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_nothing_is_scaled_before_somebody_sets_active(stack: Role, program: Program) -> None:
    assert not scaled(program(stack, "primary"))


@pytest.mark.parametrize(("stack", "replicas"), [("primary", 3), ("secondary", 0)])
def test_everything_is_scaled_to_its_role_once_somebody_has_set_active_to_whichever_region(stack: Role, replicas: int) -> None:
    region = run_program(stack, {"active": "primary"})
    assert scaled(region) == [SCALE]
    assert f"--replicas={replicas}" in commands(region[SCALE])[0]
    assert VERIFY not in region.names()


def test_a_region_that_takes_over_scales_everything_in_the_namespace_and_waits_for_it(takeover: Recorder) -> None:
    assert commands(takeover[SCALE]) == [
        ["scale", "--namespace=production", "--replicas=3", "deployment,statefulset", "--all"],
        ["rollout", "status", "--namespace=production", "--timeout=600s", "deployment,statefulset"],
    ]


def test_a_primary_that_was_replaced_scales_to_standby(program: Program) -> None:
    scale, _ = commands(program("primary", "secondary")[SCALE])
    assert "--replicas=0" in scale
    warm = run_program(
        "primary", {"active": "secondary", "workloads": [{"namespace": "production", "replicas": 3, "standbyReplicas": 1}]}
    )
    assert "--replicas=1" in commands(warm[SCALE])[0]


def test_named_workloads_are_scaled_together_and_waited_for_one_by_one() -> None:
    names = ["deployment/web", "statefulset/queue"]
    assert commands(takes_over(names=names)[SCALE]) == [
        ["scale", "--namespace=production", "--replicas=3", *names],
        ["rollout", "status", "--namespace=production", "--timeout=600s", "deployment/web"],
        ["rollout", "status", "--namespace=production", "--timeout=600s", "statefulset/queue"],
    ]


def test_containers_of_one_job_have_names_of_their_own() -> None:
    pod = takes_over(names=["deployment/a", "deployment/b", "statefulset/c"])[SCALE].spec["template"]["spec"]
    names = [container["name"] for container in (*pod["initContainers"], *pod["containers"])]
    assert names == ["scale", "wait-0", "wait-1", "wait-2"]


def test_a_check_asks_the_service_through_the_api_server_once_everything_is_available() -> None:
    region = takes_over(check={"service": "web", "port": 8080, "path": "/healthz"})
    assert commands(region[VERIFY]) == [["get", "--raw", "/api/v1/namespaces/production/services/http:web:8080/proxy/healthz"]]
    assert SCALE in region[VERIFY].depends_on
    assert region[VERIFY].spec["activeDeadlineSeconds"] == 300


def test_a_check_asks_for_the_root_on_port_80_by_default() -> None:
    (command,) = commands(takes_over(check={"service": "web"})[VERIFY])
    assert command[-1] == "/api/v1/namespaces/production/services/http:web:80/proxy/"


def test_a_primary_that_was_replaced_checks_nothing() -> None:
    workloads = [{"namespace": "production", "replicas": 3, "check": {"service": "web"}}]
    assert VERIFY not in run_program("primary", {"active": "secondary", "workloads": workloads}).names()


def test_each_namespace_has_jobs_of_its_own() -> None:
    workloads = [{"namespace": "production", "replicas": 3}, {"namespace": "batch", "replicas": 1}]
    region = run_program("secondary", {"active": "secondary", "workloads": workloads})
    assert set(scaled(region)) == {SCALE, "failover-workloads-scale-batch"}


def test_jobs_have_no_name_of_their_own_so_that_one_left_behind_stands_in_nobodys_way() -> None:
    for seen in takes_over(check={"service": "web"}).of("Job"):
        if not seen.name.startswith("velero"):
            assert "name" not in seen.metadata, seen.name
            assert seen.metadata["namespace"] == "k8s-dr"


def test_jobs_of_long_namespaces_have_names_that_kubernetes_accepts_and_none_in_common() -> None:
    namespaces = [f"{'team-with-a-rather-long-name-' * 2}{end}" for end in ("one", "two")]
    workloads = [{"namespace": namespace, "replicas": 1, "check": {"service": "web"}} for namespace in namespaces]
    region = run_program("secondary", {"active": "secondary", "workloads": workloads})
    jobs = [seen for seen in region.of("Job") if seen.name.startswith("failover-workloads")]
    assert len({seen.name for seen in jobs}) == 4
    # Pulumi adds a dash and eight characters, and a Pod has its Job's name as a label.
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", f"{seen.name}-1a2b3c4d") for seen in jobs)
    scales = [commands(seen)[0] for seen in jobs if commands(seen)[0][0] == "scale"]
    assert {command[1] for command in scales} == {f"--namespace={namespace}" for namespace in namespaces}


def test_scaling_waits_for_every_restore_and_every_promotion(takeover: Recorder) -> None:
    restores = {seen.name for seen in takeover.of("Restore")}
    assert len(restores) == 2
    assert restores <= takeover[SCALE].depends_on
    after = {f"{name}-1a2b3c4d" for name in (*restores, "failover-databases-app-database-promoted")}
    assert set(takeover[SCALE].metadata["annotations"]["k8s-dr/after"].split()) == {*after, "app-database"}


def test_a_job_that_failed_is_made_anew_by_the_next_up(takeover: Recorder) -> None:
    for name in (SCALE, READY):
        assert takeover[name].metadata["annotations"]["pulumi.com/replaceUnready"] == "true"


def test_a_check_waits_for_what_scaling_waits_for_too() -> None:
    region = takes_over(check={"service": "web"})
    scale, verify = (region[name].metadata["annotations"]["k8s-dr/after"] for name in (SCALE, VERIFY))
    assert verify == scale
    assert verify


def test_jobs_end_in_the_time_that_is_configured() -> None:
    workloads = [{"namespace": "production", "replicas": 3, "check": {"service": "web"}}]
    failover = {"scale": "20m", "verify": "90s"}
    region = run_program("secondary", {"active": "secondary", "workloads": workloads, "failover": failover})
    assert region[SCALE].spec["activeDeadlineSeconds"] == 1200
    assert "--timeout=1200s" in commands(region[SCALE])[1]
    assert region[VERIFY].spec["activeDeadlineSeconds"] == 90


def test_pulumi_waits_a_minute_longer_than_a_job_may_take_so_that_its_own_error_is_told() -> None:
    workloads = [{"namespace": "production", "replicas": 3, "check": {"service": "web"}}]
    region = run_program("secondary", {"active": "secondary", "workloads": workloads, "failover": {"scale": "20m"}})
    expected = {SCALE: "1260s", VERIFY: "360s", READY: "360s"}
    assert {name: (region[name].timeout, region[name].update_timeout) for name in expected} == {
        name: (timeout, timeout) for name, timeout in expected.items()
    }


def test_jobs_run_without_privileges_and_tell_their_error(takeover: Recorder) -> None:
    pod = takeover[SCALE].spec["template"]["spec"]
    assert pod["serviceAccountName"] == "job-runner"
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_the_jobs_account_may_scale_and_ask_and_nothing_else(recorder: Recorder) -> None:
    rights = {
        (resource, verb)
        for rule in recorder["job-runner-role"].inputs["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {resource for resource, verb in rights if verb in ("patch", "update")} == {"deployments/scale", "statefulsets/scale"}
    assert not {verb for _, verb in rights} & {"*", "create", "delete", "escalate", "bind", "impersonate"}
    assert not [resource for resource, _ in rights if "*" in resource or "secret" in resource]


def test_a_job_of_the_same_image_and_account_asks_by_day_for_every_right_that_a_failover_needs(recorder: Recorder) -> None:
    ready = recorder[READY]
    assert commands(ready) == [
        ["auth", "can-i", "patch", "deployments.apps", "--subresource=scale", "--all-namespaces"],
        ["auth", "can-i", "patch", "statefulsets.apps", "--subresource=scale", "--all-namespaces"],
        ["auth", "can-i", "get", "services", "--subresource=proxy", "--all-namespaces"],
    ]
    assert ready.spec["template"]["spec"]["serviceAccountName"] == "job-runner"
    assert {"job-runner-account", "job-runner-binding"} <= ready.depends_on
    assert "k8s-dr/after" not in ready.metadata["annotations"]


def test_what_asks_by_day_has_the_image_of_what_scales_at_night() -> None:
    region = run_program("secondary", {"active": "secondary", "images": {"kubectl": "registry.example.com/kubectl:1"}})
    for name in (SCALE, READY):
        pod = region[name].spec["template"]["spec"]
        assert {each["image"] for each in (*pod["initContainers"], *pod["containers"])} == {"registry.example.com/kubectl:1"}


def test_the_jobs_namespace_and_account_are_there_long_before_a_failover(recorder: Recorder) -> None:
    assert {"job-runner-namespace", "job-runner-account", "job-runner-role", "job-runner-binding"} <= recorder.names()
    (failover,) = recorder.of("Failover")
    assert {"job-runner-account", "job-runner-binding"} <= failover.depends_on


def test_what_a_failover_makes_is_not_backed_up_itself(takeover: Recorder) -> None:
    for name in ("job-runner-namespace", SCALE, "failover-serving"):
        assert takeover[name].metadata["labels"]["velero.io/exclude-from-backup"] == "true"
