"""What must hold of a database before it is made, before it is promoted, and before it would be given up again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.database import creation
from components.database.archive import ArchiveUnreadableError
from components.database.by_day import warnings_by_day
from components.database.creation import missing_operators
from components.database.lost import MARK_SLACK
from components.database.objections import objections, refusal_to_stand_by, remarks
from components.database.specs import HEALTHY
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.objection import Objection
from components.kube.runner.base_backup import BaseBackup
from settings.aws import Aws
from settings.names import Names
from settings.roles import ROLES, Role
from tests.unit.components.database.sides import STREAMING, TOPOLOGY, settings
from tests.unit.fakes import FakeArchive, FakeCluster, mark

RPO = timedelta(minutes=5)
SERVER, FOLLOWER = "app-database-primary-g1", "app-database-secondary-g1"
FORCE = "to go on all the same: pulumi config set force true -s secondary"
OPERATOR = "the operator CloudNativePG (k8s-dr:operators.cloudnativePg)"
PLUGIN = "its Barman Cloud plugin (k8s-dr:operators.barmanCloud)"


def standby(phase: str | None = HEALTHY, *, ready: int | None = None, reason: str = "", promoted: bool = False) -> FakeCluster:
    """A cluster with a standby in a phase, with so many instances that are ready; None where the operator has not said."""
    status = {
        **({"phase": phase} if phase else {}),
        **({"phaseReason": reason} if reason else {}),
        **({} if ready is None else {"readyInstances": ready}),
    }
    replica = {"primary": "app-database-secondary" if promoted else "app-database-primary"}
    return FakeCluster(databases={"app-database": {"spec": {"replica": replica}, "status": status}})


def behind(seconds: float, server: str = SERVER, follower: str = FOLLOWER) -> FakeArchive:
    """An archive with WAL of so many seconds that the standby has not replayed."""
    return FakeArchive(lag={(server, follower): timedelta(seconds=seconds)})


def found(cluster: FakeCluster, archive: FakeArchive | None = None, **changes: Any) -> list[Objection]:
    return list(objections(cluster, archive or FakeArchive(), [settings(**changes)], RPO))


def against(cluster: FakeCluster, archive: FakeArchive | None = None, *, force: bool = False, **changes: Any) -> list[str]:
    """What closes the gate, with `force` or without."""
    return [str(each) for each in found(cluster, archive, **changes) if not (force and each.judgement)]


def objection_to_creation(*args: Any) -> str | None:
    told = creation.objection_to_creation(*args)
    return None if told is None else str(told)


def test_nothing_stands_against_a_healthy_standby_that_has_replayed_what_was_archived() -> None:
    assert against(standby(), behind(0)) == []


def test_without_databases_nobody_is_asked() -> None:
    nobody = FakeCluster(error=AssertionError("nobody is to be asked"))
    assert list(objections(nobody, FakeArchive(), [], RPO)) == []
    assert refusal_to_stand_by(nobody, []) is None


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
    assert against(cluster, force=True) == [
        f"{what} is not installed in this cluster; install it, or set that key to true, then again: pulumi up -s secondary"
    ]
    told = objection_to_creation(cluster, FakeArchive(), FakeArchive(), settings(), "primary")
    assert told == (
        f"database app-database: {what} is not installed in this cluster; install it, or set that key to true, then "
        "pulumi up -s primary"
    )


@pytest.mark.parametrize("force", [False, True])
def test_a_standby_that_is_not_there_cannot_be_promoted_and_no_force_makes_one(force: bool) -> None:
    (told,) = against(FakeCluster(), force=force)
    assert told == (
        "database app-database has no standby in this cluster; where its archive is in this region it can still be made, without "
        "the primary: pulumi config set peerReady true -s secondary && pulumi config rm active -s secondary && pulumi up -s "
        "secondary --target '**dr:failover:Failover$**' --target '**dr:failover:Failover::**'; then fail over again: pulumi "
        "config set active secondary -s secondary && pulumi up -s secondary; see docs/recovery.md, Without a standby"
    )


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        (standby("Setting up primary"), "Setting up primary"),
        (standby("Setting up primary", ready=0), "Setting up primary"),
        (standby("Cluster is unrecoverable", reason="all PVCs are gone"), "Cluster is unrecoverable: all PVCs are gone"),
        (standby(None), "without a phase"),
    ],
    ids=["busy", "none-ready", "lost", "new"],
)
def test_a_standby_without_a_ready_instance_is_told_with_the_operators_reason_and_no_force_promotes_it(
    cluster: FakeCluster, words: str, force: bool
) -> None:
    assert against(cluster, force=force) == [f"database app-database is not healthy here: {words}"]


def test_a_standby_that_is_not_healthy_but_has_a_ready_instance_is_promoted_with_force_only() -> None:
    waiting = standby("Waiting for the instances to become active", ready=1, reason="one of three is not there")
    assert against(waiting) == [
        "database app-database is not healthy here: Waiting for the instances to become active: one of three is not there; "
        f"{FORCE}"
    ]
    assert against(waiting, force=True) == []


def test_a_standby_behind_the_rpo_is_told_with_the_figures_and_force_overrides_it() -> None:
    assert against(standby(), behind(390)) == [
        "database app-database: WAL of 6 min 30 s has come into the archive that the standby has not replayed, and the RPO is "
        f"5 min 0 s; wait if the standby still catches up; if not, a WAL segment is missing; {FORCE}"
    ]
    assert against(standby(), behind(390), force=True) == []


@given(seconds=st.integers(0, 10**6))
def test_what_is_behind_by_no_more_than_the_rpo_is_no_objection(seconds: int) -> None:
    assert bool(against(standby(), behind(seconds))) is (seconds > RPO.total_seconds())


def test_the_limit_itself_is_kept_and_one_second_more_is_not() -> None:
    assert against(standby(), behind(300)) == []
    assert against(standby(), behind(301)) != []


def test_the_backlog_is_that_of_the_standby_behind_the_primary_in_their_own_generations() -> None:
    generations = {"primary": 3, "secondary": 2}
    assert against(standby(), behind(10**6, FOLLOWER, SERVER)) == []
    assert against(standby(), behind(10**6), generations=generations) == []
    assert against(standby(), behind(10**6, "app-database-primary-g3", "app-database-secondary-g2"), generations=generations)


def test_an_archive_that_may_be_in_the_dead_region_is_not_asked() -> None:
    dead = FakeArchive(error=AssertionError("nobody is to ask it"))
    assert against(standby(), dead, source="primary-bucket") == []


MINUTE = timedelta(minutes=1)
STOPPED = "S3 replication had stopped or was behind, and the RPO is 5 min 0 s"


def answered(ago: timedelta, *, asked: timedelta = MINUTE) -> FakeCluster:
    """A healthy standby in a cluster whose record says when the primary last answered, and when it was last asked."""
    cluster, now = standby(), datetime.now(UTC)
    cluster.records["freshness"] = {"asked": (now - asked).isoformat(), "answered": (now - ago).isoformat()}
    return cluster


def marked(age: timedelta, **more: Any) -> FakeArchive:
    return FakeArchive(marked=mark(age), **more)


@pytest.mark.parametrize("changes", [{}, {"standby": False}])
def test_an_outage_that_people_discuss_for_an_hour_is_no_lag(changes: dict[str, Any]) -> None:
    assert against(answered(60 * MINUTE), marked(62 * MINUTE), **changes) == []


@pytest.mark.parametrize("changes", [{}, {"standby": False}])
def test_replication_that_had_stopped_before_the_primary_died_is_an_objection_that_force_overrides(
    changes: dict[str, Any],
) -> None:
    cluster, archive = answered(60 * MINUTE), marked(90 * MINUTE)
    (told,) = against(cluster, archive, **changes)
    assert told.startswith("database app-database: the primary's last mark, of what it had archived, was ")
    assert told.endswith(f" old when the primary last answered: {STOPPED}; {FORCE}")
    assert against(cluster, archive, force=True, **changes) == []


def test_a_mark_may_be_as_old_as_the_rpo_and_two_runs_and_no_older() -> None:
    limit = RPO + MARK_SLACK
    assert against(answered(60 * MINUTE), marked(60 * MINUTE + limit - MINUTE)) == []
    assert against(answered(60 * MINUTE), marked(60 * MINUTE + limit + MINUTE)) != []


def test_an_idle_primary_is_not_behind_whatever_the_age_of_its_last_segment() -> None:
    idle = replace(mark(MINUTE), archived=datetime.now(UTC) - timedelta(days=30))
    assert against(answered(MINUTE), FakeArchive(marked=idle)) == []


@pytest.mark.parametrize("changes", [{}, {"standby": False}])
def test_a_mark_that_is_still_to_come_proves_nothing_whenever_the_primary_last_answered(changes: dict[str, Any]) -> None:
    """The clock of the primary's nodes is ahead, so its marks would stay new for an hour after replication had stopped."""
    for cluster in (standby(), answered(MINUTE)):
        (told,) = against(cluster, marked(-60 * MINUTE), **changes)
        assert "which is still to come: the primary's clock is" in told
        assert told.endswith(FORCE)
        assert against(cluster, marked(-60 * MINUTE), force=True, **changes) == []
    assert against(answered(MINUTE), marked(-(MARK_SLACK - MINUTE)), **changes) == [], "clocks agree to some minutes"
    (told,) = by_day(answered(MINUTE), marked(-60 * MINUTE))
    assert told.endswith("set the clocks of the primary's nodes")


