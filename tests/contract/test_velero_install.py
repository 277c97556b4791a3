"""The program's plain resources install Velero as the pinned binary does, with the differences that are listed here."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from components.velero import specs
from settings.images import Images
from settings.volumes import DataMovers
from tests.contract.conftest import kubernetes_object, printed
from tests.unit.recorder import run_program

NOT_THERE = "not there"
IMAGES = Images()
OPTIONS = (
    "--provider=aws",
    f"--plugins={IMAGES.velero_plugin_for_aws}",
    f"--image={IMAGES.velero}",
    "--bucket=acme-velero-us-west-2-123456789012",
    "--backup-location-config=region=us-west-2",
    "--use-volume-snapshots=false",
    "--no-secret",
    "--use-node-agent",
    "--features=EnableCSI",
    "--default-snapshot-move-data",
)

SERVER = "Deployment spec.template.spec"
AGENT = "DaemonSet spec.template.spec"
DIGEST = specs.digest(specs.node_agent_config(DataMovers()))
RENAMED = "a name of its own for the container: theirs repeats the image's repository, so it changes with a mirror"
SCRATCH = "the server runs as a user without a home and with a read-only root in hardened clusters: it gets /scratch and /tmp"
REGION = "the SDK asks the region's own endpoints, also where nothing but the node gives it credentials"

DELIBERATE: dict[str, tuple[Any, Any, str]] = {
    "DaemonSet spec.template.spec.os.name": (
        NOT_THERE,
        "linux",
        "theirs says it for the server alone; the node agent is as much a Linux program",
    ),
    "Deployment spec.replicas": (
        NOT_THERE,
        1,
        "one server, set explicitly: without a count, a manual scaling would stay",
    ),
    f"{SERVER}.containers[velero].args": (
        ["server", "--features=EnableCSI", "--default-snapshot-move-data=true", "--uploader-type=kopia"],
        [
            "server",
            "--features=EnableCSI",
            "--default-backup-storage-location=own",
            "--default-snapshot-move-data=true",
            "--uploader-type=kopia",
            "--default-item-operation-timeout=4h",
            "--client-qps=500",
            "--client-burst=500",
        ],
        "the default location is called own, not default; how long volumes may take, and how fast objects may come, are settings",
    ),
    f"{SERVER}.containers[velero].resources.limits.memory": (
        "512Mi",
        "1Gi",
        "the server holds a backup's list of objects in memory: ten thousand of them are too many for theirs",
    ),
    f"{AGENT}.containers[node-agent].args": (
        ["node-agent", "server", "--features=EnableCSI"],
        [
            "node-agent",
            "server",
            "--features=EnableCSI",
            "--node-agent-configmap=node-agent-config",
            "--data-mover-prepare-timeout=30m",
        ],
        "what the data movers need, and how long they may wait for it, are settings",
    ),
    "DaemonSet spec.template.metadata.annotations.k8s-dr/configuration": (
        NOT_THERE,
        DIGEST,
        "the node agent reads its configuration when it starts, so a changed one must start it anew",
    ),
    f"{SERVER}.containers[velero].env[HOME].value": (NOT_THERE, "/scratch", SCRATCH),
    f"{SERVER}.containers[velero].volumeMounts[tmp].mountPath": (NOT_THERE, "/tmp", SCRATCH),
    f"{SERVER}.volumes[tmp].emptyDir": (NOT_THERE, {}, SCRATCH),
    **{
        f"{pod}.env[{name}].value": (NOT_THERE, value, REGION)
        for pod in (f"{SERVER}.containers[velero]", "DaemonSet spec.template.spec.containers[node-agent]")
        for name, value in (
            ("AWS_REGION", "us-west-2"),
            ("AWS_DEFAULT_REGION", "us-west-2"),
            ("AWS_STS_REGIONAL_ENDPOINTS", "regional"),
        )
    },
    f"{SERVER}.restartPolicy": ("Always", NOT_THERE, "the only value that a Deployment may have, and the API's default"),
    **{
        f"{SERVER}.initContainers[{name}].{path}": (value, NOT_THERE, RENAMED)
        if name.startswith("velero-velero")
        else (NOT_THERE, value, RENAMED)
        for name in ("velero-velero-plugin-for-aws", "velero-plugin-for-aws")
        for path, value in {
            "image": IMAGES.velero_plugin_for_aws,
            "imagePullPolicy": "IfNotPresent",
            "volumeMounts[plugins].mountPath": "/target",
        }.items()
    },
}
"""By path, the binary's value, the program's value, and the reason. A difference that is gone must be removed here."""


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf of an object with its path. In a path, a list's entry has its name if it has one. Null values, and empty values
    that mean nothing, are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else key)
        if not value and path.rpartition(".")[2] in ("emptyDir",):
            yield path, {}
    elif isinstance(value, list) and value and all(isinstance(entry, Mapping) and "name" in entry for entry in value):
        for entry in value:
            yield from flat({key: inner for key, inner in entry.items() if key != "name"}, f"{path}[{entry['name']}]")
    elif value is not None:
        yield path, value


def leaves(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"{item['kind']} {path}": leaf for item in objects for path, leaf in flat(item) if item["kind"] in COMPARED}


COMPARED = ("Namespace", "ServiceAccount", "ClusterRoleBinding", "Deployment", "DaemonSet")


@pytest.fixture(scope="module")
def theirs(velero: Path, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # Velero's client reads its configuration from here
        return leaves(printed(velero, *OPTIONS))


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    region = run_program("secondary")
    return leaves([kubernetes_object(seen) for seen in region.custom() if seen.name.startswith("velero-")])


def test_every_difference_is_listed_and_every_listed_difference_is_there(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    found = {
        path: (theirs.get(path, NOT_THERE), ours.get(path, NOT_THERE))
        for path in theirs.keys() | ours.keys()
        if theirs.get(path, NOT_THERE) != ours.get(path, NOT_THERE)
    }
    assert found == {path: (their, our) for path, (their, our, _) in DELIBERATE.items()}


@pytest.mark.parametrize("kind", COMPARED)
def test_both_sides_have_each_kind_so_that_the_comparison_compares(
    kind: str, theirs: dict[str, Any], ours: dict[str, Any]
) -> None:
    for side in (theirs, ours):
        assert len([path for path in side if path.startswith(f"{kind} ")]) >= 4


def test_every_difference_has_its_reason() -> None:
    assert all(len(reason.split()) > 4 for _, _, reason in DELIBERATE.values())


def test_the_binary_is_of_the_version_that_the_images_name(velero: Path) -> None:
    answer = subprocess.run([velero, "version", "--client-only"], capture_output=True, text=True, timeout=60, check=True)
    assert IMAGES.velero.rpartition(":")[2] in answer.stdout


def test_the_crd_installers_arguments_are_accepted_by_the_binary(velero: Path) -> None:
    (container,) = run_program("secondary")["velero-crds"].spec["template"]["spec"]["containers"]
    arguments = [*container["args"], "--dry-run", "--output=json"]
    accepted = subprocess.run([velero, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert accepted.returncode == 0, accepted.stderr
    refused = subprocess.run([velero, *arguments, "--no-such-option"], capture_output=True, timeout=60, check=False)
    assert refused.returncode != 0


@pytest.mark.parametrize("program", ["server", "node-agent server"])
def test_server_and_node_agent_take_the_arguments_that_they_are_given(program: str, velero: Path) -> None:
    name = "velero-server" if program == "server" else "velero-node-agent"
    (container,) = run_program("secondary")[name].spec["template"]["spec"]["containers"]
    assert " ".join(container["args"]).startswith(program)
    accepted = subprocess.run([velero, *container["args"], "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert accepted.returncode == 0, accepted.stderr
    refused = subprocess.run(
        [velero, *container["args"], "--no-such-option", "--help"], capture_output=True, timeout=60, check=False
    )
    assert refused.returncode != 0
