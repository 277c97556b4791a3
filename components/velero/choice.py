"""Which Backup of the peer is restored: the newest that is Completed, or one that a person or a handover token names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.kube.cluster_api import ClusterApi
from components.kube.objection import Objection
from components.velero.specs import PEER
from settings.backup import Backup
from settings.names import Names
from settings.roles import Role, peer_of

OF_SCHEDULE = "velero.io/schedule-name"
_LOOKED_AT = ("Completed", "PartiallyFailed")
"""Phases of a Backup that Velero restores when it is named."""

_COLUMNS = "custom-columns=NAME:.metadata.name,PHASE:.status.phase,BEGAN:.status.startTimestamp,ENDED:.status.completionTimestamp"

_LOST = ("Failed", "FailedValidation", "Deleting")
"""Phases of a Backup that will never be one of these."""

_THE_TOKEN = "take the token anew from the region that gave up, where it is the stack output handover"  # noqa: S105 - no secret


@dataclass(frozen=True, kw_only=True)
class Choice:
    """`schedule` is the peer's, with the region in its name. `backup` is the Backup that somebody named: a person by `from`, or
    the peer by its handover token: then it is `given_by` that region."""

    schedule: str
    backup: str | None = None
    given_by: Role | None = None

    @property
    def spec(self) -> dict[str, str]:
        """The part of a Restore's spec that says which Backup."""
        return {"backupName": self.backup} if self.backup else {"scheduleName": self.schedule}


def choice_of(names: Names, backup: Backup, named_backups: Mapping[str, str]) -> Choice:
    """What region `names.role` restores of an entry of `backups`. `named_backups` are those of the handover token, by entry.

    The token goes before `from`: one that was left from an earlier failover would lose what was written since.
    """
    token = named_backups.get(backup.name)
    peer = peer_of(names.role)
    schedule = names.schedule(backup.name, peer)
    return Choice(schedule=schedule, backup=token or backup.from_, given_by=peer if token else None)


def objection(cluster: ClusterApi, choice: Choice) -> Objection | None:
    """Why there is nothing to restore here by `choice`; None if there is."""
    if choice.backup and choice.given_by:
        return _against_the_tokens(cluster, choice.schedule, choice.backup, choice.given_by)
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
    found = _found(cluster, name)
    if found is None:
        return Objection(reason=f"{wrong}there is no Backup of that name here; see: {list_command(schedule)}", passing=True)
    if (of := _schedule_of(found, schedule)) != schedule:
        return Objection(
            reason=f"{wrong}that is a Backup of schedule {of}; write one of {schedule}; see: {list_command(schedule)}"
        )
    if (location := _location_of(found)) != PEER:
        return Objection(
            reason=f"{wrong}that Backup is at location {location}, so it is this region's own; see: {list_command(schedule)}"
        )
    if (phase := phase_of(found)) not in _LOOKED_AT:
        reason = f"{wrong}that Backup is {phase}; write a Completed or PartiallyFailed one; see: {list_command(schedule)}"
        return Objection(reason=reason, passing=phase not in _LOST)
    return None


def _against_the_tokens(cluster: ClusterApi, schedule: str, name: str, giver: Role) -> Objection | None:
    """The last Backup of a region that gave up in good order: it is on its way, and nothing takes its place."""
    says, see = f"the handover token names Backup {name}, and ", f"; see: {list_command(schedule)}"
    found = _found(cluster, name)
    if found is None:
        return Objection(
            reason=f"{says}there is none of that name here yet; S3 replication carries it, and Velero reads the peer's location "
            f"once a minute{see}",
            passing=True,
        )
    if (of := _schedule_of(found, schedule)) != schedule:
        return Objection(reason=f"{says}that is a Backup of schedule {of}, and not of {schedule}; {_THE_TOKEN}{see}")
    if (location := _location_of(found)) != PEER:
        return Objection(reason=f"{says}that Backup is at location {location}, so it is this region's own; {_THE_TOKEN}{see}")
    if (phase := phase_of(found)) != "Completed":
        return Objection(reason=f"{says}that Backup is {phase}; {_THE_TOKEN}{see}", passing=phase not in (*_LOST, *_LOOKED_AT))
    return _against_a_stale_one(cluster, schedule, found, giver)


def _against_a_stale_one(cluster: ClusterApi, schedule: str, named: dict[str, Any], giver: Role) -> Objection | None:
    """Why the token is of an earlier time: its Backup is not the last that region `giver` began by this schedule.

    A region that gives up pauses its schedules before it takes its last backups, so a later one says that it has served since,
    and what was written then would be lost. That holds for its later last Backups too: it has given up anew, and has another
    token. Both times are of the giver's own clock. Without databases nothing else tells an old token from a good one.
    """
    taker, began = peer_of(giver), _began(named)
    later = [
        each
        for each in cluster.list_velero("backups", f"{OF_SCHEDULE}={schedule}") or []
        if _location_of(each) == PEER and began and _began(each) > began
    ]
    if not later:
        return None
    newest = max(later, key=_began)
    return Objection(
        judgement=True,
        stack=taker,
        reason=f"the handover token names Backup {named['metadata']['name']}, which began at {began}, and the {giver} has begun "
        f"{newest['metadata']['name']} at {_began(newest)}, so it has served since it gave this token: the token is stale. Take "
        f"its present one: pulumi stack output handover -s {giver}; if that is the same or none, let the {giver} give up again "
        f"(docs/runbook.md, Switchover); or, if the {giver} is lost: pulumi config rm handover -s {taker} && pulumi up -s "
        f"{taker}; only if somebody made that Backup by hand after the {giver} had stopped, is nothing lost without it; see: "
        f"{list_command(schedule)}",
    )


def _began(backup: dict[str, Any]) -> str:
    """When Velero began it, in the clock of the region that made it; empty where it has not. All these texts are in UTC, with
    whole seconds, and so in order. The time of creation would be that of this cluster's copy."""
    return str((backup.get("status") or {}).get("startTimestamp") or "")


def _found(cluster: ClusterApi, name: str) -> dict[str, Any] | None:
    return next((each for each in cluster.list_velero("backups") or [] if each["metadata"]["name"] == name), None)


def _schedule_of(backup: dict[str, Any], default: str) -> str:
    """The schedule that a Backup counts as one of; `default` where it has no label, as one that was made by hand."""
    return str((backup["metadata"].get("labels") or {}).get(OF_SCHEDULE, default))


def _location_of(backup: dict[str, Any]) -> str | None:
    return (backup.get("spec") or {}).get("storageLocation")


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
