"""A volume's files come back in the other region: the same bytes, owners and modes, in a claim of the same name, on a disk of
that region's zone and class. Velero, its data movers and Kubernetes' snapshot controllers are real, IAM's policies are enforced,
and a disk is a directory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from components.kube.cluster_api import ClusterApi
from components.velero.claims import empty_claims, unfilled_claims
from lab import users
from lab.application import manifests
from lab.regions.layout import DISKS, on_disk
from lab.regions.spec import named
from lab.samples import Write, documents_log, read_writes
from lab.waiting import until
from lab.world import Lab
from tests.lab.conftest import deployed

NAMESPACE = manifests.APPLICATION_NAMESPACE
CLAIM = manifests.ARCHIVE_CLAIM
LEFTOVER = "report-of-last-month"
"""A claim that no Pod mounts when the region dies, as a CronJob's or that of a workload at zero."""

SCRATCH = "scratch"
"""A claim whose volume is Retain and whose data nobody saves."""


Entry = tuple[str, int, int, int]
"""What a file is made of, its mode, its user and its group."""


def items(lab: Lab, region: str, *what: str) -> list[dict[str, Any]]:
    return list(json.loads(lab.kubectl(region, "get", *what, "-o", "json"))["items"])


def claim(lab: Lab, region: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in items(lab, region, "pvc", "-n", NAMESPACE) if each["metadata"]["name"] == name]
    return found


def volume(lab: Lab, region: str, name: str) -> dict[str, Any]:
    bound = claim(lab, region, name)["spec"]["volumeName"]
    (found,) = [each for each in items(lab, region, "pv") if each["metadata"]["name"] == bound]
    return found


def disk(lab: Lab, region: str, name: str) -> Path:
    """The directory of a claim's disk, as the machine sees it."""
    handle = volume(lab, region, name)["spec"]["csi"]["volumeHandle"]
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


def a_claim_and_its_user(name: str, storage_class: str, labels: dict[str, str]) -> list[dict[str, Any]]:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"fills-{name}", "namespace": NAMESPACE},
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
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": storage_class,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        pod,
    ]


@pytest.fixture(scope="module")
def pair() -> Iterator[Lab]:
    with deployed(Lab(files=True)) as lab:
        yield lab


@dataclass(kw_only=True)
class Seen:
    """What was in region A before it died, and what the client had been told by then."""

    lab: Lab
    log: Path
    leftover: dict[str, Entry]
    scratch_handle: str
    backup_began: datetime
    killed: datetime

    @property
    def documents(self) -> list[Write]:
        return read_writes(documents_log(self.log))

    @property
    def survived(self) -> set[int]:
        """The documents that region A acknowledged and region B has."""
        here = {int(path.stem) for path in disk(self.lab, "secondary", CLAIM).glob("*.json")}
        return here & {write.sequence for write in self.documents if write.ok and write.region == "primary"}


