"""A database as the program registers it: in every role, in what order, and what it fails with."""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

import pytest

from components.database.database import DatabaseLostError, judge_cluster, judge_first_backup
from components.database.specs import HEALTHY, LOST
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.runner.flag import Flag
from settings.roles import ROLES, Role, peer_of
from tests.examples import KEYS, PASSWORD, STATIC
from tests.unit.components.conftest import Program
from tests.unit.components.database.sides import ASLEEP, database, live, settings, side
from tests.unit.components.database.test_side_role import follower
from tests.unit.fakes import FakeArchive, FakeCluster
from tests.unit.recorder import Answers, HookRefusedError, Recorder, attempt_program, is_secret, revealed, run_program

STEM = "failover-databases-app-database"
FIRST, CONFIRMED, SCALE = f"{STEM}-first-backup", f"{STEM}-promoted", "failover-workloads-scale-production"


def objects(recorder: Recorder) -> set[str]:
    return {name for name in recorder.names() if name.startswith("failover-databases")}


OF_THE_NAMESPACE = {"failover-databases-namespace-databases", "failover-databases-network-databases"}
"""What a namespace of databases has, whether there is a database in it yet or not."""


def test_each_half_has_both_archives_an_owner_backups_and_metrics(recorder: Recorder) -> None:
    parts = ("", "-owner", "-archive-primary", "-archive-secondary", "-backups", "-monitor")
    assert objects(recorder) - {FIRST, CONFIRMED} == {*OF_THE_NAMESPACE, *(STEM + part for part in parts)}


def test_only_a_primary_that_serves_makes_a_first_backup_and_only_a_takeover_confirms_a_promotion(
    combination: tuple[Role, Role], recorder: Recorder
) -> None:
    stack, active = combination
    assert (FIRST in objects(recorder)) is (stack == active == "primary")
    assert (CONFIRMED in objects(recorder)) is (stack == active == "secondary")


def test_everything_of_a_database_is_in_its_namespace_and_no_backup_of_velero_has_it(recorder: Recorder) -> None:
    for name in objects(recorder) - {"failover-databases-namespace-databases", CONFIRMED}:
        assert recorder[name].metadata["namespace"] == "databases"
        assert recorder[name].metadata["labels"]["velero.io/exclude-from-backup"] == "true"
    assert recorder[STEM].metadata["name"] == "app-database"


BUCKETS = ("storage-velero", "storage-etcd", "storage-database")


def test_a_cluster_waits_for_its_owner_and_both_archives_and_they_for_the_bucket(recorder: Recorder) -> None:
    archives = {f"{STEM}-archive-{role}" for role in ROLES}
    assert {f"{STEM}-owner", *archives} <= recorder[STEM].depends_on
    (failover,) = recorder.of("Failover")
    assert {"storage-database", "storage-database-versioning"} & failover.depends_on
    configuration = {name for name in failover.depends_on if name.startswith("storage-")} - set(BUCKETS)
    assert bool(configuration) is ("-primary-g1" in recorder[STEM].spec["plugins"][0]["parameters"]["serverName"]), (
        "a failover of the secondary waits for buckets, and for no configuration of theirs"
    )
    for name in (f"{STEM}-backups", f"{STEM}-monitor"):
        assert STEM in recorder[name].depends_on


def test_the_owner_is_the_same_in_both_regions_and_a_secret(program: Program) -> None:
    for stack in ROLES:
        owner = program(stack, "primary")[f"{STEM}-owner"]
        assert owner.inputs["type"] == "kubernetes.io/basic-auth"
        assert owner.metadata["name"] == "app-database-owner"
        assert is_secret(owner.inputs["stringData"])
        assert revealed(owner.inputs["stringData"]) == {"username": "app", "password": PASSWORD}


