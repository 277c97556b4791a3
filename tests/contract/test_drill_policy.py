"""What the drills' accounts may do on a real API server with Velero's own kinds: their Restore and their volumes, no others."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from components.kube.runner.api import Api, ApiError
from lab.waiting import until
from tests.api_server import ApiServer, running
from tests.contract.conftest import kubernetes_object, tool
from tests.unit.components.drills.test_restore_drills import region, task

Object = dict[str, Any]
RESTORES = "/apis/velero.io/v1/namespaces/velero/restores"
DOWNLOADS = "/apis/velero.io/v1/namespaces/velero/downloadrequests"
VOLUMES = "/api/v1/persistentvolumes"
KINDS = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount")
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


@pytest.fixture(scope="module")
def told() -> Object:
    return task(region(), "namespace")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crds: list[Object]) -> Iterator[ApiServer]:
    etcd, kube_apiserver = tool("region", "etcd"), tool("region", "kube-apiserver")
    with running(etcd, kube_apiserver, tmp_path_factory.mktemp("api-server")) as server:
        server.define(crds)
        for namespace in ("k8s-dr", "velero", "k8s-dr-drills", "k8s-dr-drills-scratch"):
            server.ensure({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        own = [seen for seen in region().custom() if seen.name.startswith("drills-") and seen.provider == "kubernetes"]
        drills = [kubernetes_object(seen) for seen in own]
        for kind in (*KINDS, *POLICIES):
            for item in drills:
                if item["kind"] == kind:
                    answer = server.apply(item)
                    assert answer.status in (200, 201), answer
                    assert not answer.warnings
        for name, namespace in (("own", "k8s-dr-drills"), ("of-production", "production")):
            server.ensure(volume(name, namespace, **{"pv.kubernetes.io/provisioned-by": "ebs.csi.aws.com"}))
        server.ensure(volume("by-hand", "k8s-dr-drills-scratch"))
        until("rights and policy to be in force", lambda: in_force(account(server, "namespace")), timeout=30)
        yield server


def volume(name: str, namespace: str, **annotations: str) -> Object:
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": f"vol-{name}"},
        "claimRef": {"namespace": namespace, "name": "data"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "annotations": annotations}, "spec": spec}


def account(server: ApiServer, kind: str) -> Api:
    """The API server, with the rights of a drill's account."""
    path = f"/api/v1/namespaces/k8s-dr/serviceaccounts/drill-{kind}/token"
    status, answer = server.ask("POST", path, body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    assert status == 201, answer
    token = answer["status"]["token"]
    return Api(server.url, token=lambda: token, authority=server.certificate, patience=2)


def restore(**spec: Any) -> Object:
    stamp = datetime.now(UTC).strftime("%H%M%S%f")
    metadata = {"name": f"drill-{stamp}", "namespace": "velero", "labels": {"k8s-dr/drill": "namespace"}}
    return {"apiVersion": "velero.io/v1", "kind": "Restore", "metadata": metadata, "spec": {"backupName": "b", **spec}}


def refused(api: Api, path: str, body: Object) -> bool:
    """Whether the policy refuses it. Another refusal is an error of the test."""
    try:
        api.create(path, body)
    except ApiError as error:
        if "ValidatingAdmissionPolicy 'k8s-dr-drills'" not in str(error):
            raise
        return True
    return False


def in_force(api: Api) -> bool:
    """An API server takes a moment to read what was made."""
    try:
        api.create(RESTORES, restore())
    except ApiError as error:
        return "ValidatingAdmissionPolicy" in str(error)
    return False


def test_the_restore_that_the_drill_makes_is_let_through(server: ApiServer, told: Object) -> None:
    assert not refused(account(server, "namespace"), RESTORES, restore(**told["restore"]))


@pytest.mark.parametrize(
    "change",
    [
        {"namespaceMapping": {}},
        {"namespaceMapping": {"production": "default"}},
        {"includedNamespaces": ["*"]},
        {"includedNamespaces": ["production", "kube-system"]},
        {"includeClusterResources": True},
        {"includedResources": ["*"]},
        {"resourceModifier": {"kind": "ConfigMap", "name": "restore-modifiers"}},
        {"resourceModifier": {"kind": "Secret", "name": "drill-modifiers"}},
        {"resourceModifier": None},
        {"existingResourcePolicy": "update"},
        {"existingResourcePolicy": None},
        {"labelSelector": None},
        {"labelSelector": {"matchLabels": {"app": "web"}}},
        {"orLabelSelectors": [{"matchLabels": {"app": "web"}}]},
        {"scheduleName": "hourly-critical-us-east-1"},
        {"restoreStatus": {"includedResources": ["*"]}},
        {"excludedNamespaces": ["shop"]},
        {"excludedResources": ["secrets"]},
        {"restorePVs": True},
        {"preserveNodePorts": True},
        {"resourcePolicy": {"kind": "ConfigMap", "name": "filters"}},
        {"hooks": {"resources": [{"name": "runs", "postHooks": []}]}},
    ],
)
def test_any_other_restore_is_refused(server: ApiServer, told: Object, change: Object) -> None:
    spec = {**copy.deepcopy(told["restore"]), **change}
    given = {key: each for key, each in spec.items() if each is not None}
    assert refused(account(server, "namespace"), RESTORES, restore(**given))


def test_a_persons_restore_is_not_the_drills_to_delete(server: ApiServer) -> None:
    own = restore()
    del own["metadata"]["labels"]
    assert server.apply(own).status == 201
    with pytest.raises(ApiError, match="deletes no Restore but a drill's"):
        account(server, "namespace").delete(f"{RESTORES}/{own['metadata']['name']}")


@pytest.mark.parametrize(
    ("kind", "passes"),
    [("BackupResourceList", True), ("BackupVolumeInfos", True), ("RestoreResults", True), ("BackupContents", False)],
)
def test_of_a_backup_the_drill_reads_lists_and_no_contents(server: ApiServer, kind: str, passes: bool) -> None:
    metadata = {"generateName": "drill-", "namespace": "velero"}
    target = {"target": {"kind": kind, "name": "b"}}
    body = {"apiVersion": "velero.io/v1", "kind": "DownloadRequest", "metadata": metadata, "spec": target}
    assert refused(account(server, "namespace"), DOWNLOADS, body) is not passes


@pytest.mark.parametrize("kind", ["namespace", "database"])
def test_a_drill_gives_up_its_own_volumes_and_no_others(server: ApiServer, kind: str) -> None:
    api, patch = account(server, kind), {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}
    api.patch(f"{VOLUMES}/own", patch)
    for name in ("of-production", "by-hand"):
        with pytest.raises(ApiError, match="changes no volume but its own"):
            api.patch(f"{VOLUMES}/{name}", patch)


def test_the_policy_concerns_nobody_else(server: ApiServer) -> None:
    assert server.apply(restore(includedNamespaces=["*"])).status == 201
