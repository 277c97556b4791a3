"""An operator that is too old for planned switchovers or drills is told by day, wherever it came from."""

from __future__ import annotations

from typing import Any

import pytest

from components.database.operator_version import old_operators
from components.kube.cluster_api import ClusterRefusedError
from tests.unit.fakes import FakeCluster

TOKEN = "may lose the token by which a planned switchover goes on"
ACCOUNT = "knows no serviceAccountName"
IMAGE = "ghcr.io/cloudnative-pg/cloudnative-pg"


def told(image: str, label: str = "") -> list[str]:
    metadata = {"namespace": "cnpg-system", "name": "cnpg-controller-manager", "labels": {"app.kubernetes.io/version": label}}
    found: dict[str, Any] = {"metadata": metadata, "spec": {"template": {"spec": {"containers": [{"image": image}]}}}}
    return list(old_operators(FakeCluster(paths={"/apis/apps/v1/deployments": {"items": [found]}})))


@pytest.mark.parametrize(
    ("version", "token", "account"),
    [
        ("1.27.9", True, True),
        ("1.28.3", True, True),
        ("1.28.4", False, True),
        ("1.29.0", True, False),
        ("1.29.1-ubi9", True, False),
    ],
)
def test_each_version_is_told_for_what_it_lacks(version: str, token: bool, account: bool) -> None:
    (line,) = told(f"{IMAGE}:{version}")
    assert f"operator {version.partition('-')[0]} runs here (Deployment cnpg-system/cnpg-controller-manager)" in line
    assert (TOKEN in line, ACCOUNT in line) == (token, account)


@pytest.mark.parametrize("version", ["1.29.2", "1.29.10", "1.30.0", "v2.0.1"])
def test_a_newer_one_is_not_told(version: str) -> None:
    assert told(f"{IMAGE}:{version}@sha256:{'0' * 64}") == []


def test_an_operator_by_digest_is_judged_by_its_label_and_one_that_says_nothing_is_not_judged() -> None:
    assert TOKEN in told(f"registry:5000/operator@sha256:{'0' * 64}", label="1.28.1")[0]
    assert told(f"registry:5000/operator@sha256:{'0' * 64}") == []
    assert told(f"{IMAGE}:main") == []
    assert list(old_operators(FakeCluster())) == []


def test_whoever_may_not_look_is_told_so() -> None:
    (line,) = old_operators(FakeCluster(error=ClusterRefusedError("cluster b refused: 403 deployments is forbidden")))
    assert line.endswith("is not known: cluster b refused: 403 deployments is forbidden")
