"""A volume's files come back in the other region: the same bytes, owners and modes, in a claim of the same name, on a disk of
that region's zone and class. Velero, its data movers and Kubernetes' snapshot controllers are real, IAM's policies are enforced,
and a disk is a directory.

The tests run in the order of the file: the first needs the region that dies then, and the last restores over what survived.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.velero.choice import Choice, objection
from components.velero.claims import claims_in_the_way, empty_claims, failed_volumes, unfilled_claims
from components.velero.schedules import volume_policy
from components.velero.selection import chosen
from components.velero.specs import VELERO_NAMESPACE
from lab import project, stacks, users
from lab.application import manifests
from lab.files import whole
from lab.regions.spec import named
from lab.samples import Write, documents_log, read_writes
from lab.waiting import until
from lab.world import Lab
from settings.backup import Backup
from settings.volumes import VolumeRule
from tests import faults
from tests.lab.conftest import Keeper, handed_on
from tests.lab.prompt import PromptLab
from tests.lab.volumes import (
    NAMESPACE,
    Entry,
    asked,
    backed_up,
    begin_to_keep_files,
    claim,
    claim_and_pod,
    contents,
    disk,
    items,
    mounted,
    pod_of,
    put_odd_files,
    restored,
    volume,
)

CLAIM = manifests.ARCHIVE_CLAIM
LEFTOVER = "report-of-last-month"
"""A claim that no Pod mounts when the region dies, as a CronJob's or that of a workload at zero."""

SCRATCH = "scratch"
"""A claim whose volume is Retain and whose data nobody saves."""

UPLOADS = "uploads"
"""A claim whose files Velero reads through its Pod, and the namespace of both."""

BY_FILES = Backup.model_validate({"name": UPLOADS, "cron": "0 * * * *", "keep": "24h", "include": [UPLOADS], "pods": "all"})
BY_FILES_SCHEDULE = f"{UPLOADS}-{named('primary').aws_region}"
OLDER, NEWER = f"{UPLOADS}-older", f"{UPLOADS}-newer"


@pytest.fixture(scope="module")
def pair(keeper: Keeper) -> Iterator[Lab]:
    """In the lab that the tests of the failover have left, or else in one of its own. It goes on to the tests of etcd."""
    failed_before = keeper.failed()
    lab = keeper.take(lambda lab: lab.disks)
    if lab is None:
        with handed_on(PromptLab(files=True), keeper) as lab:
            yield lab
        return
    try:
        begin_to_keep_files(lab)
        yield lab
    finally:
        keeper.keep(lab, failed_before=failed_before)


@dataclass(kw_only=True)
class Uploads:
    """Two backups of a claim that Velero reads by files, each of which the other region has."""

    lab: Lab
    phases: list[str]
    older: dict[str, Entry]
    """The files when the older one was made."""

    newer: dict[str, Entry]
    parts_of_newer: set[str]
    """The objects that the newer one added to the repository's data, by their keys in the secondary's bucket."""


@pytest.fixture(scope="module")
def uploads(pair: Lab) -> Uploads:
    """The claim and its namespace are gone from the primary afterwards, so that no other backup has them."""
    lab, home, bucket = pair, named("primary"), project.names("secondary").bucket("velero")
    rule = VolumeRule.model_validate({"driver": "ebs.csi.aws.com", "action": "fs-backup"})
    policy = {"policy.yaml": volume_policy([rule])}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": UPLOADS}}
    made = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "by-files", "namespace": VELERO_NAMESPACE},
        "data": policy,
    }
    documents = [namespace, made, *claim_and_pod(UPLOADS, home.storage_class, {}, namespace=UPLOADS)]
    files = mounted(lab, home.name, documents, UPLOADS, UPLOADS)
    seen, there, phases = [], [], []
    for name in (OLDER, NEWER):
        (files / name).write_bytes(os.urandom(1 << 20))
        phases.append(backed_up(lab, home.name, name, BY_FILES, BY_FILES_SCHEDULE, policy="by-files"))
        seen.append(contents(files))
        lab.wait_replicated()
        there.append(set(lab.objects(bucket, f"{project.names('primary').velero_prefix('primary')}/kopia/{UPLOADS}/p")))
    lab.kubectl(home.name, "delete", "namespace", UPLOADS, "--wait=true", "--timeout=60s")
    return Uploads(lab=lab, phases=phases, older=seen[0], newer=seen[1], parts_of_newer=there[1] - there[0])


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
        """The documents that region A acknowledged and region B has, with what was acknowledged in them."""
        return whole(disk(self.lab, "secondary", CLAIM), [write for write in self.documents if write.region == "primary"])

    @property
    def restores(self) -> list[dict[str, Any]]:
        """The Restores in region B since region A died. An earlier failover has left others."""
        found = items(self.lab, "secondary", "restores.velero.io", "-n", VELERO_NAMESPACE)
        died = self.killed.replace(microsecond=0)
        return [each for each in found if datetime.fromisoformat(each["metadata"]["creationTimestamp"]) >= died]


