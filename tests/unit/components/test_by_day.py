"""What each `pulumi up` says by day of backups: the region that serves of its own, the standby of its peer's."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from components import tried_by_day
from components.database.archive import ArchiveUnreadableError
from components.failover.following import Following
from components.kube.runner.ask import Answer, Question
from components.kube.runner.mark import Mark
from components.velero.inventory import Inventory, Needs
from settings.handover import Token
from settings.roles import Role
from tests.examples import REMOVED
from tests.unit.components.failover.test_gate import BOTH, aged, cluster
from tests.unit.fakes import FakeArchive, FakeCluster, FakeFiles, mark
from tests.unit.recorder import Recorder, run_program

OWN = {"primary": "hourly-critical-us-east-1", "secondary": "hourly-critical-us-west-2"}
LATE = "the newest Completed backup"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, *_: texts.append(text))
    return texts


@pytest.mark.parametrize(
    ("stack", "changes", "own", "peers"),
    [
        ("primary", {}, True, False),
        ("primary", {"active": "secondary"}, False, False),
        ("secondary", {"peerReady": True}, False, True),
        ("secondary", {}, False, False),
        ("secondary", {"active": "secondary", "peerReady": True}, False, False),  # it only takes over now
    ],
)
def test_who_serves_tells_of_its_own_backups_and_a_standby_of_its_peers_and_no_preview_of_any(
    stack: Role, changes: dict[str, Any], own: bool, peers: bool, said: list[str]
) -> None:
    asked = cluster(*(aged(schedule, 300) for schedule in OWN.values()))
    if stack == "primary":
        asked.databases.clear()  # that one runs, and a stack that gives up waits until its own has stopped
    for preview in (False, True):
        said.clear()
        run_program(stack, {"backups": BOTH, **changes}, cluster=asked, preview=preview)
        late = [text for text in said if LATE in text]
        assert bool([text for text in late if OWN[stack] in text]) is (own and not preview)
        assert bool([text for text in late if OWN[stack] not in text]) is (peers and not preview)


def test_a_secondary_that_has_taken_over_tells_of_its_own_backups(said: list[str]) -> None:
    asked = cluster(aged(OWN["secondary"], 300))
    asked.records["serving"] = {"region": "us-west-2"}
    run_program("secondary", {"backups": BOTH, "active": "secondary", "peerReady": True}, cluster=asked)
    assert [text for text in said if LATE in text and OWN["secondary"] in text]


class TestWhetherTheOtherRegionFollows:
    """In the region that serves: if it dies, the other one has what it has followed by then."""

    SERVES: ClassVar[dict[str, Any]] = {"active": "secondary", "peerReady": True}

    def ups(self, archive: FakeArchive, stack: Role = "secondary", **changes: Any) -> Recorder:
        """An ordinary `up` of a region that serves, long after it took over."""
        serving = FakeCluster(records={"serving": {"region": "…"}})
        changes = {**(self.SERVES if stack == "secondary" else {"peerReady": True}), **changes}
        return run_program(stack, changes, cluster=serving, archive=archive)

    def heard(self, said: list[str]) -> list[str]:
        return [text for text in said if "may have no other copy" in text]

    @pytest.mark.parametrize("stack", ["primary", "secondary"])
    def test_a_follower_is_nothing_to_say(self, stack: Role, said: list[str]) -> None:
        told = self.ups(FakeArchive(), stack).outputs["next"]
        assert self.heard(said) == []
        assert ("the primary follows, by the marks of its databases" in told) is (stack == "secondary")

    @pytest.mark.parametrize(("stack", "peer"), [("primary", "secondary"), ("secondary", "primary")])
    def test_a_silent_mark_is_said(self, stack: Role, peer: Role, said: list[str]) -> None:
        told = self.ups(FakeArchive(marks={f"app-database-{peer}-g1": mark(timedelta(minutes=20))}), stack)
        (line,) = self.heard(said)
        assert line.startswith(f"database app-database: the {peer}'s side last said at ")
        assert line.endswith(
            f"until the {peer} follows, what is written here may have no other copy (docs/recovery.md, While there is one copy)"
        )
        assert ("until it follows again, the data here have no other copy" in told.outputs["next"]) is (stack == "secondary")

    def test_an_older_timeline_is_said(self, said: list[str]) -> None:
        mine = replace(mark(timedelta(minutes=1)), segment="00000002000000000000000A")
        told = self.ups(FakeArchive(marks={"app-database-secondary-g1": mine}))
        (line,) = self.heard(said)
        assert "the primary's side is on an older timeline (000000010000000000000009) than this one" in line
        assert "until it follows again" in told.outputs["next"]

    def test_a_side_that_has_archived_nothing_proves_nothing(self, said: list[str]) -> None:
        empty = replace(mark(timedelta(minutes=1)), segment=None, archived=None)
        self.ups(FakeArchive(marks={"app-database-primary-g1": empty}))
        (line,) = self.heard(said)
        assert "the primary's side has archived nothing yet" in line

    def test_a_region_that_does_not_mark_its_own_archive_cannot_tell(self, said: list[str]) -> None:
        self.ups(FakeArchive(marks={"app-database-secondary-g1": None}))
        (line,) = self.heard(said)
        assert "this region has not marked for ten minutes what it has archived" in line

    def test_a_busy_database_is_behind_by_time_and_not_by_segments(self, said: list[str]) -> None:
        mine = replace(mark(timedelta(minutes=1)), segment="0000000100000000000000A0")
        sides = ("app-database-secondary-g1", "app-database-primary-g1")
        for minutes, late in ((14, False), (16, True)):
            said.clear()
            told = self.ups(FakeArchive(marks={sides[0]: mine}, lag={sides: timedelta(minutes=minutes)}))
            assert bool(self.heard(said)) is late
            assert ("the primary follows" in told.outputs["next"]) is not late

    def test_many_databases_that_do_not_follow_are_one_line(self, said: list[str]) -> None:
        named = [{"name": f"shop-{number}", "namespace": "databases"} for number in range(6)]
        passwords = {each["name"]: "a password" for each in named}
        self.ups(FakeArchive(marked=None), databases=named, databasePasswords=passwords)
        (line,) = self.heard(said)
        assert line.startswith("database shop-0: the primary's side has never said here")
        assert "; nor is it known that 5 more follow: shop-1, shop-2, shop-3, …; until" in line

    def test_an_archive_that_cannot_be_read_is_no_follower(self, said: list[str]) -> None:
        told = self.ups(FakeArchive(error=ArchiveUnreadableError("s3://… cannot be read")))
        (line,) = self.heard(said)
        assert line.startswith("s3://… cannot be read; until")
        assert "until it follows again" in told.outputs["next"]

    def test_a_region_that_has_taken_over_minutes_ago_says_it_in_next_alone(self, said: list[str]) -> None:
        since, late = "2026-03-01T03:00:40Z", datetime(2026, 3, 1, 3, 15, tzinfo=UTC)
        found = Following(role="secondary", asked=["app-database"], against={"app-database": "it is silent"})
        assert found.warnings(since, late) == []
        assert found.warnings(since, late + timedelta(minutes=1)) == found.warnings(None, late) != []
        assert found.all_follow is False

    @pytest.mark.parametrize(
        ("stack", "changes", "cluster"),
        [
            ("secondary", SERVES, FakeCluster()),  # it only takes over now
            ("secondary", {**SERVES, "peerReady": False}, FakeCluster(records={"serving": {}})),
            ("secondary", {"peerReady": True}, FakeCluster()),
            ("primary", {"active": "secondary", "peerReady": True}, FakeCluster()),
        ],
    )
    def test_no_other_up_asks(self, stack: Role, changes: dict[str, Any], cluster: FakeCluster, said: list[str]) -> None:
        run_program(stack, changes, cluster=cluster, archive=FakeArchive(marked=None))
        assert self.heard(said) == []

    def test_a_database_without_a_side_there_says_nothing_of_one(self, said: list[str]) -> None:
        told = self.ups(FakeArchive(marked=None), tier="backup-restore")
        assert self.heard(said) == []
        assert "until it follows again, the data here have no other copy" in told.outputs["next"]

    def test_after_a_planned_switchover_next_says_what_it_sees(self) -> None:
        given = Token(given_by="primary", databases={}, backups={"hourly-critical": "last"}).text
        for archive, words in ((FakeArchive(), "the primary follows, by"), (FakeArchive(marked=None), "has not shown yet")):
            assert words in self.ups(archive, handover=given).outputs["next"]


def test_a_standby_says_by_day_what_its_cluster_lacks(said: list[str]) -> None:
    needs = {"production": Needs(ingress_classes={"nginx"})}
    files = FakeFiles(needs=Inventory(written=datetime.now(UTC), namespaces=needs))
    run_program("secondary", {"backups": BOTH, "peerReady": True}, files=files)
    assert [text for text in said if "Ingresses need IngressClass nginx" in text]


LEFT = [{**BOTH[0], "existing": "keep"}]


@pytest.mark.parametrize(("stack", "changes"), [("primary", {}), ("secondary", {"peerReady": True})])
def test_each_region_says_by_day_what_was_left_in_backups_from_the_last_failover(
    stack: Role, changes: dict[str, Any], said: list[str]
) -> None:
    run_program(stack, {"backups": LEFT, **changes}, cluster=cluster(aged(OWN["primary"], 300)))
    assert [text for text in said if text.startswith("k8s-dr:backups[0].existing: hourly-critical still has keep, ")]


def test_the_gate_of_a_takeover_by_a_token_objects_to_what_was_left_there() -> None:
    asked = cluster()
    path = "/api/v1/namespaces/{}/persistentvolumeclaims"
    claim = {"metadata": {"namespace": "production", "name": "files"}}
    asked.paths |= {path.format("production"): {"items": [claim]}, path.format("databases"): {"items": []}}
    token = Token(given_by="primary", databases={}, backups={"hourly-critical": "last"})
    changes = {"active": "secondary", "handover": token.text, "peerReady": True, "backups": LEFT}
    told = run_program("secondary", {**changes, "databases": [], "databasePasswords": REMOVED}, cluster=asked).call_hook(
        "failover-gate"
    )
    assert "k8s-dr:backups[0].existing: keep leaves the claims that are here (production/files) with files of an earlier" in told


@pytest.mark.parametrize(("stack", "active", "writes"), [("primary", None, True), ("secondary", None, False)])
def test_the_region_that_serves_writes_down_what_its_workloads_need(stack: Role, active: str | None, writes: bool) -> None:
    old = datetime.now(UTC) - timedelta(days=1)
    for preview in (True, False):
        files = FakeFiles(needs=Inventory(written=old, namespaces={}))
        run_program(stack, {}, files=files, preview=preview)
        assert files.needs is not None
        assert (files.needs.written != old) is (writes and not preview)


def test_no_question_by_day_waits_for_another_or_holds_up_the_program(said: list[str]) -> None:
    """Each of three answers once all three have been asked."""
    together = threading.Barrier(3, timeout=30)

    class Files(FakeFiles):
        def inventory(self) -> Inventory | None:
            together.wait()
            return super().inventory()

    class Cluster(FakeCluster):
        def ask(self, name: str, questions: Sequence[Question]) -> list[Answer]:
            together.wait()
            return super().ask(name, questions)

    class Archive(FakeArchive):
        def mark(self, server: str) -> Mark | None:
            together.wait()
            return super().mark(server)

    run_program("secondary", {"peerReady": True}, cluster=Cluster(), archive=Archive(), files=Files())
    assert not together.broken
    assert not [text for text in said if "was not tried to the end" in text]


def test_the_region_that_serves_says_by_day_which_claims_velero_has_no_snapshot_class_for(said: list[str]) -> None:
    driver, claim = "ebs.csi.aws.com", {"name": "files", "namespace": "production"}
    paths = {
        "/apis/storage.k8s.io/v1/csidrivers": [{"metadata": {"name": driver}}],
        "/apis/storage.k8s.io/v1/storageclasses": [{"metadata": {"name": "gp3"}, "provisioner": driver}],
        "/api/v1/persistentvolumeclaims": [{"metadata": claim, "spec": {"storageClassName": "gp3"}}],
    }
    asked = cluster()
    asked.paths |= {path: {"items": found} for path, found in paths.items()}
    each: list[tuple[Role, dict[str, Any], int]] = [
        ("primary", {}, 1),
        ("primary", {"velero": {"snapshotClass": {"managed": True}}}, 0),
        ("secondary", {"peerReady": True}, 0),
    ]
    for stack, changes, count in each:
        said.clear()
        run_program(stack, {"backups": BOTH, **changes}, cluster=asked)
        assert len([text for text in said if "Velero finds no VolumeSnapshotClass of driver" in text]) == count


def test_a_standby_says_by_day_that_its_nodes_take_no_data_mover(said: list[str]) -> None:
    files = FakeFiles(needs=Inventory(written=datetime.now(UTC), namespaces={"production": Needs(storage_classes={"gp3"})}))
    asked = cluster()
    taint = {"key": "dedicated", "effect": "NoSchedule"}
    asked.paths["/api/v1/nodes"] = {"items": [{"metadata": {"name": "n"}, "spec": {"taints": [taint]}}]}
    changes = {"backups": BOTH, "peerReady": True, "velero": {"tolerations": [{"key": "dedicated", "operator": "Exists"}]}}
    run_program("secondary", changes, cluster=asked, files=files)
    assert [text for text in said if "data movers, which fill claims, run on no node here" in text]


def test_a_standby_says_by_day_that_its_password_is_not_the_peers(said: list[str]) -> None:
    wrong = "backupEncryptionPassword of this stack is not the peer's"
    files = FakeFiles(needs=None)
    run_program("primary", {"peerReady": True}, files=files)
    run_program("secondary", {"peerReady": True}, files=files)
    assert not [text for text in said if wrong in text]
    other = {"peerReady": True, "backupEncryptionPassword": "another password than the peer's"}
    run_program("secondary", other, files=files)
    assert len([text for text in said if wrong in text]) == 1
    said.clear()
    run_program("secondary", {**other, "velero": {"managed": False}}, files=files)
    assert not [text for text in said if wrong in text], "a Velero that others installed has a password of its own"


def test_a_standby_says_by_day_that_the_password_of_a_databases_owner_is_not_the_peers(said: list[str]) -> None:
    wrong = "databasePasswords of this stack are not the peer's for app-database"
    files = FakeFiles(needs=None)
    run_program("primary", {"peerReady": True}, files=files)
    run_program("secondary", {"peerReady": True}, files=files)
    assert not [text for text in said if wrong in text]
    run_program("secondary", {"peerReady": True, "databasePasswords": {"app-database": "another one"}}, files=files)
    assert len([text for text in said if wrong in text]) == 1


def test_a_question_that_breaks_is_a_warning_and_does_not_end_the_up() -> None:
    def ask() -> list[str]:
        raise KeyError("begin_wal")

    assert tried_by_day.answers(ask) == ["what a failover needs was not tried to the end: KeyError: 'begin_wal'"]
    assert tried_by_day.answers(lambda: ["late"]) == ["late"]
