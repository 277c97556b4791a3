"""Real Velero restores what people wrote, changes it on the way, and says of one object that is refused which and why.

One cluster plays both regions: objects are backed up, taken away or changed, and restored.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from components.kube.runner.restored import failure as why_failed
from components.velero import modifiers, outcome
from components.velero.choice import Choice, objection
from components.velero.downloads import results_of
from components.velero.memory import Memory, note_failure
from components.velero.restores import RestoreFailedError, judge_restore, restore_spec
from components.velero.schedules import VOLUME_POLICY, backup_template
from components.velero.selection import chosen
from components.velero.specs import PEER, VELERO_NAMESPACE
from lab.waiting import until
from settings.backup import Backup
from settings.velero import VeleroSettings
from tests import isolation
from tests.api_server import ApiServer
from tests.api_server import running as api_server
from tests.contract import velero_server
from tests.contract.conftest import tool
from tests.contract.test_isolation import needs_root
from tests.contract.velero_server import VeleroServer, text

pytestmark = needs_root
SHOP = "shop"
SCHEDULE = "hourly-us-east-1"
NLB = "service.beta.kubernetes.io/aws-load-balancer"
ALB = "alb.ingress.kubernetes.io"
Object = dict[str, Any]


def thing(version: str, kind: str, name: str, *, labels: dict[str, str] | None = None, **parts: Any) -> Object:
    annotations = parts.pop("annotations", {})
    metadata = {"name": name, "namespace": SHOP, "labels": labels or {}, "annotations": annotations}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def crd(group: str, plural: str, kind: str, *, status: bool = False) -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": "v1beta1",
                    "served": True,
                    "storage": True,
                    "schema": schema,
                    **({"subresources": {"status": {}}} if status else {}),
                }
            ],
        },
    }


BINDING, WIDGET = "elbv2.k8s.aws/v1beta1", "example.com/v1beta1"
WEB = {"app": "web"}
POD = {"containers": [{"name": "web", "image": "web"}]}
TEMPLATE = {"selector": {"matchLabels": WEB}, "template": {"metadata": {"labels": WEB}, "spec": POD}}
HASHED = {**WEB, "pod-template-hash": "5d9"}
REVISED = {**WEB, "controller-revision-hash": "web-77"}
OF_A_JOB = {"batch.kubernetes.io/job-name": "run", "job-name": "run"}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "gp3"}

HPA = "HorizontalPodAutoscaler"
SCALES = {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}
POOL_A, POOL_B = (json.dumps({"userPoolARN": f"arn:pool-{each}", "userPoolDomain": each}) for each in "ab")
OF_KEDA, OF_HELM = ({"app.kubernetes.io/managed-by": each} for each in ("keda-operator", "Helm"))

WRITTEN = [
    thing("apps/v1", "Deployment", "web", spec={"replicas": 2, **TEMPLATE}),
    thing(
        "apps/v1",
        "StatefulSet",
        "queue",
        spec={"serviceName": "queue", **TEMPLATE, "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": CLAIM}]},
    ),
    thing("v1", "Pod", "bare", spec=POD),
    thing("v1", "PersistentVolumeClaim", "data-queue-0", labels=WEB, spec=CLAIM),
    thing("v1", "ConfigMap", "settings", data={"mode": "a"}),
    thing(
        "v1",
        "Service",
        "web",
        annotations={f"{NLB}-subnets": "subnet-a", f"{NLB}-eip-allocations": "eip-a", f"{NLB}-ssl-cert": "arn:a", "own": "kept"},
        spec={"type": "LoadBalancer", "selector": WEB, "ports": [{"port": 80}]},
    ),
    thing(
        "networking.k8s.io/v1",
        "Ingress",
        "web",
        annotations={f"{ALB}/frontend-nlb-subnets": "subnet-a", f"{ALB}/auth-idp-cognito": POOL_A, f"{ALB}/acm-pca-arn": "arn:a"},
        spec={"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
    ),
    thing("v1", "Service", "plain", spec={"selector": WEB, "ports": [{"port": 80}]}),
    thing("v1", "ServiceAccount", "web", annotations={"eks.amazonaws.com/role-arn": "arn:role-a"}),
    thing("v1", "Endpoints", "outside", subsets=[{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 5432}]}]),
    thing(
        "batch/v1",
        "CronJob",
        "invoices",
        spec={"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}}},
    ),
    thing("autoscaling/v2", HPA, "web", labels=OF_HELM, spec=SCALES),
    # Two of KEDA's, with the labels of a chart that set their ScaledObjects up.
    thing("autoscaling/v2", HPA, "keda-hpa-web", labels=OF_HELM, spec=SCALES),
    thing("autoscaling/v2", HPA, "own-name", labels={**OF_HELM, "scaledobject.keda.sh/name": "web"}, spec=SCALES),
    thing(WIDGET, "Widget", "one", spec={"size": 1}),
]
"""What people wrote, and what comes back."""

MADE = [
    thing("apps/v1", "ReplicaSet", "web-5d9", labels=HASHED, spec={**TEMPLATE, "replicas": 2}),
    thing("v1", "Pod", "web-5d9-x", labels=HASHED, spec=POD),
    thing("v1", "Pod", "queue-0", labels=REVISED, spec=POD),
    thing("v1", "Pod", "run-x", labels=OF_A_JOB, spec=POD),
    thing("batch/v1", "Job", "run", spec={"template": {"spec": {**POD, "restartPolicy": "Never"}}}),
    thing("batch/v1", "Job", "labelled", labels=WEB, spec={"template": {"spec": {**POD, "restartPolicy": "Never"}}}),
    thing("autoscaling/v2", HPA, "keda-hpa-queue", labels=OF_KEDA, spec=SCALES),
    thing("apps/v1", "ControllerRevision", "queue-77", revision=1, data={}),
    thing("coordination.k8s.io/v1", "Lease", "leader", spec={"holderIdentity": "a"}),
    thing(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "web-1",
        labels={"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
        addressType="IPv4",
        endpoints=[],
    ),
    thing("v1", "Endpoints", "web", labels={"endpoints.kubernetes.io/managed-by": "endpoint-controller"}),
    thing(
        BINDING, "TargetGroupBinding", "web", spec={"targetGroupARN": "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/x"}
    ),
]
"""What controllers made of it, and what does not come back."""


def backup(**changes: Any) -> Backup:
    return Backup.model_validate({"name": "hourly", "cron": "0 * * * *", "keep": "24h", "include": [SHOP], **changes})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crds: list[Object]) -> Iterator[VeleroServer]:
    etcd, kube_apiserver, programs = tool("region", "etcd"), tool("region", "kube-apiserver"), tool("velero", "velero").parent
    directory = tmp_path_factory.mktemp("v")
    with (
        isolation.alone("Velero's metrics") as place,
        api_server(etcd, kube_apiserver, directory, place) as api,
    ):
        api.define([crd("elbv2.k8s.aws", "targetgroupbindings", "TargetGroupBinding"), crd("example.com", "widgets", "Widget")])
        api.define([crd("example.com", plural, kind, status=True) for plural, kind in (("gadgets", "Gadget"), ("gears", "Gear"))])
        with velero_server.running(programs, api, directory, crds) as server:
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}}
            # The account that every namespace has: no controller makes it here.
            for item in (*policies(), namespace, thing("v1", "ServiceAccount", "default")):
                assert api.apply(item).status in (200, 201)
            yield server


def policies(kept: Sequence[Object] = (), **settings: Any) -> list[Object]:
    """The ConfigMaps to which backups and restores refer."""

    def config(name: str, data: dict[str, str]) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": VELERO_NAMESPACE},
            "data": data,
        }

    rules = modifiers.document(VeleroSettings.model_validate(settings), "secondary", kept)
    return [
        config(VOLUME_POLICY, {"policy.yaml": '{"version": "v1"}'}),
        config(modifiers.RESTORE_MODIFIERS, {"rules.yaml": rules}),
    ]


@pytest.fixture
def shop(server: VeleroServer) -> Iterator[VeleroServer]:
    """The namespace as region A has it."""
    for item in (*WRITTEN, *MADE):
        answer = server.api.apply(item)
        assert answer.status in (200, 201), f"{item['kind']} {item['metadata']['name']}: {answer}"
    yield server
    clear(server.api)


def clear(api: ApiServer) -> None:
    for item in (*WRITTEN, *MADE):
        if api.read(item):
            api.delete(item)
            api.ask("PATCH", api._path(item), body={"metadata": {"finalizers": None}}, content="application/merge-patch+json")


def saved(server: VeleroServer, entry: Backup | None = None) -> str:
    """The name of a Backup of `entry`; without one, of everything in the namespace, as an older version made it."""
    spec = backup_template(entry) if entry else {"includedNamespaces": [SHOP]}
    # No node agent runs here that could move a volume.
    spec = {key: value for key, value in spec.items() if key != "metadata"} | {
        "snapshotVolumes": False,
        "snapshotMoveData": False,
        "storageLocation": PEER,
    }
    made = server.made("Backup", spec, labels={"velero.io/schedule-name": SCHEDULE})
    assert made["status"]["phase"] == "Completed", text(made)
    return str(made["metadata"]["name"])


def started(server: VeleroServer, name: str) -> str:
    metadata = {"name": name, "namespace": VELERO_NAMESPACE}
    made = server.api.read({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": metadata})
    assert made is not None, name
    return str(made["status"]["startTimestamp"])


def restored(server: VeleroServer, entry: Backup, *, served_before: bool = False) -> Object:
    (each,) = chosen([entry], [])
    choice = Choice(schedule=SCHEDULE, backup=entry.from_)
    assert objection(server.cluster, choice) is None
    return server.made("Restore", restore_spec(each, choice, served_before=served_before))


def here(api: ApiServer, items: list[Object]) -> set[tuple[str, str]]:
    return {(item["kind"], item["metadata"]["name"]) for item in items if api.read(item)}


def names(items: list[Object]) -> set[tuple[str, str]]:
    return {(item["kind"], item["metadata"]["name"]) for item in items}


def found(api: ApiServer, kind: str, name: str) -> Object:
    item = api.read(next(each for each in (*WRITTEN, *MADE) if (each["kind"], each["metadata"]["name"]) == (kind, name)))
    assert item is not None, f"{kind} {name}"
    return item


@pytest.mark.parametrize("by_this_version", [True, False], ids=["of-this-version", "of-an-older-version"])
def test_what_people_wrote_comes_back_and_what_controllers_made_does_not(shop: VeleroServer, by_this_version: bool) -> None:
    name = saved(shop, backup() if by_this_version else None)
    clear(shop.api)
    restore = restored(shop, backup(**{"from": name}))
    assert restore["status"]["phase"] == "Completed", text(restore)
    assert here(shop.api, WRITTEN) == names(WRITTEN)
    assert not here(shop.api, MADE)


def test_the_newest_backup_of_the_schedule_is_taken_where_nobody_named_one(shop: VeleroServer) -> None:
    # Velero keeps whole seconds: of two Backups that began in the same one either may count as the newest.
    first = newest = saved(shop, backup())
    while started(shop, newest) == started(shop, first):
        newest = saved(shop, backup())
    assert restored(shop, backup())["spec"]["backupName"] == newest


def test_kinds_come_back_where_somebody_says_so_and_pods_where_their_volumes_need_them(shop: VeleroServer) -> None:
    lease = "leases.coordination.k8s.io"
    name = saved(shop, backup(includeResources=[lease], pods="all"))
    clear(shop.api)
    restore = restored(shop, backup(includeResources=[lease, "jobs.batch"], pods="all", **{"from": name}))
    assert restore["status"]["phase"] == "Completed", text(restore)
    back = here(shop.api, MADE)
    assert {("Lease", "leader"), ("Pod", "web-5d9-x"), ("Pod", "queue-0"), ("Job", "labelled")} <= back
    assert ("Pod", "run-x") not in back, "a Pod of a Job would run beside the one that its Job makes"
    judge_restore(shop.cluster, backup(pods="all"), "backups[0]", restore)
    left = here(shop.api, WRITTEN + MADE)
    assert not {("Pod", "web-5d9-x"), ("Pod", "queue-0")} & running_pods(shop.api, left)
    assert ("Pod", "bare") in running_pods(shop.api, left)


def running_pods(api: ApiServer, there: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The Pods among `there` that nobody has asked to end. No kubelet ends them here."""
    pods = {name for kind, name in there if kind == "Pod"}
    return {("Pod", name) for name in pods if "deletionTimestamp" not in found(api, "Pod", name)["metadata"]}