@pytest.mark.parametrize("stack", ROLES)
def test_static_credentials_are_a_secret_of_the_databases_namespace(stack: Role) -> None:
    region = run_program(stack, {**STATIC, "peerReady": True})
    (secret,) = [seen for seen in region.of("Secret") if seen.metadata["name"] == "database-credentials"]
    where = "us-east-1" if stack == "primary" else "us-west-2"
    assert is_secret(secret.inputs["stringData"])
    assert revealed(secret.inputs["stringData"]) == {**KEYS, "region": where}
    (component,) = region.of("Database")
    assert secret.name in component.depends_on, "its parts wait with it"
    for role in ROLES:
        credentials = region[f"{STEM}-archive-{role}"].spec["configuration"]["s3Credentials"]
        assert {each["name"] for each in credentials.values()} == {"database-credentials"}


@pytest.mark.parametrize("stack", ROLES)
def test_no_password_and_no_key_is_in_any_input_in_clear_text(stack: Role) -> None:
    password = "the password of the owner"
    secrets = (password, *KEYS.values())
    forms = [*secrets, *(base64.b64encode(each.encode()).decode() for each in secrets)]
    changes = {**STATIC, "active": "secondary", "peerReady": True, "databasePasswords": {"app-database": password}}
    region = run_program(stack, changes)

    def shown(value: Any) -> str:
        if is_secret(value):
            return ""
        if isinstance(value, dict):
            return " ".join(map(shown, value.values()))
        return " ".join(map(shown, value)) if isinstance(value, list) else str(value)

    told = " ".join(shown(seen.inputs) for seen in region.seen) + str(region.outputs)
    assert not [form for form in forms if form in told]


def test_the_first_backup_waits_for_the_replication_that_copies_it(program: Program) -> None:
    primary = program("primary", "primary")
    (failover,) = primary.of("Failover")
    assert "storage-database-replication" in failover.depends_on, "S3 copies nothing that was there before its rule"
    assert STEM in primary[FIRST].depends_on
    assert primary[FIRST].metadata["name"] == "app-database-first-g1"
    assert primary[FIRST].metadata["annotations"]["pulumi.com/waitFor"] == "jsonpath={.status.lastScheduleTime}"


def test_nothing_that_the_plugin_deletes_after_its_retention_is_in_any_state(recorder: Recorder) -> None:
    assert not recorder.of("Backup")


def test_the_first_backup_is_taken_at_once_and_by_no_clock(program: Program) -> None:
    spec = program("primary", "primary")[FIRST].spec
    assert spec["immediate"] is True
    assert "suspend" not in spec, "a suspended schedule takes none"
    assert spec["schedule"] == "0 0 0 29 2 *", "one without a next time takes none"
    assert spec["backupOwnerReference"] == "self", "or the next schedule of this name takes it for its own"
    assert (spec["target"], spec["method"]) == ("primary", "plugin")


def test_before_the_peer_is_ready_the_primary_makes_no_backup_and_the_secondary_nothing() -> None:
    alone = {stack: run_program(stack, {"peerReady": False}) for stack in ROLES}
    assert STEM in objects(alone["primary"])
    assert FIRST not in objects(alone["primary"])
    assert objects(alone["secondary"]) == OF_THE_NAMESPACE
    assert alone["secondary"].outputs["details"]["databases"] == {"app-database": "none yet: set k8s-dr:peerReady to true"}


def test_a_cluster_its_data_and_what_reads_its_archive_outlive_the_stack(recorder: Recorder) -> None:
    assert recorder[STEM].protect
    assert recorder["failover-databases-namespace-databases"].protect
    for name in (STEM, f"{STEM}-owner", *(f"{STEM}-archive-{role}" for role in ROLES)):
        assert recorder[name].retain_on_delete


def test_a_namespace_that_somebody_else_makes_is_left_to_them_and_one_of_two_databases_is_made_once() -> None:
    other = run_program("primary", database(createNamespace=False))
    assert "failover-databases-namespace-databases" not in other.names()
    two = [*database()["databases"], *database(name="orders")["databases"]]
    both = run_program("primary", {"databases": two, "databasePasswords": {"app-database": PASSWORD, "orders": PASSWORD}})
    assert {seen.metadata["name"] for seen in both.of("Cluster")} == {"app-database", "orders"}
    assert len([seen for seen in both.of("Namespace") if seen.metadata["name"] == "databases"]) == 1


