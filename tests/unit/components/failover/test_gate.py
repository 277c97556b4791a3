"""The gate: what must hold before a region takes over, asked before anything is touched."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.failover import gate
from components.failover.gate import Gate, GateClosedError
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.objection import Objection, judged
from components.velero.choice import Choice
from components.velero.inventory import Inventory, Needs
from tests.unit.components.conftest import Clock
from tests.unit.fakes import FakeCluster, FakeFiles
from tests.unit.recorder import Recorder, run_program

HOURLY, DAILY = "hourly-critical-us-east-1", "daily-full-us-east-1"
DEPLOY = "deploy the standby first: pulumi config rm active -s secondary && pulumi up -s secondary"


def ago(minutes: float) -> str:
    """A moment in the past as Velero writes it."""
    return (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def seen() -> dict[str, str]:
    """Status of a location that was just read. A run of all tests may be longer than such a status is good for."""
    return {"phase": "Available", "lastSyncedTime": ago(1)}


LOG = "see: kubectl logs -n velero deploy/velero"
LONG_AGO = ago(11)


def location(name: str = "peer", **status: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, **({"status": status} if status else {})}


def backup(schedule: str, phase: str | None = "Completed") -> dict[str, Any]:
    labels = {"velero.io/schedule-name": schedule}
    return {"metadata": {"name": f"{schedule}-1", "labels": labels}, **({"status": {"phase": phase}} if phase else {})}


def aged(schedule: str, minutes: int, phase: str = "Completed") -> dict[str, Any]:
    """A Backup that began so many minutes ago, and half a one, so that its age in words stays the same for a while."""
    made = backup(schedule, phase)
    made["metadata"]["name"] = f"{schedule}-{minutes}"
    made["status"] |= dict.fromkeys(("startTimestamp", "completionTimestamp"), ago(minutes + 0.5))
    return made


BOTH: list[dict[str, Any]] = [
    {"name": "hourly-critical", "cron": "0 * * * *", "keep": "24h", "include": ["production", "databases"]},
    {"name": "daily-full", "cron": "0 2 * * *", "keep": "24h", "restore": "everything"},
]


def cluster(*backups: dict[str, Any], places: list[dict[str, Any]] | None = None) -> FakeCluster:
    locations = [location("own", phase="Available"), location(**seen())] if places is None else places
    standby = {"status": {"phase": "Cluster in healthy state"}}
    return FakeCluster(
        velero={"backupstoragelocations": locations, "backups": list(backups)}, databases={"app-database": standby}
    )


def gates(asked: FakeCluster) -> list[str]:
    """What was asked but for drills, which have threads of their own."""
    return [each for each in asked.asked if "drill" not in each]


def objections(asked: FakeCluster, schedules: list[str]) -> list[str]:
    return [str(each) for each in gate.objections(asked, [Choice(schedule=schedule) for schedule in schedules])]


READY = (backup(HOURLY), backup(DAILY))


def test_nothing_stands_against_a_region_that_sees_a_completed_backup_of_each_schedule() -> None:
    assert objections(cluster(*READY), [HOURLY, DAILY]) == []


def test_one_completed_backup_is_enough_whatever_became_of_the_others() -> None:
    mixed = [backup(HOURLY, "PartiallyFailed"), backup(HOURLY), backup(HOURLY, "InProgress")]
    assert objections(cluster(*mixed), [HOURLY]) == []


OBJECTIONS: list[tuple[str, FakeCluster, str]] = [
    ("no-velero", FakeCluster(), f"Velero is not installed in this cluster; {DEPLOY}"),
    ("no-location", cluster(places=[]), f"there is no location of the peer's backups; {DEPLOY}"),
    ("other-location", cluster(places=[location("own", **seen())]), f"there is no location of the peer's backups; {DEPLOY}"),
    (
        "unavailable",
        cluster(places=[location(phase="Unavailable", message="AccessDenied")]),
        "the location of the peer's backups is Unavailable: AccessDenied; see: velero backup-location get",
    ),
    (
        "unchecked",
        cluster(places=[location()]),
        "the location of the peer's backups is unchecked: Velero has not looked yet; see: velero backup-location get",
    ),
    (
        "unsynced",
        cluster(places=[location(phase="Available")]),
        f"the peer's backups were last read never; {LOG}",
    ),
    (
        "not-looked-after",
        cluster(*READY, places=[location(phase="Available", lastSyncedTime=LONG_AGO)]),
        f"the peer's backups were last read {LONG_AGO}; {LOG}",
    ),
]
NO_BACKUP = (
    "schedule {0} has no Completed backup here ({1}); see: kubectl get backup.velero.io -n velero "
    "-l velero.io/schedule-name={0} -o custom-columns=NAME:.metadata.name,PHASE:.status.phase,BEGAN:.status.startTimestamp,"
    "ENDED:.status.completionTimestamp; {2}if nothing has to be restored set restore: false for it in k8s-dr:backups"
)
WAY_ON = (
    f"to restore the newest of these all the same look at it (velero backup describe {HOURLY}-1 --details) and write "
    f"from: {HOURLY}-1 to its entry of k8s-dr:backups; "
)
MISSING_NAMESPACE = "a namespace that it includes and that does not exist is enough for that"


@pytest.mark.parametrize(("asked", "reason"), [case[1:] for case in OBJECTIONS], ids=[case[0] for case in OBJECTIONS])
def test_a_location_that_cannot_be_read_is_the_one_objection(asked: FakeCluster, reason: str) -> None:
    assert objections(asked, [HOURLY, DAILY]) == [reason]


def test_a_location_that_was_read_a_few_minutes_ago_is_looked_after() -> None:
    recent = [location(phase="Available", lastSyncedTime=ago(9))]
    assert objections(cluster(*READY, places=recent), [HOURLY, DAILY]) == []


def test_each_schedule_without_a_completed_backup_is_an_objection() -> None:
    asked = cluster(backup(HOURLY, "PartiallyFailed"), backup(HOURLY, "Failed"), backup(HOURLY, None))
    assert objections(asked, [HOURLY, DAILY]) == [
        NO_BACKUP.format(HOURLY, f"only Failed, New, PartiallyFailed; {MISSING_NAMESPACE}", WAY_ON),
        NO_BACKUP.format(DAILY, "none at all", ""),
    ]
    assert objections(cluster(backup(HOURLY, "Failed")), [HOURLY]) == [NO_BACKUP.format(HOURLY, "only Failed", "")]


def passing(*reasons: str) -> list[Objection]:
    return [Objection(reason=reason, passing=True) for reason in reasons]


LASTING = Objection(reason="no operator")
JUDGED = Objection(reason="12 min 5 s late", judgement=True, passing=True)


class Probe:
    """Gives one answer after the other, and the last one for ever."""

    def __init__(self, *answers: list[Objection]) -> None:
        self.remaining = itertools.chain(answers, itertools.repeat(answers[-1]))
        self.asked = 0

    def __call__(self) -> list[Objection]:
        self.asked += 1
        return next(self.remaining)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What is logged, by level."""
    told: dict[str, list[str]] = {"info": [], "warn": []}
    for level, texts in told.items():
        monkeypatch.setattr(f"pulumi.log.{level}", lambda text, *_, texts=texts: texts.append(text))
    return told


