"""What each `up` that is no failover tries by day of the failover to come, and what is said of it: a warning each.

Nothing depends on an answer. A preview asks nothing, for it may reach neither cluster nor bucket, unless whoever runs it says so;
and it writes nothing in either case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pulumi

from components.database.archive import Archive
from components.database.by_day import warnings_by_day
from components.database.specs import DatabaseSide
from components.drills import records
from components.drills.records import Last, Records
from components.etcd.backup import ETCD_NAMESPACE
from components.failover import by_day
from components.failover.backups import standby_of
from components.failover.failover import Failover
from components.failover.following import Following, following
from components.failover.handover import is_silent
from components.kube import pull_secrets
from components.kube.cluster_api import ClusterApi
from components.kube.runner.flag import Flag
from components.operators.operators import CNPG_NAMESPACE
from components.storage.copies import not_copied
from components.traffic.checkers import Watched, unseen
from components.traffic.flag_object import FlagUnreadableError, may_be_on_their_way
from components.velero import age, lacking, left_over, snapshot_classes
from components.velero.files import BackupFiles
from components.velero.specs import VELERO_NAMESPACE
from components.velero.unsaved import Own, keep_inventory, not_saved
from settings.model import Settings
from settings.names import DRILLS_NAMESPACE, PROGRAM_NAMESPACE, SCRATCH_NAMESPACE, Names
from settings.roles import Duties, Role, peer_of

_QUESTIONS = 8
"""How many questions are asked at a time: more than there are, each of which mostly waits."""


@dataclass(frozen=True, kw_only=True)
class TriedByDayArgs:
    settings: Settings
    names: Names
    duties: Duties
    cluster: ClusterApi
    archive: Archive
    files: Callable[[Role], BackupFiles]
    """Reads what Velero wrote beside the backups of a region, in this region's bucket."""

    flag: Callable[[], Flag | None]
    """Reads the traffic flag, each time anew: this very `up` may write it."""

    sides: Sequence[DatabaseSide]
    failover: Failover
    runner_ready: pulumi.Output[str]
    """Known once Pods can run."""

    storage_ready: Sequence[pulumi.Resource]
    """The buckets and their replication."""

    checks: Mapping[Watched, pulumi.Output[str]]
    """The ids of Route 53's health checks, by what they watch."""

    not_copied: Callable[[], Sequence[str]] | None = None
    """What S3 has failed to copy to the peer, a line each; by default, as the region's own buckets say."""

    records: Records
    """The records of this region's drills."""

    unseen: Callable[[Mapping[str, str]], Sequence[str]] | None = None
    """What Route 53's checkers cannot read, a line each, by the ids of health checks; by default, Route 53 is asked."""

    in_previews: bool = False
    """Whether a preview asks too."""


