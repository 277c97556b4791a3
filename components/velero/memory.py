"""What the live cluster remembers of restores and last backups, which the engine's state cannot know: attempts, acceptances,
earlier service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.kube.cluster_api import ClusterApi
from components.kube.records import ATTEMPTS_RECORD, SERVING_RECORD
from settings.backup import Backup

_SERVED = "served"

_CAME = "came"
"""How this region came to serve without a token, as long as it serves: it has `succeeded` the other, or `taken back` what it
gave. Neither can be seen any more once its databases are promoted."""

SUCCEEDED, TAKEN_BACK = "succeeded", "taken back"


class WrongRestoreError(Exception):
    """`accept` does not name the Restore that failed."""


def key_of(backup: Backup) -> str:
    """The key of a backup's attempts in the record."""
    return f"restore-{backup.name}"


def _key_of_last_backup(backup: Backup) -> str:
    return f"backup-{backup.name}"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The record as it is now. `serves` says whether the region serves."""

    record: Mapping[str, str] = field(default_factory=dict)
    serves: bool = False

    @property
    def served_before(self) -> bool:
        """Whether this region has served before, and given up since: then objects of that time may be here still."""
        return _SERVED in self.record

    def failed(self, backup: Backup) -> str | None:
        """The Restore of `backup` that ended PartiallyFailed last, and was neither repeated with success nor accepted."""
        return self.record.get(f"{key_of(backup)}.failed") or None

    def accepts(self, backup: Backup) -> str | None:
        """The PartiallyFailed Restore of `backup` that a person has accepted, now or earlier."""
        failed = self.failed(backup)
        return failed if failed and failed == backup.accept else self.record.get(f"{key_of(backup)}.accepted") or None

    def attempt(self, backup: Backup) -> str:
        """The number of the attempt that is to be there. A higher one than the state has makes a new Restore."""
        number = int(self.record.get(key_of(backup), "1"))
        return str(number - 1 if self.failed(backup) and self.failed(backup) == backup.accept else number)

    def backup_attempt(self, backup: Backup) -> str:
        """As `attempt`, of the last Backup that this region makes as it gives up."""
        return self.record.get(_key_of_last_backup(backup), "1")

    def refuse_other_restores(self, backup: Backup, entry: str) -> None:
        """Raises WrongRestoreError if a Restore failed and `accept` names another one, by a slip or from an earlier failover."""
        failed = self.failed(backup)
        if not self.serves and failed and backup.accept not in (None, failed):
            raise WrongRestoreError(
                f"k8s-dr:{entry}.accept: {backup.accept} is not the Restore that failed here, which is {failed}; write that one "
                "to accept it, or take accept out to restore anew"
            )


def note_failed_backup(cluster: ClusterApi, backup: Backup) -> None:
    """Count the attempt at a last Backup of this region, so that the next `up` makes a new one."""
    key = _key_of_last_backup(backup)
    number = int((cluster.read_record(ATTEMPTS_RECORD) or {}).get(key, "1"))
    cluster.write_record(ATTEMPTS_RECORD, {key: str(number + 1)})


def note_failure(cluster: ClusterApi, backup: Backup, restore: str, phase: str | None) -> None:
    """Count the attempt, so that the next `up` makes a new Restore; and which Restore it was, if a person may accept it."""
    number = int((cluster.read_record(ATTEMPTS_RECORD) or {}).get(key_of(backup), "1"))
    failed = restore if phase == "PartiallyFailed" else ""
    cluster.write_record(ATTEMPTS_RECORD, {key_of(backup): str(number + 1), f"{key_of(backup)}.failed": failed})


def note_success(cluster: ClusterApi, backup: Backup) -> None:
    """Forget the Restore that failed before this one."""
    if (cluster.read_record(ATTEMPTS_RECORD) or {}).get(f"{key_of(backup)}.failed"):
        cluster.write_record(ATTEMPTS_RECORD, {f"{key_of(backup)}.failed": ""})


def note_acceptance(cluster: ClusterApi, memory: Memory, backup: Backup) -> None:
    """Keep that a person has accepted a Restore, so that it stays accepted once `accept` is taken out."""
    if (failed := memory.failed(backup)) and failed == backup.accept:
        cluster.write_record(
            ATTEMPTS_RECORD,
            {key_of(backup): memory.attempt(backup), f"{key_of(backup)}.failed": "", f"{key_of(backup)}.accepted": failed},
        )


def note_service(cluster: ClusterApi) -> None:
    """Keep that this region has served and gives up now, for the next time that it takes over."""
    cluster.write_record(ATTEMPTS_RECORD, {_SERVED: "true", _CAME: ""})


def note_way(cluster: ClusterApi, way: str) -> None:
    """Keep how this region comes to serve, before anything of it has changed."""
    cluster.write_record(ATTEMPTS_RECORD, {_CAME: way})


def way_of(cluster: ClusterApi) -> str:
    """How this region came to serve, as `note_way` has kept it; empty if by a token, by a failover, or from the first."""
    return (cluster.read_record(ATTEMPTS_RECORD) or {}).get(_CAME, "")


def recall(cluster: ClusterApi) -> Memory:
    """What the cluster remembers. Raises ClusterUnreachableError if it does not answer."""
    record = cluster.read_record(ATTEMPTS_RECORD) or {}
    return Memory(record=record, serves=cluster.read_record(SERVING_RECORD) is not None)