def wait(again: Probe, once: Probe | None = None, *, force: bool = False, seconds: float = 180) -> None:
    Gate(force=force).wait_until_open(again, once or Probe([]), seconds=seconds)


def test_a_gate_that_is_open_is_passed_at_once(clock: Clock, said: dict[str, list[str]]) -> None:
    wait(Probe([]))
    assert not clock.naps
    assert said == {"info": [], "warn": []}


def test_a_gate_that_opens_later_is_waited_for(clock: Clock) -> None:
    wait(Probe(passing("not yet"), passing("not yet"), []))
    assert clock.naps == [5.0, 5.0]


def test_a_gate_that_never_opens_says_what_stood_against_it_last(clock: Clock) -> None:
    with pytest.raises(GateClosedError, match=r"^second; third$"):
        wait(Probe(passing("first"), passing("second", "third")))
    assert sum(clock.naps) == 180


def test_a_preview_asks_once_and_never_waits(clock: Clock, said: dict[str, list[str]]) -> None:
    with pytest.raises(GateClosedError):
        wait(Probe(passing("closed"), []), seconds=0)
    assert not clock.naps
    assert said["info"] == []


def test_each_objection_is_told_at_once_and_once_with_the_time_until_which_it_is_asked_again(
    clock: Clock, said: dict[str, list[str]]
) -> None:
    old = passing("backup a is 5 min 3 s old"), passing("backup a is 5 min 8 s old", "backup b is 3 s old")
    wait(Probe(*old, []))
    first, second = said["info"]
    until = re.fullmatch(r"asked again until (\d\d:\d\d:\d\d) UTC, for it may pass: backup a is 5 min 3 s old", first)
    assert until
    end = datetime.strptime(until[1], "%H:%M:%S").replace(tzinfo=UTC)
    assert (end - datetime.now(UTC)) % timedelta(days=1) <= timedelta(seconds=180)
    assert second.endswith(": backup b is 3 s old")


def test_what_no_waiting_changes_ends_it_at_once_with_all_the_reasons(clock: Clock, said: dict[str, list[str]]) -> None:
    with pytest.raises(GateClosedError, match=r"^not yet; no operator; no class$"):
        wait(Probe([*passing("not yet"), LASTING]), Probe([Objection(reason="no class")]))
    with pytest.raises(GateClosedError, match=r"^no operator$"):
        wait(Probe([LASTING]))
    assert not clock.naps
    assert said["info"] == []


