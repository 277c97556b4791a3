"""What a strict cluster asks of every Pod and namespace (`pods`): each of them has it, and no Job that acts runs again for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components.kube import pull_secrets
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.pods import ONLY_ADMISSION, Runner, admitted, runner_pod
from components.tried_by_day import namespaces_of_pods
from settings import load
from settings.load import SECRETS
from settings.pods import PodsSettings
from settings.sizes import bytes_in
from settings.volumes import cpus_in
from tests.examples import STATIC, example
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import Recorder, run_program

TAINT = {"key": "dedicated", "operator": "Equal", "value": "system", "effect": "NoSchedule"}
STRICT: dict[str, Any] = {
    "imagePullSecrets": ["harbor", "artifactory"],
    "tolerations": [TAINT],
    "nodeSelector": {"pool": "system"},
    "requests": {"cpu": "200m", "memory": "400Mi"},
    "labels": {"cost-centre": "4711"},
    "namespaceLabels": {"team": "platform"},
}
EVERYTHING: dict[str, Any] = {
    **STATIC,
    "active": "secondary",
    "peerReady": True,
    "cluster": {"context": "prod", "name": "prod", "distribution": "self-managed"},
    "staticCredentials": {**STATIC["staticCredentials"], "etcd": STATIC["staticCredentials"]["velero"]},
    "receivers": {"heartbeats": {"guard": "https://hc-ping.example.com/1"}},
}
"""Changes by which every Pod of the program is made."""


@pytest.fixture(scope="module")
def strict() -> Recorder:
    return run_program("secondary", {**EVERYTHING, "pods": STRICT})


def templates(recorder: Recorder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every Pod, as metadata and spec, by the name of the resource that makes it: those that a drill is told to make too."""
    for seen in recorder.custom():
        yield from ((seen.name, found) for found in _templates(seen.inputs))


def _templates(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "metadata" in value and "containers" in (value.get("spec") or {}):
            yield value
        task = value.get("value") if value.get("name") == "TASK" else None
        for inner in [*value.values(), *([json.loads(task)] if task else [])]:
            yield from _templates(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _templates(inner)


def containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]


OF_THEIR_OWN_NODES = {"etcd-backup", "velero-node-agent"}


def test_every_pod_is_pulled_by_the_secrets_and_tolerates_the_taints_and_has_the_labels(strict: Recorder) -> None:
    found = list(templates(strict))
    assert {"velero-server", "velero-node-agent", "velero-crds", "etcd-backup", "freshness-job", "heartbeats-job"} <= {
        name for name, _ in found
    }
    assert {"job-runner-ready", "failover-databases-app-database-promoted"} <= {name for name, _ in found}
    assert [name for name, _ in found if name.startswith("guard-")]
    assert [name for name, _ in found if name.startswith("drills-")]
    for name, template in found:
        assert template["spec"]["imagePullSecrets"] == [{"name": "harbor"}, {"name": "artifactory"}], name
        assert TAINT in template["spec"]["tolerations"], name
        assert template["metadata"]["labels"]["cost-centre"] == "4711", name


def test_every_pod_runs_on_the_chosen_nodes_but_those_that_choose_theirs(strict: Recorder) -> None:
    for name, template in templates(strict):
        nodes = template["spec"].get("nodeSelector") or {}
        if name in OF_THEIR_OWN_NODES:
            assert "pool" not in nodes, name
        else:
            assert nodes["pool"] == "system", name


def test_every_container_requests_the_least_and_no_more_than_its_limit(strict: Recorder) -> None:
    seen = 0
    for name, template in templates(strict):
        for container in containers(template):
            resources = container.get("resources") or {}
            for what, measure, least in (("cpu", cpus_in, "200m"), ("memory", bytes_in, "400Mi")):
                if requested := resources.get("requests", {}).get(what):
                    seen += 1
                    assert measure(requested) >= measure(least), (name, container["name"])
                    assert measure(requested) <= measure(resources["limits"][what]), (name, container["name"])
    assert seen > 20


def test_every_namespace_of_the_program_has_the_labels_and_keeps_its_own(strict: Recorder) -> None:
    for namespace in strict.of("Namespace"):
        assert namespace.metadata["labels"]["team"] == "platform", namespace.name
    made = {each.name: each.metadata for each in strict.of("Namespace")}
    velero = made["velero-namespace"]["labels"]
    assert velero["pod-security.kubernetes.io/enforce"] == "privileged"
    assert {each["name"] for each in made.values()} >= {"k8s-dr", "velero", "databases", "k8s-dr-drills", "k8s-dr-drills-scratch"}


def test_accounts_whose_pods_others_make_pull_by_the_secrets_too(strict: Recorder) -> None:
    for name in ("velero-account", "drills-cluster-account"):
        assert strict[name].inputs["imagePullSecrets"] == [{"name": "harbor"}, {"name": "artifactory"}]


def test_a_database_is_placed_as_the_others_unless_it_has_nodes_of_its_own(strict: Recorder) -> None:
    (cluster,) = strict.of("Cluster")
    assert cluster.spec["imagePullSecrets"] == [{"name": "harbor"}, {"name": "artifactory"}]
    assert cluster.spec["affinity"]["nodeSelector"] == {"pool": "system"}
    assert cluster.spec["affinity"]["tolerations"] == [TAINT]
    assert cluster.spec["inheritedMetadata"]["labels"]["cost-centre"] == "4711"
    taint = {"key": "databases", "operator": "Exists"}
    own = {"nodeSelector": {"pool": "databases"}, "tolerations": [taint]}
    databases = [{"name": "app-database", "namespace": "databases", **own}]
    (other,) = run_program("secondary", {"pods": STRICT, "databases": databases, "peerReady": True}).of("Cluster")
    assert other.spec["affinity"]["nodeSelector"] == {"pool": "databases"}
    assert other.spec["affinity"]["tolerations"] == [TAINT, taint]


def test_without_the_settings_a_pod_has_nothing_new_but_linux_and_a_database_nothing_at_all() -> None:
    plain = run_program("secondary", EVERYTHING)
    for name, template in templates(plain):
        assert "imagePullSecrets" not in template["spec"], name
        if name != "etcd-backup":
            assert "tolerations" not in template["spec"], f"{name}: an empty list would be a difference for ever"
            assert template["spec"].get("nodeSelector") in (None, {"kubernetes.io/os": "linux"}), name
    (cluster,) = plain.of("Cluster")
    assert not {"nodeSelector", "tolerations"} & set(cluster.spec["affinity"]), "the operator would restart the instances"
    assert "imagePullSecrets" not in cluster.spec


def test_velero_tolerates_its_own_taints_beside_those_of_all_pods() -> None:
    own = {"key": "storage", "operator": "Exists"}
    found = run_program("secondary", {"pods": {"tolerations": [TAINT]}, "velero": {"tolerations": [own, TAINT]}})
    for name in ("velero-server", "velero-node-agent", "velero-crds"):
        assert found[name].spec["template"]["spec"]["tolerations"] == [TAINT, own], name
    assert found["job-runner-ready"].spec["template"]["spec"]["tolerations"] == [TAINT]


ONLY_LOOKS = {"job-runner-ready", "velero-credentials-come"}
"""Jobs that act on nothing: what they find out follows from the very settings."""


def test_no_job_that_acts_runs_again_because_the_cluster_asks_something_else_of_its_pods(strict: Recorder) -> None:
    jobs = [each for each in strict.of("Job") if each.name not in ONLY_LOOKS]
    assert {each.name for each in jobs} >= {"velero-crds", "failover-databases-app-database-promoted"}
    assert [each.name for each in jobs if "-scale-" in each.name]
    plain = {each.name: each for each in run_program("secondary", EVERYTHING).of("Job")}
    for each in jobs:
        assert set(ONLY_ADMISSION) <= set(each.ignore_changes), each.name
        assert without(each.spec, each.ignore_changes) == without(plain[each.name].spec, each.ignore_changes), each.name


def without(spec: dict[str, Any], ignored: tuple[str, ...]) -> dict[str, Any]:
    """The spec without what the engine ignores."""
    left = json.loads(json.dumps(spec))
    for path in ignored:
        at = {"spec": left}
        *way, last = path.replace("[0]", ".0").split(".")
        for step in way:
            at = at[int(step)] if step.isdecimal() else at.get(step, {})  # type: ignore[call-overload]
        at.pop(last, None)
    return left


def test_to_admit_a_pod_twice_changes_nothing() -> None:
    pods = PodsSettings.model_validate(STRICT)
    once = runner_pod(Runner(image="python", code="runner-1", pods=pods), "verify", {})
    assert admitted(once, pods) == once


def test_a_request_that_is_larger_already_stays_and_keeps_its_spelling() -> None:
    least = PodsSettings.model_validate({"requests": {"cpu": "50m", "memory": "64Mi"}}).requests
    large = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    assert least.raised(large) == large
    small = {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "20m", "memory": "64Mi"}}
    assert least.raised(small) == {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "50m", "memory": "64Mi"}}


