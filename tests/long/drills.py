"""The drills of a running lab: runs them as a person does, reads what they leave, and makes what they must find.

What a drill says is read where an auditor reads it, in the record, and the status of its Job must agree.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import yaml

from components.kube.runner.drill_archive import COMING
from components.velero.specs import REPOSITORY_PASSWORD, VELERO_NAMESPACE
from lab import databases, project
from lab.application import manifests
from lab.regions.spec import named
from lab.waiting import TimedOutError, until
from lab.world import Lab
from settings.drills import Kind
from settings.names import DRILLS_NAMESPACE, DRILLS_PREFIX, PROGRAM_NAMESPACE, SCRATCH_NAMESPACE
from settings.roles import ROLES, Role
from settings.topology import Purpose
from tests.lab.volumes import contents, disk, items

ARCHIVE = f"cnpg/{databases.NAME}-primary-g1"
WALS = f"{ARCHIVE}/wals/"
BACKUPS = "velero/primary/backups/"
REPOSITORY = f"velero/primary/kopia/{manifests.APPLICATION_NAMESPACE}/"
"""The repository of volumes of the namespace that is drilled. Of kopia's objects the data are in those that begin with p, their
directories in those with q."""

CLUSTERS = "clusters.postgresql.cnpg.io"
RESTORES = "restores.velero.io"
_SCHEDULED = "scheduledbackups.postgresql.cnpg.io"
LONG_AGO = "2026-01-01T00:00:00Z"

_NUMBERS = count(1)
_SEGMENT = re.compile(r"/[0-9A-F]{24}(?:\.\w+)?$")
_OF_PRIMARY = "velero.io/storage-location=peer"
_DOCUMENTS = 20
_TABLE = (
    f"set role {databases.OWNER}; create table ledger (sequence bigint primary key, recorded_at timestamptz default now()); "
    "insert into ledger (sequence) select generate_series(1, 100)"
)
_ROWS = "select count(*) > 0 from ledger"


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

    def require_passed(self) -> None:
        assert (self.passed, self.succeeded) == (True, True), self

    def require_failed(self, *words: str) -> None:
        """It has failed, as its Job has, and each of these is in its reasons."""
        assert (self.passed, self.succeeded) == (False, False), self
        assert [each for each in words if each not in self.why] == [], self.why


@dataclass(kw_only=True)
class Drills:
    """The drills of a running lab. `segment` is one of WAL that a recovery needs, with others before and after it; all had come
    when it was `archived_at`. `files` are those of the application's volume, by what they are made of."""

    lab: Lab
    segment: str = ""
    archived_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    files: Mapping[str, str] = field(default_factory=dict)
    _deployed: Mapping[str, Any] | None = field(default_factory=dict)

    # What is there to be drilled

    def fill(self) -> None:
        """Rows, WAL and files in the region that serves, and backups of all that in the other one's bucket."""
        lab = self.lab
        self._hold_base_backups()
        lab.query(_TABLE, "primary")
        switch = "insert into ledger (sequence) select max(sequence) + 1 from ledger returning pg_walfile_name(pg_switch_wal())"
        _, self.segment, _ = (lab.query(switch, "primary").split()[-1] for _ in range(3))
        directory = disk(lab, "primary", manifests.ARCHIVE_CLAIM)
        for number in range(1, _DOCUMENTS + 1):
            written = {"sequence": number, "client_time": LONG_AGO, "recorded_at": LONG_AGO, "written_in": "primary"}
            (directory / f"{number:08}.json").write_text(json.dumps({**written, "written_by": "drills"}))
        (directory / "photograph").write_bytes(os.urandom(1 << 20))
        self.files = {path: what for path, (what, *_) in contents(directory).items() if what != "directory"}
        # The standby reads what has come into its own region's bucket, as a drill does.
        until("the rows to have come", lambda: lab.query(_ROWS, "secondary") == "t", timeout=180, interval=2)
        lab.make_backups()
        lab.wait_backed_up()
        self.archived_at = datetime.now(UTC)

    def _hold_base_backups(self) -> None:
        """No base backup comes by its schedule, at whatever hour of the night the tests run: after a newer one, no recovery needs
        the segment."""
        for role in ROLES:
            for each in items(self.lab, role, _SCHEDULED, "-A"):
                found = (each["metadata"]["name"], "-n", each["metadata"]["namespace"])
                self.lab.kubectl(role, "patch", _SCHEDULED, *found, "--type=merge", "-p", json.dumps({"spec": {"suspend": True}}))

    @contextmanager
    def another_password(self) -> Iterator[None]:
        """The secondary's Velero has another password for the repositories of volumes than the primary's."""
        secret = ("secret", REPOSITORY_PASSWORD, "-n", VELERO_NAMESPACE)
        ((key, right),) = json.loads(self.lab.kubectl("secondary", "get", *secret, "-o", "json"))["data"].items()

        def write(value: str) -> None:
            self.lab.kubectl("secondary", "patch", *secret, "--type=merge", "-p", json.dumps({"data": {key: value}}))

        write(base64.b64encode(b"another").decode())
        try:
            yield
        finally:
            write(right)

    def bucket(self, role: Role, purpose: Purpose = "velero") -> str:
        return project.names(role).bucket(purpose)

    def archived(self, role: Role) -> set[str]:
        """Server names with objects in a region's bucket of archives."""
        return {key.split("/")[1] for key in self.lab.objects(self.bucket(role, "database"), "cnpg/")}

    # Run

    def run(self, role: Role, kind: Kind, changed: Mapping[str, str] | None = None) -> Outcome:
        return self.end(role, kind, self.begin(role, kind, changed))

    def together(self, *wanted: tuple[Role, Kind]) -> list[Outcome]:
        """Drills that run side by side, of other kinds or in other regions."""
        begun = [(role, kind, self.begin(role, kind)) for role, kind in wanted]
        return [self.end(*each) for each in begun]

    def begin(self, role: Role, kind: Kind, changed: Mapping[str, str] | None = None) -> str:
        """Begin a drill as a person does, or with parts of its Job `changed`. The name of the Job."""
        name = f"drill-{kind}-{next(_NUMBERS)}"
        command = ("create", "job", f"--from=cronjob/drill-{kind}", name, "-n", PROGRAM_NAMESPACE)
        if not changed:
            self.lab.kubectl(role, *command)
            return name
        job = self.lab.kubectl(role, *command, "--dry-run=client", "-o", "json")
        for old, new in changed.items():
            assert old in job, job
            job = job.replace(old, new)
        self.lab.kubectl(role, "create", "-f", "-", stdin=job)
        return name

    def end(self, role: Role, kind: Kind, name: str) -> Outcome:
        """Wait until a drill has ended."""
        self.await_end(role, name)
        (pod,) = items(self.lab, role, "pods", "-n", PROGRAM_NAMESPACE, "-l", f"job-name={name}")
        last = next(each for each in pod["status"]["containerStatuses"] if each["name"] == "upload")
        (key,) = (key for key in self.keys(role, kind) if pod["metadata"]["uid"][:8] in key)
        return Outcome(
            record=json.loads(self.lab.content(self.bucket(role), key)),
            succeeded="Complete" in self.conditions(role, name),
            message=last["state"]["terminated"].get("message", ""),
        )

    def await_end(self, role: Role, name: str) -> None:
        until(f"Job {name} of the {role} to end", lambda: self.conditions(role, name), timeout=900, interval=1)

    def conditions(self, role: Role, name: str) -> set[str]:
        job = json.loads(self.lab.kubectl(role, "get", "job", name, "-n", PROGRAM_NAMESPACE, "-o", "json"))
        return {each["type"] for each in job["status"].get("conditions", ()) if each["status"] == "True"} & {"Complete", "Failed"}

    def keys(self, role: Role, kind: Kind) -> list[str]:
        """The keys of the records of a drill."""
        return list(self.lab.objects(self.bucket(role), f"{DRILLS_PREFIX}/{role}/{kind}/"))

    # While one runs in the secondary

    def pod(self, name: str) -> dict[str, Any]:
        """The Pod of a Job of the secondary, once it has a node."""

        def placed() -> dict[str, Any] | None:
            found = items(self.lab, "secondary", "pods", "-n", PROGRAM_NAMESPACE, "-l", f"job-name={name}")
            return next((each for each in found if each["spec"].get("nodeName")), None)

        found = until(f"the Pod of Job {name}", placed, timeout=60, interval=0.3)
        assert found is not None
        return found

    def containers(self, name: str, *wanted: str) -> list[str]:
        """The ids of containers of a drill's Pod, once all of them run."""

        def running() -> list[str] | None:
            found = self.pod(name)["status"].get("containerStatuses") or ()
            ids = {each["name"]: each["containerID"] for each in found if "running" in each["state"]}
            return [ids[each] for each in wanted] if ids.keys() >= {*wanted} else None

        found = until(f"the containers of Job {name}", running, timeout=180, interval=0.3)
        assert found is not None
        return found

    def await_restore(self, name: str) -> None:
        """Wait until a drill of a namespace has made its Restore. One that failed may have left its own."""
        self._await_made(name, RESTORES, VELERO_NAMESPACE)

    def await_cluster(self, name: str) -> None:
        self._await_made(name, CLUSTERS, DRILLS_NAMESPACE)

    def _await_made(self, name: str, kind: str, namespace: str) -> None:
        of = ("-n", namespace, "-l", f"k8s-dr/drill-run={self.pod(name)['metadata']['uid'][:8]}")
        until(f"{kind} of Job {name}", lambda: items(self.lab, "secondary", kind, *of), timeout=240, interval=0.3)

    def kill(self, containers: Sequence[str]) -> None:
        """Kill containers of the secondary at once: no signal tells their processes beforehand, so nothing of them cleans up."""
        for each in containers:
            self.lab.region("secondary").kill_container(each)

    @contextmanager
    def cordoned(self) -> Iterator[None]:
        """The secondary's only node takes no new Pod."""
        node = named("secondary").name
        self.lab.kubectl("secondary", "cordon", node)
        try:
            yield
        finally:
            self.lab.kubectl("secondary", "uncordon", node)

    # What is left

    def left(self, role: Role) -> list[str]:
        """What drills have made and is still there, by kind and name."""
        made = f"{CLUSTERS},pods,jobs,persistentvolumeclaims,secrets"
        found = items(self.lab, role, made, "-n", DRILLS_NAMESPACE, "-l", "k8s-dr/drill-run")
        scratch = "deployments,statefulsets,pods,services,persistentvolumeclaims"
        found += items(self.lab, role, scratch, "-n", SCRATCH_NAMESPACE)
        found += [
            each
            for each in items(self.lab, role, "persistentvolumes")
            if (each["spec"].get("claimRef") or {}).get("namespace") in (DRILLS_NAMESPACE, SCRATCH_NAMESPACE)
        ]
        return [f"{each['kind']}/{each['metadata']['name']}" for each in found]

    def require_nothing_left(self, role: Role) -> None:
        """What a Cluster owned goes a moment after it."""
        with suppress(TimedOutError):
            until("nothing of a drill to be left", lambda: not self.left(role), timeout=30, interval=1)
        assert self.left(role) == []

    # What is not as it should be

    def configure(self, drills: Mapping[str, Any]) -> None:
        """Have these `drills` of the project file deployed in the secondary. It takes an `up` only where they are others."""
        if drills == self._deployed:
            return
        file = self.lab.paths.project / "Pulumi.yaml"
        written = yaml.safe_load(file.read_text())
        written["config"]["drills"] = {"value": dict(drills)}
        file.write_text(yaml.safe_dump(written, sort_keys=False, width=120))
        self._deployed = None
        self.lab.pulumi.up("secondary")
        self._deployed = drills

    def judged(self, prefix: str, ends: str) -> str:
        """The key of an object of the backup that a drill in the secondary takes: the newest that S3 has had the time to copy, or
        the newest of all where there is none. A backup's name ends with when it began, and it takes less than a minute."""
        keys = [key for key in self.lab.objects(self.bucket("secondary"), prefix) if key.endswith(ends)]
        settled = f"{datetime.now(UTC) - COMING - timedelta(minutes=1):%Y%m%d%H%M%S}"
        began = {key: key.split("/")[3].rpartition("-")[2] for key in keys}
        return max([key for key in keys if began[key] <= settled] or keys, key=lambda key: (began[key], key))

    def key_of_the_segment(self) -> str:
        objects = self.lab.objects(self.bucket("secondary", "database"), WALS)
        (key,) = (key for key in objects if f"/{self.segment}" in key and _SEGMENT.search(key))
        return key

    @contextmanager
    def without_a_segment(self) -> Iterator[None]:
        """The segment of WAL is not in the secondary's bucket, and what followed it has been there for so long that it will not
        come any more."""
        until("what was archived to be old", lambda: datetime.now(UTC) - self.archived_at > COMING, timeout=1000, interval=5)
        with self.lab.object_missing(self.bucket("secondary", "database"), self.key_of_the_segment()):
            yield

    @contextmanager
    def backups_say(self, **status: str) -> Iterator[None]:
        """All Backups of the primary say this of themselves in the secondary's cluster, and at the end what they said before."""
        here = items(self.lab, "secondary", "backups.velero.io", "-n", VELERO_NAMESPACE, "-l", _OF_PRIMARY)
        assert here
        try:
            for each in here:
                self._patch(each, status)
            yield
        finally:
            for each in here:
                self._patch(each, {key: each["status"].get(key) for key in status})

    def _patch(self, backup: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        patch = ("patch", "backups.velero.io", backup["metadata"]["name"], "-n", VELERO_NAMESPACE, "--type=merge", "-p")
        self.lab.kubectl("secondary", *patch, json.dumps({"status": status}))
