"""The program's own Pods on a real API server: a strict cluster admits them, and their account has the rights that they use."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.kube.cluster_api import LiveCluster, NotAskedError
from components.kube.pods import ACCOUNT, Runner, runner_pod
from components.kube.runner import rights
from components.kube.runner.api import Api
from components.kube.runner.ask import Question
from components.kube.runner.failure import StepFailedError
from components.kube.runner.flag import Flag
from components.kube.runner.guard import Fetched, guard
from components.kube.runner.rights import NEEDED, Right
from lab.waiting import until
from settings.cluster import Cluster
from tests.api_server import Answer, ApiServer, running
from tests.contract.conftest import kubernetes_object, tool
from tests.unit.recorder import run_program

Object = dict[str, Any]
STRICT = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
QUOTA = {
    "requests.cpu": "10",
    "requests.memory": "10Gi",
    "limits.cpu": "10",
    "limits.memory": "10Gi",
}
"""A quota on all four: each Pod must say all four of all its containers."""


@pytest.fixture(scope="module")
def registered() -> dict[str, Object]:
    """The Kubernetes objects of a region that takes over, with a check of its workloads, by their names in the program."""
    workloads = [{"namespace": "production", "replicas": 3, "check": {"service": "web"}}]
    region = run_program("secondary", {"active": "secondary", "peerReady": True, "workloads": workloads})
    return {seen.name: kubernetes_object(seen) for seen in region.custom() if seen.provider == "kubernetes"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, registered: dict[str, Object]) -> Iterator[ApiServer]:
    """An API server with the namespaces of the program's Jobs, in which only restricted Pods within a quota are admitted."""
    etcd, kube_apiserver = tool("region", "etcd"), tool("region", "kube-apiserver")
    with running(etcd, kube_apiserver, tmp_path_factory.mktemp("api-server")) as server:
        for namespace in ("k8s-dr", "databases", "velero", "k8s-dr-drills", "k8s-dr-drills-scratch"):
            made = server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": STRICT}})
            assert made.status in (200, 201), made
            quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all", "namespace": namespace}}
            assert server.apply({**quota, "spec": {"hard": QUOTA}}).status == 201
            # A cluster's controller copies the limits into the status, which is what admission reads.
            used = dict.fromkeys(QUOTA, "0")
            path = f"/api/v1/namespaces/{namespace}/resourcequotas/all/status"
            body = {"status": {"hard": QUOTA, "used": used}}
            assert server.ask("PATCH", path, body=body, content="application/merge-patch+json")[0] == 200
        for item in registered.values():
            own = item["kind"] in ("Role", "RoleBinding") and item["metadata"]["name"] == "k8s-dr-guard"
            if own or item["kind"] in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "NetworkPolicy"):
                answer = server.apply(item)
                assert answer.status in (200, 201), answer
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "databases"}}
        assert server.apply(account).status in (200, 201)  # a controller makes it in a cluster
        yield server


def admitted(server: ApiServer, namespace: str, template: Object) -> Answer:
    """What the API server says to a Pod of this template."""
    metadata = {**template.get("metadata", {}), "name": "pod", "namespace": namespace}
    return server.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}, dry_run=True)


def templates(registered: dict[str, Object]) -> dict[str, tuple[str, Object]]:
    """Namespace and Pod template of each Job and CronJob, of the Pod that rests, and of the one that asks the primary, by
    name."""
    found = {}
    for name, item in registered.items():
        if item["kind"] in ("Job", "CronJob"):
            spec = item["spec"]["jobTemplate"]["spec"] if item["kind"] == "CronJob" else item["spec"]
            found[name] = item["metadata"]["namespace"], spec["template"]
    rests = registered["guard-at-start"]
    found["guard-at-start"] = rests["metadata"]["namespace"], rests["spec"]["template"]
    asks = runner_pod(Runner(image="python", code="runner-1"), "ask", {"questions": [{"url": "https://app.example.com/"}]})
    return {**found, "primary-answers": ("k8s-dr", asks)}


