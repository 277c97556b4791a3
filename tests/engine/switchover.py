"""What a planned switchover needs of two clusters in which no operator runs.

Velero makes the last backups, CloudNativePG demotes, and S3 carries both to the region that takes over.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from components.velero.specs import PEER, VELERO_NAMESPACE
from lab import project
from lab.standins.archive import put_mark
from lab.standins.recorded_cluster.controllers import now
from settings.handover import Demotion
from settings.names import ARCHIVE_PREFIX, BACKUP_HOLDS, BACKUP_RESULTS, BACKUP_VOLUMES
from settings.roles import ROLES, Role, peer_of
from tests.engine.acting import acting
from tests.engine.conftest import Pair

SYSTEM = "7400000000000000000"
LAST: Mapping[Role, Demotion] = {
    "primary": Demotion(segment="000000010000000000000009", timeline=1, system=SYSTEM),
    "secondary": Demotion(segment="00000002000000000000000C", timeline=2, system=SYSTEM),
}
"""Where each region's database ends. The secondary's was promoted once."""

_CLUSTER = "Cluster.postgresql.cnpg.io"
_EMPTY: Mapping[str, Any] = {BACKUP_RESULTS: {}, BACKUP_VOLUMES: [], BACKUP_HOLDS: {}}
"""What a last backup of namespaces without anything has beside it."""


@dataclass(frozen=True, kw_only=True)
class Operators:
    """They act on what is there in the region that gives up, and in the other one on what comes over."""

    pair: Pair
    giver: Role

    def act(self) -> None:
        self._make_last_backups()
        self._demote()

    @property
    def _taker(self) -> Role:
        return peer_of(self.giver)

    def _make_last_backups(self) -> None:
        giving, taking = self.pair.clusters[self.giver], self.pair.clusters[self._taker]
        for found in giving.objects("Backup.velero.io"):
            name, began = found["metadata"]["name"], now()
            if (found.get("status") or {}).get("phase"):
                continue
            status = {"phase": "Completed", "startTimestamp": began, "completionTimestamp": began}
            prefix = project.names(self.giver).velero_prefix(self.giver)
            for role in ROLES:
                for file, content in _EMPTY.items():
                    body = gzip.compress(json.dumps(content).encode())
                    key = f"{prefix}/backups/{name}/{name}-{file}"
                    self.pair.s3().put_object(Bucket=project.names(role).bucket("velero"), Key=key, Body=body)
            metadata = {"name": name, "namespace": VELERO_NAMESPACE, "labels": found["metadata"]["labels"]}
            spec = {**found["spec"], "storageLocation": PEER}
            copy = {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": metadata, "spec": spec, "status": status}
            taking.put(copy, manager="velero")
            giving.report("Backup.velero.io", VELERO_NAMESPACE, name, **status)

    def _demote(self) -> None:
        giving, last = self.pair.clusters[self.giver], LAST[self.giver]
        for found in giving.objects(_CLUSTER):
            replica, status = found["spec"]["replica"], found.get("status") or {}
            if replica["self"] == replica["primary"] or status.get("demotionToken") == last.token:
                continue
            meta = found["metadata"]
            archive(self.pair, self.giver, meta["name"], last.segment)
            giving.report(_CLUSTER, meta["namespace"], meta["name"], **{**status, "demotionToken": last.token})


def archive(pair: Pair, giver: Role, database: str, segment: str) -> None:
    """Put a WAL segment of region `giver`'s database into the other one's bucket, as S3 would carry it there."""
    key = f"{ARCHIVE_PREFIX}/{database}-{giver}-g1/wals/{segment[:16]}/{segment}.zst"
    pair.s3().put_object(Bucket=project.names(peer_of(giver)).bucket("database"), Key=key, Body=b"")


@contextmanager
def operators(pair: Pair, giver: Role = "primary") -> Iterator[None]:
    """Let them act until the block ends, and let the other side's marks be in the bucket of the region that gives up."""
    for database in pair.files.databases:
        put_mark(pair.s3(), project.names(giver).bucket("database"), f"{database['name']}-{peer_of(giver)}-g1")
    with acting(Operators(pair=pair, giver=giver).act):
        yield


def tell_to_give_up(pair: Pair, giver: Role = "primary") -> None:
    pair.pulumi.configure(giver, "active", peer_of(giver))
    pair.pulumi.configure(giver, "handover", "planned")


def told(pair: Pair, role: Role) -> str:
    """What a stack tells the other one: its output `handover`."""
    return pair.pulumi.run("stack", "output", "handover", "-s", role).output.strip()


def tell_to_take_over(pair: Pair, taker: Role = "secondary") -> None:
    """Carry the token to the region that takes over."""
    token = told(pair, peer_of(taker))
    assert token.startswith("handover."), token
    pair.pulumi.configure(taker, "handover", token)
    pair.pulumi.configure(taker, "active", taker)


def tell_to_move_users(pair: Pair) -> None:
    """Carry the primary's receipt to the secondary, whose flag it is."""
    receipt = told(pair, "primary")
    assert receipt.startswith("receipt."), receipt
    pair.pulumi.configure("secondary", "handover", receipt)
