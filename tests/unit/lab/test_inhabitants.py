"""What lives in the lab's clusters is what it says to be: an obstacle that is none proves nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import inhabitants, project
from lab.addons import admission, labels, load_balancers
from lab.application import manifests
from lab.tools.images import RECIPES
from settings import load
from settings.load import SECRETS
from settings.roles import ROLES, Role
from tests.examples import example

A, B = "us-east-1", "us-west-2"


def found(kind: str, region: str = A) -> dict[str, dict[str, Any]]:
    every = [*inhabitants.kinds(), *inhabitants.documents(region), *inhabitants.latecomers()]
    return {item["metadata"]["name"]: item for item in every if item["kind"] == kind}


def pods() -> list[dict[str, Any]]:
    """The Pods and the templates of Pods, of the inhabitants and of the application."""
    every = [*inhabitants.documents(A), *inhabitants.latecomers(), *manifests.documents("local/shop")]
    templates = [item["spec"]["template"] for item in every if "template" in item.get("spec", {})]
    jobs = [item["spec"]["jobTemplate"]["spec"]["template"] for item in every if item["kind"] == "CronJob"]
    return [*templates, *jobs, *(item for item in every if item["kind"] == "Pod")]


def test_the_other_region_would_refuse_the_load_balancers() -> None:
    services = {name: {**item, "metadata": {**item["metadata"], "uid": name}} for name, item in found("Service").items()}
    snapshot = {"services": list(services.values()), "ingresses": list(found("Ingress").values())}
    wanted = list(load_balancers.balanced(snapshot))
    assert len(wanted) == 2
    for balanced in wanted:
        assert load_balancers.refusal(balanced, A) is None
        assert "InvalidSubnetID" in (load_balancers.refusal(balanced, B) or "")
    bound = {item["spec"]["serviceRef"]["name"] for item in load_balancers.bindings(snapshot, A)}
    assert bound == {"storefront", "storefront-inner"}


def test_an_account_has_the_role_of_its_region_and_a_workload_uses_it() -> None:
    roles = {region: found("ServiceAccount", region)["orders"]["metadata"]["annotations"][admission.ROLE] for region in (A, B)}
    assert roles[A] != roles[B]
    assert found("Deployment")["orders"]["spec"]["template"]["spec"]["serviceAccountName"] == "orders"


def test_every_quota_admits_every_pod_and_refuses_one_that_says_nothing() -> None:
    hard = found("ResourceQuota")["everything"]["spec"]["hard"]
    for pod in pods():
        for container in pod["spec"]["containers"]:
            for name in hard:
                kind, _, resource = name.partition(".")
                assert resource in container["resources"][kind], (container, name)
    (program, _) = inhabitants.around_the_program()
    assert {name.partition(".")[0] for name in program["spec"]["hard"]} == {"requests", "limits"}


def test_the_policies_isolate_everything_and_let_the_application_answer() -> None:
    policies = found("NetworkPolicy")
    deny = policies["default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert labels.matches(policies["shop"]["spec"]["podSelector"], manifests.LABELS)


def test_only_images_of_the_lab_are_used_and_the_broken_ones_is_none_of_them() -> None:
    names = {f"docker.io/local/{name}:{recipe.tag}" for name, recipe in RECIPES.items()}
    used = {container["image"] for pod in pods() for container in pod["spec"]["containers"]} - {"local/shop"}
    assert used - names == {"docker.io/local/does-not-exist:1"}


def test_each_workload_is_one_obstacle() -> None:
    deployments = found("Deployment")
    assert deployments["switched-off"]["spec"]["replicas"] == 0
    assert deployments["broken"]["spec"]["progressDeadlineSeconds"] < 60
    assert found("StatefulSet")["vault"]["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert "ownerReferences" not in found("Pod")["debug"]["metadata"]
    scaled = found("HorizontalPodAutoscaler")["checkout"]["spec"]
    assert (scaled["scaleTargetRef"]["name"], scaled["minReplicas"], scaled["maxReplicas"]) == ("checkout", 2, 6)
    kind = found("CustomResourceDefinition")["caches.example.com"]["spec"]
    assert kind["names"]["kind"] in {item["kind"] for item in inhabitants.latecomers()}
    budget = found("PodDisruptionBudget")["storefront"]["spec"]
    assert budget["minAvailable"] == deployments["storefront"]["spec"]["replicas"]


def test_every_object_is_one_of_its_kind() -> None:
    keys = [
        (item["kind"], item["metadata"]["name"])
        for item in [*inhabitants.kinds(), *inhabitants.documents(A), *inhabitants.latecomers()]
    ]
    assert len(set(keys)) == len(keys)
    json.dumps(inhabitants.documents(A))


def test_the_project_of_an_inhabited_lab_has_their_workloads_and_asks_the_application_alone(tmp_path: Path) -> None:
    files = project.ProjectFiles(
        endpoint="http://172.30.0.1:5555",
        zone_id="Z1",
        kubeconfig=tmp_path / "kubeconfig",
        kubelet_roots={"primary": "/run/a", "secondary": "/run/b"},
        workloads=inhabitants.WORKLOADS,
        excluded=(inhabitants.CACHES,),
        velero={"counterparts": inhabitants.counterparts(A, B)},
    )
    project.create(tmp_path / "project", files)
    config = yaml.safe_load((tmp_path / "project/Pulumi.yaml").read_text())["config"]
    workloads = config["workloads"]["value"]
    assert [backup["excludeResources"] for backup in config["backups"]["value"]] == [["caches.example.com"]] * 2
    assert [workload.get("check") for workload in workloads] == [{"service": "shop", "path": "/healthz"}, None, None]
    assert "check" not in inhabitants.WORKLOADS[0], "the inhabitants are the same for the next lab"
    velero = yaml.safe_load((tmp_path / "project/Pulumi.secondary.yaml").read_text())["config"]["k8s-dr:velero"]
    assert velero["kubeletRoot"] == "/run/b"
    assert velero["counterparts"][inhabitants.role(A)] == inhabitants.role(B)


@pytest.mark.parametrize("stack", ROLES)
def test_the_program_takes_what_an_inhabited_lab_configures(stack: Role) -> None:
    counterparts = {"counterparts": inhabitants.counterparts(A, B)}
    settings = load(stack, example(stack, {"workloads": list(inhabitants.WORKLOADS), "velero": counterparts}), SECRETS)
    required = {name: workload.required for workload in settings.workloads for name in workload.names or ["the rest"]}
    assert required == {"deployment/shop": True, "deployment/broken": False, "the rest": True}
    assert settings.velero.counterparts[inhabitants.role(A)] == inhabitants.role(B)
