"""What the last backups of this region did not save, as every `pulumi up` of the region that serves says it by day."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.runner.restored import ResultsUnavailableError, shortened
from components.velero.age import COPIED, newest, too_old
from components.velero.choice import OF_SCHEDULE, list_command, phase_of, started_of
from components.velero.files import BackupFiles, Volume
from components.velero.inventory import take_inventory
from components.velero.regional import Search
from settings.backup import Backup
from settings.durations import longest_gap, spoken
from settings.workloads import Workload

_ENDED = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")
_UPLOADED = ("Completed", "PartiallyFailed")
"""Phases in which a Backup has its files in the bucket."""

_NOT_CSI = "not a CSI volume"
_IN_TREE = (
    "a volume that no CSI driver made (as those of EKS' old class gp2, kubernetes.io/aws-ebs) is in no backup: move its data "
    "to a claim of a CSI class: docs/recovery.md, What a backup does not have"
)


@dataclass(frozen=True, kw_only=True)
class Own:
    """A schedule of this region, and its cron line."""

    schedule: str
    cron: str


def not_saved(
    cluster: ClusterApi, files: BackupFiles, schedules: Sequence[Own], databases: Collection[tuple[str, str]], rpo: timedelta
) -> list[str]:
    """What the newest Backup of each schedule lacks, a line each. It never raises: what cannot be asked is a line.

    `databases` are namespaces and names of the databases of this program. Their volumes are in their own archive, and Velero
    passes them over on purpose.
    """
    try:
        return [line for own in schedules for line in _of_schedule(cluster, files, own, databases, rpo)]
    except ClusterUnreachableError as error:
        return [f"what the last backups did not save is not known: {error}"]


def keep_inventory(
    cluster: ClusterApi,
    files: BackupFiles,
    workloads: Sequence[Workload],
    backups: Sequence[Backup],
    password: str | None,
    owners: Mapping[str, str],
    region: str,
) -> list[str]:
    """Write down for the other region what the workloads of this one need of what `backups` bring there, fingerprints (of the
    password by which their volumes are encrypted, and of those of databases' `owners`), and which of them name this `region`.
    What hinders it is a line, and never an error."""
    search = Search(region=region)
    try:
        taken = take_inventory(cluster, workloads, backups, password, owners, search)
        files.keep_inventory(taken)
    except (ClusterUnreachableError, ResultsUnavailableError) as error:
        return [f"what this region's workloads need was not written down for the other region: {error}"]
    refused = [f"whether ConfigMaps and Services name {region} is not known: {search.refused}"] if search.refused else []
    return [*refused, *taken.unread]


def _of_schedule(
    cluster: ClusterApi, files: BackupFiles, own: Own, databases: Collection[tuple[str, str]], rpo: timedelta
) -> Iterator[str]:
    now = datetime.now(UTC)
    backups = cluster.list_velero("backups", f"{OF_SCHEDULE}={own.schedule}") or []
    yield from _late(cluster, own, backups, rpo, now)
    ended = [each for each in backups if phase_of(each) in _ENDED]
    if not ended:
        return
    last = max(ended, key=started_of)
    yield from _failed(last, own.schedule, files)
    if phase_of(last) in _UPLOADED:
        yield from _without_volumes(last, files, databases)


def _late(cluster: ClusterApi, own: Own, backups: Sequence[dict[str, Any]], rpo: timedelta, now: datetime) -> Iterator[str]:
    """Whether a usable Backup should have been made, and was not."""
    gap = longest_gap(own.cron)
    why = f"and by its cron line ({own.cron}) one begins every {spoken(gap)} at the latest; see: {list_command(own.schedule)}"
    if completed := newest(backups).completed:
        if too_old(completed, own.cron, rpo, now):
            age = spoken(now - _moment(started_of(completed)))
            yield f"schedule {own.schedule}: the newest Completed backup, {_name(completed)}, is {age} old, {why}"
        return
    schedules = cluster.list_velero("schedules") or []
    made = next((each["metadata"].get("creationTimestamp") for each in schedules if _name(each) == own.schedule), None)
    if made and now - _moment(made) > gap + max(rpo, COPIED):
        yield f"schedule {own.schedule} has no Completed backup, {why}"


def _failed(backup: dict[str, Any], schedule: str, files: BackupFiles) -> Iterator[str]:
    """What Velero said of a Backup that did not complete."""
    name, phase, status = _name(backup), phase_of(backup), backup.get("status") or {}
    if phase == "Completed":
        return
    reasons = [*(status.get("validationErrors") or []), *([status["failureReason"]] if status.get("failureReason") else [])]
    describe = f"velero backup describe {name} --details"
    if phase in _UPLOADED:
        try:
            reasons.append(shortened(files.results(name).errors, describe))
        except ResultsUnavailableError as error:
            reasons.append(f"{status.get('errors', 'some')} errors, whose text could not be read ({error}); see: {describe}")
    told = "; ".join(" ".join(str(each).split()) for each in reasons if each) or f"Velero gives no reason; see: {describe}"
    yield f"Backup {name}, the newest of schedule {schedule}, ended {phase}, and a failover does not take it by itself: {told}"


def _without_volumes(backup: dict[str, Any], files: BackupFiles, databases: Collection[tuple[str, str]]) -> Iterator[str]:
    """The volumes whose data are not in a Backup, which may be Completed all the same."""
    name = _name(backup)
    describe = f"velero backup describe {name} --details"
    try:
        skipped = [each for each in files.skipped(name) if not of_a_database(each, databases)]
    except ResultsUnavailableError as error:
        yield f"whether Backup {name} has the data of every volume is not known: {error}; see: {describe}"
        return
    if not skipped:
        return
    volumes = shortened(tuple(sorted(map(str, skipped))), describe)
    advice = f"; {_IN_TREE}" if any(_NOT_CSI in each.reason for each in skipped) else ""
    yield f"Backup {name} ({phase_of(backup)}) has no data of {volumes}{advice}"


def of_a_database(volume: Volume, databases: Collection[tuple[str, str]]) -> bool:
    """Whether CloudNativePG made the claim for one of the databases: `<database>-<number>`, and `-wal` after it for its WAL."""
    namespace, name = volume.claim
    return any(namespace == where and re.fullmatch(rf"{re.escape(database)}-\d+(-wal)?", name) for where, database in databases)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _name(item: dict[str, Any]) -> str:
    return str(item["metadata"]["name"])
