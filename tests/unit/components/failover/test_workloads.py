"""Workloads are scaled and checked by Jobs that say in the plan what they do."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import pytest

from components.kube.runner.rights import THROUGH_THE_API
from settings.roles import Role
from tests.unit.components.conftest import Program
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import Recorder, Seen, run_program

SCALE, VERIFY = "failover-workloads-scale-production", "failover-workloads-verify-production"
READY = "job-runner-ready"


def task_of(job: Seen, step: str) -> dict[str, Any]:
    """The task of a Job that runs this step."""
    (container,) = job.spec["template"]["spec"]["containers"]
    assert container["command"] == ["python3", "-m", "runner", step]
    (task,) = (each["value"] for each in container["env"] if each["name"] == "TASK")
    return dict(json.loads(task))


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


@pytest.mark.parametrize(("stack", "step", "replicas"), [("primary", "scale", 3), ("secondary", "stand_by", 0)])
def test_everything_is_scaled_to_its_role_once_somebody_has_set_active_to_whichever_region(
    stack: Role, step: str, replicas: int
) -> None:
    region = run_program(stack, {"active": "primary"})
    assert scaled(region) == [SCALE]
    assert task_of(region[SCALE], step)["entries"] == [{"names": [], "replicas": replicas, "required": True}]
    assert VERIFY not in region.names()


def test_a_region_that_takes_over_scales_everything_in_the_namespace_and_waits_for_it(takeover: Recorder) -> None:
    assert task_of(takeover[SCALE], "scale") == {
        "namespace": "production",
        "entries": [{"names": [], "replicas": 3, "required": True}],
        "cronJobs": "suspend",
        "seconds": 600,
    }


def test_a_primary_that_was_replaced_scales_to_standby(program: Program) -> None:
    (entry,) = task_of(program("primary", "secondary")[SCALE], "stand_by")["entries"]
    assert entry["replicas"] == 0
    warm = run_program(
        "primary", {"active": "secondary", "workloads": [{"namespace": "production", "replicas": 3, "standbyReplicas": 1}]}
    )
    assert task_of(warm[SCALE], "stand_by")["entries"][0]["replicas"] == 1


SEVERAL: list[dict[str, Any]] = [
    {"namespace": "production", "replicas": 3},
    {"namespace": "production", "replicas": 1, "names": ["deployment/scheduler", "deployment/lock"], "standbyReplicas": 1},
    {"namespace": "production", "replicas": 2, "names": ["deployment/reports"], "required": False, "cronJobs": "leave"},
]


def test_the_entries_of_one_namespace_are_one_job_whatever_their_order() -> None:
    for entries in (SEVERAL, SEVERAL[::-1]):
        region = run_program("secondary", {"active": "secondary", "workloads": entries})
        assert scaled(region) == [SCALE]
        task = task_of(region[SCALE], "scale")
        assert sorted((entry["replicas"], entry["names"], entry["required"]) for entry in task["entries"]) == [
            (1, ["deployment/scheduler", "deployment/lock"], True),
            (2, ["deployment/reports"], False),
            (3, [], True),
        ]
        assert task["cronJobs"] == "leave"


def test_the_plan_says_in_words_what_is_scaled() -> None:
    def told(stack: Role, *entries: dict[str, Any]) -> str:
        region = run_program(stack, {"active": "secondary", "workloads": list(entries)})
        return str(region[SCALE].metadata["annotations"]["k8s-dr/does"])

    assert told("secondary", *SEVERAL) == (
        "scales, in production, every other workload to at least 3, deployment/scheduler and deployment/lock to at least 1, "
        "deployment/reports to at least 2; waits 600 s at most until they are available"
    )
    assert told("secondary", SEVERAL[0]) == (
        "scales, in production, every workload to at least 3; waits 600 s at most until they are available; "
        "resumes CronJobs that it had suspended"
    )
    assert told("primary", SEVERAL[0]) == (
        "scales, in production, every workload to 0; waits 600 s at most until no more are left; "
        "suspends CronJobs and running Jobs"
    )


# Only a change of who serves


CONTAINER = "spec.template.spec.containers[0]"
OF_THE_CLUSTER = {
    "spec.template.metadata.labels",
    *(f"spec.template.spec.{field}" for field in ("imagePullSecrets", "nodeSelector", "tolerations")),
    f"{CONTAINER}.resources",
}
"""What the settings `pods` decide alone."""

IGNORED = {
    *OF_THE_CLUSTER,
    "metadata.annotations",
    "spec.activeDeadlineSeconds",
    "spec.template.spec.volumes",
    *(f"{CONTAINER}.{field}" for field in ("env", "image")),
}


def test_only_a_change_of_who_serves_scales_again() -> None:
    changes = {"images": {"python": "registry.example.com/python:3.13.1"}, "failover": {"scale": "20m"}, "active": "secondary"}
    before, after = run_program("secondary", {"active": "secondary"}), run_program("secondary", changes)
    assert before[SCALE].spec != after[SCALE].spec
    for region in (before, after):
        assert set(region[SCALE].ignore_changes) == IGNORED
    assert before[SCALE].replacement_trigger == after[SCALE].replacement_trigger == "replicas"
    assert run_program("secondary", {"active": "primary"})[SCALE].replacement_trigger == "standbyReplicas"


def test_a_check_is_asked_again_whenever_it_changes() -> None:
    assert set(takes_over(check={"service": "web"})[VERIFY].ignore_changes) == OF_THE_CLUSTER


# Checks


def test_the_jobs_of_several_checks_in_one_namespace_have_names_that_do_not_depend_on_their_order() -> None:
    entries = [
        {"namespace": "production", "replicas": 3, "names": [f"deployment/{service}{number}"], "check": check}
        for number, (service, check) in enumerate(
            [("web", {"service": "web"}), ("web", {"service": "web", "path": "/ready"}), ("api", {"service": "api"})]
        )
    ]
    names = [
        {
            seen.name
            for seen in run_program("secondary", {"active": "secondary", "workloads": order}).of("Job")
            if "verify" in seen.name
        }
        for order in (entries, entries[::-1])
    ]
    assert names[0] == names[1]
    assert len(names[0]) == 3
    assert f"{VERIFY}-api" in names[0]


def test_a_check_asks_the_service_from_a_pod_once_everything_is_available() -> None:
    region = takes_over(check={"service": "web", "port": 8443, "scheme": "https", "host": "app.example.com", "path": "/healthz"})
    assert task_of(region[VERIFY], "verify") == {
        "namespace": "production",
        "service": "web",
        "port": 8443,
        "scheme": "https",
        "host": "app.example.com",
        "path": "/healthz",
        "seconds": 300,
        "via": "pod",
    }
    assert SCALE in region[VERIFY].depends_on


def test_a_check_asks_for_the_root_on_port_80_by_default() -> None:
    task = task_of(takes_over(check={"service": "web"})[VERIFY], "verify")
    assert {key: task[key] for key in ("port", "scheme", "host", "path")} == {
        "port": 80,
        "scheme": "http",
        "host": None,
        "path": "/",
    }


def test_the_plan_says_in_words_what_is_asked() -> None:
    told = takes_over(check={"service": "web"})[VERIFY].metadata["annotations"]["k8s-dr/does"]
    assert told == "asks http://web.production.svc:80/ for success, for 300 s at most"


ENDPOINT = "failover-workloads-endpoint"


def test_the_regions_own_endpoint_is_asked_as_users_ask_it_before_the_flag(takeover: Recorder) -> None:
    task = task_of(takeover[ENDPOINT], "endpoint")
    question = {
        "url": "https://lb-secondary.us-west-2.elb.amazonaws.com/",
        "host": "app.example.com",
        "verify": True,
        "seconds": 5,
    }
    assert task == {"questions": [question], "seconds": 300, "required": True}
    assert SCALE in takeover[ENDPOINT].depends_on
    assert takeover[ENDPOINT].spec["template"]["spec"]["automountServiceAccountToken"] is False


def test_every_name_is_asked_and_a_certificate_is_taken_by_choice() -> None:
    dns = {"zoneId": "Z0123456789ABCDEFGHIJ", "names": ["app.example.com", "api.example.com"]}
    changes = {"active": "secondary", "dns": dns, "failover": {"endpoint": {"certificate": "ignore", "path": "/up"}}}
    questions = task_of(run_program("secondary", changes)[ENDPOINT], "endpoint")["questions"]
    assert [(each["host"], each["verify"]) for each in questions] == [("app.example.com", False), ("api.example.com", False)]
    assert {each["url"] for each in questions} == {"https://lb-secondary.us-west-2.elb.amazonaws.com/up"}


def test_the_endpoint_holds_nothing_up_with_force_or_where_users_are_already() -> None:
    forced = run_program("secondary", {"active": "secondary", "force": True})
    assert task_of(forced[ENDPOINT], "endpoint")["required"] is False
    serving = run_program("secondary", {"active": "secondary"}, cluster=FakeCluster(records={"serving": {"region": "us-west-2"}}))
    assert task_of(serving[ENDPOINT], "endpoint")["required"] is False


def test_an_endpoint_that_nobody_is_to_ask_has_no_job() -> None:
    changes = {"active": "secondary", "failover": {"endpoint": {"ask": False}}}
    assert ENDPOINT not in run_program("secondary", changes).names()


def test_a_check_never_sees_a_token_of_the_cluster() -> None:
    assert takes_over(check={"service": "web"})[VERIFY].spec["template"]["spec"]["automountServiceAccountToken"] is False


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
    assert len({seen.name for seen in jobs}) == 5
    # Pulumi adds a dash and eight characters, and a Pod has its Job's name as a label.
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", f"{seen.name}-1a2b3c4d") for seen in jobs)
    assert {task_of(seen, "scale")["namespace"] for seen in jobs if "scale" in seen.name} == set(namespaces)


def test_scaling_waits_for_every_restore_and_every_promotion(takeover: Recorder) -> None:
    restores = {seen.name for seen in takeover.of("Restore")}
    assert restores
    assert restores <= takeover[SCALE].depends_on
    after = {f"{name}-1a2b3c4d" for name in (*restores, "failover-databases-app-database-promoted")}
    assert set(takeover[SCALE].metadata["annotations"]["k8s-dr/after"].split()) == {*after, "app-database"}


def test_workloads_that_bear_it_are_scaled_before_the_databases_take_writes_and_checked_after() -> None:
    workloads = [{"namespace": "production", "replicas": 3, "beforeDatabases": True, "check": {"service": "web"}}]
    region = run_program("secondary", {"active": "secondary", "peerReady": True, "workloads": workloads})
    early, checked = (region[name].inputs["metadata"]["annotations"]["k8s-dr/after"] for name in (SCALE, VERIFY))
    assert "app-database" not in early
    assert early in checked
    assert "app-database" in checked


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
    assert task_of(region[SCALE], "scale")["seconds"] == 1200
    assert region[SCALE].spec["activeDeadlineSeconds"] == 1320
    assert task_of(region[VERIFY], "verify")["seconds"] == 90
    assert region[VERIFY].spec["activeDeadlineSeconds"] == 210, "or the Job would cut the step off before it has said why"


def test_pulumi_waits_a_minute_longer_than_a_job_may_take_so_that_its_own_error_is_told() -> None:
    workloads = [{"namespace": "production", "replicas": 3, "check": {"service": "web"}}]
    region = run_program("secondary", {"active": "secondary", "workloads": workloads, "failover": {"scale": "20m"}})
    expected = {SCALE: "1380s", VERIFY: "480s", READY: "450s"}
    assert {name: (region[name].timeout, region[name].update_timeout) for name in expected} == {
        name: (timeout, timeout) for name, timeout in expected.items()
    }


def test_jobs_run_without_privileges_and_tell_their_error(takeover: Recorder) -> None:
    pod = takeover[SCALE].spec["template"]["spec"]
    assert pod["serviceAccountName"] == "job-runner"
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in pod["containers"]:
        restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
        assert container["securityContext"] == restricted
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_the_jobs_account_may_do_what_its_steps_do_and_nothing_else(recorder: Recorder) -> None:
    rights = {
        (resource, verb)
        for rule in recorder["job-runner-role"].inputs["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert not {verb for _, verb in rights} & {"*", "create", "delete", "escalate", "bind", "impersonate"}
    assert not [resource for resource, _ in rights if "*" in resource or "secret" in resource]


def test_a_job_of_the_same_image_and_account_asks_by_day_for_every_right_of_its_role(recorder: Recorder) -> None:
    (container,) = recorder[READY].spec["template"]["spec"]["containers"]
    assert container["command"] == ["python3", "-m", "runner", "rights"]
    (task,) = (json.loads(each["value"]) for each in container["env"] if each["name"] == "TASK")
    granted = {
        (group, *(f"{resource}/").split("/")[:2], verb)
        for rule in recorder["job-runner-role"].inputs["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {(each["group"], each["resource"], each["subresource"], each["verb"]) for each in task["rights"]} == granted
    assert len(task["rights"]) == len(granted)
    assert recorder[READY].spec["template"]["spec"]["serviceAccountName"] == "job-runner"
    assert recorder[READY].spec["template"]["spec"]["automountServiceAccountToken"] is True
    assert {"job-runner-account", "job-runner-binding", "job-runner-network", "job-runner-code"} <= recorder[READY].depends_on
    assert "k8s-dr/after" not in recorder[READY].metadata["annotations"]


def test_every_job_of_a_failover_has_the_configured_image() -> None:
    images = {"python": "registry.example.com/python:3"}
    workloads = [{"namespace": "production", "replicas": 3, "check": {"service": "web"}}]
    region = run_program("secondary", {"active": "secondary", "images": images, "workloads": workloads})
    for name in (SCALE, VERIFY, READY):
        (container,) = region[name].spec["template"]["spec"]["containers"]
        assert container["image"] == images["python"]


def test_the_jobs_namespace_and_account_are_there_long_before_a_failover(recorder: Recorder) -> None:
    assert {"job-runner-namespace", "job-runner-account", "job-runner-role", "job-runner-binding"} <= recorder.names()
    (failover,) = recorder.of("Failover")
    assert {"job-runner-account", "job-runner-binding"} <= failover.depends_on


def test_what_a_failover_makes_is_not_backed_up_itself(takeover: Recorder) -> None:
    for name in ("job-runner-namespace", SCALE, "failover-serving"):
        assert takeover[name].metadata["labels"]["velero.io/exclude-from-backup"] == "true"


def test_a_check_may_be_asked_through_the_api_server_and_only_then_its_account_may_reach_services() -> None:
    check = {"service": "web", "path": "/healthz"}
    proxied = takes_over(check={**check, "via": "api-server"})
    assert task_of(proxied[VERIFY], "verify")["via"] == "api-server"
    assert proxied[VERIFY].spec["template"]["spec"]["automountServiceAccountToken"] is True
    reach = {"apiGroups": [""], "resources": ["services/proxy"], "verbs": ["get"]}
    assert reach in proxied["job-runner-role"].inputs["rules"]
    assert asdict(THROUGH_THE_API) in task_of(proxied[READY], "rights")["rights"]
    assert reach not in takes_over(check=check)["job-runner-role"].inputs["rules"]
