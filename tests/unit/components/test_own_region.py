"""Whatever gives a Pod its credentials, its AWS SDK asks the endpoints of its own region and no global one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from settings.images import Images
from settings.roles import ROLES, Role
from tests.examples import KEYS, STATIC
from tests.unit.components.iam.test_identity import IRSA, REGION, SELF_MANAGED, cluster, run
from tests.unit.recorder import Recorder

OWN_CONTROL_PLANE: dict[str, Any] = {
    **STATIC,
    **cluster(distribution="self-managed"),
    "staticCredentials": {**STATIC["staticCredentials"], "etcd": KEYS},
}
MODES: dict[str, dict[str, Any]] = {
    "pod-identity": {},
    "irsa": {**IRSA, "cluster": {**IRSA["cluster"], "distribution": "self-managed"}},
    "instance-profile": SELF_MANAGED,
    "static": OWN_CONTROL_PLANE,
}
BARMAN = "ObjectStore's sidecar"
GUARD = {"fetch", *(f"fetch-{turn}" for turn in range(2, 6))}
DRILLS = {"fetch-lists", "fetch-objects", "fetch-labels", "upload"}
TALK_TO_AWS = {"velero", "node-agent", "freshness", *GUARD, *DRILLS, BARMAN}
SILENT = {"crds", "clean"}
"""Containers with an image of Velero or the AWS CLI that never ask AWS: one makes CRDs, one deletes old files of a node."""


def containers(value: Any) -> Iterator[dict[str, Any]]:
    """Every container, wherever a spec has one."""
    if isinstance(value, dict):
        for kind in ("initContainers", "containers"):
            yield from value.get(kind) or ()
        for inner in value.values():
            yield from containers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from containers(inner)


def told(recorder: Recorder) -> dict[str, dict[str, str]]:
    """The environment of all that talks to AWS in a region, by container; where barman runs, by that."""
    images = Images()
    found = {
        each["name"]: each.get("env") or []
        for seen in recorder.custom()
        for each in containers(seen.inputs)
        if each["image"] in (images.velero, images.aws_cli) and each["name"] not in SILENT
    }
    for number, store in enumerate(recorder.of("ObjectStore")):
        found[f"{BARMAN} {number}"] = store.spec["instanceSidecarConfiguration"]["env"]
    return {name: {each["name"]: each.get("value", "") for each in environment} for name, environment in found.items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stack", ROLES)
def test_every_pod_that_talks_to_aws_is_told_its_own_region(stack: Role, mode: str) -> None:
    environments = told(run(stack, MODES[mode]))
    assert {name.rpartition(" ")[0] if BARMAN in name else name for name in environments} == TALK_TO_AWS
    for name, environment in environments.items():
        assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == REGION[stack], name
        assert environment["AWS_STS_REGIONAL_ENDPOINTS"] == "regional", name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stack", ROLES)
def test_both_locations_of_velero_name_their_own_region(stack: Role, mode: str) -> None:
    locations = run(stack, MODES[mode]).of("BackupStorageLocation")
    assert [each.spec["config"]["region"] for each in locations] == [REGION[stack]] * 2


@pytest.mark.parametrize("service", ["s3", "sts"])
def test_a_client_with_that_environment_asks_its_own_region_alone(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environments = told(run("secondary", MODES["instance-profile"]))
    for environment in environments.values():
        for name in environment.keys() & {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_STS_REGIONAL_ENDPOINTS"}:
            monkeypatch.setenv(name, environment[name])
        session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")
        assert session.client(service).meta.endpoint_url == f"https://{service}.us-west-2.amazonaws.com"