def test_what_cannot_change_is_asked_once(clock: Clock) -> None:
    again, once = Probe(passing("not yet"), passing("not yet"), []), Probe([])
    wait(again, once)
    assert (again.asked, once.asked) == (3, 1)


def test_force_passes_over_what_is_a_matter_of_judgement_and_says_each_once(clock: Clock, said: dict[str, list[str]]) -> None:
    later = Objection(reason="12 min 10 s late", judgement=True, passing=True)
    wait(Probe([JUDGED, *passing("not yet")], [later]), Probe([Objection(reason="no class", judgement=True)]), force=True)
    assert said["warn"] == ["k8s-dr:force passes over this: 12 min 5 s late", "k8s-dr:force passes over this: no class"]
    with pytest.raises(GateClosedError, match=r"^no operator$"):
        wait(Probe([JUDGED, LASTING]), force=True)
    with pytest.raises(GateClosedError, match=r"^12 min 5 s late; to go on all the same: pulumi config set force true"):
        wait(Probe([JUDGED]))


def test_a_question_that_breaks_is_an_objection_and_a_silent_cluster_is_none() -> None:
    def breaks() -> list[str]:
        raise KeyError("begin_wal")

    def silent() -> list[str]:
        raise ClusterUnreachableError("no answer")

    (told,) = judged(breaks, passing=False)
    assert told == Objection(reason="not all could be judged: KeyError: 'begin_wal'", judgement=True)
    (told,) = judged(breaks, passing=True, told=(KeyError,))
    assert told == Objection(reason="'begin_wal'", judgement=True, passing=True)
    with pytest.raises(ClusterUnreachableError):
        list(judged(silent, passing=False, told=(Exception,)))


