"""A real API server takes what the steps `scale` and `stand_by` send, and keeps what they lean on: versions, managers, selectors.

The steps have the rights of the program's own account, and no other. No controller runs behind it: the test itself sets the
status of workloads, each time a step waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

from components.kube.pods import ACCOUNT
from components.kube.runner import api as runner_api
from components.kube.runner import scale
from components.kube.runner.alarm import Alarm, Worth
from components.kube.runner.api import Api, ApiError
from components.kube.runner.failure import StepFailedError
from components.kube.runner.inventory import Namespace
from components.kube.runner.scale import stand_up
from components.kube.runner.stand_by import stand_down
from lab.waiting import until
from settings.names import PROGRAM_NAMESPACE
from tests.api_server import ApiServer, running
from tests.contract.conftest import kubernetes_object, tool
from tests.unit.components.kube.runner.steps import Clock, entry
from tests.unit.recorder import run_program

STATUS = "application/merge-patch+json"


def _definition(group: str, kind: str) -> dict[str, Any]:
    """A kind of which the API server judges nothing."""
    singular = kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{singular}s.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": f"{singular}s", "singular": singular},
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }


SCALED_OBJECTS = _definition("keda.sh", "ScaledObject")
CRON_WORKFLOWS = _definition("argoproj.io", "CronWorkflow")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    etcd, kube_apiserver = tool("region", "etcd"), tool("region", "kube-apiserver")
    with running(etcd, kube_apiserver, tmp_path_factory.mktemp("api-server")) as server:
        made = server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROGRAM_NAMESPACE}})
        assert made.status in (200, 201), made
        region = run_program("secondary", {"active": "secondary"})
        for name in ("account", "role", "binding"):
            answer = server.apply(kubernetes_object(region[f"job-runner-{name}"]))
            assert answer.status in (200, 201), answer
        user = f"system:serviceaccount:{PROGRAM_NAMESPACE}:{ACCOUNT}"
        until("the binding to be in force", lambda: server.allowed(user, "patch", "apps/deployments"), timeout=30)
        yield server


@pytest.fixture(scope="module")
def token(server: ApiServer) -> str:
    """A token of the account that the program's steps have, as kubelet asks for it."""
    path = f"/api/v1/namespaces/{PROGRAM_NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    status, answer = server.ask("POST", path, body=asked)
    assert status == 201, answer
    return str(answer["status"]["token"])


