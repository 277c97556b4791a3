"""What must hold of a database before it is made, before it is promoted, and before it would be given up again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components import database_gate
from components.database_gate import missing_operators, objection_to_creation, objections, refusal_to_stand_by, spoken
from components.database_specs import HEALTHY
from settings.roles import ROLES, Role
from tests.unit.components.halves import settings
from tests.unit.recorder import FakeArchive, FakeCluster

RPO = timedelta(minutes=5)
SERVER = "app-database-primary-g1"
FORCE = "to go on all the same: pulumi config set force true -s secondary"
OPERATOR = "the operator CloudNativePG (k8s-dr:operators.cloudnativePg)"
PLUGIN = "its Barman Cloud plugin (k8s-dr:operators.barmanCloud)"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class Clock(datetime):
    """A clock that stands still at `NOW`."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return NOW.astimezone(tz)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_gate, "datetime", Clock)


def standby(phase: str | None = HEALTHY, *, lag: float | None = 0, reason: str = "", promoted: bool = False) -> FakeCluster:
    """A cluster with a standby that replayed its newest transaction `lag` seconds ago; None for one that does not say."""
    status = {
        "currentPrimary": "app-database-1",
        **({"phase": phase} if phase else {}),
        **({"phaseReason": reason} if reason else {}),
    }
    replica = {"primary": "app-database-secondary" if promoted else "app-database-primary"}
    text = "# TYPE cnpg_pg_replication_lag gauge\ncnpg_pg_replication_lag_of_another 7\n"
    return FakeCluster(
        databases={"app-database": {"spec": {"replica": replica}, "status": status}},
        metrics=None if lag is None else f"{text}cnpg_pg_replication_lag {lag}\ncnpg_up 1\n",
    )


def archived(ago: float) -> FakeArchive:
    """An archive whose newest segment came in `ago` seconds ago."""
    return FakeArchive(newest={SERVER: NOW - timedelta(seconds=ago)})


def against(cluster: FakeCluster, archive: FakeArchive | None = None, *, force: bool = False, **changes: Any) -> list[str]:
    return objections(cluster, archive or FakeArchive(), [settings(**changes)], RPO, force=force)


def test_nothing_stands_against_a_healthy_standby_that_has_replayed_what_was_archived() -> None:
    assert against(standby(lag=5), archived(0)) == []


def test_without_databases_nobody_is_asked() -> None:
    nobody = FakeCluster(error=AssertionError("nobody is to be asked"))
    assert objections(nobody, FakeArchive(), [], RPO, force=False) == []
    assert refusal_to_stand_by(nobody, [], force=False) is None


@pytest.mark.parametrize(
    ("groups", "what"),
    [
        ({"barmancloud.cnpg.io"}, OPERATOR),
        ({"postgresql.cnpg.io"}, PLUGIN),
        (set(), f"{OPERATOR} and {PLUGIN}"),
    ],
)
def test_an_operator_that_is_not_there_is_named_with_its_key(groups: set[str], what: str) -> None:
    cluster = FakeCluster(groups=groups)
    assert missing_operators(cluster) == f"{what} is not installed in this cluster"
    assert against(cluster, force=True) == [f"{what} is not installed in this cluster"]
    told = objection_to_creation(cluster, FakeArchive(), FakeArchive(), settings(), "primary")
    assert told == (
        f"database app-database: {what} is not installed in this cluster; install it, or set that key to true, then "
        "pulumi up -s primary"
    )


@pytest.mark.parametrize("force", [False, True])
def test_a_standby_that_is_not_there_cannot_be_promoted_and_no_force_makes_one(force: bool) -> None:
    (told,) = against(FakeCluster(), force=force)
    assert told.startswith(
        "database app-database has no standby in this cluster; where its archive is in this region it can still be made"
    )


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        (standby("Setting up primary"), "Setting up primary"),
        (standby("Cluster is unrecoverable", reason="all PVCs are gone"), "Cluster is unrecoverable: all PVCs are gone"),
        (standby(None), "without a phase"),
    ],
    ids=["busy", "lost", "new"],
)
def test_a_standby_that_is_not_healthy_is_told_with_the_operators_reason(cluster: FakeCluster, words: str, force: bool) -> None:
    assert against(cluster, force=force) == [f"database app-database is not healthy here: {words}"]