def test_a_strict_cluster_admits_every_pod_that_the_program_makes(server: ApiServer, registered: dict[str, Object]) -> None:
    found = templates(registered)
    verify, promoted = "failover-workloads-verify-production", "failover-databases-app-database-promoted"
    assert {verify, promoted, "job-runner-ready", "velero-crds", "primary-answers", "freshness-job", "guard-job"} <= set(found)
    refused = {}
    for name, (namespace, template) in found.items():
        answer = admitted(server, namespace, template)
        if answer.status not in (200, 201) or answer.warnings:
            refused[name] = str(answer)
    assert refused == {}


def without_limits(pod: Object) -> None:
    del pod["spec"]["containers"][0]["resources"]["limits"]


def without_requests(pod: Object) -> None:
    del pod["spec"]["containers"][0]["resources"]["requests"], pod["spec"]["containers"][0]["resources"]["limits"]


def as_root(pod: Object) -> None:
    pod["spec"]["securityContext"]["runAsNonRoot"] = False


def without_seccomp(pod: Object) -> None:
    del pod["spec"]["securityContext"]["seccompProfile"]


def with_capabilities(pod: Object) -> None:
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_limits, "must specify limits.cpu"),
        (without_requests, "must specify limits.cpu for: ask; limits.memory for: ask; requests.cpu for: ask"),
        (as_root, "runAsNonRoot"),
        (without_seccomp, "seccompProfile"),
        (with_capabilities, "unrestricted capabilities"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_pod_that_lacks_one_of_these_would_be_refused(
    spoil: Callable[[Object], None], said: str, server: ApiServer, registered: dict[str, Object]
) -> None:
    namespace, template = copy.deepcopy(templates(registered)["primary-answers"])
    spoil(template)
    answer = admitted(server, namespace, template)
    assert answer.status == 403
    assert said in str(answer)


def test_the_policy_of_the_programs_namespace_lets_its_pods_out_and_nobody_in(
    server: ApiServer, registered: dict[str, Object]
) -> None:
    kept = server.read(registered["job-runner-network"])
    assert kept is not None
    own = {"matchLabels": {"app.kubernetes.io/part-of": "k8s-dr"}}
    assert kept["spec"] == {"podSelector": own, "policyTypes": ["Ingress", "Egress"], "egress": [{}]}


def test_a_quota_that_refuses_the_pod_that_asks_is_named(
    server: ApiServer, registered: dict[str, Object], tmp_path: Path
) -> None:
    """The API server's own words reach the person, and nothing is left behind."""
    assert server.apply(registered["job-runner-code"]).status in (200, 201)
    path = "/api/v1/namespaces/k8s-dr/resourcequotas/all/status"
    full = {"status": {"hard": QUOTA, "used": {**dict.fromkeys(QUOTA, "0"), "limits.memory": "10Gi"}}}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(server.kubeconfig()))
    live = LiveCluster(Cluster(context="test", name="prod-usw2", distribution="eks", kubeconfig=str(kubeconfig)), "python")
    try:
        assert server.ask("PATCH", path, body=full, content="application/merge-patch+json")[0] == 200
        with pytest.raises(NotAskedError, match=r"refused: 403 .*exceeded quota: all, requested: limits\.memory=256Mi"):
            live.ask("primary-answers", [Question(url="https://app.example.com/")])
    finally:
        free = {"status": {"hard": QUOTA, "used": dict.fromkeys(QUOTA, "0")}}
        assert server.ask("PATCH", path, body=free, content="application/merge-patch+json")[0] == 200


def client_of(server: ApiServer, account: str) -> Api:
    """The step's client, as a Pod of this account in the program's namespace has it."""
    path = f"/api/v1/namespaces/k8s-dr/serviceaccounts/{account}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    status, answer = server.ask("POST", path, body=asked)
    assert status == 201, answer
    token = answer["status"]["token"]
    return Api(server.url, token=lambda: token, authority=server.certificate, patience=2)


def test_the_guards_account_has_every_right_that_the_guard_asks_for_and_changes_no_other_record(
    server: ApiServer, registered: dict[str, Object]
) -> None:
    pod = registered["guard-at-start"]["spec"]["template"]["spec"]
    judge = pod["initContainers"][-1]
    [task] = [json.loads(each["value"]) for each in judge["env"] if each["name"] == "TASK"]
    asked = [Right(**right) for right in task["rights"]]
    api = client_of(server, "guard")

    def granted() -> bool:
        with suppress(StepFailedError):
            rights.refuse_missing(api, asked)
            return True
        return False

    assert len(asked) > len(NEEDED)
    until("the guard's bindings to be in force", granted, timeout=30)
    other = Right(verb="patch", group="", resource="configmaps", namespace="k8s-dr", name="serving")
    with pytest.raises(StepFailedError, match="may not patch configmaps serving in k8s-dr"):
        rights.refuse_missing(api, [other])


