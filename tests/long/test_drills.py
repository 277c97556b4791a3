"""Each drill, run in the lab as a person runs it: in the form in which it passes, and in those in which it must fail.

The secondary stands by, so its drills are of what the primary left in its bucket. What a drill says is read where an auditor
reads it, in the record, and the status of its Job must agree.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import yaml

from components.etcd import backup as etcd
from components.kube.runner.drill_archive import COMING
from components.velero.specs import REPOSITORY_PASSWORD, VELERO_NAMESPACE
from lab import databases, project
from lab.application import manifests
from lab.waiting import until
from lab.world import Lab
from settings.names import DRILLS_NAMESPACE, DRILLS_PREFIX, PROGRAM_NAMESPACE, SCRATCH_NAMESPACE
from settings.roles import ROLES, Role
from tests.lab.conftest import deployed
from tests.lab.volumes import items

_NUMBERS = count(1)
ARCHIVE = f"cnpg/{databases.NAME}-primary-g1"
WALS = f"{ARCHIVE}/wals/"
SEGMENT = re.compile(r"/[0-9A-F]{24}(?:\.\w+)?$")
CLUSTERS = "clusters.postgresql.cnpg.io"
OF_PRIMARY = "velero.io/storage-location=peer"
LONG_AGO = "2026-01-01T00:00:00Z"
ROWS = "SELECT count(*) > 0 FROM ledger"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a drill left: its record, and how its Job ended."""

    record: dict[str, Any]
    succeeded: bool
    message: str

    @property
    def passed(self) -> bool | None:
        found: bool | None = self.record["passed"]
        return found

    @property
    def why(self) -> str:
        return " | ".join(self.record["reasons"])


@dataclass(frozen=True, kw_only=True)
class Drills:
    """The drills of a running lab."""

    lab: Lab

    def bucket(self, role: Role, purpose: str = "velero") -> str:
        return project.names(role).bucket(purpose)  # type: ignore[arg-type]

    def run(self, role: Role, kind: str, changed: Mapping[str, str] | None = None) -> Outcome:
        name = self.begin(role, kind, changed)
        until(f"drill {kind} of the {role} to end", lambda: self.conditions(role, name), timeout=600, interval=1)
        (pod,) = items(self.lab, role, "pods", "-n", PROGRAM_NAMESPACE, "-l", f"job-name={name}")
        last = next(each for each in pod["status"]["containerStatuses"] if each["name"] == "upload")
        before = f"{DRILLS_PREFIX}/{role}/{kind}/"
        (key,) = (key for key in self.lab.objects(self.bucket(role), before) if pod["metadata"]["uid"] in key or name in key)
        return Outcome(
            record=json.loads(self.lab.content(self.bucket(role), key)),
            succeeded="Complete" in self.conditions(role, name),
            message=last["state"]["terminated"].get("message", ""),
        )

    def begin(self, role: Role, kind: str, changed: Mapping[str, str] | None = None) -> str:
        """Begin a drill as a person does, or with parts of its task `changed`."""
        name = f"drill-{kind}-{next(_NUMBERS)}"
        command = ("create", "job", f"--from=cronjob/drill-{kind}", name, "-n", PROGRAM_NAMESPACE)
        if not changed:
            self.lab.kubectl(role, *command)
            return name
        job = self.lab.kubectl(role, *command, "--dry-run=client", "-o", "json")
        for old, new in changed.items():
            assert old in job
            job = job.replace(old, new)
        self.lab.kubectl(role, "create", "-f", "-", stdin=job)
        return name

    def conditions(self, role: Role, name: str) -> set[str]:
        job = json.loads(self.lab.kubectl(role, "get", "job", name, "-n", PROGRAM_NAMESPACE, "-o", "json"))
        return {each["type"] for each in job["status"].get("conditions", ()) if each["status"] == "True"} & {"Complete", "Failed"}

    def judged(self, prefix: str, ends: str) -> str:
        """The key of an object of the backup that a drill in the secondary takes: the newest that S3 has had the time to copy, or
        the newest of all where there is none. A backup's name ends with when it began, and it takes less than a minute."""
        keys = [key for key in self.lab.objects(self.bucket("secondary"), prefix) if key.endswith(ends)]
        settled = f"{datetime.now(UTC) - COMING - timedelta(minutes=1):%Y%m%d%H%M%S}"
        began = {key: key.split("/")[3].rpartition("-")[2] for key in keys}
        return max([key for key in keys if began[key] <= settled] or keys, key=lambda key: (began[key], key))

    def segment_after_the_base_backup(self) -> str:
        """The key of a segment that a recovery needs: the last but one that is here, after a new one has come."""
        self.lab.query("select pg_switch_wal()", "primary")
        segments = sorted(key for key in self.lab.objects(self.bucket("secondary", "database"), WALS) if SEGMENT.search(key))
        return segments[-2]

    @contextmanager
    def configured(self, drills: Mapping[str, Any]) -> Iterator[None]:
        """`drills` of the project file, deployed in the secondary, and what was there again at the end."""
        file = self.lab.paths.project / "Pulumi.yaml"
        before = file.read_text()
        written = yaml.safe_load(before)
        written["config"]["drills"] = {"value": dict(drills)}
        file.write_text(yaml.safe_dump(written, sort_keys=False, width=120))
        try:
            self.lab.pulumi.up("secondary")
            yield
        finally:
            file.write_text(before)
            self.lab.pulumi.up("secondary")

    def redate(self, backup: Mapping[str, Any], *, long_ago: bool) -> None:
        """Have a Backup of this cluster say that it is of long ago, or what it said before."""
        keys = ("startTimestamp", "completionTimestamp")
        status = {key: LONG_AGO if long_ago else backup["status"].get(key) for key in keys}
        patch = ("patch", "backup.velero.io", backup["metadata"]["name"], "-n", VELERO_NAMESPACE, "--type=merge", "-p")
        self.lab.kubectl("secondary", *patch, json.dumps({"status": status}))

    def archived(self, role: Role) -> set[str]:
        """Server names with objects in a region's bucket of archives."""
        return {key.split("/")[1] for key in self.lab.objects(self.bucket(role, "database"), "cnpg/")}

    def nothing_left(self, role: Role) -> None:
        kinds = "clusters.postgresql.cnpg.io,pods,jobs,persistentvolumeclaims,secrets"
        left = items(self.lab, role, kinds, "-n", DRILLS_NAMESPACE, "-l", "k8s-dr/drill-run")
        assert [each["metadata"]["name"] for each in left] == []
        scratch = items(self.lab, role, "deployments,statefulsets,pods,services", "-n", SCRATCH_NAMESPACE)
        assert [each["metadata"]["name"] for each in scratch] == []