def test_velero_adds_nothing_to_the_kinds_that_are_left_out(shop: VeleroServer) -> None:
    name = saved(shop, backup())
    restore = restored(shop, backup(**{"from": name}))
    assert restore["spec"]["excludedResources"] == backup().not_restored
    owners = [entry["manager"] for entry in restore["metadata"]["managedFields"] if "f:excludedResources" in str(entry)]
    assert owners == ["pulumi"], "so that a later change of another field does not fight Velero for this one"


def test_parts_of_region_a_are_taken_away_or_replaced_and_nothing_else_is_changed(shop: VeleroServer) -> None:
    name = saved(shop, backup())
    clear(shop.api)
    counterparts = {"subnet-a": "subnet-b", "arn:role-a": "arn:role-b", POOL_A: POOL_B}
    own = {
        "conditions": {"groupResource": "statefulsets.apps", "namespaces": [SHOP]},
        "mergePatches": [{"patchData": "spec: {replicas: 7}"}],
    }
    for item in policies(counterparts=counterparts, modifiers=[own]):
        assert shop.api.apply(item).status == 200
    restore = restored(shop, backup(**{"from": name}))
    assert restore["status"]["phase"] == "Completed", text(restore)
    web = found(shop.api, "Service", "web")["metadata"]["annotations"]
    assert web == {f"{NLB}-subnets": "subnet-b", f"{NLB}-ssl-cert": "arn:a", "own": "kept"}
    through = found(shop.api, "Ingress", "web")["metadata"]["annotations"]
    assert through == {
        f"{ALB}/frontend-nlb-subnets": "subnet-b",
        f"{ALB}/auth-idp-cognito": POOL_B,
        f"{ALB}/acm-pca-arn": "arn:a",
    }
    assert found(shop.api, "ServiceAccount", "web")["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == "arn:role-b"
    assert not found(shop.api, "Service", "plain")["metadata"].get("annotations")
    for name, marked in (("web", False), ("keda-hpa-web", True), ("own-name", True)):
        annotations = found(shop.api, HPA, name)["metadata"].get("annotations") or {}
        assert annotations.get("validations.keda.sh/hpa-ownership") == ("false" if marked else None)
    assert found(shop.api, "StatefulSet", "queue")["spec"]["replicas"] == 7
    assert found(shop.api, "Deployment", "web")["spec"]["replicas"] == 2


KEPT = {"clusterId": "a"}


def with_status(api: ApiServer, item: Object) -> None:
    assert api.apply(item).status in (200, 201)
    answer, said = api.ask("PATCH", f"{api._path(item)}/status", body={"status": KEPT}, content="application/merge-patch+json")
    assert answer == 200, said


def status_of(api: ApiServer, item: Object) -> Any:
    found = api.read(item)
    assert found is not None, item
    return found.get("status")


def test_a_status_comes_back_where_the_object_or_the_entry_asks_for_it_and_the_object_is_made(shop: VeleroServer) -> None:
    api = shop.api
    asks = {"velero.io/restore-status": "true"}
    no, plain, asking = {"velero.io/restore-status": "false"}, thing(WIDGET, "Gear", "plain"), thing(WIDGET, "Gear", "asking")
    asking["metadata"]["annotations"] = asks
    labelled = thing(WIDGET, "Gear", "labelled", labels=asks)
    gadget, other = thing(WIDGET, "Gadget", "named"), thing(WIDGET, "Gadget", "other", annotations=no)
    objects = [plain, asking, labelled, gadget, other]
    for item in objects:
        with_status(api, item)
    name = saved(shop, backup())

    def back(**changes: Any) -> dict[str, Any]:
        restore = restored(shop, backup(**changes, **{"from": name}), served_before=True)
        assert restore["status"]["phase"] == "Completed", text(restore)
        return {item["metadata"]["name"]: status_of(api, item) for item in objects}

    for item in objects:
        api.delete(item)
    assert back() == {"plain": None, "asking": KEPT, "labelled": None, "named": None, "other": None}
    assert back(restoreStatus=["gadgets.example.com"])["named"] is None, "it is here already"
    for item in objects:
        api.delete(item)
    assert back(restoreStatus=["gadgets.example.com"]) == {
        "plain": None,
        "asking": KEPT,
        "labelled": None,
        "named": KEPT,
        "other": None,
    }
    for item in objects:
        api.delete(item)


REFUSAL = "widgets of another region are not taken here"


@pytest.fixture
def refusing(server: VeleroServer) -> Iterator[None]:
    with widgets_refused(server.api):
        yield


@contextmanager
def widgets_refused(api: ApiServer) -> Iterator[None]:
    """A region whose admission refuses one object of the backup. It takes a moment until it does, see `refused`."""
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "widgets"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": ["example.com"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["widgets"]}
                ]
            },
            "validations": [{"expression": "false", "message": REFUSAL}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "widgets"},
        "spec": {"policyName": "widgets", "validationActions": ["Deny"]},
    }
    for item in (policy, binding):
        assert api.apply(item).status in (200, 201)
    try:
        yield
    finally:
        for item in (binding, policy):
            api.delete(item)
        until("the policy to be forgotten", lambda: not refused(api), timeout=30)