def test_the_guard_stops_a_region_with_the_rights_of_its_account(server: ApiServer) -> None:
    for name in ("serving", "guard"):
        record = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "k8s-dr"}}
        assert server.apply(record).status in (200, 201)
    selector = {"matchLabels": {"app": "web"}}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "databases"}}
    assert server.apply({**web, "spec": {"replicas": 3, "selector": selector, "template": template}}).status in (200, 201)
    entries = [{"names": [], "replicas": 0, "required": True}]
    task = {
        "role": "secondary",
        "databases": [],
        "schedules": [],
        "workloads": [{"namespace": "databases", "entries": entries, "cronJobs": "suspend"}],
        "advice": "pulumi up",
        "anew": "pulumi up --refresh",
        "rights": [],
        "once": True,
        "seconds": 30,
    }
    written = datetime(2026, 3, 1, 12, tzinfo=UTC)
    told = guard(client_of(server, "guard"), task, lambda: Fetched(flag=Flag(active="primary"), written=written))
    assert "deployment/web 3 → 0" in told
    _, found = server.ask("GET", "/apis/apps/v1/namespaces/databases/deployments/web")
    assert found["spec"]["replicas"] == 0
    _, record = server.ask("GET", "/api/v1/namespaces/k8s-dr/configmaps/guard")
    assert record["data"].keys() == {"seen", "stopped", "at"}
    assert record["data"]["seen"] == record["data"]["stopped"] == "2026-03-01T12:00:00Z"
    _, events = server.ask("GET", "/api/v1/namespaces/k8s-dr/events")
    assert [each["reason"] for each in events["items"]] == ["RegionStopped"]


@pytest.fixture
def in_a_pod(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Api]:
    """The step's client, as a Pod of the program's account has it."""
    path = f"/api/v1/namespaces/k8s-dr/serviceaccounts/{ACCOUNT}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    status, answer = server.ask("POST", path, body=asked)
    assert status == 201, answer
    token = answer["status"]["token"]

    def client() -> Api:
        return Api(server.url, token=lambda: token, authority=server.certificate)

    monkeypatch.setattr(Api, "in_cluster", client)
    return client


TASK = {"rights": [asdict(right) for right in NEEDED]}


@pytest.mark.usefixtures("in_a_pod")
def test_with_its_clusterrole_the_account_has_every_right_that_a_step_uses(server: ApiServer) -> None:
    user = f"system:serviceaccount:k8s-dr:{ACCOUNT}"
    until("the binding to be in force", lambda: server.allowed(user, "patch", "apps/deployments"), timeout=30)
    assert rights.run(TASK) == f"may {', '.join(map(str, NEEDED))}"


@pytest.mark.usefixtures("in_a_pod")
@pytest.mark.parametrize("missing", NEEDED, ids=str)
def test_a_right_that_is_taken_away_is_named(missing: Right, server: ApiServer, registered: dict[str, Object]) -> None:
    role = registered["job-runner-role"]
    fewer = copy.deepcopy(role)
    for rule in fewer["rules"]:
        if (rule["apiGroups"], rule["resources"]) == ([missing.group], [missing.resource]):
            rule["verbs"] = [verb for verb in rule["verbs"] if verb != missing.verb] or ["watch"]
    user, what = f"system:serviceaccount:k8s-dr:{ACCOUNT}", f"{missing.group}/{missing.resource}"
    try:
        assert server.apply(fewer).status == 200
        until("the right to be gone", lambda: not server.allowed(user, missing.verb, what), timeout=30)
        with pytest.raises(StepFailedError) as caught:
            rights.run(TASK)
        assert str(caught.value).startswith(f"the account of this Pod may not {missing}; ")
    finally:
        assert server.apply(role).status == 200
        until("the right to be back", lambda: server.allowed(user, missing.verb, what), timeout=30)
