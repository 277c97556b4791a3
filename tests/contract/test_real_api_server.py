"""A real API server accepts every Kubernetes object of every combination. It warns about none, and it drops no field."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.waiting import until
from settings.names import DRILLS_NAMESPACE, PROGRAM_NAMESPACE, SCRATCH_NAMESPACE
from tests.api_server import ApiServer, running
from tests.contract import cnpg
from tests.contract.conftest import kubernetes_object, shared, tool
from tests.unit.recorder import run_program


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crds: list[dict[str, Any]]) -> Iterator[ApiServer]:
    """An API server with the CRDs of every operator and the namespaces of all objects."""
    etcd, kube_apiserver = tool("region", "etcd"), tool("region", "kube-apiserver")
    release, plugin = shared("cnpg", "cloudnative-pg.yaml"), shared("cnpg", "plugin-barman-cloud.yaml")
    with running(etcd, kube_apiserver, tmp_path_factory.mktemp("api-server")) as server:
        server.define([*crds, *cnpg.definitions(release), *cnpg.definitions(plugin), *cnpg.PROMETHEUS_OPERATOR])
        for name in ("velero", PROGRAM_NAMESPACE, DRILLS_NAMESPACE, SCRATCH_NAMESPACE, "databases"):
            server.ensure({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield server


def test_every_object_is_accepted_without_a_warning(objects: list[dict[str, Any]], server: ApiServer) -> None:
    assert len(objects) > 10
    for item in objects:
        answer = server.apply(item, dry_run=True)
        assert answer.status in (200, 201), f"{item['kind']} {item['metadata']['name']}: {answer}"
        assert not answer.warnings, f"{item['kind']} {item['metadata']['name']}: {answer}"


def test_the_server_keeps_every_field_that_it_is_given(objects: list[dict[str, Any]], server: ApiServer) -> None:
    for item in objects:
        kept = server.apply(item, dry_run=True).body
        assert not list(lost(sent(item), kept)), f"{item['kind']} {item['metadata']['name']}"


def sent(item: dict[str, Any]) -> dict[str, Any]:
    """The fields that the server returns unchanged. It turns a Secret's `stringData` into `data`."""
    return {key: value for key, value in item.items() if key != "stringData"}


def lost(given: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Paths of `given` that `kept` does not have, or has with another value."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            yield from lost(value, kept.get(key), f"{path}.{key}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, value in enumerate(given):
            yield from lost(value, kept[number], f"{path}[{number}]")
    elif given != kept and given != {}:
        yield f"{path}: {given!r} became {kept!r}"


@pytest.fixture(scope="module")
def takeover() -> dict[tuple[str, str], dict[str, Any]]:
    region = run_program("secondary", {"active": "secondary"})
    items = [kubernetes_object(seen) for seen in region.custom() if seen.provider == "kubernetes"]
    return {(item["kind"], item["metadata"]["name"]): item for item in items}


SCALE = "failover-workloads-scale-production-1a2b3c4d"
WRONG: list[tuple[tuple[str, str], str, Any, str]] = [
    (("Job", SCALE), "spec.template.spec.restartPolicy", "Always", "restartPolicy"),
    (("Job", SCALE), "spec.activeDeadlineSecs", 5, "activeDeadlineSecs"),
    (("Deployment", "velero"), "spec.selector.matchLabels.deploy", "other", "selector"),
    (("DaemonSet", "node-agent"), "spec.template.spec.volumes", [], "volumeMounts"),
    (("Schedule", "daily-full-us-west-2"), "spec.skipImmediatly", True, "skipImmediatly"),
    (("BackupStorageLocation", "own"), "spec.accessMode", "ReadMostly", "accessMode"),
    (("ConfigMap", "serving"), "metadata.name", "Serving", "RFC 1123"),
]


@pytest.mark.parametrize(("which", "path", "value", "named"), WRONG, ids=[f"{case[0][0]}.{case[1]}" for case in WRONG])
def test_a_mistake_would_be_refused(
    which: tuple[str, str],
    path: str,
    value: Any,
    named: str,
    takeover: dict[tuple[str, str], dict[str, Any]],
    server: ApiServer,
) -> None:
    item = copy.deepcopy(takeover[which])
    *above, last = path.split(".")
    place = item
    for key in above:
        place = place[key]
    place[last] = value
    answer = server.apply(item, dry_run=True)
    assert answer.status >= 400
    assert named in json.dumps(answer.body)


def test_a_dry_run_leaves_nothing_behind(takeover: dict[tuple[str, str], dict[str, Any]], server: ApiServer) -> None:
    item = takeover["ConfigMap", "serving"]
    statuses = [server.apply(item, dry_run=True).status for _ in range(2)]
    assert statuses == [201, 201]


RIGHTS: list[tuple[str, str, bool]] = [
    *((verb, kind, True) for kind in ("apps/deployments", "apps/statefulsets") for verb in ("get", "list", "watch", "patch")),
    ("patch", "batch/cronjobs", True),
    ("list", "autoscaling/horizontalpodautoscalers", True),
    ("patch", "keda.sh/scaledobjects", True),
    ("patch", "argoproj.io/cronworkflows", True),
    ("patch", "argoproj.io/rollouts", False),
    ("list", "/events", True),
    ("delete", "apps/deployments", False),
    ("create", "batch/jobs", False),
    ("get", "/services/proxy", False),
    ("patch", "apps/deployments/scale", False),
    ("get", "/secrets", False),
]
"""Verb, group/resource/subresource, and whether a failover's Jobs may do it."""


@pytest.fixture(scope="module")
def account(takeover: dict[tuple[str, str], dict[str, Any]], server: ApiServer) -> str:
    """The user name of the job runner's ServiceAccount, once its rights are in force."""
    items = {kind: item for (kind, name), item in takeover.items() if name in ("k8s-dr-job-runner", "job-runner")}
    for kind in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding"):
        server.ensure(items[kind])
    metadata = items["ServiceAccount"]["metadata"]
    user = f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}"
    until("the binding to be in force", lambda: server.allowed(user, "get", "apps/deployments"), timeout=30)
    return user


@pytest.mark.parametrize(("verb", "what", "may"), RIGHTS, ids=[f"{verb}-{what}" for verb, what, _ in RIGHTS])
def test_the_jobs_account_may_do_what_its_steps_ask_for_in_any_namespace(
    verb: str, what: str, may: bool, account: str, server: ApiServer
) -> None:
    assert server.allowed(account, verb, what) is may