def refused(api: ApiServer) -> bool:
    """Whether the policy is in force: an API server takes a moment to read it."""
    return REFUSAL in str(api.apply(thing(WIDGET, "Widget", "probe"), dry_run=True))


def test_one_object_that_is_refused_is_told_by_name_and_the_way_on_works(shop: VeleroServer, refusing: None) -> None:
    name = saved(shop, backup())
    clear(shop.api)
    until("the policy to be in force", partial(refused, shop.api), timeout=30)
    restore = restored(shop, backup(**{"from": name}))
    restore_name = restore["metadata"]["name"]
    assert restore["status"]["phase"] == "PartiallyFailed"
    assert here(shop.api, WRITTEN) == names(WRITTEN) - {("Widget", "one")}, "the rest is there"

    failure = why_failed(restore_name, restore["status"], partial(results_of, shop.cluster, restore_name)) or ""
    assert f"Restore {restore_name} ended PartiallyFailed: 1 error: error restoring widgets.example.com/shop/one: " in failure
    assert REFUSAL in failure
    assert "\n" not in failure
    assert "excludeResources: [widgets.example.com]" in outcome.ways_on(restore_name, "PartiallyFailed", "backups[0]", failure)

    clear(shop.api)
    again = restored(shop, backup(excludeResources=["widgets.example.com"], **{"from": name}))
    assert again["status"]["phase"] == "Completed", text(again)