@pytest.fixture(scope="module")
def failed_over(pair: Lab) -> Seen:
    """The primary dies while a client writes, a while after a backup that was made while it wrote."""
    lab, home = pair, named("primary")
    for name, labels in ((LEFTOVER, {}), (SCRATCH, {"tier": "cache"})):
        made = yaml.safe_dump_all(a_claim_and_its_user(name, home.storage_class, labels))
        lab.kubectl(home.name, "apply", "-f", "-", stdin=made)
        lab.kubectl(home.name, "wait", "-n", NAMESPACE, f"pod/fills-{name}", "--for=condition=Ready", "--timeout=120s")
    retained = volume(lab, home.name, SCRATCH)
    as_retained = json.dumps({"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
    lab.kubectl(home.name, "patch", "pv", retained["metadata"]["name"], "-p", as_retained)
    (disk(lab, home.name, LEFTOVER) / "report.txt").write_text("what was earned last month")
    (disk(lab, home.name, SCRATCH) / "thumbnail").write_text("what can be made again")
    # Not on the archive's own: a Pod with an fsGroup gives that group all files of its volume, whenever it mounts it.
    put_odd_files(disk(lab, home.name, LEFTOVER))
    for name in (LEFTOVER, SCRATCH):
        lab.kubectl(home.name, "delete", "pod", "-n", NAMESPACE, f"fills-{name}")
    log = lab.paths.logs / "client.jsonl"
    stop = users.start(lab, log, cache=False)
    try:
        until(
            "documents to be acknowledged", lambda: sum(write.ok for write in read_writes(documents_log(log))) > 50, timeout=120
        )
        seen = Seen(
            lab=lab,
            log=log,
            leftover=contents(disk(lab, home.name, LEFTOVER)),
            scratch_handle=str(retained["spec"]["csi"]["volumeHandle"]),
            backup_began=datetime.now(UTC),
            killed=datetime.now(UTC),
        )
        lab.make_backups()
        lab.wait_backed_up()
        lab.kill("primary")
        seen.killed = datetime.now(UTC)
        lab.pulumi.configure("secondary", "active", "secondary")
        lab.pulumi.up("secondary")
        until("the secondary to take documents", lambda: _taken_by(log, "secondary"), timeout=180)
    finally:
        stop()
    return seen


def _taken_by(log: Path, region: str) -> bool:
    last = read_writes(documents_log(log))[-1:]
    return bool(last) and last[0].ok and last[0].region == region


def test_what_was_acknowledged_before_the_backup_is_there_and_nothing_older_is_lost_than_it(failed_over: Seen) -> None:
    told = {write.sequence: write.time for write in failed_over.documents if write.ok and write.region == "primary"}
    before = {sequence for sequence, time in told.items() if time < failed_over.backup_began}
    assert len(before) > 50
    assert before <= failed_over.survived
    lost = set(told) - failed_over.survived
    assert lost, "the client wrote on after the backup, and no backup has that"
    assert min(told[sequence] for sequence in lost) >= failed_over.backup_began


def test_files_have_the_bytes_owners_and_modes_that_they_had_though_no_pod_mounts_their_claim(failed_over: Seen) -> None:
    assert len(failed_over.leftover) == 9
    assert contents(disk(failed_over.lab, "secondary", LEFTOVER)) == failed_over.leftover
    owners = {path.stat().st_uid for path in disk(failed_over.lab, "secondary", CLAIM).glob("*.json")}
    assert owners == {manifests.ARCHIVE_USER}


def test_the_disk_is_in_the_other_regions_zone_and_of_its_class(failed_over: Seen) -> None:
    lab, region = failed_over.lab, named("secondary")
    found = volume(lab, region.name, CLAIM)
    (term,) = found["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["us-west-2a"]}]
    assert found["spec"]["storageClassName"] == region.storage_class == "gp3-west"
    assert claim(lab, region.name, CLAIM)["spec"]["storageClassName"] == region.storage_class
    assert found["spec"]["csi"]["driver"] == "ebs.csi.aws.com"


def test_a_retained_volume_that_nobody_saves_does_not_come_with_a_disk_of_the_dead_region(failed_over: Seen) -> None:
    lab = failed_over.lab
    handles = {each["spec"]["csi"]["volumeHandle"] for each in items(lab, "secondary", "pv") if "csi" in each["spec"]}
    assert failed_over.scratch_handle not in handles
    found = claim(lab, "secondary", SCRATCH)
    assert found["status"]["phase"] == "Pending", "it gets a new disk when a Pod mounts it"
    assert "volumeName" not in found["spec"]


class ByKubectl:
    """The program's question about downloads, asked by kubectl. `phase` is what each download is said to be in."""

    def __init__(self, lab: Lab, phase: str | None = None) -> None:
        self._lab, self._phase = lab, phase

    def list_velero(self, plural: str, selector: str, *, version: str = "v1") -> list[dict[str, Any]]:
        found = items(self._lab, "secondary", f"{plural}.{version}.velero.io", "-n", "velero", "-l", selector)
        return [{**each, "status": {**each["status"], **({"phase": self._phase} if self._phase else {})}} for each in found]

    def restored_claims(self, label: str = "velero.io/restore-name") -> list[tuple[str, str]]:
        found = items(self._lab, "secondary", "pvc", "-A", "-l", label)
        return [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in found]


def test_velero_s_own_downloads_are_what_the_question_for_claims_without_data_finds(failed_over: Seen) -> None:
    (restore,) = items(failed_over.lab, "secondary", "restores.velero.io", "-n", "velero")
    name = restore["metadata"]["name"]
    assert unfilled_claims(cast(ClusterApi, ByKubectl(failed_over.lab)), name) is None
    told = unfilled_claims(cast(ClusterApi, ByKubectl(failed_over.lab, "Failed")), name) or ""
    assert f"{NAMESPACE}/{CLAIM}" in told
    assert f"{NAMESPACE}/{LEFTOVER}" in told
    assert f"{NAMESPACE}/{SCRATCH}" not in told
    empty = empty_claims(cast(ClusterApi, ByKubectl(failed_over.lab)), name) or ""
    assert f"brought claims without data ({NAMESPACE}/{SCRATCH})" in empty
