"""Takes up the last Backup of a region that gave up as soon as S3 has brought it, in place of Velero's next look at the location.

Velero looks at the peer's location once a minute, and users wait meanwhile. What it then does is small: it makes an object of the
file `velero-backup.json` (backup_sync_controller.go of v1.18). This makes the same object, and Velero passes over a Backup whose
name is there. docs/decisions/19-a-last-backup-is-taken-up-at-once.md has what may go wrong, and why this is for a handover token
alone, and for backups without data of volumes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.kube.cluster_api import ClusterApi, ClusterRefusedError
from components.kube.objection import Objection
from components.kube.runner.restored import ResultsUnavailableError
from components.velero.choice import Choice
from components.velero.files import BackupFiles
from components.velero.specs import PEER, VELERO_NAMESPACE

_SETTLES_SECONDS = 3.0
"""How long an object that was made here must have stayed. A look of Velero's that began before the file came deletes it, as one
whose file is gone, and the look takes a second or so."""

_KEPT = ("labels", "annotations")
"""What stays of the file's metadata. Owners and finalizers are of another cluster."""


@dataclass(kw_only=True)
class Arrivals:
    """The Backups that a handover token names, as one gate waits for them. `files` are those beside the peer's backups."""

    cluster: ClusterApi
    files: BackupFiles
    choices: Sequence[Choice]
    _made: dict[str, float] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def objections(self) -> Iterator[Objection]:
        """Take up what has come. An objection for each that is not here long enough to be restored; none for what has not come,
        which is Velero's to find."""
        here = {each["metadata"]["name"] for each in self.cluster.list_velero("backups") or []}
        for choice in self.choices:
            name = choice.backup
            if not name or not choice.given_by:
                continue
            if name not in here and not self._take_up(name):
                continue
            if name in self._made and time.monotonic() - self._made[name] < _SETTLES_SECONDS:
                yield Objection(reason=f"Backup {name} has just been taken up here, before Velero's own look", passing=True)

    def _take_up(self, name: str) -> bool:
        """Make the Backup if all of it has come. Whatever is against it, Velero's own look does it within a minute."""
        try:
            found = self.files.arrived(name) if self._location_is_read() else None
            if found is None or self.cluster.create_velero("backups", record(name, found)) is None:
                return False
        except (ResultsUnavailableError, ClusterRefusedError) as error:
            if name not in self._told:
                self._told.add(name)
                pulumi.log.info(f"Backup {name} waits for Velero's look at the peer's location, once a minute: {error}")
            return False
        self._made[name] = time.monotonic()
        pulumi.log.info(f"Backup {name} has come, and is taken up before Velero's own look")
        return True

    def _location_is_read(self) -> bool:
        """Whether Velero itself would make it: the location is available, and nothing of it may be deleted from here."""
        locations = self.cluster.list_velero("backupstoragelocations") or []
        peer = next((each for each in locations if each["metadata"]["name"] == PEER), {})
        available = (peer.get("status") or {}).get("phase") == "Available"
        return available and (peer.get("spec") or {}).get("accessMode") == "ReadOnly"


def record(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """The Backup as Velero's own look makes it of the file: at this cluster's location, and without hooks: it ran elsewhere."""
    metadata = {key: dict(found["metadata"][key]) for key in _KEPT if found["metadata"].get(key)}
    labels = {**metadata.get("labels", {}), "velero.io/storage-location": PEER}
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {**metadata, "labels": labels, "name": name, "namespace": VELERO_NAMESPACE},
        "spec": {**found["spec"], "hooks": {}, "storageLocation": PEER},
        "status": dict(found["status"]),
    }