@pytest.fixture(scope="module")
def drills() -> Iterator[Drills]:
    with deployed(Lab(plan=databases.Plan(), drills={})) as lab:
        for role in ROLES:
            lab.kubectl(role, "create", "job", f"--from=cronjob/{etcd.NAME}", "etcd-now", "-n", etcd.ETCD_NAMESPACE)
        for role in ROLES:
            lab.kubectl(role, "wait", "job/etcd-now", "-n", etcd.ETCD_NAMESPACE, "--for=condition=Complete", "--timeout=180s")
        until("the application to have written", lambda: lab.query(ROWS, "primary") == "t", timeout=180)
        lab.make_backups()
        lab.wait_backed_up()
        yield Drills(lab=lab)


# Whole and new


def test_what_the_primary_left_in_the_secondarys_bucket_is_whole_and_new(drills: Drills) -> None:
    outcome = drills.run("secondary", "integrity")
    assert (outcome.passed, outcome.succeeded) == (True, True), outcome
    assert outcome.record["used"]


def test_the_primarys_own_backups_are_whole_and_new(drills: Drills) -> None:
    outcome = drills.run("primary", "integrity")
    assert (outcome.passed, outcome.succeeded) == (True, True), outcome


def test_a_corrupt_backup_fails_the_drill_by_its_name(drills: Drills) -> None:
    key = drills.judged("velero/primary/backups/", ".tar.gz")
    with drills.lab.object_replaced(drills.bucket("secondary"), key, "no archive"):
        outcome = drills.run("secondary", "integrity")
    assert (outcome.passed, outcome.succeeded) == (False, False)
    assert key.rpartition("/")[2].removesuffix(".tar.gz") in outcome.why
    assert outcome.record["reasons"][0][:60] in outcome.message