def test_a_refused_object_is_judged_noted_and_can_be_accepted(shop: VeleroServer, refusing: None) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "k8s-dr"}}
    assert shop.api.apply(namespace).status in (200, 201)
    name = saved(shop, backup())
    clear(shop.api)
    until("the policy to be in force", partial(refused, shop.api), timeout=30)
    restore = restored(shop, backup(**{"from": name}))
    with pytest.raises(RestoreFailedError, match=REFUSAL):
        judge_restore(shop.cluster, backup(), "backups[0]", restore)
    record = shop.cluster.read_record("restore-attempts") or {}
    accepting = backup(accept=restore["metadata"]["name"])
    assert Memory(record=record).accepts(accepting) == restore["metadata"]["name"]
    assert Memory(record=record).attempt(accepting) == "1"
    note_failure(shop.cluster, backup(), "other", "Failed")


def changed(api: ApiServer) -> None:
    """The namespace as it was when this region served last: some of it is older than the backup."""
    settings = copy.deepcopy(next(item for item in WRITTEN if item["kind"] == "ConfigMap"))
    settings["data"] = {"mode": "old", "gone": "since"}
    web = copy.deepcopy(next(item for item in WRITTEN if (item["kind"], item["metadata"]["name"]) == ("Service", "web")))
    web["spec"]["ports"] = [{"port": 8080}]
    for item in (settings, web):
        assert api.apply(item).status == 200


