"""What the drill `integrity` looks at in this region now, of what its task names.

The task, beside what every drill has: `velero`, with the `bucket`, `own` and `peer`, each with a `prefix` and its `schedules`
(`name`, and `within` in seconds), and the `secret` with the repositories' password or null; `databases`, each with `name`, `own`
and `peer`, its server names, and the seconds `within` and `mark_within`; `archive`, with their `bucket` and the prefixes
`archives` and `marks`; `inventory`, the key of the peer's inventory there; `etcd`, with `bucket`, `prefix` and `within`, or null;
`peer_ready`; and `room`, the bytes that may be fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from .api import Api
from .drill_archive import Archived
from .drill_etcd import Snapshots
from .drill_velero import OF_SCHEDULE, Place, newest_completed, still_coming

SERVING = "/api/v1/namespaces/k8s-dr/configmaps/serving"
BACKUPS = "/apis/velero.io/v1/namespaces/velero/backups"
REPOSITORIES = "/apis/velero.io/v1/namespaces/velero/backuprepositories"
VERSION = "/version"

INVENTORY_BYTES = 4 * 1024**2
"""The most of an inventory that is read."""

Side = Literal["own", "peer"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Whose backups and archives are judged, by the task of the drill: `side` is None where no region's are here."""

    task: Mapping[str, Any]
    side: Side | None

    @property
    def place(self) -> Place:
        assert self.side is not None
        return Place(bucket=self.task["velero"]["bucket"], prefix=self.task["velero"][self.side]["prefix"])

    @property
    def schedules(self) -> list[tuple[str, timedelta]]:
        """Each schedule, and how old its newest backup may be beside the time that it took."""
        if self.side is None:
            return []
        return [(each["name"], timedelta(seconds=each["within"])) for each in self.task["velero"][self.side]["schedules"]]

    @property
    def archives(self) -> list[Archived]:
        if self.side is None:
            return []
        return [
            Archived(
                database=each["name"],
                server=each[self.side],
                within=timedelta(seconds=each["within"]),
                mark_within=timedelta(seconds=each["mark_within"]),
                **self.task["archive"],
            )
            for each in self.task["databases"]
        ]

    @property
    def snapshots(self) -> Snapshots | None:
        if not (found := self.task["etcd"]):
            return None
        return Snapshots(bucket=found["bucket"], prefix=found["prefix"], within=timedelta(seconds=found["within"]))


def side_of(task: Mapping[str, Any], *, serves: bool) -> Side | None:
    """Whose backups must be whole and new: those of the region that serves, for the other one takes none."""
    return "own" if serves else "peer" if task["peer_ready"] else None


def asked(api: Api, task: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What the cluster says, as plain data: `coming` are backups that are passed over, for the steps that follow must agree on
    which. Raises ApiError."""
    serves = api.find(SERVING) is not None
    choice = Choice(task=task, side=side_of(task, serves=serves))
    backups: list[dict[str, Any]] = []
    coming: list[str] = []
    for name, _ in choice.schedules:
        found = api.list(BACKUPS, f"{OF_SCHEDULE}={name}")
        passed = still_coming(found, name, now) if choice.side == "peer" else []
        coming += passed
        backups += _short(found, name, passed)
    return {
        "side": choice.side,
        "backups": backups,
        "coming": coming,
        "repositories": api.list(REPOSITORIES) if choice.side == "own" and choice.schedules else [],
        "kubernetes": str((api.find(VERSION) or {}).get("gitVersion", "")),
    }


def _short(found: Sequence[dict[str, Any]], schedule: str, coming: Sequence[str]) -> list[dict[str, Any]]:
    """Of the Backups of one schedule what is judged: the newest Completed one, and the one before those that are coming; where
    there is none all, for their phases."""
    backups: list[dict[str, Any]] = [
        {"metadata": {key: each["metadata"].get(key) for key in ("name", "labels")}, "status": each.get("status")}
        for each in found
    ]
    newest = newest_completed(backups, schedule)
    if newest is None:
        return backups
    older = newest_completed([each for each in backups if each["metadata"]["name"] not in coming], schedule)
    return [newest, older] if older and older is not newest else [newest]