@pytest.mark.parametrize("first", [True, False])
def test_two_databases_in_one_namespace_share_it_and_its_keys_whoever_of_them_creates_it(first: bool) -> None:
    pair = [*database(createNamespace=first)["databases"], *database(name="orders", createNamespace=not first)["databases"]]
    passwords = {"app-database": PASSWORD, "orders": PASSWORD}
    region = run_program("primary", {**STATIC, "databases": pair, "databasePasswords": passwords})
    shared = {"failover-databases-namespace-databases", "failover-databases-credentials-databases"}
    assert len([seen for seen in region.custom() if seen.name in shared]) == 2
    for component in region.of("Database"):
        assert shared <= component.depends_on, "its parts wait with it"
    neither = [{**each, "createNamespace": False} for each in pair]
    region = run_program("primary", {"databases": neither, "databasePasswords": passwords})
    assert not [seen for seen in region.of("Namespace") if seen.metadata["name"] == "databases"]


def test_without_a_prometheus_operator_there_is_no_pod_monitor() -> None:
    assert not run_program("primary", database(podMonitor=False)).of("PodMonitor")


def test_a_generation_is_in_the_name_of_the_first_backup_too() -> None:
    region = run_program("primary", {**database(generations={"primary": 3}), "peerReady": True})
    assert region[FIRST].metadata["name"] == "app-database-first-g3"


def test_scaling_and_the_flag_wait_until_the_promotion_is_confirmed(takeover: Recorder) -> None:
    assert CONFIRMED in takeover[SCALE].depends_on
    assert STEM in takeover[CONFIRMED].depends_on
    (flag,) = [seen for seen in takeover.of("TrafficFlag") if seen.name == "failover-flag"]
    assert CONFIRMED in flag.depends_on
    assert takeover[CONFIRMED].metadata["namespace"] == "databases"


def test_promotion_runs_beside_the_restores(takeover: Recorder) -> None:
    restores = {seen.name for seen in takeover.of("Restore")}
    assert not restores & (takeover[STEM].depends_on | takeover[CONFIRMED].depends_on)
    assert not [seen for seen in takeover.of("Restore") if STEM in seen.depends_on]


@pytest.mark.parametrize("stack", ROLES)
def test_what_stands_by_is_scaled_down_without_waiting_for_any_database(stack: Role) -> None:
    region = run_program(stack, {"active": peer_of(stack), "peerReady": True})
    waits = after = {SCALE}
    while after:
        after = {name for seen in region.seen if seen.name in after for name in seen.depends_on} - waits
        waits = waits | after
    assert not [name for name in waits if name.startswith("failover-databases")]
    assert "k8s-dr/after" not in region[SCALE].metadata["annotations"]


@pytest.mark.parametrize("stack", ROLES)
def test_what_stands_by_is_scaled_down_though_its_database_is_lost(stack: Role) -> None:
    changes = {"active": peer_of(stack), "peerReady": True}
    reached, error = attempt_program(stack, changes, answers=Answers(database_phase=LOST[0]))
    assert isinstance(error, DatabaseLostError)
    assert SCALE in reached.names()


def test_a_primary_that_serves_again_scales_up_only_once_its_database_is_what_it_should_be(program: Program) -> None:
    back = run_program("primary", {"active": "primary", "peerReady": True})
    assert STEM in back[SCALE].depends_on
    reached, _ = attempt_program("primary", {"active": "primary", "peerReady": True}, answers=Answers(database_phase=LOST[0]))
    assert SCALE not in reached.names()


def test_a_promotion_is_waited_for_by_its_job_and_not_until_every_replica_is_there(takeover: Recorder, standby: Recorder) -> None:
    assert "pulumi.com/waitFor" not in takeover[STEM].metadata["annotations"]
    assert "pulumi.com/waitFor" in standby[STEM].metadata["annotations"]
    waiting, error = attempt_program(
        "secondary",
        {"active": "secondary", "peerReady": True},
        answers=Answers(database_phase="Waiting for the instances to become active"),
    )
    assert error is None
    assert {CONFIRMED, SCALE, "failover-serving"} <= waiting.names()


