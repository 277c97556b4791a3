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
    container = {"name": "velero", "image": f"123456789012.dkr.ecr.{region}.amazonaws.com/velero:v1.18.0"}
    velero = {"metadata": {"name": "velero"}, "spec": {"template": {"spec": {"containers": [container]}}}}
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
    snapshots = {"metadata": {"name": "ebs"}, "driver": "ebs.csi.aws.com", "deletionPolicy": "Retain"}
    return {
        "/version": {"gitVersion": "v1.34.2"},
        "/apis/apps/v1/namespaces/velero/deployments": {"items": [velero]},
        "/apis/velero.io/v1/namespaces/velero/schedules": {"items": [schedule]},
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
