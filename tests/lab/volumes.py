"""What the tests of volumes look at in a region: claims, the disks behind them, the files on these, and Velero's own objects."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import yaml

from components.kube.cluster_api import ClusterApi
from components.velero.choice import Choice
from components.velero.restores import restore_spec
from components.velero.schedules import backup_template
from components.velero.selection import chosen
from components.velero.specs import OWN, VELERO_NAMESPACE
from lab.application import manifests
from lab.regions.layout import DISKS, on_disk
from lab.waiting import until
from lab.world import WITH_ARCHIVE, Lab
from settings.backup import Backup
from tests.lab.conftest import back_to_normal, bring_back_the_primary

NAMESPACE = manifests.APPLICATION_NAMESPACE
_ENDED = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")

Entry = tuple[str, int, int, int]
"""What a file is made of, its mode, its user and its group."""


def begin_to_keep_files(lab: Lab) -> None:
    """Bring a lab whose regions have disks from any failover back to its ordinary state, with the part of the application that
    keeps files. Whatever the next `up` of a stack scales is what a lab with files from the start scales."""
    bring_back_the_primary(lab)
    back = datetime.now(UTC).replace(microsecond=0)
    back_to_normal(lab)
    file = lab.paths.project / "Pulumi.yaml"
    project = yaml.safe_load(file.read_text())
    workloads = project["config"]["workloads"]
    check = workloads["value"][0]["check"]
    workloads["value"] = [dict(workload) for workload in WITH_ARCHIVE]
    workloads["value"][0]["check"] = check
    file.write_text(yaml.safe_dump(project, sort_keys=False, width=120))
    lab.files = True
    lab.install_archive()

    def seen() -> bool:
        """Whether Velero has found its bucket since the region's part of AWS came back, which may have been silent."""
        of = ("backupstoragelocations.velero.io", OWN, "-n", VELERO_NAMESPACE)
        status = json.loads(lab.kubectl("primary", "get", *of, "-o", "json"))["status"]
        return status["phase"] == "Available" and datetime.fromisoformat(status["lastValidationTime"]) >= back

    until("the primary's Velero to have its bucket", seen, timeout=240, interval=1)
    # It was started anew with the region, and reads volumes for Velero.
    lab.kubectl("primary", "rollout", "status", "daemonset/node-agent", "-n", VELERO_NAMESPACE, "--timeout=120s")


def items(lab: Lab, region: str, *what: str) -> list[dict[str, Any]]:
    return list(json.loads(lab.kubectl(region, "get", *what, "-o", "json"))["items"])