@pytest.mark.parametrize(
    "cluster",
    [standby(), answered(2 * timedelta(days=1), asked=timedelta(days=2))],
    ids=["nobody ever asked", "nobody has asked for days"],
)
def test_where_nobody_knows_when_the_primary_last_answered_the_mark_must_be_new(cluster: FakeCluster) -> None:
    assert against(cluster, marked(3 * MINUTE)) == []
    (told,) = against(cluster, marked(90 * MINUTE))
    assert f" old now, and nobody knows when the primary last answered: {STOPPED}" in told


@pytest.mark.parametrize("changes", [{}, {"standby": False}])
def test_an_old_answer_hides_no_lag_where_the_primary_is_seen_to_have_lived_on(changes: dict[str, Any]) -> None:
    """The question to the primary broke five hours ago. The primary wrote on, and S3 stopped copying an hour later."""
    cluster = answered(300 * MINUTE)
    (told,) = against(cluster, marked(240 * MINUTE), **changes)
    assert f" old now, and nobody knows when the primary last answered: {STOPPED}" in told
    assert against(cluster, marked(300 * MINUTE - MARK_SLACK + MINUTE), **changes) == [], "one may follow the last answer"


def test_a_base_backup_from_after_the_last_answer_is_judged_by_now() -> None:
    cluster, archive = answered(timedelta(hours=60)), FakeArchive(base=base(50), marked=mark(timedelta(hours=60)))
    (told,) = against(cluster, archive, standby=False)
    assert OLD_BASE in told


