"""How old the newest usable backup of a schedule is, against how often its cron line makes one.

A schedule that makes no more Completed backups loses more each day, and nothing else says so: Velero restores the last Completed
one, however old that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.velero.choice import OF_SCHEDULE, Choice, choice_of, phase_of, started_of
from components.velero.selection import Chosen
from settings.durations import longest_gap, spoken
from settings.names import Names
from settings.roles import Role

COPIED = timedelta(minutes=15)
"""S3 usually copies within this time, and Velero reads what has come once a minute."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A choice, the cron line by which its schedule makes backups, and the name of its entry in `backups`."""

    choice: Choice
    cron: str
    entry: str = ""


def expected_backups(names: Names, wanted: Sequence[Chosen], named_backups: Mapping[str, str] | None = None) -> list[Expected]:
    """What region `names.role` restores of its peer's backups. `named_backups` are those of the handover token, by entry: how old
    they are is not asked, for nothing was written after them."""
    named = named_backups or {}
    return [
        Expected(choice=choice_of(names, each.backup, named), cron=each.backup.cron, entry=each.backup.name) for each in wanted
    ]


@dataclass(frozen=True, kw_only=True)
class Newest:
    """What there is of a schedule: its newest Completed Backup, and a PartiallyFailed one that is newer."""

    completed: dict[str, Any] | None
    partial: dict[str, Any] | None

    @property
    def began(self) -> list[datetime]:
        """When each of them began."""
        return [moment for each in (self.completed, self.partial) if each and (moment := _moment(each, "startTimestamp"))]


def newest(backups: Sequence[dict[str, Any]]) -> Newest:
    """Of the Backups of one schedule. Those without a time are left out."""
    timed = sorted((each for each in backups if _moment(each, "startTimestamp")), key=started_of)
    completed = next((each for each in reversed(timed) if phase_of(each) == "Completed"), None)
    partial = next((each for each in reversed(timed) if phase_of(each) == "PartiallyFailed"), None)
    if completed and partial and started_of(partial) < started_of(completed):
        partial = None
    return Newest(completed=completed, partial=partial)


def too_old(completed: dict[str, Any], cron: str, rpo: timedelta, then: datetime) -> bool:
    """Whether a newer Completed Backup than this one should have been there at the moment `then`.

    The next one may take as long as this one took, and S3 as long as it usually takes or as the RPO allows.
    """
    began, ended = _moment(completed, "startTimestamp"), _moment(completed, "completionTimestamp")
    assert began is not None
    took = ended - began if ended else timedelta(0)
    return then - began > allowed(cron, rpo) + took


def allowed(cron: str, rpo: timedelta) -> timedelta:
    """How old the newest Completed Backup of a schedule may be, beside the time that it took."""
    return longest_gap(cron) + max(rpo, COPIED)


RUNS = timedelta(minutes=5)
"""The primary is asked every two minutes, and one run may fail: so long after its last answer it may have begun a backup."""

UNDATED = timedelta(hours=3)
"""How long an outage may have lasted of which nobody knows when it began: only databases have a CronJob that asks the primary."""


def objections(cluster: ClusterApi, expected: Sequence[Expected], rpo: timedelta, lived: datetime | None) -> list[str]:
    """Why the newest Completed Backups here are too old to be restored without a word; empty if they are not. `lived` is when the
    primary last answered: an outage that people discuss for an hour makes no backup older than it was. A backup that
    began long after it proves that the primary lived on, and that nobody knows until when.

    A Backup that a person named, by `from`, is as old as they want it. One that the handover token names is the last.
    """
    now, all_found = datetime.now(UTC), list(_by_schedule(cluster, expected))
    then = lived or now - UNDATED
    if lived and any(began > lived + RUNS for _, found in all_found for began in found.began):
        lived, then = None, now  # the question to the primary had ceased to work, and the primary lived on
    when = "" if lived else "; nobody knows when the primary last answered, so that this may be its outage and nothing else"
    return [
        f"{_in_words(each, found, now)}: what was written since is lost{when}"
        for each, found in all_found
        if found.completed and too_old(found.completed, each.cron, rpo, then)
    ]