def answers(ask: Callable[[], Sequence[str]]) -> Sequence[str]:
    """What `ask` says. Whatever goes wrong in it is a warning too: a question by day must not end the `up` that asks it."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - a file, an answer or a profile may be anything
        return [f"what a failover needs was not tried to the end: {type(error).__name__}: {' '.join(str(error).split())}"]


def namespaces_of_pods(settings: Settings) -> list[str]:
    """The namespaces in which Pods of this program run and pull images, those of operators too that it installs."""
    operators = settings.operators
    there = {
        PROGRAM_NAMESPACE: True,
        VELERO_NAMESPACE: settings.velero.managed,
        **dict.fromkeys((database.namespace for database in settings.databases), True),
        DRILLS_NAMESPACE: "database" in settings.drilled,
        SCRATCH_NAMESPACE: "namespace" in settings.drilled,
        ETCD_NAMESPACE: settings.backs_up_etcd,
        "cert-manager": operators.cert_manager,
        CNPG_NAMESPACE: operators.cloudnative_pg or operators.barman_cloud,
    }
    return [namespace for namespace, runs in there.items() if runs]


class TriedByDay:
    """Tries by day what a failover needs, for `region`, by which the warnings are said."""

    def __init__(self, region: pulumi.Resource, args: TriedByDayArgs) -> None:
        self._region, self._args = region, args
        self._threads = ThreadPoolExecutor(_QUESTIONS, thread_name_prefix="tried-by-day")

    def begin(self) -> None:
        """Ask, and go on: each question has a thread of its own, and what needs the outputs of resources is asked once they are
        known. The engine's calls have other threads, so that an `up` takes no longer than its longest question."""
        settings, duties = self._args.settings, self._args.duties
        if settings.role == "secondary" and not duties.serves and settings.peer_ready:
            self._what_the_peer_has_left_here()
        if duties.serves and self._failover_can_be_tried():
            self._what_no_backup_holds()
        if self._another_region_may_follow():
            self._what_does_not_reach_the_peer()
        if self._failover_can_be_tried() and not duties.hands_over:
            expected = standby_of(settings, self._args.names).expected
            self._warn(partial(left_over.warnings_by_day, self._args.cluster, settings.backups, expected))
        if self._failover_can_be_tried():
            failover = self._args.failover
            there = pulumi.Output.all(self._args.runner_ready, failover.since, *failover.databases.values())
            ask_by_day = partial(by_day.warnings, self._args.cluster, settings, duties, self._args.sides, self._users_arrive)
            self._try(lambda _: ask_by_day(), there)
            if secrets := settings.pods.image_pull_secrets:
                look = partial(pull_secrets.missing, self._args.cluster, secrets, namespaces_of_pods(settings))
                self._try(lambda _: look(), there)
        if settings.serving_role == "primary" and self._args.checks:
            self._try(
                self._args.unseen or partial(unseen, settings.aws),
                pulumi.Output.all(**{str(name): check for name, check in self._args.checks.items()}),
            )

    def drills(self) -> pulumi.Output[Last | None]:
        """The last record of each drill, and a warning of each that failed or is overdue. None where nobody asks: in a preview,
        and in the `up` by which the region takes over or gives up."""
        args, settings = self._args, self._args.settings

        async def ask(_: object) -> Last | None:
            moving = args.duties.hands_over or (args.duties.takes_over and not args.failover.serves_already)
            if (pulumi.runtime.is_dry_run() and not args.in_previews) or moving:
                return None
            last = await asyncio.wrap_future(self._threads.submit(records.ask, args.records, settings))
            told = partial(records.warnings, settings, args.cluster, last)
            for warning in await asyncio.wrap_future(self._threads.submit(answers, told)):
                pulumi.log.warn(warning, self._region)
            return last

        found: pulumi.Output[Last | None] = pulumi.Output.from_input(None).apply(ask)
        return found

    def follows(self) -> pulumi.Output[bool | None]:
        """Whether the other region follows this one, which serves, and a warning where it does not. None where nobody asks (in a
        preview, in a region that stands by, in the `up` by which it takes over), and where no database has a side there."""
        args, settings = self._args, self._args.settings

        async def ask(since: str | None) -> bool | None:
            if (pulumi.runtime.is_dry_run() and not args.in_previews) or not self._another_region_may_follow():
                return None
            rpo = timedelta(seconds=settings.objectives.rpo_seconds)
            look = partial(following, args.archive, settings.databases, settings.role, rpo)
            found: list[Following] = []

            def tell() -> Sequence[str]:
                found.append(look())
                return found[0].warnings(since, datetime.now(UTC))

            for warning in await asyncio.wrap_future(self._threads.submit(answers, tell)):
                pulumi.log.warn(warning, self._region)
            return found[0].all_follow if found else None

        follow: pulumi.Output[bool | None] = args.failover.since.apply(ask)
        return follow

    def _another_region_may_follow(self) -> bool:
        """Whether this region serves, since an `up` before this one, and there is another one to have what it writes."""
        return self._args.duties.serves and self._args.settings.peer_ready and self._failover_can_be_tried()

    def _what_does_not_reach_the_peer(self) -> None:
        args, settings = self._args, self._args.settings
        servers = [database.server(settings.role) for database in settings.databases]
        silent = partial(is_silent, args.archive, settings.databases, settings.role)
        ask = partial(not_copied, args.names, settings.aws, servers, velero=settings.velero.managed, silent=silent)
        self._warn(args.not_copied or ask)

    def _what_the_peer_has_left_here(self) -> None:
        args, settings = self._args, self._args.settings
        rpo = timedelta(seconds=settings.objectives.rpo_seconds)
        if settings.databases:
            self._warn(partial(warnings_by_day, args.cluster, args.archive, settings.databases, rpo))
        standby = standby_of(settings, args.names)
        self._warn(partial(age.warnings_by_day, args.cluster, standby.expected, rpo))
        self._warn(partial(lacking.warnings_by_day, args.cluster, args.files(peer_of(settings.role)), standby))

    def _what_no_backup_holds(self) -> None:
        args, settings = self._args, self._args.settings
        rpo = timedelta(seconds=settings.objectives.rpo_seconds)
        own = [Own(schedule=args.names.schedule(backup.name, settings.role), cron=backup.cron) for backup in settings.backups]
        volumes = [(database.namespace, database.name) for database in settings.databases]
        self._warn(partial(not_saved, args.cluster, args.files(settings.role), own, volumes, rpo))
        self._warn(partial(snapshot_classes.warnings_by_day, args.cluster, settings.velero, settings.backups))
        # S3 copies no object that was written before replication was there.
        copied = pulumi.Output.all(*(resource.urn for resource in args.storage_ready))
        passwords = (settings.repository_password, settings.owner_passwords)
        files = args.files(settings.role)
        written = partial(
            keep_inventory, args.cluster, files, settings.workloads, settings.backups, *passwords, args.names.region
        )
        self._try(lambda _: written(), copied, writes=True)

    def _failover_can_be_tried(self) -> bool:
        """Whether this `up` tries by day what a failover needs. The `up` of the failover itself has its own steps for that."""
        if self._args.duties.takes_over:
            return self._args.failover.serves_already
        return self._args.duties.serves or self._args.settings.peer_ready

    def _users_arrive(self) -> bool:
        """Whether users may still be on their way to the primary, in a planned switchover. Where the flag cannot be read nobody
        knows, and a primary that is silent is told."""
        if self._args.settings.handover_now is None:
            return False
        try:
            flag = self._args.flag()
        except FlagUnreadableError:
            return False
        return may_be_on_their_way(flag, self._args.settings.dns.ttl, datetime.now(UTC))

    def _warn(self, ask: Callable[[], Sequence[str]]) -> None:
        """Say what a failover would lose."""
        self._try(lambda _: ask(), pulumi.Output.from_input(None))

    def _try(self, ask: Callable[[Any], Sequence[str]], there: pulumi.Output[Any], *, writes: bool = False) -> None:
        """As `_warn`, once the outputs `there`, which `ask` takes, are known. `writes` says whether it leaves anything."""

        async def warn(known: object) -> int:
            if pulumi.runtime.is_dry_run() and (writes or not self._args.in_previews):
                return 0
            warnings = await asyncio.wrap_future(self._threads.submit(answers, partial(ask, known)))
            for warning in warnings:
                pulumi.log.warn(warning, self._region)
            return len(warnings)

        _: pulumi.Output[int] = there.apply(warn)