def test_a_pod_that_comes_for_its_volumes_is_pulled_by_the_secrets(strict: Recorder) -> None:
    (rules,) = [each.inputs["data"]["rules.yaml"] for each in strict.of("ConfigMap") if each.name == "drills-rules"]
    documents = [
        patch["patchData"] for rule in yaml.safe_load(rules)["resourceModifierRules"] for patch in rule.get("mergePatches", ())
    ]
    (pod,) = [json.loads(each) for each in documents if '"rest"' in each]
    assert pod["spec"]["imagePullSecrets"] == [{"name": "harbor"}, {"name": "artifactory"}]


def settings(changes: dict[str, Any]) -> Any:
    return load("secondary", example("secondary", changes), SECRETS)


def test_a_secret_that_a_namespace_lacks_is_told_with_the_command_that_makes_it() -> None:
    cluster = FakeCluster(paths={f"/api/v1/namespaces/{each}/secrets/harbor": {} for each in ("k8s-dr", "velero")})
    told = pull_secrets.missing(cluster, ["harbor"], ["k8s-dr", "velero", "databases", "kube-system"])
    assert len(told) == 1
    assert "Secret harbor of pods.imagePullSecrets is not in namespace databases, kube-system, " in told[0]
    assert "kubectl create secret docker-registry harbor -n databases " in told[0]
    assert pull_secrets.missing(cluster, ["harbor"], ["k8s-dr"]) == []
    assert not [each for each in cluster.asked if each.startswith("path")], "no contents of a Secret are read"
    (unknown,) = pull_secrets.missing(FakeCluster(error=ClusterUnreachableError("403")), ["harbor"], ["k8s-dr"])
    assert unknown == "whether the Secrets of pods.imagePullSecrets are there is not known: 403"


def test_the_secrets_are_asked_for_in_each_namespace_that_has_a_pod(strict: Recorder) -> None:
    asked = namespaces_of_pods(settings({**EVERYTHING, "operators": {"cloudnativePg": True, "certManager": True}}))
    assert {"cnpg-system", "cert-manager"} <= set(asked)
    run_in = {each.metadata["namespace"] for each in strict.custom() if list(_templates(each.inputs))}
    assert run_in | {"databases", "k8s-dr-drills", "k8s-dr-drills-scratch"} == set(namespaces_of_pods(settings(EVERYTHING)))
    assert "velero" not in namespaces_of_pods(settings({"velero": {"managed": False}}))