class TestTheHook:
    """`failover-gate` as the engine calls it, with the program's own settings behind it."""

    @pytest.fixture(autouse=True)
    def _clock(self, clock: Clock) -> None:
        self.clock = clock

    def ask(
        self,
        stack: str,
        active: str | None,
        asked: FakeCluster,
        *,
        preview: bool = False,
        silent: Exception | None = None,
        files: FakeFiles | None = None,
        **changes: Any,
    ) -> str:
        """What the hook says. `silent` is what the cluster raises from the moment when the program has ended."""
        changes |= {} if active is None else {"active": active}
        self.region: Recorder = run_program(stack, changes, cluster=asked, files=files, preview=preview)
        asked.error = silent or asked.error
        return self.region.call_hook("failover-gate")

    def test_is_asked_when_active_changes_and_in_previews_too(self) -> None:
        self.ask("secondary", "secondary", cluster(*READY))
        (component,) = self.region.of("Failover")
        assert component.hooks == {"before_create": ["failover-gate"], "before_update": ["failover-gate"]}
        assert component.inputs == {"active": "secondary", "clusterUid": FakeCluster().identity}
        assert "failover-gate" in self.region.hooks_on_preview

    def test_opens_for_a_standby_that_sees_its_peers_backups(self) -> None:
        assert self.ask("secondary", "secondary", cluster(*READY)) == ""

    def test_asks_for_every_schedule_that_will_be_restored_and_no_other(self) -> None:
        backups = [
            {"name": "a", "cron": "0 * * * *", "keep": "24h", "include": ["a"]},
            {"name": "b", "cron": "0 * * * *", "keep": "24h", "restore": False},
        ]
        assert self.ask("secondary", "secondary", cluster(backup("a-us-east-1")), backups=backups) == ""

    def test_closes_with_every_reason_in_one_line_once_the_preflight_time_is_over(self) -> None:
        told = self.ask("secondary", "secondary", cluster(), failover={"preflight": "20s"})
        assert told == NO_BACKUP.format(HOURLY, "none at all", "")
        assert sum(self.clock.naps) == 20

    def test_closes_at_once_in_a_preview(self) -> None:
        assert "has no Completed backup" in self.ask("secondary", "secondary", cluster(), preview=True)
        assert not self.clock.naps

    def test_closes_where_the_cluster_cannot_be_asked_and_says_that_nothing_was_touched(self) -> None:
        asked = cluster()
        region = run_program("secondary", {"active": "secondary"}, cluster=asked)
        asked.error = ClusterUnreachableError("cluster prod-usw2 does not answer")
        assert region.call_hook("failover-gate") == "cluster prod-usw2 does not answer; nothing was touched"

    def test_lets_a_preview_without_a_cluster_pass(self) -> None:
        unreachable = FakeCluster(error=ClusterUnreachableError("cluster prod-usw2 does not answer"))
        assert self.ask("secondary", "secondary", unreachable, preview=True) == ""

    @pytest.mark.parametrize(("stack", "active"), [("primary", None), ("primary", "primary")])
    def test_asks_nobody_where_nothing_is_taken_over(self, stack: str, active: str | None) -> None:
        assert self.ask(stack, active, FakeCluster(), silent=AssertionError("nobody is to be asked")) == ""

    def test_asks_a_standby_for_its_database_and_whether_it_served(self) -> None:
        asked = FakeCluster()
        assert self.ask("secondary", "primary", asked) == ""
        live = "database databases/app-database"
        assert gates(asked) == [live, "record handover", "record creating", live, live, "record serving", "record serving"]

    def test_lets_a_region_stand_by_that_never_served(self) -> None:
        asked = FakeCluster()
        assert self.ask("secondary", None, asked) == ""
        live = "database databases/app-database"
        serving = "record serving"
        assert gates(asked) == [live, "record handover", "record creating", serving, live, live, serving, serving]

    def test_refuses_to_send_a_region_that_serves_back_to_standing_by_because_active_is_not_set(self) -> None:
        told = self.ask("secondary", None, FakeCluster(records={"serving": {"region": "us-west-2"}}))
        assert told.startswith("k8s-dr:active: this region has taken over, but active is not set in Pulumi.secondary.yaml")
        assert "\n" not in told

    def test_lets_a_region_that_serves_stand_by_where_somebody_says_so(self) -> None:
        serves = {"serving": {"region": "us-west-2"}}
        assert "the primary has taken over is not known" in self.ask("secondary", "primary", FakeCluster(records=serves))
        assert self.ask("secondary", "primary", FakeCluster(records=serves), force=True) == ""

    def test_closes_where_nobody_can_say_whether_the_region_serves_and_active_is_not_set(self) -> None:
        silent = ClusterUnreachableError("cluster prod-usw2 does not answer")
        assert self.ask("secondary", None, FakeCluster(), silent=silent) == f"{silent}; nothing was touched"
        assert self.ask("secondary", None, FakeCluster(), silent=silent, preview=True) == ""

    def test_says_how_old_what_it_restores_is_and_warns_of_a_newer_one_that_it_passes_over(
        self, said: dict[str, list[str]]
    ) -> None:
        asked = cluster(aged(HOURLY, 20), aged(DAILY, 600))
        assert self.ask("secondary", "secondary", asked, backups=BOTH) == ""
        assert [text for text in said["info"] if "is daily-full-us-east-1-600, 10 h " in text]
        assert said["warn"] == []
        asked = cluster(aged(HOURLY, 50), aged(HOURLY, 20, "PartiallyFailed"), aged(DAILY, 600))
        assert self.ask("secondary", "secondary", asked, backups=BOTH) == ""
        (warned,) = said["warn"]
        assert "hourly-critical-us-east-1-20, 2" in warned
        assert "old, is PartiallyFailed and is not taken" in warned

    def test_closes_where_a_newer_backup_should_be_here_and_force_or_a_name_goes_on(self, said: dict[str, list[str]]) -> None:
        asked = cluster(aged(HOURLY, 300), aged(DAILY, 600))
        told = self.ask("secondary", "secondary", asked, backups=BOTH)
        assert "hourly-critical-us-east-1-300, 5 h " in told
        assert "daily-full" not in told
        assert told.endswith("to go on all the same: pulumi config set force true -s secondary")
        with_force = self.ask("secondary", "secondary", asked, backups=BOTH, force=True)
        assert with_force == ""
        assert [text for text in said["warn"] if text.startswith("k8s-dr:force passes over this: ") and "-300, 5 h " in text]
        named = [{**BOTH[0], "from": "hourly-critical-us-east-1-300"}, BOTH[1]]
        asked.velero["backups"] = [{**each, "spec": {"storageLocation": "peer"}} for each in asked.velero["backups"] or []]
        assert self.ask("secondary", "secondary", asked, backups=named) == ""

    def test_closes_where_the_cluster_lacks_what_the_backups_need_and_force_goes_on(self) -> None:
        asked = cluster(aged(HOURLY, 20), aged(DAILY, 600))
        needs = {"production": Needs(priority_classes={"high"})}
        files = FakeFiles(needs=Inventory(written=datetime.now(UTC), namespaces=needs))
        told = self.ask("secondary", "secondary", asked, backups=BOTH, files=files)
        assert told.startswith("workloads need PriorityClass high, which this cluster lacks")
        assert self.ask("secondary", "secondary", asked, backups=BOTH, files=files, force=True) == ""

    def test_what_could_not_be_judged_is_a_warning_and_the_takeover_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        warnings: list[str] = []
        monkeypatch.setattr("pulumi.log.warn", warnings.append)
        assert self.ask("secondary", "secondary", cluster(*READY), files=FakeFiles(needs=None)) == ""
        assert len(warnings) == 1
        assert "the peer's inventory of classes, images and requests has not come" in warnings[0]