def test_a_backup_of_which_an_object_has_not_come_fails_the_drill(drills: Drills) -> None:
    key = drills.judged("velero/primary/backups/", "-resource-list.json.gz")
    with drills.lab.object_missing(drills.bucket("secondary"), key):
        outcome = drills.run("secondary", "integrity")
    assert (outcome.passed, outcome.succeeded) == (False, False)
    assert key.rpartition("/")[2] in outcome.why


def test_a_missing_segment_of_the_wal_fails_the_drill_by_its_name(drills: Drills) -> None:
    key = drills.segment_after_the_base_backup()
    with drills.lab.object_missing(drills.bucket("secondary", "database"), key):
        outcome = drills.run("secondary", "integrity")
    assert (outcome.passed, outcome.succeeded) == (False, False)
    assert key.rpartition("/")[2].partition(".")[0] in outcome.why


def test_a_snapshot_of_etcd_that_does_not_open_fails_the_drill(drills: Drills) -> None:
    bucket = drills.bucket("secondary", "etcd")
    key = max(drills.lab.objects(bucket, ""))
    with drills.lab.object_replaced(bucket, key, "no snapshot"):
        outcome = drills.run("secondary", "integrity")
    assert (outcome.passed, outcome.succeeded) == (False, False)
    assert key.rpartition("/")[2] in outcome.why


def test_a_backup_that_is_too_old_fails_the_drill(drills: Drills) -> None:
    lab = drills.lab
    here = items(lab, "secondary", "backups.velero.io", "-n", VELERO_NAMESPACE, "-l", OF_PRIMARY)
    assert here
    try:
        for backup in here:
            drills.redate(backup, long_ago=True)
        outcome = drills.run("secondary", "integrity")
    finally:
        for backup in here:
            drills.redate(backup, long_ago=False)
    assert (outcome.passed, outcome.succeeded) == (False, False)
    assert "old" in outcome.why


def test_another_password_of_velero_than_the_primarys_fails_the_drill(drills: Drills) -> None:
    lab = drills.lab
    secret = ("secret", REPOSITORY_PASSWORD, "-n", VELERO_NAMESPACE)
    (data,) = json.loads(lab.kubectl("secondary", "get", *secret, "-o", "json"))["data"].items()

    def write(value: str) -> None:
        lab.kubectl("secondary", "patch", *secret, "--type=merge", "-p", json.dumps({"data": {data[0]: value}}))

    write(base64.b64encode(b"another").decode())
    try:
        outcome = drills.run("secondary", "integrity")
    finally:
        write(data[1])
    assert (outcome.passed, outcome.succeeded) == (False, False)
    assert "password" in outcome.why


# A namespace


def test_a_namespace_is_restored_where_nobody_sees_it_and_nothing_is_left(drills: Drills) -> None:
    outcome = drills.run("secondary", "namespace")
    assert (outcome.passed, outcome.succeeded) == (True, True), outcome
    assert outcome.record["rto"]["measured"] > 0
    assert outcome.record["rpo"]["measured"] > 0
    assert outcome.record["used"][0]["name"].startswith("hourly-critical-us-east-1")
    drills.nothing_left("secondary")


def test_the_region_that_serves_has_no_namespace_to_drill(drills: Drills) -> None:
    outcome = drills.run("primary", "namespace")
    assert (outcome.passed, outcome.succeeded) == (None, True)


def test_one_pod_runs_there_cut_off_from_everything_and_answers_its_probe(drills: Drills) -> None:
    probe = {"ready": [f"deployment/{manifests.NAME}"]}
    with drills.configured({"namespace": {"replicas": 1, "probe": probe}}):
        outcome = drills.run("secondary", "namespace")
    assert (outcome.passed, outcome.succeeded) == (True, True), outcome
    drills.nothing_left("secondary")


def test_a_corrupt_backup_cannot_be_restored_and_the_drill_says_so(drills: Drills) -> None:
    key = drills.judged("velero/primary/backups/hourly-critical", ".tar.gz")
    with drills.lab.object_replaced(drills.bucket("secondary"), key, "no archive"):
        outcome = drills.run("secondary", "namespace")
    assert (outcome.passed, outcome.succeeded) == (False, False)
    assert outcome.why
    drills.nothing_left("secondary")


# A database


