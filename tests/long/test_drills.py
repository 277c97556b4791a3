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
TABLE = (
    f"set role {databases.OWNER}; create table ledger (sequence bigint primary key, recorded_at timestamptz default now()); "
    "insert into ledger (sequence) select generate_series(1, 100)"
)


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
    """The drills of a running lab. `segment` is one of WAL that a recovery needs, with others before and after it; all had come
    when it was `archived_at`."""

    lab: Lab
    segment: str
    archived_at: datetime

    def bucket(self, role: Role, purpose: str = "velero") -> str:
        return project.names(role).bucket(purpose)  # type: ignore[arg-type]

    def run(self, role: Role, kind: str, changed: Mapping[str, str] | None = None) -> Outcome:
        name = self.begin(role, kind, changed)
        until(f"drill {kind} of the {role} to end", lambda: self.conditions(role, name), timeout=600, interval=1)
        (pod,) = items(self.lab, role, "pods", "-n", PROGRAM_NAMESPACE, "-l", f"job-name={name}")
        last = next(each for each in pod["status"]["containerStatuses"] if each["name"] == "upload")
        (key,) = (key for key in self.keys(role, kind) if pod["metadata"]["uid"][:8] in key)
        return Outcome(
            record=json.loads(self.lab.content(self.bucket(role), key)),
            succeeded="Complete" in self.conditions(role, name),
            message=last["state"]["terminated"].get("message", ""),
        )

    def keys(self, role: Role, kind: str) -> list[str]:
        """The keys of the records of a drill."""
        return list(self.lab.objects(self.bucket(role), f"{DRILLS_PREFIX}/{role}/{kind}/"))

    def await_restore(self) -> None:
        of_drill = ("-n", VELERO_NAMESPACE, "-l", "k8s-dr/drill=namespace")
        until("its Restore", lambda: items(self.lab, "secondary", "restores.velero.io", *of_drill), timeout=180, interval=0.3)

    def await_cluster(self) -> None:
        here = ("-n", DRILLS_NAMESPACE)
        until("its Cluster", lambda: items(self.lab, "secondary", CLUSTERS, *here), timeout=120, interval=0.5)

    def kill(self, name: str) -> None:
        """Kill the Pod of a Job, so that nothing of it can clean up."""
        at_once = ("--grace-period=0", "--force")
        self.lab.kubectl("secondary", "delete", "job", name, "-n", PROGRAM_NAMESPACE, "--wait=false", "--cascade=orphan")
        self.lab.kubectl("secondary", "delete", "pods", "-n", PROGRAM_NAMESPACE, "-l", f"job-name={name}", *at_once)

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

    @contextmanager
    def without_a_segment(self) -> Iterator[str]:
        """One segment of WAL is not in the secondary's bucket, and what followed it has been there for so long that it will not
        come any more. Its name."""
        until("what was archived to be old", lambda: datetime.now(UTC) - self.archived_at > COMING, timeout=1000, interval=5)
        objects = self.lab.objects(self.bucket("secondary", "database"), WALS)
        (key,) = (key for key in objects if f"/{self.segment}" in key and SEGMENT.search(key))
        with self.lab.object_missing(self.bucket("secondary", "database"), key):
            yield self.segment

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
        lab.query(TABLE, "primary")
        switch = "insert into ledger (sequence) select max(sequence) + 1 from ledger returning pg_walfile_name(pg_switch_wal())"
        _, segment, _ = (lab.query(switch, "primary").split()[-1] for _ in range(3))
        # The standby reads what has come into its own region's bucket, as a drill does.
        until("the rows to have come", lambda: lab.query(ROWS, "secondary") == "t", timeout=180, interval=2)
        lab.make_backups()
        lab.wait_backed_up()
        yield Drills(lab=lab, segment=segment, archived_at=datetime.now(UTC))


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
    assert "stale" in outcome.why


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
        ({"sql": ROWS, "expect": "true"}, True),
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
    name = drills.begin("secondary", "database")
    drills.await_cluster()
    drills.kill(name)
    assert items(drills.lab, "secondary", CLUSTERS, "-n", DRILLS_NAMESPACE)
    outcome = drills.run("secondary", "database")
    assert (outcome.passed, outcome.succeeded) == (True, True), outcome
    assert any("earlier drill" in note for note in outcome.record["notes"])
    drills.nothing_left("secondary")


