"""What one `up` or preview asks before this region changes its role, and what it says of a failover that it goes on with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain

import pulumi

from components.database import objections as database_objections
from components.database import promotion
from components.database.archive import Archive
from components.database.lost import lived_until
from components.database.specs import DatabaseSide
from components.failover import handover, questions, timeline
from components.failover.ahead import Ahead
from components.failover.backups import PeerBackups
from components.failover.drills import end_drills
from components.failover.duties import given
from components.failover.gate import Asks, Gate, GateClosedError
from components.failover.leaving import objection_to_leaving
from components.failover.questions import Primary
from components.failover.report import LocalReport
from components.kube import clock
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.objection import Objection
from components.kube.records import SERVING_RECORD
from components.kube.runner.fencing import follows
from components.kube.runner.flag import Flag
from components.velero import in_use, left_over
from components.velero.files import BackupFiles, without_data
from components.velero.memory import SUCCEEDED, TAKEN_BACK, note_service, note_way, recall
from components.velero.selection import Chosen, chosen
from settings.database import DatabaseSettings
from settings.handover import Token
from settings.model import Settings
from settings.names import Names
from settings.roles import Duties, refusal


@dataclass(kw_only=True)
class Preflight:
    """The questions of one `up` or preview, with the gate that judges them."""

    settings: Settings
    names: Names
    duties: Duties
    cluster: ClusterApi
    archive: Archive
    files: BackupFiles
    """Those beside the peer's backups, in this region's bucket."""

    sides: Sequence[DatabaseSide]
    report: LocalReport
    flag: Callable[[], Flag | None]
    """Reads the traffic flag, as `traffic.flag_object.read_flag` does."""

    primary_ahead: Ahead[Primary] | None = None
    """What the primary answers, where it was asked ahead."""

    asked: bool = False
    """Whether the engine has asked the gate. It does when `active` changes, and not in an `up` that goes on with a failover."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _primary: Primary | None = None
    _ahead: Ahead[tuple[PeerBackups, list[Objection], list[Objection]]] | None = None
    """What stands against a takeover, where it was asked ahead: what may change, and what no waiting changes."""

    _no_claims_used: bool = False
    _nothing_left_over: bool = False

    def begin(self, own: Callable[[], bool]) -> None:
        """Ask ahead what the gate of a takeover asks. `own` says whether this is the stack's own cluster."""

        def ask() -> tuple[PeerBackups, list[Objection], list[Objection]]:
            backups = self._backups()
            return backups, list(self._objections(backups, self.sides)), list(backups.lacking())

        if not self.settings.token:
            self._ahead = Ahead(ask, own=own)

    def ask(self) -> None:
        """Raises GateClosedError if the gate stays closed. A preview that cannot reach the cluster only warns."""
        self.asked, self._primary = True, None
        began = [ahead.began for ahead in (self.primary_ahead, self._ahead) if ahead]
        started = min(began, default=datetime.now(UTC))
        try:
            if self.names.role == "secondary" and self.settings.active is None:
                serves_here = self.cluster.read_record(SERVING_RECORD) is not None
                if reason := refusal(self.names.role, self.settings.active, serves_here=serves_here):
                    raise GateClosedError(f"k8s-dr:active: {reason}")
            if self.duties.takes_over or self.duties.hands_over:
                Gate(force=self.settings.force).refuse(clock.objections(self.cluster, self.names.role))
            if self.settings.token:
                self._ask_about_the_token(self.settings.token)
            elif self.duties.serves and not self.duties.restores and self.settings.force:
                self._ask_whether_to_take_back()
            elif self.duties.takes_over:
                self._ask_whether_to_take_over()
            elif self.duties.hands_over:
                self._ask_whether_to_give_up()
            elif not self.duties.serves:
                self._ask_whether_to_stand_by()
        except ClusterUnreachableError as error:
            if not pulumi.runtime.is_dry_run():
                raise GateClosedError(f"{error}; nothing was touched") from None
            pulumi.log.warn(f"{error}: whether this region can take over was not checked")
        if self.duties.restores and self.settings.drilled and not pulumi.runtime.is_dry_run():
            for line in end_drills(self.cluster):
                pulumi.log.info(line)
        self.report.preflight = timeline.step("preflight", started.isoformat(), datetime.now(UTC).isoformat())

    def _ask_whether_to_take_over(self) -> None:
        gate, settings = Gate(force=self.settings.force), self.settings
        until = time.monotonic() + self._patience
        gate.wait_until_open(self._against_the_primary, seconds=self._patience)
        answered, left = self._ahead.take() if self._ahead else None, max(until - time.monotonic(), 0)
        backups, first, lacking = answered or (self._backups(), None, None)

        def again() -> Iterable[Objection]:
            nonlocal first
            known, first = first, None
            return self._objections(backups, self.sides) if known is None else known

        gate.wait_until_open(again, backups.lacking if lacking is None else lambda: lacking, seconds=left)
        if self.names.role == "primary":
            self._note_way(SUCCEEDED)
        backups.tell()
        for line in database_objections.remarks(self.cluster, self.archive, settings.databases, self._rpo):
            pulumi.log.warn(line)

    def _ask_whether_to_take_back(self) -> None:
        """What this region gave and nobody has taken: its own objects and files are the newest, and its databases only need to be
        promoted again. Nothing is asked of backups, nor of the other region, of which a person has made sure."""
        gave = any(self._follows(side.settings) for side in self.sides) or given(self.cluster) is not None
        if not gave:
            return  # a primary that serves with force, as after its guard has stopped it
        databases = [side.settings for side in self.sides]
        Gate(force=self.settings.force).wait_until_open(
            lambda: chain(
                database_objections.against_standbys(self.cluster, [each for each in databases if self._follows(each)]),
                promotion.refusals(self.cluster, self.sides),
            ),
            seconds=self._patience,
        )
        self._note_way(TAKEN_BACK)

    def _follows(self, database: DatabaseSettings) -> bool:
        live = self.cluster.read_database(database.namespace, database.name)
        return live is not None and bool(live.get("spec")) and follows(live)

    def _note_way(self, way: str) -> None:
        if not pulumi.runtime.is_dry_run():
            note_way(self.cluster, way)

    def _ask_about_the_token(self, token: Token) -> None:
        """In a planned switchover the other region has stopped by itself, so it is not asked, and nothing is judged by its age:
        what the token names must be here."""
        gate, backups = Gate(force=self.settings.force), self._backups()
        arrivals = backups.arrivals

        def again() -> Iterator[Objection]:
            databases = [side.settings for side in self.sides]
            followers = [each for each in databases if (each.standby or self._follows(each)) and not self._promoted(each)]
            return chain(
                # It changes no role: Velero does the same within a minute. A preview leaves it to Velero all the same.
                () if pulumi.runtime.is_dry_run() else arrivals.objections(),
                backups.objections(lambda: None),
                self._against_claims(),
                self._against_what_is_left_over(),
                database_objections.against_standbys(self.cluster, followers),
                handover.objections_to_the_token(self.cluster, self.archive, self.sides, token),
                promotion.refusals(self.cluster, self.sides),
            )

        # Users wait: what still comes is seen as soon as it is there.
        self._wait(gate, again, backups.lacking, interval=1.0)
        backups.tell()

    def _ask_whether_to_give_up(self) -> None:
        """Before a planned switchover. A region that is unwell fails over instead."""
        databases, role = [side.settings for side in self.sides], self.names.role
        self._wait(
            Gate(force=self.settings.force),
            lambda: handover.objections_to_giving_up(self.cluster, self.archive, databases, role),
            lambda: handover.objections_to_running_pods(self.cluster, self.settings),
        )
        self._note_service()

    def _wait(self, gate: Gate, again: Asks, once: Asks = list, *, interval: float = 5.0) -> None:
        """Wait until the gate is open for a planned step. A preview says what the `up` would wait for, and goes on: in a
        switchover something is always still on its way, and a preview that failed for it would only be run again."""
        if not pulumi.runtime.is_dry_run():
            gate.wait_until_open(again, once, seconds=self._patience, interval=interval)
            return
        found = [*again(), *once()]
        for objection in found:
            if objection.passing:
                pulumi.log.info(f"the up waits, for it may pass: {objection.reason}")
        gate.refuse(objection for objection in found if not objection.passing)

    def _ask_whether_to_stand_by(self) -> None:
        databases = [side.settings for side in self.sides]
        if self.names.role == "secondary" and (reason := database_objections.refusal_to_stand_by(self.cluster, databases)):
            raise GateClosedError(f"k8s-dr:active: {reason}")
        if objection := objection_to_leaving(self.cluster, self.settings, self.flag):
            if pulumi.runtime.is_dry_run() and not self.settings.force:
                # A reviewer reads the plan of what may be right once the other region serves.
                pulumi.log.warn(f"the up would be refused: {objection}")
            else:
                Gate(force=self.settings.force).refuse([objection])
        self._note_service()

    def _promoted(self, database: DatabaseSettings) -> bool:
        return database_objections.promoted(self.cluster, database, self.names.role)

    def _note_service(self) -> None:
        """Keep that the region has served, and forget how it came to."""
        # Not before the region gives up: until then a restore that is made anew belongs to the same takeover.
        if not pulumi.runtime.is_dry_run() and self.cluster.read_record(SERVING_RECORD) is not None:
            note_service(self.cluster)

    @property
    def _patience(self) -> float:
        """Seconds for which the gate asks again. A preview does not wait."""
        return 0 if pulumi.runtime.is_dry_run() else self.settings.failover.seconds("preflight")

    @property
    def _rpo(self) -> timedelta:
        return timedelta(seconds=self.settings.objectives.rpo_seconds)

    def _backups(self) -> PeerBackups:
        named = self.settings.token.backups if self.settings.token else None
        return PeerBackups(self.settings, self.names, self.cluster, self.files, named)

    def _ask_primary(self) -> Primary:
        """What the primary answers, asked once in this `up`, and again where the Pod that asks did not start: it may wait for a
        node. Two regions that write are worse than none that does.

        A preview does not ask, because asking takes a Pod; nobody asks where no database is written to.
        """
        if not self.settings.databases or pulumi.runtime.is_dry_run():
            return Primary(answers=False, objection=None)
        with self._lock:
            known = self._primary
            if known is None and self.primary_ahead:
                known = self.primary_ahead.take()
            if known is None or (known.objection and known.objection.passing):
                known = questions.ask_primary(self.cluster, self.settings)
            self._primary = known
        return known

    def _against_the_primary(self) -> list[Objection]:
        return [objection] if (objection := self._ask_primary().objection) else []

    def _against_claims(self) -> Iterator[Objection]:
        """Claims of an earlier time that cannot be set aside, for Pods that stand by use them. What has found none asks no more:
        in a region that stands by nothing starts by itself, and the gate of a planned step asks each second."""
        if self._no_claims_used:
            return
        settings, memory = self.settings, recall(self.cluster)
        sets_aside = settings.token or self.names.role == "primary" or memory.served_before
        if memory.serves or not sets_aside:
            return
        found = [
            objection
            for each in chosen(settings.backups, settings.named_namespaces)
            for objection in in_use.objections(self.cluster, each, self._without_data(each))
        ]
        self._no_claims_used = not found
        yield from found

    def _without_data(self, each: Chosen) -> Collection[tuple[str, str]]:
        token = self.settings.token
        return without_data(self.files, self.settings.velero, token.backups.get(each.backup.name) if token else None)

    def _against_what_is_left_over(self) -> Iterator[Objection]:
        """Entries whose `existing` would keep the other region's last files out. A person changes that, and no waiting."""
        if not self._nothing_left_over:
            settings = self.settings
            wanted = chosen(settings.backups, settings.named_namespaces)
            found = list(left_over.objections(self.cluster, settings.backups, wanted, settings.role, self._without_data))
            self._nothing_left_over = not found
            yield from found

    def _objections(self, backups: PeerBackups, sides: Sequence[DatabaseSide]) -> Iterator[Objection]:
        """What may change while the gate waits."""
        databases = [side.settings for side in sides]
        return chain(
            backups.objections(lambda: lived_until(self.cluster, self.archive, self.settings.databases)),
            self._against_claims(),
            database_objections.objections(self.cluster, self.archive, databases, self._rpo),
            promotion.refusals(self.cluster, sides),
        )

    # A failover that an earlier `up` began

    def tell_if_unasked(self) -> None:
        """Say what the gate would say, in an `up` that goes on with a failover and does not ask it. It closes nothing: half a
        failover is worse than a whole one. Whatever goes wrong here is a line too."""
        if self.asked or self.settings.token:
            return
        goes_on = "this failover was begun by an earlier up, which asked the gate; asked now, the gate would say"
        try:
            left = [side for side in self.sides if not self._promoted(side.settings)]
            backups = self._backups()
            found = [*self._against_the_primary(), *self._objections(backups, left), *backups.lacking()]
        except Exception as error:  # noqa: BLE001 - nothing depends on it
            pulumi.log.warn(f"{goes_on} nothing that can be known: {' '.join(str(error).split())}")
            return
        if found:
            pulumi.log.warn(f"{goes_on}: {'; '.join(objection.reason for objection in found)}")

    def refuse_first_promotion(self) -> None:
        """Before a database is promoted. Raises GateClosedError in an `up` that does not ask the gate, if the primary answers or
        nobody can tell, and this region has no database yet that takes writes: nobody has written twice so far."""
        if self.asked or self.settings.force:
            return
        if token := self.settings.token:
            again = partial(handover.objections_to_the_token, self.cluster, self.archive, self.sides, token)
            Gate(force=False).wait_until_open(again, seconds=self._patience, interval=1.0)
        elif not any(self._promoted(side.settings) for side in self.sides):
            Gate(force=False).wait_until_open(self._against_the_primary, seconds=self._patience)