@pytest.mark.parametrize("phase", LOST)
@pytest.mark.parametrize(("stack", "active"), [("primary", "primary"), ("secondary", "primary"), ("secondary", "secondary")])
def test_a_database_that_is_lost_fails_the_program_with_the_operators_reason(stack: Role, active: Role, phase: str) -> None:
    lost = Answers(database_phase=phase)
    reached, error = attempt_program(stack, {"active": active, "peerReady": True}, answers=lost)
    assert (
        f"database app-database: {phase}: the reason of the operator. Once the cause is gone: pulumi up --refresh --run-program"
        in str(error)
    )
    if active == "secondary":
        assert not {CONFIRMED, SCALE, "failover-serving"} & reached.names()
        assert "failover-flag" not in reached.names()
        assert not reached.of("Schedule")


def base_backup(phase: str, *, made: str = "2026-01-01T00:00:00Z", name: str = "app-database-first-g1-1") -> dict[str, Any]:
    metadata = {"name": name, "creationTimestamp": made}
    return {"metadata": metadata, "status": {"phase": phase, "error": "the reason of the plugin"}}


@pytest.mark.parametrize("phase", ["failed", "invalid backup definition"])
def test_a_first_backup_that_failed_fails_the_program_with_its_reason(phase: str) -> None:
    _, error = attempt_program("primary", {"peerReady": True}, cluster=FakeCluster(base_backups=[base_backup(phase)]))
    assert str(error) == (
        f"database app-database: its first backup ended {phase}: the reason of the plugin. Once the cause is gone: kubectl "
        "delete scheduledbackup.postgresql.cnpg.io/app-database-first-g1 backup.postgresql.cnpg.io/app-database-first-g1-1 "
        "-n databases, then pulumi up --refresh --run-program"
    )


def test_a_first_backup_is_waited_for_in_the_update_and_not_in_a_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.database.database._PAUSE_SECONDS", 0)
    cluster = FakeCluster(base_backups=[base_backup("running")])
    seen: list[int] = []

    class Waiting(FakeCluster):
        def list_base_backups(self, namespace: str, schedule: str) -> list[dict[str, Any]]:
            seen.append(len(seen))
            return [base_backup("completed" if len(seen) > 2 else "running")]

    run_program("primary", {"peerReady": True}, cluster=Waiting())
    assert seen == [0, 1, 2]
    run_program("primary", {"peerReady": True}, cluster=cluster, preview=True)
    assert not [question for question in cluster.asked if question.startswith("base backups")]


def test_a_first_backup_that_takes_too_long_ends_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.database.database._FIRST_BACKUP_SECONDS", -1)
    _, error = attempt_program("primary", {"peerReady": True}, cluster=FakeCluster(base_backups=[base_backup("running")]))
    assert str(error) == "database app-database: its first backup still runs; wait, then pulumi up"


def test_of_several_first_backups_the_newest_counts_and_one_that_the_plugin_has_deleted_was_good() -> None:
    failed, completed = base_backup("failed"), base_backup("completed", made="2026-02-01T00:00:00Z")
    assert judge_first_backup(settings(), "first", [completed, failed])
    assert judge_first_backup(settings(), "first", [])
    assert not judge_first_backup(settings(), "first", [{"metadata": {"name": "new"}}])


def test_where_nobody_can_tell_how_the_first_backup_ended_the_program_says_so() -> None:
    class ForgetfulCluster(FakeCluster):
        def list_base_backups(self, namespace: str, schedule: str) -> list[dict[str, Any]]:
            raise ClusterUnreachableError("cluster prod does not answer")

    _, error = attempt_program("primary", {"peerReady": True}, cluster=ForgetfulCluster())
    assert str(error) == (
        "database app-database: whether its first backup has ended is not known: cluster prod does not answer; then "
        "pulumi up again"
    )


def test_a_first_backup_that_failed_long_ago_does_not_keep_a_primary_from_being_fenced() -> None:
    changes = {"active": "secondary", "peerReady": True}
    _, error = attempt_program("primary", changes, cluster=FakeCluster(base_backups=[base_backup("failed")]))
    assert error is None