def test_what_a_killed_drill_of_a_namespace_leaves_is_gone_after_the_next(drills: Drills) -> None:
    name = drills.begin("secondary", "namespace")
    drills.await_restore()
    drills.kill(name)
    outcome = drills.run("secondary", "namespace")
    assert (outcome.passed, outcome.succeeded) == (True, True), outcome
    assert any("earlier drill" in note for note in outcome.record["notes"])
    drills.nothing_left("secondary")


def test_a_drill_whose_job_is_deleted_cleans_up_and_leaves_a_record(drills: Drills) -> None:
    lab = drills.lab
    name = drills.begin("secondary", "namespace")
    drills.await_restore()
    before = set(drills.keys("secondary", "namespace"))
    lab.kubectl("secondary", "delete", "job", name, "-n", PROGRAM_NAMESPACE, "--wait=false")
    (key,) = until("its record", lambda: set(drills.keys("secondary", "namespace")) - before, timeout=400, interval=1)
    record = json.loads(lab.content(drills.bucket("secondary"), key))
    assert record["passed"] is False
    assert "told to end" in record["reasons"][-1]
    drills.nothing_left("secondary")


def test_a_judge_that_comes_to_no_verdict_leaves_a_failed_record(drills: Drills) -> None:
    broken = {'"drill_integrity"': '"no_such_step"', '"value": "3600"': '"value": "15"'}
    outcome = drills.run("secondary", "integrity", broken)
    assert (outcome.passed, outcome.succeeded) == (False, False)
    assert "has come to no verdict within 15 s" in outcome.why
    assert outcome.why in outcome.message


def test_of_two_that_run_side_by_side_the_later_does_nothing(drills: Drills) -> None:
    first = drills.begin("secondary", "namespace")
    drills.await_restore()
    outcome = drills.run("secondary", "namespace")
    assert "another run of this drill is at work" in outcome.why
    until("the first to end", lambda: drills.conditions("secondary", first), timeout=600, interval=1)
    assert drills.conditions("secondary", first) == {"Complete"}
    drills.nothing_left("secondary")


def test_what_a_killed_drill_leaves_is_swept_by_day(drills: Drills) -> None:
    name = drills.begin("secondary", "database")
    drills.await_cluster()
    drills.kill(name)
    sweep = ("create", "job", "--from=cronjob/drill-database-sweep", "sweep-1", "-n", PROGRAM_NAMESPACE)
    drills.lab.kubectl("secondary", *sweep)
    until("the sweep to end", lambda: "Complete" in drills.conditions("secondary", "sweep-1"), timeout=400, interval=1)
    drills.nothing_left("secondary")


# What an `up` says


def test_an_up_names_the_last_drill_of_each_kind_and_warns_of_one_that_failed(drills: Drills) -> None:
    with drills.lab.object_missing(drills.bucket("secondary"), drills.judged("velero/primary/backups/", ".tar.gz")):
        assert drills.run("secondary", "integrity").passed is False
    told = drills.lab.pulumi.up("secondary").output
    assert "the last drill integrity FAILED" in " ".join(told.split())
    assert drills.run("secondary", "integrity").passed is True
    told = drills.lab.pulumi.up("secondary").output
    assert "drill integrity FAILED" not in " ".join(told.split())
    assert "integrity: passed" in str(drills.lab.pulumi.outputs("secondary")["drills"])


# What is missing for good


@pytest.mark.parametrize("kind", ["integrity", "database"])
def test_a_missing_segment_of_the_wal_fails_the_drill_by_its_name(drills: Drills, kind: str) -> None:
    with drills.without_a_segment() as segment:
        outcome = drills.run("secondary", kind)
    assert (outcome.passed, outcome.succeeded) == (False, False), outcome
    assert segment in outcome.why
    drills.nothing_left("secondary")