class World:
    """One namespace, and what its controllers would do."""

    def __init__(self, server: ApiServer, token: str, name: str) -> None:
        self.server, self.name = server, name
        self.api = Api(server.url, token=lambda: token, authority=server.certificate, patience=5)
        self.namespace = Namespace(self.api, name)
        self.clock = Clock(self.bring_up)
        self.broken: set[str] = set()
        self.apply("v1", "Namespace", name, namespaced=False)

    def apply(self, version: str, kind: str, name: str, *, namespaced: bool = True, **content: Any) -> dict[str, Any]:
        metadata = {"name": name, **({"namespace": self.name} if namespaced else {}), **content.pop("metadata", {})}
        answer = self.server.apply({"apiVersion": version, "kind": kind, "metadata": metadata, **content})
        assert answer.status in (200, 201), answer
        return answer.body

    def workload(self, kind: str, name: str, replicas: int, *, spec: dict[str, Any] | None = None, **metadata: Any) -> None:
        labels = {"app": name}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "main:1"}]}}
        service = {"serviceName": name} if kind == "StatefulSet" else {}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod, **service, **(spec or {})}
        self.apply("apps/v1", kind, name, spec=spec, metadata=metadata)

    def cron_job(self, name: str, *, suspend: bool = False) -> None:
        pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "main:1"}]}
        spec = {"schedule": "0 * * * *", "suspend": suspend, "jobTemplate": {"spec": {"template": {"spec": pod}}}}
        self.apply("batch/v1", "CronJob", name, spec=spec)

    def job(self, name: str) -> None:
        pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "main:1"}]}
        self.apply("batch/v1", "Job", name, spec={"template": {"spec": pod}})

    def read(self, kind: str, name: str) -> dict[str, Any]:
        custom = {"ScaledObject": "keda.sh/v1alpha1", "CronWorkflow": "argoproj.io/v1alpha1"}
        version = {"CronJob": "batch/v1", "Job": "batch/v1", **custom}.get(kind, "apps/v1")
        found = self.server.read({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": self.name}})
        assert found is not None
        return found

    def replicas(self, kind: str, name: str) -> int:
        return int(self.read(kind, name)["spec"]["replicas"])

    def set_status(self, path: str, status: dict[str, Any]) -> None:
        code, answer = self.server.ask("PATCH", f"{path}/status", body={"status": status}, content=STATUS)
        assert code == 200, answer

    def bring_up(self) -> None:
        """Every replica that is asked for is there and serves. A broken workload's are there."""
        for plural in ("deployments", "statefulsets"):
            path = f"/apis/apps/v1/namespaces/{self.name}/{plural}"
            for body in self.api.list(path):
                name, count = body["metadata"]["name"], body["spec"]["replicas"]
                served = 0 if name in self.broken else count
                status = {"observedGeneration": body["metadata"]["generation"], "replicas": count, "readyReplicas": served}
                self.set_status(f"{path}/{name}", {**status, "availableReplicas": served})

    def up(self, *entries: dict[str, Any]) -> str:
        return stand_up(self.namespace, self._task(entries or (entry(),)), clock=self.clock, rest=self.clock.rest)

    def down(self, *entries: dict[str, Any]) -> str:
        return stand_down(self.namespace, self._task(entries or (entry(replicas=0),)), clock=self.clock, rest=self.clock.rest)

    def _task(self, entries: tuple[dict[str, Any], ...]) -> dict[str, Any]:
        return {"namespace": self.name, "entries": list(entries), "cronJobs": "suspend", "seconds": 600}


@pytest.fixture
def world(server: ApiServer, token: str, request: pytest.FixtureRequest) -> World:
    """A namespace of the test's own."""
    return World(server, token, request.node.name.replace("_", "-").replace("test-", "")[:60].rstrip("-"))


def autoscaler(world: World, target: str) -> None:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    world.apply(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        target,
        spec={"scaleTargetRef": reference, "minReplicas": 10, "maxReplicas": 40},
    )


def test_a_region_gives_up_and_takes_over_again_and_everything_is_as_it_was(world: World) -> None:
    world.workload("Deployment", "web", 12)
    autoscaler(world, "web")
    world.workload("Deployment", "scheduler", 1)
    world.workload("Deployment", "switched-off", 0)
    goes = {"whenDeleted": "Retain", "whenScaled": "Delete"}
    on_delete = {"updateStrategy": {"type": "OnDelete"}, "persistentVolumeClaimRetentionPolicy": goes}
    world.workload("StatefulSet", "vault", 3, spec=on_delete)
    world.cron_job("invoices")
    world.cron_job("retired", suspend=True)
    world.job("import")
    served = (entry(), entry("deployment/scheduler", replicas=1))

    world.down(entry(replicas=0), entry("deployment/scheduler", replicas=0))
    assert [world.replicas("Deployment", name) for name in ("web", "scheduler", "switched-off")] == [0, 0, 0]
    assert world.replicas("StatefulSet", "vault") == 0
    stays = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert world.read("StatefulSet", "vault")["spec"]["persistentVolumeClaimRetentionPolicy"] == stays
    assert world.read("Deployment", "web")["metadata"]["annotations"] == {"k8s-dr/ran": "12"}
    suspended = {name: world.read("CronJob", name)["spec"]["suspend"] for name in ("invoices", "retired")}
    assert suspended == {"invoices": True, "retired": True}
    assert world.read("Job", "import")["spec"]["suspend"] is True

    world.up(*served)
    assert [world.replicas("Deployment", name) for name in ("web", "scheduler", "switched-off")] == [12, 1, 0]
    assert world.replicas("StatefulSet", "vault") == 3
    assert world.read("StatefulSet", "vault")["spec"]["persistentVolumeClaimRetentionPolicy"] == goes
    assert "annotations" not in world.read("Deployment", "web")["metadata"]
    resumed = {name: world.read("CronJob", name)["spec"]["suspend"] for name in ("invoices", "retired")}
    assert resumed == {"invoices": False, "retired": True}


def test_a_watch_ends_a_pause_as_soon_as_the_last_workload_is_available(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "_POLL_SECONDS", 300.0)
    for name in ("web", "worker"):
        world.workload("Deployment", name, 1)
    world.workload("StatefulSet", "queue", 1)
    alarm, pauses = Alarm(world.api, world.namespace.lists, 300), 0

    def rest(seconds: float, worth: Worth) -> None:
        nonlocal pauses
        pauses += 1
        Thread(target=world.bring_up, daemon=True).start()
        alarm.rest(seconds, worth)

    began = time.monotonic()
    told = stand_up(world.namespace, world._task((entry(),)), rest=rest)
    assert time.monotonic() - began < 120
    assert told.endswith("3 available")
    assert pauses == 1


def test_twelve_stay_twelve_one_stays_one_and_what_is_off_stays_off(world: World) -> None:
    world.workload("Deployment", "web", 12)
    world.workload("Deployment", "scheduler", 1)
    world.workload("Deployment", "switched-off", 0)
    world.up(entry(), entry("deployment/scheduler", replicas=1))
    assert [world.replicas("Deployment", name) for name in ("web", "scheduler", "switched-off")] == [12, 1, 0]


def test_a_scaled_object_is_paused_by_kedas_own_annotation_and_goes_on_later(world: World) -> None:
    world.workload("Deployment", "worker", 4)
    # Without KEDA the cluster does not know the kind, and that is no error.
    assert world.api.list(f"/apis/keda.sh/v1alpha1/namespaces/{world.name}/scaledobjects") == []
    world.server.define([SCALED_OBJECTS])
    world.apply("keda.sh/v1alpha1", "ScaledObject", "worker", spec={"scaleTargetRef": {"name": "worker"}, "minReplicaCount": 2})
    world.down()
    paused = world.read("ScaledObject", "worker")["metadata"]["annotations"]
    assert paused == {"autoscaling.keda.sh/paused-replicas": "0", "k8s-dr/paused": ""}
    world.up()
    assert "annotations" not in world.read("ScaledObject", "worker")["metadata"]
    assert world.replicas("Deployment", "worker") == 2


def test_a_cron_workflow_is_suspended_and_goes_on_later(world: World) -> None:
    world.workload("Deployment", "web", 1)
    # Without Argo Workflows the cluster does not know the kind, and that is no error.
    assert world.api.list(f"/apis/argoproj.io/v1alpha1/namespaces/{world.name}/cronworkflows") == []
    world.server.define([CRON_WORKFLOWS])
    world.apply("argoproj.io/v1alpha1", "CronWorkflow", "etl", spec={"schedules": ["0 * * * *"]})
    world.down()
    assert world.read("CronWorkflow", "etl")["spec"] == {"schedules": ["0 * * * *"], "suspend": True}
    world.up()
    assert world.read("CronWorkflow", "etl")["spec"]["suspend"] is False
    assert "annotations" not in world.read("CronWorkflow", "etl")["metadata"]


def test_a_change_of_an_object_that_has_changed_since_is_refused(world: World) -> None:
    world.workload("Deployment", "web", 1)
    path = f"/apis/apps/v1/namespaces/{world.name}/deployments/web"
    seen = world.api.get(path)["metadata"]["resourceVersion"]
    world.bring_up()
    with pytest.raises(ApiError, match="the object has been modified") as refused:
        world.api.patch(path, {"metadata": {"resourceVersion": seen}, "spec": {"replicas": 3}})
    assert refused.value.status == 409


def test_who_sets_back_what_was_raised_is_read_from_the_api_servers_own_record(world: World) -> None:
    world.workload("Deployment", "web", 1)
    path = f"/apis/apps/v1/namespaces/{world.name}/deployments/web"

    def self_heal() -> None:
        body = {"spec": {"replicas": 1}}
        world.server.ask("PATCH", path, body=body, content=STATUS, query="fieldManager=argocd-controller")

    world.clock.meanwhile = self_heal
    with pytest.raises(StepFailedError, match="deployment/web: argocd-controller set its replicas back to 1"):
        world.up()


def test_what_is_late_is_told_with_the_newest_warning_and_what_its_container_waits_for(world: World) -> None:
    world.workload("Deployment", "web", 3)
    world.broken.add("web")
    world.apply("v1", "ServiceAccount", "default")
    for name, app in (("web-5d4-x", "web"), ("other-5d4-x", "other")):
        pod_spec = {"containers": [{"name": "main", "image": "main:1"}]}
        world.apply("v1", "Pod", name, spec=pod_spec, metadata={"labels": {"app": app}})
        waiting = {"reason": "CrashLoopBackOff", "message": f"back-off of {app}"}
        container = {"name": "main", "image": "main:1", "imageID": "", "ready": False, "restartCount": 3}
        world.set_status(
            f"/api/v1/namespaces/{world.name}/pods/{name}", {"containerStatuses": [{**container, "state": {"waiting": waiting}}]}
        )
    for number, (kind, about, sort) in enumerate(
        [
            ("Pod", "web-5d4-x", "Warning"),
            ("ReplicaSet", "web-5d4", "Warning"),
            ("Deployment", "web", "Normal"),
            ("Pod", "other-5d4-x", "Warning"),
        ]
    ):
        world.apply(
            "v1",
            "Event",
            f"event-{number}",
            involvedObject={"kind": kind, "name": about, "namespace": world.name},
            type=sort,
            reason="Because",
            message=f"of {kind}",
            lastTimestamp=f"2026-01-01T03:00:0{number}Z",
        )
    with pytest.raises(StepFailedError) as failed:
        world.up()
    told = str(failed.value)
    assert "deployment/web has 0 of 3 available: " in told
    assert "container main of Pod web-5d4-x waits: CrashLoopBackOff (back-off of web)" in told
    assert "ReplicaSet web-5d4: Because: of ReplicaSet" in told
    assert "other" not in told


def test_a_list_that_takes_several_pages_is_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_api, "_PAGE", 2)
    names = [f"web-{number}" for number in range(5)]
    for name in names:
        world.workload("Deployment", name, 1)
    path = f"/apis/apps/v1/namespaces/{world.name}/deployments"
    assert [body["metadata"]["name"] for body in world.api.list(path)] == names


def test_what_the_clusters_own_rules_refuse_is_told_in_their_words(world: World) -> None:
    world.workload("Deployment", "web", 1)
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.name}},
            "resourceRules": [
                {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}
            ],
        },
        "validations": [{"expression": "object.spec.replicas < 3", "message": "no more than two of anything here"}],
    }
    version, kind = "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"
    world.apply(version, kind, world.name, namespaced=False, spec=policy)
    binding = {"policyName": world.name, "validationActions": ["Deny"]}
    world.apply(version, f"{kind}Binding", world.name, namespaced=False, spec=binding)
    path = f"/apis/apps/v1/namespaces/{world.name}/deployments/web"

    def in_force() -> bool:
        status, _ = world.server.ask("PATCH", path, body={"spec": {"replicas": 3}}, content=STATUS, query="dryRun=All")
        return status == 422

    until("the policy to be in force", in_force, timeout=30)
    with pytest.raises(StepFailedError, match=r"deployment/web: .*no more than two of anything here"):
        world.up()