def test_a_primary_that_was_asked_and_never_answered_is_judged_as_one_that_nobody_asked() -> None:
    cluster = standby()
    cluster.records["freshness"] = {"asked": datetime.now(UTC).isoformat()}
    (told,) = against(cluster, marked(90 * MINUTE))
    assert "nobody knows when the primary last answered" in told


def test_without_a_mark_nobody_knows_what_is_missing() -> None:
    assert against(standby(), FakeArchive(marked=None)) == [
        f"database app-database: the primary's mark of what it has archived has not come: nobody knows what is missing; {FORCE}"
    ]


@pytest.mark.parametrize(
    ("missing", "extent"),
    [(timedelta(minutes=20), "WAL from 20 min 0 s before its last mark is missing"), (timedelta.max, "no WAL of it is here")],
)
def test_the_segment_that_the_primary_archived_last_must_be_here(missing: timedelta, extent: str) -> None:
    assert against(answered(MINUTE), marked(MINUTE, not_come=missing)) == [
        "database app-database: of what the primary had archived, up to segment 000000010000000000000009, not all has come, and "
        f"{extent}, and the RPO is 5 min 0 s; {FORCE}"
    ]
    assert against(answered(MINUTE), marked(MINUTE, not_come=RPO)) == []


def test_what_a_standby_has_streamed_is_here_though_s3_replication_has_stopped() -> None:
    archive = marked(90 * MINUTE, not_come=timedelta.max)
    assert len(against(answered(MINUTE), archive, **STREAMING)) == 1
    archive.archived[FOLLOWER] = datetime.now(UTC) - 3 * MINUTE
    assert against(answered(MINUTE), archive, **STREAMING) == []
    assert len(against(answered(MINUTE), archive)) == 1, "by archive it would have come the same way as the mark"
    archive.archived[FOLLOWER] = datetime.now(UTC) - 30 * MINUTE
    assert len(against(answered(MINUTE), archive, **STREAMING)) == 1, "nobody can tell whether it still streams"
    assert against(answered(29 * MINUTE), archive, **STREAMING) == [], "it did until the primary died"


