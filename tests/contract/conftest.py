"""Fixtures: the program's Kubernetes objects, and the pinned tools that judge them."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.tools import installed, toolbox
from lab.tools.groups import GROUPS
from settings.roles import Role
from tests.examples import STATIC
from tests.unit.recorder import COMBINATIONS, Recorder, Seen, deployed, revealed, run_program

URL = "https://hooks.example.com/abc"
EVERYTHING: dict[str, Any] = {
    "peerReady": True,
    **STATIC,
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}, "regionLabel": "region"},
    "receivers": {
        "heartbeats": {
            "guard": URL,
            "marks": URL,
            "watchdog": URL,
            "drills": {"integrity": URL},
            "schedules": {"daily-full": URL},
            "databases": {"app-database": URL},
        },
        "alerts": URL,
    },
    "aws": {"endpoint": "http://172.30.0.1:5555"},
    "backups": [
        {"name": "hourly-critical", "cron": "0 * * * *", "keep": "168h", "include": ["production", "databases"]},
        {"name": "daily-full", "cron": "0 2 * * *", "keep": "720h", "exclude": ["kube-system", "velero"]},
        {"name": "everything", "cron": "30 3 * * 0", "keep": "168h"},
    ],
    "workloads": [
        {"namespace": "production", "replicas": 3, "names": ["deployment/web", "statefulset/queue"], "check": {"service": "web"}},
        {"namespace": "batch", "replicas": 1, "standbyReplicas": 1},
        {"namespace": "a-long-name-" * 5 + "xyz", "replicas": 1},
    ],
}
"""With these settings the program registers every kind of object, every optional field, and the longest name."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "combination" in metafunc.fixturenames:
        cases = [(stack, active, changes) for stack, active in COMBINATIONS for changes in ({}, EVERYTHING)]
        ids = [f"{stack}-while-{active}-is-active{'-with-everything' if changes else ''}" for stack, active, changes in cases]
        metafunc.parametrize("combination", cases, ids=ids, scope="module")


@pytest.fixture(scope="module")
def recorder(combination: tuple[Role, Role, dict[str, Any]]) -> Recorder:
    stack, serving, changes = combination
    return _registered(stack, serving, with_everything=bool(changes))


@cache
def _registered(stack: Role, serving: Role, *, with_everything: bool) -> Recorder:
    """Shared by all files of a process: read, change nothing."""
    # Until the first failover `active` is not set, and no role scales. Once it is set, every role scales.
    return run_program(stack, {"active": serving, **EVERYTHING} if with_everything else deployed(serving))


def kubernetes_object(seen: Seen) -> dict[str, Any]:
    """The object as the provider sends it: secrets in clear, a name where the provider makes one."""
    found = {key: revealed(value) for key, value in seen.inputs.items() if value is not None}
    found["metadata"] = {"name": f"{seen.name}-1a2b3c4d", **found["metadata"]}
    return found


@pytest.fixture(scope="module")
def objects(recorder: Recorder) -> list[dict[str, Any]]:
    """Every Kubernetes object of one combination, in the order of registration."""
    return [kubernetes_object(seen) for seen in recorder.custom() if seen.provider == "kubernetes"]


def tool(group: str, name: str) -> Path:
    """A pinned tool, from the machine or the lab's cache. If it is not built yet, the test is skipped: `make check` must be fast.
    `make test` builds every tool first."""
    found = installed.find(name) or toolbox.directory(GROUPS[group]) / name
    if not found.exists():
        pytest.skip(f"{name} is not built yet: make tools")
    return found


def shared(group: str, name: str) -> Path:
    """A file of a pinned module, such as a release's manifest. If it is not fetched yet, the test is skipped, as in `tool`."""
    found = toolbox.directory(GROUPS[group]).parent / "share" / name
    if not found.exists():
        pytest.skip(f"{name} is not there yet: make tools")
    return found


@pytest.fixture(scope="session")
def velero() -> Path:
    return tool("velero", "velero")


def printed(velero: Path, *options: str) -> list[dict[str, Any]]:
    """The objects that `velero install --dry-run` would create. Velero needs a kubeconfig, but contacts no cluster."""
    command: list[str | Path] = [velero, "install", *options, "--dry-run", "--output=json"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    return list(json.loads(answer.stdout)["items"])


@pytest.fixture(scope="session")
def crds(velero: Path) -> list[dict[str, Any]]:
    """Velero's CustomResourceDefinitions, from the pinned binary."""
    return printed(velero, "--crds-only")


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig without a cluster."""
    path = tmp_path_factory.mktemp("kubeconfig") / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "none",
        "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
        "users": [{"name": "none", "user": {}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path