def told(cluster: ClusterApi, expected: Sequence[Expected]) -> Iterator[tuple[str, bool]]:
    """How old what will be restored is, a line each, and whether a newer one is passed over. One that somebody named is told with
    the newest Completed one beside it."""
    now = datetime.now(UTC)
    for each in expected:
        if each.choice.backup:
            yield of_the_named(cluster, each), each.choice.given_by is None
    for each, found in _by_schedule(cluster, expected):
        if found.completed:
            yield _in_words(each, found, now), found.partial is not None


def warnings_by_day(cluster: ClusterApi, expected: Sequence[Expected], rpo: timedelta, peer: Role = "primary") -> list[str]:
    """What the gate would object to if the failover were now, and which newer Backup it would pass over. `peer` is the region
    that made the Backups."""
    now = datetime.now(UTC)
    try:
        return [
            f"{_in_words(each, found, now)}; see: pulumi up -s {peer}"
            for each, found in _by_schedule(cluster, expected)
            if found.completed and (found.partial or too_old(found.completed, each.cron, rpo, now))
        ]
    except ClusterUnreachableError as error:
        return [f"how old the peer's backups are is not known: {error}"]


def of_the_named(cluster: ClusterApi, each: Expected) -> str:
    """How old the Backup is that somebody named, and what is the newest Completed one of its schedule."""
    name, now = each.choice.backup, datetime.now(UTC)
    named = next((found for found in cluster.list_velero("backups") or [] if _name(found) == name), None)
    by = "the handover token" if each.choice.given_by else "from"
    age = f"{_age(named, now)} old" if named and _moment(named, "startTimestamp") else "of unknown age, for it is not here"
    return f"Backup {name}, named by {by}, is {age}, and the {newest_completed(cluster, each)}"


def newest_completed(cluster: ClusterApi, each: Expected) -> str:
    """The newest Completed Backup of a schedule in words, as in `newest Completed backup of schedule hourly is …, 2 h old`."""
    completed = newest(cluster.list_velero("backups", f"{OF_SCHEDULE}={each.choice.schedule}") or []).completed
    what = f"newest Completed backup of schedule {each.choice.schedule}"
    return f"{what} is {_name(completed)}, {_age(completed, datetime.now(UTC))} old" if completed else f"{what} is not here"


def _by_schedule(cluster: ClusterApi, expected: Sequence[Expected]) -> Iterator[tuple[Expected, Newest]]:
    for each in expected:
        if not each.choice.backup:
            yield each, newest(cluster.list_velero("backups", f"{OF_SCHEDULE}={each.choice.schedule}") or [])


def _in_words(each: Expected, found: Newest, now: datetime) -> str:
    assert found.completed is not None
    text = (
        f"the newest Completed backup of schedule {each.choice.schedule} is {_name(found.completed)}, "
        f"{_age(found.completed, now)} old, and by its cron line ({each.cron}) one begins every "
        f"{spoken(longest_gap(each.cron))} at the latest"
    )
    if found.partial is None:
        return text
    name = _name(found.partial)
    return (
        f"{text}; {name}, {_age(found.partial, now)} old, is PartiallyFailed and is not taken: to restore it look at it (velero "
        f"backup describe {name} --details) and write from: {name} to its entry of k8s-dr:backups"
    )


def _name(backup: dict[str, Any]) -> str:
    return str(backup["metadata"]["name"])


def _age(backup: dict[str, Any], now: datetime) -> str:
    began = _moment(backup, "startTimestamp")
    assert began is not None
    return spoken(now - began)


def _moment(backup: dict[str, Any], key: str) -> datetime | None:
    """A time of the status; None where there is none yet."""
    text = (backup.get("status") or {}).get(key)
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")) if text else None
