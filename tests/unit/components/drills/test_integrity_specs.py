"""The drill `integrity` as objects: whose backups it names, what its Pod may do, and that a flip changes no drill."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.kube.runner.drill_end import GRACE_SECONDS
from components.kube.runner.drill_space import CLEANING_SECONDS
from settings.drills import KINDS
from settings.roles import ROLES, Role
from tests.examples import STATIC
from tests.unit.components.conftest import Program
from tests.unit.recorder import Recorder, run_program

SELF_MANAGED: dict[str, Any] = {
    "cluster": {"context": "here", "name": "acme-here", "distribution": "self-managed", "nodeRole": "nodes"},
    "identity": "instance-profile",
}


def pod(recorder: Recorder, name: str = "drills-integrity-job") -> dict[str, Any]:
    spec: dict[str, Any] = recorder[name].spec["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def containers(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in (*spec.get("initContainers", ()), *spec["containers"])}


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container["env"]}


@pytest.mark.parametrize("stack", ROLES)
def test_a_flip_touches_no_object_of_any_drill(stack: Role, program: Program) -> None:
    before, after = (program(stack, active) for active in ROLES)
    ours = ("drills", "identity-drills")
    drills = {seen.name for seen in before.custom() if seen.name.startswith(ours)}
    assert {"drills-integrity-job", "drills-namespace-job", "drills-database-job", "identity-drills-policy"} <= drills
    for name in drills:
        assert before[name].inputs == after[name].inputs, name
    assert drills == {seen.name for seen in after.custom() if seen.name.startswith(ours)}


def test_each_region_names_its_own_backups_and_the_copies_of_its_peers(program: Program) -> None:
    told = {}
    for stack in ROLES:
        steps = containers(pod(program(stack, "primary")))
        tasks = {environment(steps[name])["TASK"] for name in ("drill-ask", "drill-choose", "drill-integrity")}
        (task,) = tasks
        told[stack] = json.loads(task)
    assert told["primary"]["velero"]["own"] == told["secondary"]["velero"]["peer"]
    assert told["primary"]["velero"]["peer"] == told["secondary"]["velero"]["own"]
    (database,) = told["secondary"]["databases"]
    assert (database["own"], database["peer"]) == ("app-database-secondary-g1", "app-database-primary-g1")
    # A day between two, 15 minutes for S3; the mark as old as it may be by day.
    assert (database["within"], database["mark_within"]) == (24 * 3600 + 900, 20 * 60)
    assert [each["within"] for each in told["primary"]["velero"]["own"]["schedules"]] == [24 * 3600 + 900, 3600 + 900]
    assert told["primary"]["etcd"] is None
    assert told["primary"]["prefix"] == "drills/primary"


def test_identity_and_token_are_never_in_one_container() -> None:
    steps = containers(pod(run_program("primary", {**STATIC, "peerReady": True})))
    for name, container in steps.items():
        token = any(mount["name"] == "api" for mount in container["volumeMounts"])
        key = any(each["name"] == "AWS_ACCESS_KEY_ID" for each in container["env"])
        assert not (token and key), name
        assert token is (name in ("drill-ask", "drill-integrity"))
        assert key is (name in ("fetch-lists", "fetch-objects", "upload"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_judges_runs_beside_what_leaves_the_record(kind: str, program: Program) -> None:
    recorder = program("primary", "primary")
    spec = pod(recorder, f"drills-{kind}-job")
    assert [each["name"] for each in spec["containers"]] == [f"drill-{kind}", "upload"]
    before = {"integrity": ("fetch-lists", "fetch-objects"), "database": ("fetch-lists", "fetch-labels")}.get(kind, ())
    assert [each["name"] for each in spec.get("initContainers", ())] == [
        name for fetch, step in zip(before, ("drill-ask", "drill-choose"), strict=False) for name in (step, fetch)
    ]
    job = recorder[f"drills-{kind}-job"].spec["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    # Its last word comes with the Job's deadline at the latest, and then within the grace.
    assert environment(containers(spec)["upload"])["WAIT"] == str(job["activeDeadlineSeconds"])
    cleaning = 0 if kind == "integrity" else CLEANING_SECONDS
    assert spec["terminationGracePeriodSeconds"] == GRACE_SECONDS + cleaning


@pytest.mark.parametrize("kind", KINDS)
def test_no_autoscaler_moves_a_drill(kind: str, program: Program) -> None:
    template = program("primary", "primary")[f"drills-{kind}-job"].spec["jobTemplate"]["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert annotations["karpenter.sh/do-not-disrupt"] == "true"


def test_etcds_tool_runs_beside_the_judge_which_waits_for_it() -> None:
    recorder = run_program("primary", SELF_MANAGED)
    spec = pod(recorder)
    assert [each["name"] for each in spec["containers"]] == ["opens", "drill-integrity", "upload"]
    steps = containers(spec)
    assert steps["opens"]["command"] == ["etcdutl", "snapshot", "status", "/work/etcd.db", "--write-out=json"]
    task = json.loads(environment(steps["drill-integrity"])["TASK"])
    assert task["etcd"]["prefix"] == "etcd/primary"
    assert task["etcd"]["within"] == 6 * 3600 + 30 * 60
    granted = [rule for rule in recorder["drills-integrity-role-k8s-dr"].inputs["rules"] if rule["resources"] == ["pods"]]
    assert [rule["verbs"] for rule in granted] == [["get"]]


def test_its_account_only_reads_and_of_secrets_the_one(program: Program) -> None:
    recorder = program("secondary", "primary")
    rules = [rule for name in ("k8s-dr", "velero") for rule in recorder[f"drills-integrity-role-{name}"].inputs["rules"]]
    assert {verb for rule in rules for verb in rule["verbs"]} <= {"get", "list"}
    assert [rule.get("resourceNames") for rule in rules if "secrets" in rule["resources"]] == [["velero-repo-credentials"]]
    without = run_program("secondary", {"velero": {"managed": False}})["drills-integrity-role-velero"].inputs["rules"]
    assert not [rule for rule in without if "secrets" in rule["resources"]]


@pytest.mark.parametrize("stack", ROLES)
def test_switched_off_nothing_of_it_is_there(stack: Role) -> None:
    recorder = run_program(stack, {"drills": {"enabled": False}})
    assert not [seen.name for seen in recorder.seen if "drill" in seen.name]


def test_one_that_is_switched_off_leaves_the_others() -> None:
    recorder = run_program("primary", {"drills": {"namespace": {"enabled": False}, "database": {"enabled": False}}})
    names = {seen.name for seen in recorder.custom() if seen.name.startswith("drills")}
    assert names == {
        "drills-integrity-account",
        "drills-integrity-role-k8s-dr",
        "drills-integrity-binding-k8s-dr",
        "drills-integrity-role-velero",
        "drills-integrity-binding-velero",
        "drills-integrity-job",
    }