def test_a_database_is_recovered_asked_and_deleted_in_both_regions(drills: Drills) -> None:
    for role in ROLES:
        before = drills.archived(role)
        outcome = drills.run(role, "database")
        assert (outcome.passed, outcome.succeeded) == (True, True), outcome
        assert outcome.record["counts"]["tables"] >= 1
        assert outcome.record["rto"]["measured"] > 0
        drills.nothing_left(role)
        assert drills.archived(role) == before, "the throw-away Cluster has archived nothing"


@pytest.mark.parametrize(
    ("check", "passes"),
    [
        ({"sql": ROWS, "expect": "t"}, True),
        ({"sql": "SELECT max(recorded_at) FROM ledger", "maxAge": "1h"}, True),
        ({"sql": "SELECT count(*) FROM ledger", "expect": "-1"}, False),
    ],
    ids=["the right row", "a row that is new", "a wrong row"],
)
def test_the_recovered_database_is_asked_what_a_person_configured(drills: Drills, check: dict[str, str], passes: bool) -> None:
    with drills.configured({"database": {"checks": [{"database": databases.NAME, **check}]}}):
        outcome = drills.run("secondary", "database")
    assert (outcome.passed, outcome.succeeded) == (passes, passes), outcome
    assert passes or "-1" in outcome.why
    drills.nothing_left("secondary")


def test_a_database_of_which_wal_is_missing_fails_the_drill(drills: Drills) -> None:
    key = drills.segment_after_the_base_backup()
    with drills.lab.object_missing(drills.bucket("secondary", "database"), key):
        outcome = drills.run("secondary", "database")
    assert (outcome.passed, outcome.succeeded) == (False, False)
    assert key.rpartition("/")[2].partition(".")[0] in outcome.why
    drills.nothing_left("secondary")


def test_a_database_without_a_base_backup_fails_the_drill(drills: Drills) -> None:
    (key,) = (
        key for key in drills.lab.objects(drills.bucket("secondary", "database"), f"{ARCHIVE}/base/") if "backup.info" in key
    )
    with drills.lab.object_missing(drills.bucket("secondary", "database"), key):
        outcome = drills.run("secondary", "database")
    assert (outcome.passed, outcome.succeeded) == (False, False)
    assert "base backup" in outcome.why


def test_a_quota_that_leaves_no_room_fails_the_drill_with_the_quotas_name(drills: Drills) -> None:
    lab = drills.lab
    lab.kubectl("secondary", "create", "quota", "full", "-n", DRILLS_NAMESPACE, "--hard=pods=0")
    try:
        outcome = drills.run("secondary", "database", {'\\"patience\\": 600': '\\"patience\\": 20'})
    finally:
        lab.kubectl("secondary", "delete", "quota", "full", "-n", DRILLS_NAMESPACE)
    assert (outcome.passed, outcome.succeeded) == (False, False)
    assert "full" in outcome.why
    drills.nothing_left("secondary")


def test_what_a_killed_drill_leaves_is_gone_after_the_next(drills: Drills) -> None:
    lab = drills.lab
    name = drills.begin("secondary", "database")
    until("its Cluster to be there", lambda: items(lab, "secondary", CLUSTERS, "-n", DRILLS_NAMESPACE), timeout=120, interval=0.5)
    lab.kubectl("secondary", "delete", "job", name, "-n", PROGRAM_NAMESPACE, "--wait=false")
    lab.kubectl("secondary", "delete", "pods", "-n", PROGRAM_NAMESPACE, "-l", f"job-name={name}", "--grace-period=0", "--force")
    assert items(lab, "secondary", CLUSTERS, "-n", DRILLS_NAMESPACE)
    outcome = drills.run("secondary", "database")
    assert (outcome.passed, outcome.succeeded) == (True, True), outcome
    assert any("earlier drill" in note for note in outcome.record["notes"])
    drills.nothing_left("secondary")


# What an `up` says


def test_an_up_names_the_last_drill_of_each_kind_and_warns_of_one_that_failed(drills: Drills) -> None:
    with drills.lab.object_missing(drills.bucket("secondary"), drills.judged("velero/primary/backups/", ".tar.gz")):
        assert drills.run("secondary", "integrity").passed is False
    told = drills.lab.pulumi.up("secondary").output
    assert "the last drill integrity FAILED" in " ".join(told.split())
    assert drills.run("secondary", "integrity").passed is True
    told = drills.lab.pulumi.up("secondary").output
    assert "FAILED" not in told
    assert "integrity: passed" in str(drills.lab.pulumi.outputs("secondary")["drills"])