def test_what_may_still_come_is_waited_for_and_what_no_waiting_changes_is_not() -> None:
    assert [each.passing for each in found(standby("Setting up primary"))] == [True]
    assert [each.passing for each in found(standby(), behind(400))] == [True]
    assert [each.passing for each in found(standby(), FakeArchive(marked=None))] == [True]
    assert [each.passing for each in found(FakeCluster(), FakeArchive(lacking="no base"), standby=False)] == [True]
    assert [each.passing for each in found(FakeCluster())] == [False], "there is no standby"
    assert [each.passing for each in found(FakeCluster(groups=set()))] == [False]
    assert [each.passing for each in found(FakeCluster(), FakeArchive(written={FOLLOWER}), standby=False)] == [False]


def test_an_archive_that_cannot_be_read_is_one_objection_that_force_overrides_unless_a_recovery_needs_it() -> None:
    unreadable = FakeArchive(error=ArchiveUnreadableError("no bucket"))
    assert found(standby(), unreadable) == [Objection(reason="no bucket", judgement=True, passing=True)]
    assert found(FakeCluster(), unreadable, standby=False) == [Objection(reason="no bucket", passing=True)]


def test_a_question_that_breaks_closes_the_gate_unless_it_is_forced() -> None:
    class Broken(FakeArchive):
        def backlog(self, server: str, follower: str) -> timedelta:
            raise KeyError("begin_wal")

    assert against(standby(), Broken()) == [f"not all could be judged: KeyError: 'begin_wal'; {FORCE}"]
    assert against(standby(), Broken(), force=True) == []


def test_a_standby_that_a_killed_up_left_behind_is_taken_over_before_it_is_promoted() -> None:
    cluster = standby()
    cluster.records["creating"] = {"app-database": "begun"}
    (told,) = against(cluster)
    assert told == (
        "database app-database: an up that was killed has left its standby behind, and this stack may not know it, so that a "
        "promotion would stop half-way with already exists; have it taken over first: pulumi config rm active -s secondary && "
        "pulumi up -s secondary --target '**dr:failover:Failover$**' --target '**dr:failover:Failover::**'; then fail over "
        f"again; {FORCE}"
    )
    assert against(cluster, force=True) == [], "only the state knows whether it knows it"
    cluster.records["creating"] = {"app-database": "ended", "orders": "begun"}
    assert against(cluster) == []
    assert against(FakeCluster(records={"creating": {"app-database": "begun"}}), standby=False) == [], "F16 goes on with that"


@pytest.mark.parametrize(
    ("version", "old"),
    [("0.12.0", True), ("v0.13.9", True), ("0.14.0", False), ("0.14.0-rc1", False), ("1.0.0", False), ("unknown", False)],
)
def test_a_plugin_that_cannot_promote_is_told_by_day_and_at_night_and_force_overrides_it(version: str, old: bool) -> None:
    cluster = answered(MINUTE)
    others = [{"name": "another.plugin.example.com", "version": "0.1.0"}]
    cluster.databases["app-database"]["status"]["pluginStatus"] = [
        *others,
        {"name": "barman-cloud.cloudnative-pg.io", "version": version},
    ]
    line = (
        f"database app-database runs with version {version} of the Barman Cloud plugin, and one below 0.14 reads the wrong "
        "archive in a promotion, which then fails; upgrade the plugin and restart the database's instances"
    )
    assert against(cluster) == ([f"{line}; {FORCE}"] if old else [])
    assert by_day(cluster, marked(MINUTE)) == ([line] if old else [])
    assert against(cluster, force=True) == []
    cluster.databases["app-database"]["status"]["pluginStatus"] = others
    assert against(cluster) == []


@pytest.mark.parametrize(("annotation", "fenced"), [('["*"]', True), ("[]", False), ('["app-database-2"]', False)])
def test_a_standby_that_somebody_has_fenced_is_told_by_day_and_at_night_and_nothing_overrides_it(
    annotation: str, fenced: bool
) -> None:
    cluster = answered(MINUTE)
    cluster.databases["app-database"]["metadata"] = {"annotations": {"cnpg.io/fencedInstances": annotation}}
    line = (
        "database app-database is fenced in this cluster: it follows nobody, and would not be promoted; lift that: kubectl "
        "annotate cluster.postgresql.cnpg.io app-database -n databases cnpg.io/fencedInstances-"
    )
    assert against(cluster) == against(cluster, force=True) == ([line] if fenced else []), (
        "the operator calls it healthy all the same"
    )
    assert by_day(cluster, marked(MINUTE)) == ([line] if fenced else [])


