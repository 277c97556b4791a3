"""What a planned switchover to the secondary needs of two clusters in which no operator runs.

Velero makes the last backups, CloudNativePG demotes, and S3 carries both to the secondary.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from components.velero.specs import PEER, VELERO_NAMESPACE
from lab import project
from lab.standins.archive import put_mark
from lab.standins.recorded_cluster.controllers import now
from settings.handover import Demotion
from settings.names import ARCHIVE_PREFIX, BACKUP_HOLDS, BACKUP_RESULTS, BACKUP_VOLUMES
from tests.engine.conftest import Pair

LAST = Demotion(segment="000000010000000000000009", timeline=1, system="7400000000000000000")
"""Where the primary's database ends."""

_LOOKS = 0.1
_CLUSTER = "Cluster.postgresql.cnpg.io"
_EMPTY = {BACKUP_RESULTS: {}, BACKUP_VOLUMES: [], BACKUP_HOLDS: {}}
"""What a last backup of namespaces without anything has beside it."""


@dataclass(kw_only=True)
class Operators:
    """They act in both clusters, on what is there, until the block of `operators` ends."""

    pair: Pair
    _ended: threading.Event = field(default_factory=threading.Event)
    _errors: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        try:
            while not self._ended.wait(_LOOKS):
                self._make_last_backups()
                self._demote()
        except BaseException as error:  # noqa: BLE001 - a thread's error would fail no test
            self._errors.append(error)

    def _make_last_backups(self) -> None:
        for found in self.pair.clusters["primary"].objects("Backup.velero.io"):
            name, began = found["metadata"]["name"], now()
            if (found.get("status") or {}).get("phase"):
                continue
            status = {"phase": "Completed", "startTimestamp": began, "completionTimestamp": began}
            for role in ("primary", "secondary"):
                for file, content in _EMPTY.items():
                    key = f"{project.names('primary').velero_prefix('primary')}/backups/{name}/{name}-{file}"
                    body = gzip.compress(json.dumps(content).encode())
                    self.pair.s3().put_object(Bucket=project.names(role).bucket("velero"), Key=key, Body=body)
            metadata = {"name": name, "namespace": VELERO_NAMESPACE, "labels": found["metadata"]["labels"]}
            spec = {**found["spec"], "storageLocation": PEER}
            copy = {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": metadata, "spec": spec, "status": status}
            self.pair.secondary.put(copy, manager="velero")
            self.pair.clusters["primary"].report("Backup.velero.io", VELERO_NAMESPACE, name, **status)

    def _demote(self) -> None:
        for found in self.pair.clusters["primary"].objects(_CLUSTER):
            replica, status = found["spec"]["replica"], found.get("status") or {}
            if replica["self"] == replica["primary"] or status.get("demotionToken") == LAST.token:
                continue
            meta, segment = found["metadata"], LAST.segment
            key = f"{ARCHIVE_PREFIX}/{meta['name']}-primary-g1/wals/{segment[:16]}/{segment}.zst"
            self.pair.s3().put_object(Bucket=project.names("secondary").bucket("database"), Key=key, Body=b"")
            self.pair.clusters["primary"].report(
                _CLUSTER, meta["namespace"], meta["name"], **{**status, "demotionToken": LAST.token}
            )


@contextmanager
def operators(pair: Pair) -> Iterator[None]:
    """Let them act, and let the secondary's marks be in the primary's bucket."""
    for database in pair.files.databases:
        put_mark(pair.s3(), project.names("primary").bucket("database"), f"{database['name']}-secondary-g1")
    acting = Operators(pair=pair)
    thread = threading.Thread(target=acting.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        acting._ended.set()
        thread.join()
    if acting._errors:
        raise acting._errors[0]


def tell_to_give_up(pair: Pair) -> None:
    pair.pulumi.configure("primary", "active", "secondary")
    pair.pulumi.configure("primary", "handover", "planned")


def tell_to_take_over(pair: Pair) -> None:
    """Carry the token to the secondary."""
    token = pair.pulumi.run("stack", "output", "handover", "-s", "primary").output.strip()
    assert token.startswith("handover."), token
    pair.pulumi.configure("secondary", "handover", token)
    pair.pulumi.configure("secondary", "active", "secondary")