def test_objects_that_are_here_are_left_alone_and_counted(shop: VeleroServer) -> None:
    name = saved(shop, backup())
    changed(shop.api)
    restore = restored(shop, backup(**{"from": name}))
    assert restore["status"]["phase"] == "Completed", text(restore)
    assert found(shop.api, "ConfigMap", "settings")["data"] == {"mode": "old", "gone": "since"}
    restore_name = restore["metadata"]["name"]
    told = outcome.told(restore_name, restore["status"], partial(results_of, shop.cluster, restore_name)) or ""
    assert 'ConfigMap "settings" already exists' in told
    assert "of them for objects that were here already and were left as they are" in told


def test_a_region_that_served_before_gets_its_objects_as_the_backup_has_them_and_keeps_what_is_its_own(
    shop: VeleroServer,
) -> None:
    name = saved(shop, backup())
    address = found(shop.api, "Service", "web")["spec"]["clusterIP"]
    changed(shop.api)
    restore = restored(shop, backup(**{"from": name}), served_before=True)
    assert restore["status"]["phase"] == "Completed", text(restore)
    assert found(shop.api, "ConfigMap", "settings")["data"] == {"mode": "a"}
    web = found(shop.api, "Service", "web")
    assert web["spec"]["ports"][0]["port"] == 80
    assert web["spec"]["clusterIP"] == address
    claim = found(shop.api, "PersistentVolumeClaim", "data-queue-0")
    assert claim["spec"]["resources"]["requests"] == {"storage": "1Gi"}