def by_day(cluster: FakeCluster, archive: FakeArchive, rpo: timedelta = RPO, **changes: Any) -> list[str]:
    return warnings_by_day(cluster, archive, [settings(**changes)], rpo)


SEE = "pulumi up -s primary says what S3 failed to copy"


def test_by_day_a_standby_that_has_everything_is_nothing_to_warn_of() -> None:
    assert by_day(answered(MINUTE), marked(MINUTE)) == []


def test_by_day_a_mark_that_has_not_come_or_is_old_is_told_with_where_to_look() -> None:
    assert by_day(answered(MINUTE), FakeArchive(marked=None)) == [
        f"database app-database: the primary's mark has not come; {SEE}"
    ]
    (told,) = by_day(answered(MINUTE), marked(30 * MINUTE))
    assert told.startswith("database app-database: the primary's last mark is ")
    assert told.endswith(f" old; {SEE}")


def test_by_day_a_standby_that_is_not_healthy_is_told_and_one_that_is_being_made_is_not() -> None:
    cluster = answered(MINUTE)
    cluster.databases = standby("Cluster is unrecoverable", reason="all PVCs are gone").databases
    assert by_day(cluster, marked(MINUTE)) == [
        "database app-database is not healthy here: Cluster is unrecoverable: all PVCs are gone"
    ]
    cluster.databases = {}
    assert by_day(cluster, marked(MINUTE, lag={(SERVER, FOLLOWER): 60 * MINUTE})) == []


def test_by_day_a_standby_that_is_stuck_is_told_long_before_an_rpo_of_a_day_is_over() -> None:
    lag = {(SERVER, FOLLOWER): 16 * MINUTE}
    (told,) = by_day(answered(MINUTE), marked(MINUTE, lag=lag), timedelta(days=1))
    assert told.startswith("database app-database: WAL of 16 min 0 s has come into the archive that the standby has not replayed")
    assert by_day(answered(MINUTE), marked(MINUTE, lag={(SERVER, FOLLOWER): 4 * MINUTE})) == []
    (told,) = by_day(answered(MINUTE), marked(MINUTE, gap=6 * MINUTE), standby=False)
    assert "a WAL segment is missing in this region's archive, so 6 min 0 s of WAL from it on cannot be recovered" in told


def test_by_day_replication_that_has_stopped_is_told_long_before_an_rpo_of_a_day_is_over() -> None:
    assert by_day(answered(MINUTE), marked(30 * MINUTE), timedelta(days=1)) != []
    assert by_day(answered(MINUTE), marked(19 * MINUTE), timedelta(days=1)) == []


def test_by_day_wal_and_base_backups_that_have_not_come_are_told() -> None:
    told = by_day(answered(MINUTE), marked(MINUTE, not_come=timedelta(minutes=6), lacking="there is no base backup"))
    assert told == [
        "database app-database: of what the primary had archived, up to segment 000000010000000000000009, not all has come, and "
        f"WAL from 6 min 0 s before its last mark is missing; {SEE}",
        f"database app-database: no standby could be made now: there is no base backup; {SEE}",
    ]


@pytest.mark.parametrize("cluster", [standby(), answered(20 * MINUTE), answered(MINUTE, asked=20 * MINUTE)])
def test_by_day_a_primary_that_this_region_cannot_hear_is_told(cluster: FakeCluster) -> None:
    (told,) = by_day(cluster, marked(MINUTE))
    assert told.startswith("the primary has not answered this region within 15 min")


def test_by_day_what_cannot_be_asked_is_a_warning_and_no_error() -> None:
    for cluster, archive in (
        (FakeCluster(error=ClusterUnreachableError("no cluster")), FakeArchive()),
        (answered(MINUTE), FakeArchive(error=ArchiveUnreadableError("no bucket"))),
    ):
        (told,) = by_day(cluster, archive)
        assert told.startswith("whether this region has what the primary archives is not known: no ")


def test_by_day_too_an_archive_in_the_primarys_region_is_not_asked() -> None:
    dead = FakeArchive(error=AssertionError("nobody is to ask it"))
    assert by_day(answered(MINUTE), dead, source="primary-bucket") == []