ANEW = "kubectl delete cluster.postgresql.cnpg.io app-database -n databases"
KEPT = "do not delete the Cluster, its volumes would go with it"
WAYS_ON: list[tuple[Role, Role, str, str]] = [
    ("primary", "primary", "primary", KEPT),
    ("primary", "secondary", "fenced", KEPT),
    ("secondary", "primary", "replica", f"if the standby was never made: {ANEW} first"),
    ("secondary", "secondary", "promoted", KEPT),
    ("secondary", "secondary", "recovered", f"if its recovery never ended, and only then: {ANEW} first"),
]


@pytest.mark.parametrize(("stack", "active", "role", "way_on"), WAYS_ON, ids=[each[2] for each in WAYS_ON])
def test_nobody_is_told_to_delete_a_database_but_for_one_that_was_never_made(
    stack: Role, active: Role, role: str, way_on: str
) -> None:
    lost = side(stack, active, standby=role != "recovered")
    assert lost.database_role == role
    with pytest.raises(DatabaseLostError) as caught:
        judge_cluster(lost, {"phase": LOST[0], "phaseReason": "no volume is left"})
    assert str(caught.value) == (
        f"database app-database: {LOST[0]}: no volume is left. Once the cause is gone: pulumi up --refresh --run-program "
        f"-s {stack}; {way_on}"
    )


def test_what_is_healthy_or_not_known_yet_is_no_reason_to_fail() -> None:
    assert judge_cluster(side("primary"), {"phase": HEALTHY}) == "app-database"
    assert judge_cluster(side("primary"), None) == "app-database"
    with pytest.raises(DatabaseLostError, match="the operator gives no reason"):
        judge_cluster(side("primary"), {"phase": LOST[0]})
    with pytest.raises(DatabaseLostError, match="no reason is given"):
        judge_first_backup(settings(), "first", [{"metadata": {"name": "first-1"}, "status": {"phase": "failed"}}])


REFUSALS: list[tuple[Role, FakeCluster, FakeArchive, str]] = [
    ("primary", FakeCluster(), FakeArchive(written={"app-database-primary-g1"}), "raise its generation"),
    ("secondary", FakeCluster(), FakeArchive(lacking="there is none"), "and there is none; run, with peerReady true in both"),
    ("secondary", FakeCluster(groups={"postgresql.cnpg.io"}), FakeArchive(), "its Barman Cloud plugin"),
]


@pytest.mark.parametrize(("stack", "cluster", "archive", "reason"), REFUSALS)
def test_what_cannot_be_made_is_refused_before_anything_of_it_is_there(
    stack: Role, cluster: FakeCluster, archive: FakeArchive, reason: str
) -> None:
    reached, error = attempt_program(stack, {"peerReady": True}, cluster=cluster, archive=archive, run_hooks=True)
    assert isinstance(error, HookRefusedError)
    assert reason in str(error)
    assert objects(reached) == OF_THE_NAMESPACE


def test_what_is_there_already_is_not_asked_whether_it_could_be_made(combination: tuple[Role, Role], recorder: Recorder) -> None:
    for name in (STEM, f"{STEM}-owner", *(f"{STEM}-archive-{role}" for role in ROLES)):
        moments = recorder[name].hooks
        assert moments["before_create"] == [f"{STEM}-{name.removeprefix(STEM).removeprefix('-') or 'cluster'}-creation-check"]
        assert not set(moments["before_create"]) & recorder.hooks_on_preview
        # The note that its creation has begun goes once it is made; neither hook asks whether it could be made.
        promotes = [f"{STEM}-promotion"] if combination == ("secondary", "secondary") else []
        others = {"after_create": [f"{STEM}-made"]} if name == STEM else {}
        others |= {"before_update": promotes} if name == STEM and promotes else {}
        assert {**moments, "before_create": []} == {"before_create": [], **others}


def clusters(recorder: Recorder) -> dict[str, Any]:
    return {each.name: each for each in recorder.of("Cluster")}


@pytest.mark.parametrize("stack", ROLES)
@pytest.mark.parametrize("preview", [False, True])
def test_a_raised_generation_changes_nothing_of_a_side_that_stands_by_until_a_person_gives_it_up(
    stack: Role, preview: bool
) -> None:
    lives = FakeCluster(databases={"app-database": live(side(stack, peer_of(stack)), **ASLEEP)})
    raised = {**database(generations={stack: 2}), "active": peer_of(stack), "peerReady": True}
    (made,) = clusters(run_program(stack, raised, cluster=lives, preview=preview)).values()
    assert (made.name, made.protect) == (STEM, True)
    assert made.inputs["spec"]["plugins"][0]["parameters"]["serverName"] == f"app-database-{stack}-g1"


