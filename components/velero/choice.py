"""Which Backup of the peer is restored: the newest that is Completed, or one that a person named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.kube.cluster_api import ClusterApi
from components.kube.objection import Objection
from components.velero.specs import PEER

OF_SCHEDULE = "velero.io/schedule-name"
_LOOKED_AT = ("Completed", "PartiallyFailed")
"""Phases of a Backup that Velero restores when it is named."""

_COLUMNS = "custom-columns=NAME:.metadata.name,PHASE:.status.phase,BEGAN:.status.startTimestamp,ENDED:.status.completionTimestamp"

_LOST = ("Failed", "FailedValidation", "Deleting")
"""Phases of a Backup that will never be one of these."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """`schedule` is the peer's, with the region in its name. `backup` is the Backup that a person named, by `from`."""

    schedule: str
    backup: str | None = None

    @property
    def spec(self) -> dict[str, str]:
        """The part of a Restore's spec that says which Backup."""
        return {"backupName": self.backup} if self.backup else {"scheduleName": self.schedule}


def objection(cluster: ClusterApi, choice: Choice) -> Objection | None:
    """Why there is nothing to restore here by `choice`; None if there is."""
    if choice.backup:
        return _against_the_named(cluster, choice.schedule, choice.backup)
    return _without_a_completed_one(cluster.list_velero("backups", f"{OF_SCHEDULE}={choice.schedule}") or [], choice.schedule)


def phase_of(backup: dict[str, Any]) -> str:
    return str((backup.get("status") or {}).get("phase", "New"))


def started_of(backup: dict[str, Any]) -> str:
    return str((backup.get("status") or {}).get("startTimestamp") or backup["metadata"].get("creationTimestamp") or "")


def list_command(schedule: str) -> str:
    """What shows the Backups of a schedule with their phases. Velero's CRD has no printer columns: kubectl alone shows names."""
    return f"kubectl get backup.velero.io -n velero -l {OF_SCHEDULE}={schedule} -o {_COLUMNS}"


def _against_the_named(cluster: ClusterApi, schedule: str, name: str) -> Objection | None:
    wrong = f"k8s-dr:backups has from: {name}, and "
    found = next((each for each in cluster.list_velero("backups") or [] if each["metadata"]["name"] == name), None)
    if found is None:
        return Objection(reason=f"{wrong}there is no Backup of that name here; see: {list_command(schedule)}", passing=True)
    of = (found["metadata"].get("labels") or {}).get(OF_SCHEDULE, schedule)
    if of != schedule:
        return Objection(
            reason=f"{wrong}that is a Backup of schedule {of}; write one of {schedule}; see: {list_command(schedule)}"
        )
    location = (found.get("spec") or {}).get("storageLocation")
    if location != PEER:
        return Objection(
            reason=f"{wrong}that Backup is at location {location}, so it is this region's own; see: {list_command(schedule)}"
        )
    if (phase := phase_of(found)) not in _LOOKED_AT:
        reason = f"{wrong}that Backup is {phase}; write a Completed or PartiallyFailed one; see: {list_command(schedule)}"
        return Objection(reason=reason, passing=phase not in _LOST)
    return None


def _without_a_completed_one(backups: Sequence[dict[str, Any]], schedule: str) -> Objection | None:
    phases = sorted({phase_of(backup) for backup in backups})
    if "Completed" in phases:
        return None
    seen = f"only {', '.join(phases)}" if phases else "none at all"
    way_on = ""
    if partial := [backup for backup in backups if phase_of(backup) == "PartiallyFailed"]:
        newest = max(partial, key=started_of)["metadata"]["name"]
        seen += "; a namespace that it includes and that does not exist is enough for that"
        way_on = (
            f"to restore the newest of these all the same look at it (velero backup describe {newest} --details) and write "
            f"from: {newest} to its entry of k8s-dr:backups; "
        )
    reason = (
        f"schedule {schedule} has no Completed backup here ({seen}); see: {list_command(schedule)}; {way_on}"
        "if nothing has to be restored set restore: false for it in k8s-dr:backups"
    )
    return Objection(reason=reason, passing=True)