def test_each_database_has_objections_of_its_own() -> None:
    two = [settings(), settings(name="orders")]
    told = objections(standby(), behind(400), two, RPO)
    assert [each.reason.split(" ")[1] for each in told] == ["orders", "app-database:"]


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
        "peerReady true in both stacks and each with its own PULUMI_BACKEND_URL: pulumi up -s primary; then, once S3 has copied "
        "it: pulumi up -s secondary"
    )
    assert objection_to_creation(FakeCluster(), FakeArchive(), None, settings(), "primary") is None


def test_a_primary_is_made_anew_from_a_base_backup_of_the_secondary_and_told_how_to_take_one() -> None:
    told = str(objection_to_creation(FakeCluster(), FakeArchive(), FakeArchive(lacking="there is none"), settings(), "primary"))
    assert told.startswith(
        "database app-database: it is made anew from a base backup of the secondary, and there is none; nothing"
    )
    backup = json.loads(told.partition("<<< '")[2].removesuffix("'"))
    assert (backup["kind"], backup["spec"]["cluster"], backup["spec"]["method"]) == ("Backup", {"name": "app-database"}, "plugin")


def test_an_old_side_that_is_given_up_is_no_side_that_runs() -> None:
    old = {"spec": {"plugins": [{"parameters": {"serverName": "app-database-primary-g1"}}]}}
    cluster, lacking = FakeCluster(databases={"app-database": old}), FakeArchive(lacking="there is none")
    anew = settings(generations={"primary": 2})
    assert objection_to_creation(cluster, FakeArchive(), lacking, settings(), "primary") is None
    assert "there is none" in str(objection_to_creation(cluster, FakeArchive(), lacking, anew, "primary"))


def without_a_standby(archive: FakeArchive, cluster: FakeCluster | None = None, *, force: bool = False) -> list[str]:
    """What stands against recovering a database that has no standby."""
    return against(cluster or FakeCluster(), archive, force=force, standby=False)


def test_nothing_stands_against_recovering_from_an_archive_that_is_whole() -> None:
    assert without_a_standby(FakeArchive(written={SERVER})) == []


@pytest.mark.parametrize("force", [False, True])
def test_what_has_no_base_backup_here_cannot_be_recovered_and_no_force_makes_one(force: bool) -> None:
    assert without_a_standby(FakeArchive(lacking="there is no base backup"), force=force) == [
        "database app-database is recovered from the primary's archive in this region, and there is no base backup; what is not "
        "here yet comes only while the primary's S3 answers: see docs/recovery.md, Recovered at a failover"
    ]


def test_what_only_the_mark_says_of_a_base_backup_is_a_matter_of_judgement() -> None:
    phantom = FakeArchive(lacking_by_mark="the base backup has no data_0009.tar yet")
    (told,) = without_a_standby(phantom)
    assert told.startswith(
        "database app-database is recovered from the primary's archive in this region, and the base backup has no"
    )
    assert told.endswith(FORCE)
    assert without_a_standby(phantom, force=True) == []
    none, names = settings(standby=False), Names(topology=TOPOLOGY, role="secondary")
    creation.refuse_creation(none, "recovered", names, FakeCluster(), phantom, Aws(), force=True)
    with pytest.raises(creation.CreationRefusedError, match="has no data_0009"):
        creation.refuse_creation(none, "recovered", names, FakeCluster(), phantom, Aws())
    with pytest.raises(creation.CreationRefusedError, match="no base backup"):
        creation.refuse_creation(
            none, "recovered", names, FakeCluster(), FakeArchive(lacking="there is no base backup"), Aws(), force=True
        )


def test_a_name_that_was_archived_to_is_told_before_anything_is_recovered_under_it() -> None:
    (told,) = without_a_standby(FakeArchive(written={FOLLOWER}), force=True)
    assert "raise its generation: k8s-dr:databases[].generations.secondary: 2" in told


def test_a_gap_in_the_archive_that_loses_more_than_the_rpo_is_told_and_force_takes_the_loss() -> None:
    assert without_a_standby(FakeArchive(gap=timedelta(seconds=390))) == [
        "database app-database: a WAL segment is missing in this region's archive, so 6 min 30 s of WAL from it on cannot be "
        f"recovered, and the RPO is 5 min 0 s; the segment may still come while the primary's S3 answers; {FORCE}"
    ]
    assert without_a_standby(FakeArchive(gap=timedelta(seconds=390)), force=True) == []
    assert without_a_standby(FakeArchive(gap=RPO)) == []