@pytest.fixture(scope="module")
def failed_over(pair: Lab) -> Seen:
    """The primary dies while a client writes, a while after a backup that was made while it wrote."""
    lab, home = pair, named("primary")
    for name, labels in ((LEFTOVER, {}), (SCRATCH, {"tier": "cache"})):
        mounted(lab, home.name, claim_and_pod(name, home.storage_class, labels), name)
    retained = volume(lab, home.name, SCRATCH)
    as_retained = json.dumps({"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
    lab.kubectl(home.name, "patch", "pv", retained["metadata"]["name"], "-p", as_retained)
    (disk(lab, home.name, LEFTOVER) / "report.txt").write_text("what was earned last month")
    (disk(lab, home.name, SCRATCH) / "thumbnail").write_text("what can be made again")
    # Not on the archive's own: a Pod with an fsGroup gives that group all files of its volume, whenever it mounts it.
    put_odd_files(disk(lab, home.name, LEFTOVER))
    for name in (LEFTOVER, SCRATCH):
        lab.kubectl(home.name, "delete", "pod", "-n", NAMESPACE, pod_of(name))
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


def test_a_volume_that_a_rule_reads_by_files_is_in_backups_without_a_snapshot(uploads: Uploads) -> None:
    assert uploads.phases == ["Completed", "Completed"]
    for name in (OLDER, NEWER):
        of = ("-n", VELERO_NAMESPACE, "-l", f"velero.io/backup-name={name}")
        (read,) = items(uploads.lab, "primary", "podvolumebackups.velero.io", *of)
        assert read["spec"]["pod"]["name"] == pod_of(UPLOADS)
        assert not items(uploads.lab, "primary", "datauploads.velero.io", *of)
    assert len(uploads.parts_of_newer) == 1, "each backup sends what is new"


def test_what_was_acknowledged_before_the_backup_is_there_and_nothing_older_is_lost_than_it(
    failed_over: Seen, record_property: Callable[..., None]
) -> None:
    told = {write.sequence: write.time for write in failed_over.documents if write.ok and write.region == "primary"}
    before = {sequence for sequence, time in told.items() if time < failed_over.backup_began}
    assert len(before) > 50
    assert before <= failed_over.survived
    lost = set(told) - failed_over.survived
    assert lost, "the client wrote on after the backup, and no backup has that"
    assert min(told[sequence] for sequence in lost) >= failed_over.backup_began
    files = {int(path.stem) for path in disk(failed_over.lab, "secondary", CLAIM).glob("*.json")}
    assert files & set(told) == failed_over.survived, "no document came empty, cut off or mixed up"
    since = (failed_over.killed - failed_over.backup_began).total_seconds()
    when, happened = f"{since:.0f} s after a backup was begun, while a client wrote", "the secondary has every file of the backup"
    record_property(*faults.seen(when=when, happened=happened, files_lost=len(lost)))


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


def test_velero_s_own_downloads_are_what_the_question_for_claims_without_data_finds(failed_over: Seen) -> None:
    lab = failed_over.lab
    (restore,) = failed_over.restores
    name = restore["metadata"]["name"]
    assert unfilled_claims(asked(lab), name) is None
    assert failed_volumes(asked(lab), name) == []
    told = unfilled_claims(asked(lab, "Failed"), name) or ""
    assert f"{NAMESPACE}/{CLAIM}" in told
    assert f"{NAMESPACE}/{LEFTOVER}" in told
    assert f"{NAMESPACE}/{SCRATCH}" not in told
    empty = empty_claims(asked(lab), name) or ""
    assert f"brought claims without data ({NAMESPACE}/{SCRATCH})" in empty


def test_where_a_part_of_the_repository_did_not_come_the_restore_names_the_volume_and_an_older_backup_is_the_way_on(
    uploads: Uploads, failed_over: Seen
) -> None:
    lab, region = failed_over.lab, "secondary"
    newer, older = (Choice(schedule=BY_FILES_SCHEDULE, backup=name) for name in (NEWER, OLDER))
    lab.lose(project.names(region).bucket("velero"), uploads.parts_of_newer)
    assert objection(asked(lab), newer) is None, "nothing in the backup's own files tells that a part is missing"
    assert restored(lab, region, NEWER, BY_FILES, newer) == "PartiallyFailed"
    (told,) = failed_volumes(asked(lab), NEWER)
    assert told.startswith(
        f"volume data of Pod {UPLOADS}/{pod_of(UPLOADS)} has not got its data (Failed: a part of the repository is not in this"
    )
    assert f"claims without their data are here ({UPLOADS}/{UPLOADS})" in (unfilled_claims(asked(lab), NEWER) or "")
    lab.kubectl(region, "delete", "namespace", UPLOADS, "--wait=true", "--timeout=60s")
    assert unfilled_claims(asked(lab), NEWER) is None
    assert objection(asked(lab), older) is None
    assert restored(lab, region, OLDER, BY_FILES, older) == "Completed"
    # Velero's helper leaves an empty directory where it may not delete it: it is no root, and the disk's root directory is.
    back = {
        path: entry for path, entry in contents(disk(lab, region, UPLOADS, UPLOADS)).items() if not path.startswith(".velero")
    }
    assert back == uploads.older != uploads.newer


def test_a_password_that_is_not_the_peers_is_told_as_such(uploads: Uploads, failed_over: Seen) -> None:
    lab, region = failed_over.lab, "secondary"
    lab.kubectl(region, "delete", "namespace", UPLOADS, "--ignore-not-found", "--wait=true", "--timeout=60s")

    def encrypt_by(password: str) -> None:
        patch = json.dumps({"stringData": {"repository-password": password}})
        lab.kubectl(region, "patch", "secret", "velero-repo-credentials", "-n", VELERO_NAMESPACE, "-p", patch)

    encrypt_by("another password than the peer's")
    try:
        older = Choice(schedule=BY_FILES_SCHEDULE, backup=OLDER)
        assert restored(lab, region, "other-password", BY_FILES, older) == "PartiallyFailed"
        (told,) = failed_volumes(asked(lab), "other-password")
        assert "(Failed: the peer's repository was made with another backupEncryptionPassword than this stack has" in told
    finally:
        encrypt_by(stacks.PASSWORD)


def test_a_region_that_takes_over_again_keeps_what_its_claims_hold_and_the_gate_names_them(failed_over: Seen) -> None:
    lab, region = failed_over.lab, "secondary"
    (first,) = [each for each in failed_over.restores if _of_the_failover(each)]
    backup = Backup.model_validate({"name": "hourly-critical", "cron": "0 * * * *", "keep": "168h", "include": [NAMESPACE]})
    files = disk(lab, region, LEFTOVER)
    (files / "report.txt").write_text("what was corrected while this region served")
    before = contents(files)
    again = Choice(schedule=f"hourly-critical-{named('primary').aws_region}", backup=first["spec"]["backupName"])
    assert restored(lab, region, "second-takeover", backup, again, served_before=True) == "Completed"
    assert contents(files) == before
    of_restore = ("-n", VELERO_NAMESPACE, "-l", "velero.io/restore-name=second-takeover")
    assert not items(lab, region, "datadownloads.velero.io", *of_restore)
    (each,) = chosen([backup], [])
    # The next takeover would set them aside before it restores.
    assert {(NAMESPACE, name) for name in (CLAIM, LEFTOVER, SCRATCH)} <= {*claims_in_the_way(asked(lab), each)}


def _of_the_failover(restore: dict[str, Any]) -> bool:
    return bool(restore["metadata"]["name"].startswith("failover-restores-"))