def claim(lab: Lab, region: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    (found,) = [each for each in items(lab, region, "pvc", "-n", namespace) if each["metadata"]["name"] == name]
    return found


def volume(lab: Lab, region: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    bound = claim(lab, region, name, namespace)["spec"]["volumeName"]
    (found,) = [each for each in items(lab, region, "pv") if each["metadata"]["name"] == bound]
    return found


def disk(lab: Lab, region: str, name: str, namespace: str = NAMESPACE) -> Path:
    """The directory of a claim's disk, as the machine sees it."""
    handle = volume(lab, region, name, namespace)["spec"]["csi"]["volumeHandle"]
    return on_disk(lab.region(region).disk, DISKS) / "volumes" / str(handle)


def contents(directory: Path) -> dict[str, Entry]:
    """Each file, directory and link: what it is made of, its mode, its user and its group."""
    found = {}
    for path in sorted(directory.rglob("*")):
        state = path.lstat()
        if path.is_symlink():
            what = f"to {path.readlink()}"
        else:
            what = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
        found[str(path.relative_to(directory))] = (what, state.st_mode, state.st_uid, state.st_gid)
    return found


def put_odd_files(directory: Path) -> None:
    """What a backup may get wrong: owners, modes, links, holes, names, an empty directory."""
    odd = directory / "odd"
    odd.mkdir()
    for number, (mode, owner) in enumerate([(0o600, 1000), (0o644, manifests.ARCHIVE_USER), (0o4755, 0)]):
        file = odd / f"file {number} ü"
        file.write_bytes(os.urandom(100_000))
        os.chown(file, owner, owner + 1)
        file.chmod(mode)
    (odd / "empty").mkdir(mode=0o711)
    (odd / "link").symlink_to("file 0 ü")
    with (odd / "holes").open("wb") as sparse:
        sparse.truncate(8 << 20)
        sparse.seek(4 << 20)
        sparse.write(b"in the middle")


def pod_of(name: str) -> str:
    """The Pod that mounts a claim of `claim_and_pod`."""
    return f"fills-{name}"


def claim_and_pod(
    name: str, storage_class: str, labels: dict[str, str], *, namespace: str = NAMESPACE, size: str = "1Gi"
) -> list[dict[str, Any]]:
    """A claim, and a Pod that no controller owns and that does nothing but mount it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod_of(name), "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": "docker.io/local/pause:1",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
        },
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": storage_class,
                "resources": {"requests": {"storage": size}},
            },
        },
        pod,
    ]


def mounted(lab: Lab, region: str, documents: list[dict[str, Any]], name: str, namespace: str = NAMESPACE) -> Path:
    """Apply the documents of a claim and its Pod, wait until the Pod runs, and return the claim's disk."""
    lab.kubectl(region, "apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
    lab.kubectl(region, "wait", "-n", namespace, f"pod/{pod_of(name)}", "--for=condition=Ready", "--timeout=120s")
    return disk(lab, region, name, namespace)


def ended(lab: Lab, region: str, kind: str, name: str, spec: dict[str, Any], *, seconds: float = 180, **labels: str) -> str:
    """Make a Backup or a Restore, and return the phase in which it ends."""
    made = {
        "apiVersion": "velero.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": VELERO_NAMESPACE, "labels": labels},
        "spec": spec,
    }
    lab.kubectl(region, "create", "-f", "-", stdin=json.dumps(made))
    ask = ("get", f"{kind.lower()}s.velero.io", name, "-n", VELERO_NAMESPACE, "-o", "jsonpath={.status.phase}")

    def phase() -> str | None:
        found = lab.kubectl(region, *ask)
        return found if found in _ENDED else None

    return str(until(f"{kind} {name} to end", phase, timeout=seconds, interval=0.5))


def backed_up(
    lab: Lab, region: str, name: str, backup: Backup, schedule: str, *, policy: str | None = None, seconds: float = 180
) -> str:
    """Make a Backup by the template of `backup`, as its schedule would, and return its phase. `policy` is another ConfigMap of
    rules for volumes than the program's."""
    spec = {key: value for key, value in backup_template(backup).items() if key != "metadata"}
    if policy:
        spec["resourcePolicy"] = {"kind": "configmap", "name": policy}
    return ended(lab, region, "Backup", name, spec, seconds=seconds, **{"velero.io/schedule-name": schedule})


def restored(
    lab: Lab, region: str, name: str, backup: Backup, choice: Choice, *, served_before: bool = False, seconds: float = 180
) -> str:
    """Make the Restore that the program would make, and return its phase."""
    (each,) = chosen([backup], [])
    return ended(lab, region, "Restore", name, restore_spec(each, choice, served_before=served_before), seconds=seconds)


class ByKubectl:
    """The program's questions about a restore in the secondary, asked by kubectl. `phase` is what each download is said to be
    in."""

    def __init__(self, lab: Lab, phase: str | None = None) -> None:
        self._lab, self._phase = lab, phase

    def list_velero(self, plural: str, selector: str = "", *, version: str = "v1") -> list[dict[str, Any]]:
        found = items(self._lab, "secondary", f"{plural}.{version}.velero.io", "-n", "velero", "-l", selector)
        return [
            {**each, "status": {**(each.get("status") or {}), **({"phase": self._phase} if self._phase else {})}}
            for each in found
        ]

    def restored_claims(self, label: str = "velero.io/restore-name") -> list[tuple[str, str]]:
        found = items(self._lab, "secondary", "pvc", "-A", "-l", label)
        return [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in found]

    def read(self, path: str) -> dict[str, Any] | None:
        found = self._lab.kubectl("secondary", "get", "--raw", path, check=False)
        return json.loads(found) if found else None


def asked(lab: Lab, phase: str | None = None) -> ClusterApi:
    return cast(ClusterApi, ByKubectl(lab, phase))