def test_a_recovery_that_has_begun_is_gone_on_with() -> None:
    begun = FakeArchive(written={SERVER, FOLLOWER}, lacking="the base backup has been deleted since")
    assert without_a_standby(begun, standby(promoted=True)) == []


def test_while_nothing_is_recovered_only_the_operators_and_the_name_matter() -> None:
    none = settings(standby=False)
    assert objection_to_creation(FakeCluster(), FakeArchive(), None, none, "secondary") is None
    assert "raise its generation" in str(
        objection_to_creation(FakeCluster(), FakeArchive(written={FOLLOWER}), None, none, "secondary")
    )
    assert "not installed" in str(objection_to_creation(FakeCluster(groups=set()), FakeArchive(), None, none, "secondary"))


def test_a_region_whose_database_was_promoted_never_stands_by_again() -> None:
    assert refusal_to_stand_by(standby(promoted=True), [settings()]) == (
        "database app-database was promoted here and has taken writes that the primary region does not have; it cannot follow "
        "that one again. Keep it: pulumi config set active secondary -s secondary"
    )


def test_one_promoted_database_of_several_is_enough_to_refuse() -> None:
    cluster = standby()
    cluster.databases["orders"] = {"spec": {"replica": {"primary": "orders-secondary"}}}
    assert str(refusal_to_stand_by(cluster, [settings(), settings(name="orders")])).startswith("database orders was promoted")


def test_a_standby_that_was_never_promoted_or_never_made_stands_by() -> None:
    for cluster in (standby(), FakeCluster(), FakeCluster(databases={"app-database": {}})):
        assert refusal_to_stand_by(cluster, [settings()]) is None


def base(hours: float, took: float = 0) -> BaseBackup:
    """A whole base backup that began so many hours ago: made in the test, for minutes may pass from collection to it."""
    began = datetime.now(UTC) - timedelta(hours=hours)
    return BaseBackup(began=began, ended=began + timedelta(hours=took))


OLD_BASE = "the newest base backup that is whole here is"


@pytest.mark.parametrize(
    ("newest", "lived", "old"),
    [
        ((24.2, 0), 0, False),
        ((24.3, 0), 0, True),
        ((29, 5), 0, False),
        ((30, 0), 7, False),
        ((30, 0), None, True),
        (None, 0, False),
    ],
    ids=["in time", "late", "it took long", "an outage that is discussed", "nobody knows since when", "no times"],
)
def test_a_base_backup_after_which_a_newer_one_should_be_here_matters_to_a_recovery_and_not_to_a_standby_that_runs(
    newest: tuple[float, float] | None, lived: float | None, old: bool
) -> None:
    since = timedelta(hours=lived or 0)
    cluster = standby() if lived is None else answered(since)
    archive = FakeArchive(base=base(*newest) if newest else None, marked=mark(since))
    recovered = against(cluster, archive, standby=False)
    assert [each.endswith(FORCE) and OLD_BASE in each for each in recovered] == [True] * old
    assert against(cluster, archive, force=True, standby=False) == []
    assert against(cluster, archive) == []
    told = remarks(cluster, archive, [settings()], RPO)
    assert [OLD_BASE in each for each in told] == [True] * old
    assert all(each.endswith("; the standby that runs here is promoted without it") for each in told)
    assert remarks(cluster, archive, [settings(standby=False)], RPO) == []


def test_a_remark_that_cannot_be_made_is_a_line_and_no_error() -> None:
    silent = FakeCluster(error=ClusterUnreachableError("cluster b does not answer"))
    assert remarks(silent, FakeArchive(), [settings()], RPO) == [
        "how old the base backups are is not known: cluster b does not answer"
    ]


def test_the_base_backup_in_another_regions_archive_is_not_asked() -> None:
    assert against(answered(MINUTE), FakeArchive(base=base(900)), source="primary-bucket") == []


def test_by_day_a_base_backup_that_is_too_old_is_told() -> None:
    (said,) = warnings_by_day(answered(MINUTE), FakeArchive(base=base(30)), [settings()], RPO)
    assert said == (
        "database app-database: the newest base backup that is whole here is 30 h 0 min old, and by backupCron (0 0 3 * * *) one "
        "begins every 24 h 0 min at the latest: newer ones failed or have not come, and a recovery replays all WAL since; pulumi "
        "up -s primary says what S3 failed to copy"
    )