@pytest.mark.parametrize("stack", ROLES)
def test_it_is_given_up_in_two_steps_for_the_engine_obeys_the_protection_in_its_state(stack: Role) -> None:
    lives = FakeCluster(databases={"app-database": live(side(stack, peer_of(stack)), **ASLEEP)})
    confirmed = {
        **database(generations={stack: 2}),
        "active": peer_of(stack),
        "peerReady": True,
        "rejoin": f"app-database-{stack}-g1",
    }
    replaced = partial(run_program, stack, confirmed, cluster=lives, flag=lambda: Flag(active=peer_of(stack)))
    first = replaced()
    (old,) = clusters(first).values()
    assert (old.name, old.protect) == (STEM, False)
    assert old.metadata["annotations"]["k8s-dr/given-up"] == f"app-database-{stack}-g1"
    assert "nothing is deleted yet" in first.outputs["next"]

    lives.databases["app-database"]["metadata"]["annotations"] = old.metadata["annotations"]
    (new,) = clusters(replaced()).values()
    assert (new.name, new.protect) == (f"{STEM}-g2", True)
    assert new.inputs["spec"]["bootstrap"]["recovery"]["source"] == f"app-database-{peer_of(stack)}"
    assert new.inputs["spec"]["plugins"][0]["parameters"]["serverName"] == f"app-database-{stack}-g2"
    assert new.inputs["spec"]["replica"]["primary"] == f"app-database-{peer_of(stack)}"


@pytest.mark.parametrize("stack", ROLES)
@pytest.mark.parametrize("preview", [False, True])
def test_a_database_that_takes_writes_is_not_given_another_generation(stack: Role, preview: bool) -> None:
    lives = FakeCluster(databases={"app-database": live(side(stack, stack))})
    raised = {**database(generations={stack: 2}), "active": stack}
    reached, error = attempt_program(stack, raised, cluster=lives, preview=preview)
    assert str(error) == (
        f"database app-database: app-database-{stack}-g1 runs, and cannot go on as app-database-{stack}-g2: a generation is "
        "raised only for a database that is made anew, in a region that stands by; set k8s-dr:databases[].generations back, and "
        f"if rejoin names it: pulumi config rm rejoin -s {stack}"
    )
    assert not reached.identities()


def test_a_side_of_a_later_generation_that_an_older_version_made_keeps_its_resource() -> None:
    third = side("primary", generations={"primary": 3})
    lives = FakeCluster(databases={"app-database": live(third)})
    (made,) = clusters(run_program("primary", database(generations={"primary": 3}), cluster=lives)).values()
    assert made.name == f"{STEM}-g3"
    assert {known.rpartition("::")[2] for known in made.known_as} == {STEM, f"{STEM}-g3"}
    (made,) = clusters(run_program("primary", database(generations={"primary": 3}))).values()
    assert {known.rpartition("::")[2] for known in made.known_as} == {f"{STEM}-g3"}, "it is nobody's successor"


@pytest.mark.parametrize(
    ("records", "changes"),
    [({"creating": {"app-database": "begun"}}, {}), ({}, {"rejoin": "app-database-primary-g1"})],
    ids=["its creation was killed", "its rejoin is not over"],
)
def test_a_cluster_that_takes_the_place_of_a_given_up_one_does_not_take_over_its_state(
    records: dict[str, Any], changes: dict[str, Any]
) -> None:
    """The state begins otherwise (initdb), and the webhook refuses a Cluster with both (seen in the lab)."""
    second = {**database(generations={"primary": 2}), "active": "secondary", "peerReady": True}
    lives = FakeCluster(databases={"app-database": follower("primary", generations={"primary": 2})}, records=records)
    (made,) = clusters(run_program("primary", {**second, **changes}, cluster=lives, preview=True)).values()
    assert {known.rpartition("::")[2] for known in made.known_as} == {f"{STEM}-g2"}
