"""A stack of the model: one `pulumi up`, in the order in which components/region.py asks and components/failover changes.

What it decides, the program decides: here are only the engine's ways. It changes what differs from its state, and not what
differs in the cluster. It deletes last. It asks the gate only when the inputs of `Failover` change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import pulumi

from components.database.creation import CreationRefusedError, objection_to_creation
from components.database.giving_up import give_up
from components.database.live import live_databases, settings_as_they_run
from components.database.side_role import role_now, server_of
from components.database.specs import HEALTHY, DatabaseSide, cluster_annotations, cluster_spec
from components.database.stopping import accepts_nothing
from components.failover.duties import duties_now, refuse_second_writer
from components.failover.gate import GateClosedError
from components.failover.handover import refuse_false_receipt
from components.failover.preflight import Preflight
from components.failover.report import LocalReport
from components.failover.stopped import Stopped, overrule, stopped_by_guard
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.objection import Objection
from components.kube.records import HANDOVER_RECORD, SERVING_RECORD
from components.kube.runner.flag import Flag, parse
from components.outputs import _next
from components.stale_primary import refuse_stale_primary, refuse_to_give_up_alone
from settings import load
from settings.handover import Token
from settings.load import SECRETS
from settings.model import Settings
from settings.names import Names
from settings.roles import Duties, Role, peer_of
from settings.rules import broken_rules
from tests.examples import REMOVED, example
from tests.unit.fakes import FakeFiles
from tests.unit.model.site import DATABASE, NAMESPACE, FlagObject, Site


class RefusedError(Exception):
    """What the `up` said."""


class KilledError(Exception):
    """The CLI is gone."""


@dataclass(kw_only=True)
class Files:
    """What a stack file says beside what never changes, and Pulumi.yaml's generations."""

    active: Role | None = None
    handover: str | None = None
    force: bool = False
    hold: bool = False
    rejoin: str | None = None


@cache
def _committed(role: Role, *, database: bool) -> Settings:
    without: dict[str, Any] = {} if database else {"databases": [], "databasePasswords": REMOVED}
    return load(role, example(role, {"peerReady": True, **without}), SECRETS)


def configured(role: Role, files: Files, generations: dict[Role, int], *, database: bool = True) -> Settings:
    """The settings of a stack. Raises RefusedError if a rule is broken."""
    committed = _committed(role, database=database)
    databases = [
        each.model_copy(update={"generations": each.generations.model_copy(update=generations)}) for each in committed.databases
    ]
    changed = {**vars(files), "databases": databases}
    settings = committed.model_copy(update=changed)
    if broken := [(rule, mistake) for rule, mistake in broken_rules(settings)]:
        raise RefusedError("; ".join(f"k8s-dr:{rule.key}: {mistake}" for rule, mistake in broken))
    return settings


class _NoArrivals:
    def objections(self) -> Iterator[Objection]:
        return iter(())


@dataclass(kw_only=True)
class _Backups:
    """Velero's part is not the model's, but that the gate knows a token by which the other region gives nothing any more: of a
    database the WAL says so, and of files the backups."""

    stale: bool
    arrivals = _NoArrivals()

    def objections(self, lived: object) -> Iterator[Objection]:
        return iter([Objection(reason="the token is stale")] if self.stale else ())

    def lacking(self) -> Iterator[Objection]:
        return iter(())

    def tell(self) -> None:
        pass


@dataclass(kw_only=True)
class _Preflight(Preflight):
    _patience = 0  # type: ignore[assignment]  # whoever would wait runs the `up` again
    given: str | None
    """The token that the other region gives now."""

    def _backups(self) -> Any:
        token = self.settings.token
        return _Backups(stale=not self.settings.databases and token is not None and token.text != self.given)


@dataclass(kw_only=True)
class State:
    """The engine's state of a stack, which all people share."""

    failover: tuple[Role, str | None, str | None] | None = None
    """The inputs of `Failover`: `active`, what it is told of a switchover, and which stop of the guard it wakes from."""

    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The Cluster's inputs, by server name, and whether the engine protects it."""

    flag: str | None = None
    scaled: tuple[bool, str | None] | None = None
    """What the workloads were scaled by last: whether the region serves, and from which stop of the guard it wakes."""

    restored: bool = False
    handover: str = ""
    next: str = ""