def test_a_standby_behind_the_rpo_is_told_with_the_figures_and_force_overrides_it() -> None:
    behind = standby(lag=400)
    assert against(behind, archived(10)) == [
        "database app-database: the standby has replayed what was committed until 2026-03-01 11:53:20 UTC, and the newest WAL of "
        "its archive is of 11:59:50: it is 6 min 30 s behind, and the RPO is 5 min 0 s; is a segment missing in the archive, or "
        f"does it still catch up? {FORCE}"
    ]
    assert against(behind, archived(10), force=True) == []


@example(lag=310, ago=10)
@example(lag=311, ago=10)
@given(lag=st.integers(0, 10**6), ago=st.integers(0, 10**6))
def test_what_is_behind_is_behind_the_archive_and_not_behind_the_clock(lag: int, ago: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_gate, "datetime", Clock)
        assert bool(against(standby(lag=lag), archived(ago))) is (lag - ago > RPO.total_seconds())


@pytest.mark.parametrize(
    ("cluster", "archive"),
    [(standby(lag=None), archived(0)), (standby(lag=10**6), FakeArchive())],
    ids=["an instance that does not say", "an archive without a segment"],
)
def test_what_is_not_known_is_no_objection(cluster: FakeCluster, archive: FakeArchive) -> None:
    assert against(cluster, archive) == []


def test_an_archive_that_may_be_in_the_dead_region_is_not_asked() -> None:
    dead = FakeArchive(error=AssertionError("nobody is to ask it"))
    assert against(standby(lag=10**6), dead, source="primary-bucket") == []


def test_each_database_has_objections_of_its_own() -> None:
    two = [settings(), settings(name="orders")]
    told = objections(standby(lag=400), archived(0), two, RPO, force=False)
    assert [each.split(" ")[1] for each in told] == ["orders", "app-database:"]


@pytest.mark.parametrize("role", ROLES)
def test_a_server_name_that_was_archived_to_is_refused_and_its_next_generation_told(role: Role) -> None:
    used = FakeArchive(written={f"app-database-{role}-g2"})
    told = objection_to_creation(FakeCluster(), used, FakeArchive(), settings(generations={role: 2}), role)
    assert told == (
        f"database app-database: there is an archive of app-database-{role}-g2 already, and only the database that wrote it may "
        f"go on with it; raise its generation: k8s-dr:databases[].generations.{role}: 3, in Pulumi.yaml"
    )
    assert objection_to_creation(FakeCluster(), used, FakeArchive(), settings(generations={role: 3}), role) is None


def test_the_others_archive_is_no_reason_not_to_begin_an_own_one() -> None:
    replicated = FakeArchive(written={SERVER})
    assert objection_to_creation(FakeCluster(), replicated, replicated, settings(), "secondary") is None


def test_a_standby_before_the_first_backup_is_refused_and_told_what_to_run() -> None:
    lacking = FakeArchive(lacking="there is no base backup")
    assert objection_to_creation(FakeCluster(), FakeArchive(), lacking, settings(), "secondary") == (
        "database app-database: a standby is made from the primary's first backup, and there is no base backup; run, with "
        "peerReady true in both stacks: pulumi up -s primary; then, once S3 has copied it: pulumi up -s secondary"
    )
    assert objection_to_creation(FakeCluster(), FakeArchive(), lacking, settings(), "primary") is None


def test_a_region_whose_database_was_promoted_does_not_stand_by_unless_its_writes_are_given_up() -> None:
    told = refusal_to_stand_by(standby(promoted=True), [settings()], force=False)
    assert told is not None
    assert told.startswith("database app-database was promoted here and has taken writes that the primary region does not have")
    assert "Keep it: pulumi config set active secondary -s secondary;" in told
    assert told.endswith("pulumi config set force true -s secondary")
    assert refusal_to_stand_by(standby(promoted=True), [settings()], force=True) is None


def test_a_standby_that_was_never_promoted_or_never_made_stands_by() -> None:
    for cluster in (standby(), FakeCluster(), FakeCluster(databases={"app-database": {}})):
        assert refusal_to_stand_by(cluster, [settings()], force=False) is None


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (119, "119 s"), (120, "2 min 0 s"), (3725.9, "62 min 5 s")])
def test_a_span_is_spoken_as_a_person_says_it(seconds: float, words: str) -> None:
    assert spoken(timedelta(seconds=seconds)) == words