CLAIM = thing(
    "v1",
    "PersistentVolumeClaim",
    "data",
    spec={
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "gp3",
        "resources": {"requests": {"storage": "1Gi"}},
        "volumeName": "pv-of-region-a",
    },
)
DISK: Object = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": "pv-of-region-a"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "gp3",
        "capacity": {"storage": "1Gi"},
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"kind": "PersistentVolumeClaim", "namespace": SHOP, "name": "data"},
        "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-0123456789abcdef0"},
    },
}


@pytest.fixture
def bound(server: VeleroServer) -> Iterator[VeleroServer]:
    """A claim that is bound to a disk of region A which nobody saves. No controller binds it here, so it is said to be."""
    for item in (CLAIM, DISK):
        assert server.api.apply(item).status in (200, 201)
        status = {"status": {"phase": "Bound"}}
        said = server.api.ask("PATCH", f"{server.api._path(item)}/status", body=status, content="application/merge-patch+json")
        assert said[0] == 200, said
    yield server
    forget_disk(server.api)


def forget_disk(api: ApiServer) -> None:
    for item in (CLAIM, DISK):
        if api.read(item):
            api.delete(item)
            api.ask("PATCH", api._path(item), body={"metadata": {"finalizers": None}}, content="application/merge-patch+json")


@pytest.mark.parametrize("wanted", [False, True], ids=["by-default", "where-somebody-says-so"])
def test_a_claim_comes_without_the_disk_of_the_dead_region(bound: VeleroServer, wanted: bool) -> None:
    name = saved(bound, backup())
    forget_disk(bound.api)
    changes = {"includeResources": ["persistentvolumes"]} if wanted else {}
    restore = restored(bound, backup(**changes, **{"from": name}))
    assert restore["status"]["phase"] == "Completed", text(restore)
    claim = bound.api.read(CLAIM)
    assert claim is not None
    assert "volumeName" not in claim["spec"], "a claim that names a volume which is not here is Lost, and stays so"
    assert bool(bound.api.read(DISK)) is wanted