@dataclass(kw_only=True)
class Up:
    """One `pulumi up`. `around` is what both regions share."""

    site: Site
    peer: Site
    state: State
    flag: FlagObject | None
    """What S3 answers; None if the secondary region is dead."""

    write_flag: Callable[[str], None]
    operate: Callable[[], None]
    failed_over: Callable[[], None]
    """Told that files were restored here without a token."""

    flag_first: bool = True
    """Of what no order is set for, which comes first: the flag or the database."""

    dies_after: int | None = None

    def run(self, files: Files, generations: dict[Role, int]) -> None:
        """Raises RefusedError or KilledError."""
        try:
            self._run(configured(self.site.role, files, generations, database=self.site.database))
        except (pulumi.RunError, GateClosedError, CreationRefusedError, ClusterUnreachableError) as error:
            raise RefusedError(str(error)) from None

    def _run(self, settings: Settings) -> None:
        role, cluster, state = self.site.role, self.site.cluster, self.state
        names = Names(topology=settings.topology, role=role)
        archive = self.site.archive(peer=peer_of(role), peer_alive=self.peer.alive)
        cluster.uid()  # every run asks first whether the cluster is its own
        cluster.reached = {settings.probe: 200} if self.peer.takes_writes else {}
        live = live_databases(cluster, settings)
        does = duties_now(settings, cluster, archive, live)
        settings = settings_as_they_run(settings, live, does)
        stopped: Callable[[], Stopped | None] = cache(partial(stopped_by_guard, cluster, does))
        overruled = refuse_stale_primary(settings, live, self._read_flag, stopped)
        refuse_to_give_up_alone(settings, live, self._read_flag)
        refuse_second_writer(settings, cluster, does, live)
        refuse_false_receipt(settings, cluster)
        which = found.which if (found := stopped()) else None
        sides = [
            DatabaseSide(
                names=names,
                settings=database,
                database_role=role_now(database, role, does, live[DATABASE]),
                stopped=which,
                token=settings.token.databases.get(DATABASE) if settings.token else None,
                given_up=database.server(role) in settings.given_up,
            )
            for database in settings.databases
        ]
        preflight = _Preflight(
            settings=settings,
            names=names,
            duties=does,
            cluster=cluster,
            archive=archive,
            files=FakeFiles(),
            sides=sides,
            report=LocalReport(names, settings),
            flag=self._read_flag,
            given=self.peer.cluster.records.get(HANDOVER_RECORD, {}).get("token"),
        )
        told = (settings.serving_role, settings.handover_now, which)
        if state.failover != told:
            if state.failover is None or state.failover[:2] != told[:2]:
                preflight.ask()
            if overruled:
                overrule(cluster, overruled)
        state.failover = told

        def database_step() -> None:
            for side in sides:
                self._database(side, preflight, settings)
            if not sides:
                self._files(does, which, by_token=settings.token is not None)

        def flag_step() -> None:
            if does.flag:
                content = Flag(active=does.flag, handover="primary" if does.hands_over else None).content()
                if content != state.flag:
                    self.write_flag(content)
                    state.flag = content

        def serving_step() -> None:
            if does.serves and not does.held:
                cluster.records.setdefault(SERVING_RECORD, {"region": names.region})

        if does.takes_over:
            steps = [database_step, flag_step, serving_step]
        elif self.flag_first or not sides:
            steps = [flag_step, serving_step, database_step]
        else:
            steps = [database_step, flag_step, serving_step]
        token = None
        for number, step in enumerate(steps):
            self._may_die(number)
            step()
        self._may_die(len(steps))
        if does.hands_over:
            demotion = (self.site.live or {}).get("status", {}).get("demotionToken", "")
            demoted = [side for side in sides if side.database_role == "demoted"]
            databases = {side.settings.name: demotion for side in demoted}
            backup = "last" if sides else f"last-{sorted(self.site.last)}"
            token = Token(given_by=role, databases=databases, backups={"hourly-critical": backup}).text
            cluster.records[HANDOVER_RECORD] = {"token": token}
        self._may_die(len(steps) + 1)
        # The engine deletes last.
        if not does.serves or does.held:
            cluster.records.pop(SERVING_RECORD, None)
        if not does.hands_over:
            cluster.records.pop(HANDOVER_RECORD, None)
        receipt = settings.token.receipt if settings.token and not does.held else ""
        state.handover, state.next = token or receipt, self._next(settings, names, does)

    @staticmethod
    def _next(settings: Settings, names: Names, does: Duties) -> str:
        return _next(settings, names, does, flag=None, follows=None)

    def _may_die(self, number: int) -> None:
        if self.dies_after == number:
            raise KilledError

    def _read_flag(self) -> Flag | None:
        return replace(parse(self.flag.content), written=self.flag.written) if self.flag else None

    def _files(self, does: Duties, which: str | None, *, by_token: bool) -> None:
        """Restore and scale, in a pair without databases."""
        site, state = self.site, self.state
        if not does.restores:
            state.restored = False
        elif not state.restored and SERVING_RECORD not in site.cluster.records:
            site.files = set(self.peer.last if by_token else self.peer.copied)
            state.restored = True
            if not by_token:
                self.failed_over()
        if state.scaled != (does.serves, which):
            site.scaled, state.scaled = does.serves, (does.serves, which)
        if does.hands_over:
            site.last = frozenset(site.files)

    def _database(self, side: DatabaseSide, preflight: _Preflight, settings: Settings) -> None:
        """Register the side's Cluster, and wait for what the program waits for."""
        role, server = side.names.role, side.settings.server(side.names.role)
        known = self.state.clusters
        annotations = cluster_annotations(side)
        inputs = {"spec": cluster_spec(side), "annotations": annotations, "protect": not side.given_up}
        old = known.get(server)
        if dropped := [each for each, of in known.items() if each != server and of["protect"]]:
            raise RefusedError(f"the engine protects {dropped[0]}")
        if old is None:
            self._create(side, preflight, settings, inputs)
        elif _comparable(old) != _comparable(inputs):
            if side.database_role == "promoted" and old["spec"]["replica"] != inputs["spec"]["replica"]:
                preflight.refuse_first_promotion()
            self._patch(old, inputs)
        self.state.clusters = {server: inputs}
        self.operate()
        self._await(side, role)

    def _create(self, side: DatabaseSide, preflight: _Preflight, settings: Settings, inputs: dict[str, Any]) -> None:
        site, cluster = self.site, self.site.cluster
        source = preflight.archive if side.database_role in ("replica", "recovered") else None
        found = objection_to_creation(cluster, preflight.archive, source, side.settings, side.names.role)
        if found and not (settings.force and found.judgement):
            raise CreationRefusedError(str(found))
        give_up(cluster, side, settings.given_up, seconds=0)
        if site.live is not None:
            raise RefusedError(f"Cluster {NAMESPACE}/{DATABASE} already exists")
        metadata = {"name": DATABASE, "namespace": NAMESPACE, "annotations": dict(inputs["annotations"])}
        site.make({"metadata": metadata, "spec": dict(inputs["spec"])})

    def _patch(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        """Server-side apply: fields that the engine no longer has go, and those of others stay."""
        live = self.site.live
        if live is None:
            raise RefusedError(f"Cluster {NAMESPACE}/{DATABASE} not found")
        live["spec"] = {**new["spec"], "bootstrap": live["spec"]["bootstrap"]}
        others = {key: value for key, value in live["metadata"]["annotations"].items() if key not in old["annotations"]}
        live["metadata"]["annotations"] = {**others, **new["annotations"]}

    def _await(self, side: DatabaseSide, role: Role) -> None:
        live = self.site.live
        assert live is not None
        status, phase = live["status"], live["status"]["phase"]
        done = {
            "demoted": bool(status.get("demotionToken")),
            "fenced": accepts_nothing(live),
            "promoted": self.site.takes_writes,
        }.get(side.database_role, phase == HEALTHY)
        if not done:
            raise RefusedError(f"database {DATABASE} in {server_of(live)} does not become {side.database_role}: {phase}")


def _comparable(inputs: dict[str, Any]) -> dict[str, Any]:
    return {**inputs, "spec": {key: value for key, value in inputs["spec"].items() if key != "bootstrap"}}
