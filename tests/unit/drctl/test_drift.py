"""What differs between the two regions, and should not."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kube.cluster_api import ClusterUnreachableError
from drctl.project import Project
from settings.roles import ROLES, Role
from tests.unit.drctl.fake import FakeRegions, FakeStacks, checkout, drctl

REGION: dict[Role, str] = {"primary": "us-east-1", "secondary": "us-west-2"}


def facts(role: Role) -> dict[str, Any]:
    region = REGION[role]
    registry = f"123456789012.dkr.ecr.{region}.amazonaws.com"

    def runs(name: str, image: str, **more: Any) -> dict[str, Any]:
        containers = [{"name": name, "image": f"{registry}/{image}"}]
        return {"metadata": {"name": name}, "spec": {"template": {"spec": {"containers": containers, **more}}}}

    velero = runs("velero", "velero:v1.18.0", initContainers=[{"image": f"{registry}/velero-plugin-for-aws:v1.14.0"}])
    template = {"includedNamespaces": ["production"], "ttl": "168h0m0s", "storageLocation": "own"}
    schedule = {
        "metadata": {"name": f"hourly-critical-{region}"},
        "spec": {"schedule": "0 * * * *", "paused": role == "secondary", "template": template},
    }
    kind = {"metadata": {"name": "shops.example.com"}, "spec": {"versions": [{"name": "v1", "served": True}]}}
    storage = {
        "metadata": {"name": "gp3-encrypted"},
        "provisioner": "ebs.csi.aws.com",
        "parameters": {"type": "gp3", "kmsKeyId": f"arn:aws:kms:{region}:…"},
        "reclaimPolicy": "Delete",
    }
    generation = "-g2" if role == "primary" else ""
    database = {
        "metadata": {"name": "app-database"},
        "spec": {"imageName": f"{registry}/postgresql:18.4", "instances": 3, "replica": {"primary": f"app-database-{role}"}},
    }
    backups = [
        {"metadata": {"name": f"app-database{generation}"}, "spec": {"schedule": "0 0 3 * * *", "suspend": role == "primary"}},
        {"metadata": {"name": f"app-database-first-{role}"}, "spec": {"schedule": "0 0 0 29 2 *"}},
        {"metadata": {"name": "of-somebody-else"}, "spec": {"schedule": f"0 0 {len(region)} * * *"}},
    ]
    throw_away = {"metadata": {"name": f"throw-away-{role}"}, "spec": {"instances": 1}}
    ingress = {"metadata": {"name": "alb"}, "spec": {"controller": "ingress.k8s.aws/alb", "parameters": {"name": region}}}
    snapshots = {"metadata": {"name": "ebs"}, "driver": "ebs.csi.aws.com", "deletionPolicy": "Retain"}
    return {
        "/version": {"gitVersion": "v1.34.2"},
        "/apis/apps/v1/namespaces/velero/deployments": {"items": [velero]},
        "/apis/apps/v1/namespaces/velero/daemonsets": {"items": [runs("node-agent", "velero:v1.18.0")]},
        "/apis/apps/v1/namespaces/cert-manager/deployments": {"items": [runs("cert-manager", "cert-manager:v1.20.0")]},
        "/apis/velero.io/v1/namespaces/velero/schedules": {"items": [schedule]},
        "/apis/postgresql.cnpg.io/v1/namespaces/databases/clusters": {"items": [database, throw_away]},
        "/apis/postgresql.cnpg.io/v1/namespaces/databases/scheduledbackups": {"items": backups},
        "/apis/scheduling.k8s.io/v1/priorityclasses": {"items": [{"metadata": {"name": "shop"}, "value": 1000}]},
        "/apis/networking.k8s.io/v1/ingressclasses": {"items": [ingress]},
        "/apis/node.k8s.io/v1/runtimeclasses": {"items": [{"metadata": {"name": "gvisor"}, "handler": "runsc"}]},
        "/apis/gateway.networking.k8s.io": {"versions": [{"version": "v1"}]},
        "/apis/gateway.networking.k8s.io/v1/gatewayclasses": {
            "items": [{"metadata": {"name": "alb"}, "spec": {"controllerName": "gateway.k8s.aws/alb"}}]
        },
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": {"items": [kind]},
        "/apis/storage.k8s.io/v1/storageclasses": {"items": [storage]},
        "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses": {"items": [snapshots]},
    }


@pytest.fixture
def stacks(tmp_path: Path) -> FakeStacks:
    return FakeStacks(project=Project(directory=checkout(tmp_path)))


@pytest.fixture
def regions() -> FakeRegions:
    found = FakeRegions()
    for role in ROLES:
        found.clusters[role].paths = deepcopy(facts(role))
    return found


def test_regions_that_differ_in_what_is_their_own_are_alike(stacks: FakeStacks, regions: FakeRegions) -> None:
    ran = drctl(stacks, "drift", regions=regions)
    assert ran.exit_code == 0, ran.output


CHANGES: dict[str, tuple[str, list[Any], Any, str]] = {
    "version": ("/version", [], {"gitVersion": "v1.33.0"}, "version of Kubernetes"),
    "schedule": (
        "/apis/velero.io/v1/namespaces/velero/schedules",
        ["items", 0, "spec", "schedule"],
        "0 3 * * *",
        "schedule hourly-critical",
    ),
    "plugin": (
        "/apis/apps/v1/namespaces/velero/deployments",
        ["items", 0, "spec", "template", "spec", "initContainers", 0, "image"],
        "velero/velero-plugin-for-aws:v1.13.0",
        "version of velero/velero",
    ),
    "node agent": (
        "/apis/apps/v1/namespaces/velero/daemonsets",
        ["items", 0, "spec", "template", "spec", "containers", 0, "image"],
        "velero/velero:v1.17.0",
        "version of velero/node-agent",
    ),
    "cert-manager": (
        "/apis/apps/v1/namespaces/cert-manager/deployments",
        ["items", 0, "spec", "template", "spec", "containers", 0, "image"],
        "quay.io/jetstack/cert-manager:v1.19.0",
        "version of cert-manager/cert-manager",
    ),
    "image of a database": (
        "/apis/postgresql.cnpg.io/v1/namespaces/databases/clusters",
        ["items", 0, "spec", "imageName"],
        "ghcr.io/cloudnative-pg/postgresql:17.6",
        "database app-database",
    ),
    "instances": (
        "/apis/postgresql.cnpg.io/v1/namespaces/databases/clusters",
        ["items", 0, "spec", "instances"],
        1,
        "database app-database",
    ),
    "base backups": (
        "/apis/postgresql.cnpg.io/v1/namespaces/databases/scheduledbackups",
        ["items", 0, "spec", "schedule"],
        "0 0 4 * * *",
        "base backups of database app-database",
    ),
    "no base backups": (
        "/apis/postgresql.cnpg.io/v1/namespaces/databases/scheduledbackups",
        ["items"],
        [],
        "base backups of database app-database",
    ),
    "priority": (
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        ["items", 0, "value"],
        10,
        "PriorityClass shop",
    ),
    "default priority": (
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        ["items", 0, "globalDefault"],
        True,
        "PriorityClass shop",
    ),
    "ingress": (
        "/apis/networking.k8s.io/v1/ingressclasses",
        ["items", 0, "spec", "controller"],
        "k8s.io/ingress-nginx",
        "IngressClass alb",
    ),
    "default ingress": (
        "/apis/networking.k8s.io/v1/ingressclasses",
        ["items", 0, "metadata", "annotations"],
        {"ingressclass.kubernetes.io/is-default-class": "true"},
        "IngressClass alb",
    ),
    "runtime": ("/apis/node.k8s.io/v1/runtimeclasses", ["items", 0, "handler"], "kata", "RuntimeClass gvisor"),
    "gateway": (
        "/apis/gateway.networking.k8s.io/v1/gatewayclasses",
        ["items", 0, "spec", "controllerName"],
        "istio.io/gateway-controller",
        "GatewayClass alb",
    ),
    "kind": ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", ["items"], [], "kind shops.example.com"),
    "class": (
        "/apis/storage.k8s.io/v1/storageclasses",
        ["items", 0, "parameters", "type"],
        "io2",
        "StorageClass gp3-encrypted",
    ),
    "snapshots": (
        "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses",
        ["items", 0, "deletionPolicy"],
        "Delete",
        "VolumeSnapshotClass ebs",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_thing_that_differs_is_named(stacks: FakeStacks, regions: FakeRegions, change: str) -> None:
    path, place, value, name = CHANGES[change]
    paths = regions.clusters["secondary"].paths
    if place:
        found: Any = paths[path]
        for key in place[:-1]:
            found = found[key]
        found[place[-1]] = value
    else:
        paths[path] = value
    ran = drctl(stacks, "drift", "--json", regions=regions)
    assert ran.exit_code == 4
    assert [each["what"] for each in json.loads(ran.stdout)["differences"]] == [name]


def test_a_database_without_a_standby_runs_in_one_region_and_is_no_difference(stacks: FakeStacks, regions: FakeRegions) -> None:
    file = stacks.project.directory / "Pulumi.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"]["tier"] = {"value": "backup-restore"}
    file.write_text(yaml.safe_dump(content))
    for path in ("clusters", "scheduledbackups"):
        regions.clusters["secondary"].paths[f"/apis/postgresql.cnpg.io/v1/namespaces/databases/{path}"] = {"items": []}
    ran = drctl(stacks, "drift", regions=regions)
    assert ran.exit_code == 0, ran.output


def test_a_setting_that_one_stack_has_of_its_own_is_a_difference(stacks: FakeStacks, regions: FakeRegions) -> None:
    file = stacks.project.file("secondary")
    content = yaml.safe_load(file.read_text())
    content["config"]["k8s-dr:workloads"] = [{"namespace": "production", "replicas": 1}]
    content["config"]["k8s-dr:handover"] = "planned"
    file.write_text(yaml.safe_dump(content))
    ran = drctl(stacks, "drift", "--json", regions=regions)
    assert ran.exit_code == 4
    assert [each["what"] for each in json.loads(ran.stdout)["differences"]] == ["setting k8s-dr:workloads"]


@pytest.mark.parametrize("dead", ROLES)
def test_nothing_is_compared_with_a_region_that_does_not_answer(stacks: FakeStacks, regions: FakeRegions, dead: Role) -> None:
    regions.clusters[dead].error = ClusterUnreachableError("cluster prod does not answer")
    ran = drctl(stacks, "drift", regions=regions)
    assert ran.exit_code == 1
    assert f"nothing was compared: {dead}: cluster prod does not answer" in ran.stdout
