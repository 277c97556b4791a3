"""The gate of a region whose databases would be promoted, as the engine calls it: never two that write, and no loss unseen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from components.database.archive import ArchiveUnreadableError
from components.database.specs import HEALTHY
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.runner.base_backup import BaseBackup
from settings.roles import Role
from tests.unit.components.conftest import Clock
from tests.unit.components.database.sides import database
from tests.unit.components.failover.test_gate import READY, cluster
from tests.unit.fakes import FakeArchive, FakeCluster
from tests.unit.recorder import HookRefusedError, Recorder, attempt_program, run_program

PROBE = "https://app.example.com/"
CONTROL = "https://lb-secondary.us-west-2.elb.amazonaws.com/"
QUESTION = f"primary-answers {PROBE} {CONTROL}"
SERVER, FOLLOWER = "app-database-primary-g1", "app-database-secondary-g1"
FORCE = "to go on all the same: pulumi config set force true -s secondary"
ANSWERS = (
    f"the primary region still answers at {PROBE}, and two regions must never write at once; if it is to be given up all the "
    f"same, stop it first; {FORCE}"
)


@pytest.fixture(autouse=True)
def _clock(clock: Clock) -> None:
    """Nothing waits in earnest."""


def answering(*urls: str) -> FakeCluster:
    """A cluster that is ready to take over while `urls` still answer."""
    asked = cluster(*READY)
    asked.reached = dict.fromkeys(urls, 200)
    return asked


def behind() -> tuple[FakeCluster, FakeArchive]:
    """A standby that has not replayed an hour of what is in its archive."""
    return cluster(*READY), FakeArchive(lag={(SERVER, FOLLOWER): timedelta(hours=1)})


def ask(
    cluster: FakeCluster, archive: FakeArchive | None = None, *, active: Role = "secondary", preview: bool = False, **changes: Any
) -> str:
    """What the engine is told, nothing if the gate is open."""
    asked = {"active": active, **changes}
    region = run_program("secondary", asked, cluster=cluster, archive=archive or FakeArchive(), preview=preview)
    cluster.asked.clear()
    return region.call_hook("failover-gate")


def test_a_primary_that_does_not_answer_may_be_replaced() -> None:
    asked = answering()
    assert ask(asked) == ""
    assert QUESTION in asked.asked


def test_a_primary_that_answers_is_not_replaced_and_nothing_else_is_asked() -> None:
    asked = answering(PROBE)
    assert ask(asked) == ANSWERS
    assert asked.asked == [QUESTION]


BY_OTHER_MEANS = f"make sure by other means that the primary is dead; {FORCE}"


def test_where_nobody_can_ask_the_primary_nothing_is_promoted_unless_forced() -> None:
    asked = answering()
    asked.reached = None
    assert ask(asked) == (
        f"whether the primary region still answers at {PROBE} could not be asked: namespace k8s-dr of cluster prod-usw2 is gone; "
        f"{BY_OTHER_MEANS}"
    )
    assert ask(asked, force=True) == ""


def test_a_pod_that_waits_for_a_node_is_sent_again_while_the_gate_has_patience(clock: Clock) -> None:
    asked = answering()
    asked.pending = 3
    assert ask(asked) == ""
    assert asked.asked.count(QUESTION) == 3, "the first was asked by the run in which nobody asked the gate"
    assert clock.naps == [5.0] * 2
    asked = answering(PROBE)
    asked.pending = 2
    assert ask(asked) == ANSWERS, "it was asked in the end"
    asked = answering()
    asked.pending = 10**9
    assert ask(asked).startswith(
        f"whether the primary region still answers at {PROBE} could not be asked: Pod primary-answers-x is Pending after 20 s"
    )
    assert ask(asked, force=True) == "", "whoever knows better need not wait"


def test_silence_means_nothing_while_the_control_is_silent_too() -> None:
    asked = answering()
    asked.unreached = {CONTROL}
    assert ask(asked) == (
        f"nobody can tell whether the primary region still answers at {PROBE}: the same Pod got no answer from the control "
        f"{CONTROL} (Host: app.example.com) either (nothing within 3 s), so Pods may have no way out of this cluster; "
        f"{BY_OTHER_MEANS}"
    )
    assert ask(asked, force=True) == ""


def test_a_control_that_answers_anything_at_all_shows_the_way_out() -> None:
    asked = answering()
    asked.reached = {CONTROL: 503}
    assert ask(asked) == "", "a load balancer without targets is there all the same"


def test_another_url_may_be_the_control_and_the_default_follows_the_probe() -> None:
    asked = answering()
    assert ask(asked, failover={"control": "https://control.us-west-2.elb.amazonaws.com/up"}) == ""
    assert f"primary-answers {PROBE} https://control.us-west-2.elb.amazonaws.com/up" in asked.asked
    assert ask(asked, failover={"probe": "http://app.example.com:8080/healthz"}) == ""
    default = "http://lb-secondary.us-west-2.elb.amazonaws.com:8080/"
    assert f"primary-answers http://app.example.com:8080/healthz {default}" in asked.asked


def test_a_promotion_that_the_api_server_refuses_closes_the_gate_and_no_force_opens_it() -> None:
    asked = answering()
    asked.refused = 'cluster prod-usw2 refused: 500 failed calling webhook "mcluster.cnpg.io"'
    for force in (False, True):
        assert ask(asked, force=force) == (
            f"database app-database would not be promoted: {asked.refused}; is the operator running? see: kubectl get pods -A "
            "-l app.kubernetes.io/name=cloudnative-pg"
        )
    assert "promotion of databases/app-database to app-database-secondary" in asked.asked


def test_a_pod_that_would_not_be_let_in_to_confirm_a_promotion_closes_the_gate_and_force_opens_it() -> None:
    asked = answering()
    asked.refused_kinds = {"Pod": "refused: 403 minimum memory usage per Container is 64Mi"}
    assert "would not take the Pod that confirms" in ask(asked)
    assert ask(asked, force=True) == ""


def test_a_database_without_a_standby_is_tried_as_it_would_be_made() -> None:
    asked = answering()
    asked.databases.clear()
    asked.refused = "cluster prod-usw2 refused: 403 forbidden"
    told = ask(asked, tier="backup-restore")
    assert told.startswith("database app-database would not be recovered: cluster prod-usw2 refused: 403 forbidden; ")
    assert "creation of databases/app-database" in asked.asked


def test_a_primary_that_does_not_answer_is_nothing_to_warn_of(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    assert ask(answering()) == ""
    assert warnings == []


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, *_: texts.append(text))
    return texts


def test_force_replaces_a_primary_that_answers_and_says_so_first(warned: list[str]) -> None:
    asked, archive = behind()
    asked.reached = {PROBE: 200}
    region = run_program("secondary", {"active": "secondary", "force": True}, cluster=asked, archive=archive)
    asked.asked.clear()
    warned.clear()
    assert region.call_hook("failover-gate") == ""
    assert asked.asked.count(QUESTION) == 1
    assert [line.partition(": ")[0] for line in warned] == ["k8s-dr:force passes over this"] * 2
    assert f"the primary region still answers at {PROBE}, and two regions must never write at once" in warned[0]
    assert "WAL of 60 min 0 s has come into the archive that the standby has not replayed" in warned[1]


def test_force_says_that_nobody_could_ask_the_primary(warned: list[str]) -> None:
    asked = answering()
    asked.reached = None
    assert ask(asked, force=True) == ""
    assert f"k8s-dr:force passes over this: whether the primary region still answers at {PROBE} could not be asked" in warned[-1]


def test_an_old_base_backup_is_a_warning_where_a_standby_is_promoted_and_closes_the_gate_where_it_is_recovered_from(
    warned: list[str],
) -> None:
    began = datetime.now(UTC) - timedelta(days=9)
    archive = FakeArchive(base=BaseBackup(began=began, ended=began))
    assert ask(answering(), archive) == ""
    assert [line for line in warned if line.endswith("the standby that runs here is promoted without it")]
    asked = answering()
    asked.databases.clear()
    told = ask(asked, archive, tier="backup-restore")
    assert "the newest base backup that is whole here is 9 d 0 h old" in told
    assert told.endswith(FORCE)


def test_a_preview_starts_no_pod_to_ask_anybody() -> None:
    asked = answering(PROBE)
    assert ask(asked, preview=True) == ""
    assert not [question for question in asked.asked if question.startswith("primary-answers")]


def test_without_databases_two_regions_may_serve_for_a_while_and_nobody_is_asked() -> None:
    asked = answering(PROBE)
    asked.databases.clear()
    assert ask(asked, databases=[], databasePasswords={}) == ""
    assert not [question for question in asked.asked if question.startswith(("primary-answers", "database", "group"))]


def test_another_url_may_stand_for_the_primary() -> None:
    probe = "http://172.16.0.11/healthz"
    assert ask(answering(PROBE), failover={"probe": probe}) == ""
    assert f"still answers at {probe}," in ask(answering(probe), failover={"probe": probe})


def test_nothing_is_touched_while_the_primary_answers() -> None:
    reached, error = attempt_program(
        "secondary", {"active": "secondary", "peerReady": True}, cluster=answering(PROBE), run_hooks=True
    )
    assert isinstance(error, HookRefusedError)
    assert str(error) == ANSWERS
    assert not [seen.name for seen in reached.custom() if seen.name.startswith(("failover", "schedules"))]


def test_a_region_without_an_operator_does_not_take_over() -> None:
    asked = answering()
    asked.groups.discard("barmancloud.cnpg.io")
    told = "its Barman Cloud plugin (k8s-dr:operators.barmanCloud) is not installed in this cluster; install it"
    assert ask(asked).startswith(told)


def test_every_reason_of_backups_and_databases_is_told_at_once() -> None:
    told = ask(cluster(READY[1]), force=True)
    assert "hourly-critical-us-east-1 has no Completed backup here" in told
    asked = cluster(READY[1])
    asked.databases.clear()
    told = ask(asked, force=True)
    assert "hourly-critical-us-east-1 has no Completed backup here" in told
    assert "; database app-database has no standby in this cluster; " in told
    assert "\n" not in told


def test_a_standby_that_is_lost_is_told_with_the_operators_reason() -> None:
    asked = answering()
    asked.databases["app-database"] = {"status": {"phase": "Cluster is unrecoverable", "phaseReason": "no volume is left"}}
    assert ask(asked, force=True) == "database app-database is not healthy here: Cluster is unrecoverable: no volume is left"


def test_a_standby_with_a_ready_instance_is_promoted_with_force_though_it_is_not_healthy() -> None:
    asked = answering()
    asked.databases["app-database"] = {"status": {"phase": "Waiting for the instances to become active", "readyInstances": 2}}
    words = "database app-database is not healthy here: Waiting for the instances to become active"
    assert ask(asked) == f"{words}; {FORCE}"
    assert ask(asked, force=True) == ""


def test_a_standby_that_becomes_healthy_in_time_is_waited_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering()
    asked.databases["app-database"] = {"status": {"phase": "Setting up primary"}}
    sleep = clock.sleep

    def heal(seconds: float) -> None:
        sleep(seconds)
        asked.databases["app-database"] = {"status": {"phase": HEALTHY}}

    monkeypatch.setattr(clock, "sleep", heal)
    assert ask(asked) == ""
    assert clock.naps == [5.0]


def test_a_standby_behind_the_rpo_of_the_tier_is_told_with_the_figure_and_force_takes_the_loss() -> None:
    assert ask(*behind()) == (
        "database app-database: WAL of 60 min 0 s has come into the archive that the standby has not replayed, and the RPO is "
        f"5 min 0 s; wait if the standby still catches up; if not, a WAL segment is missing; {FORCE}"
    )
    assert ask(*behind(), force=True) == ""


def test_own_targets_and_another_tier_move_the_limit() -> None:
    assert ask(*behind(), targets={"rpo": "2h"}) == ""
    assert ask(*behind(), targets={"rpo": "59m"}) != ""
    assert "the RPO is 30 s" in ask(*behind(), tier="warm-standby", **database(archiveTimeout="30s"))


def test_a_preview_tells_what_is_behind_too() -> None:
    assert "and the RPO is 5 min 0 s" in ask(*behind(), preview=True)


def test_an_archive_that_cannot_be_read_closes_the_gate_and_force_passes_over_it(warned: list[str]) -> None:
    unreadable = FakeArchive(error=ArchiveUnreadableError("s3://acme-database/cnpg/ cannot be listed: no"))
    assert ask(answering(), unreadable) == f"s3://acme-database/cnpg/ cannot be listed: no; {FORCE}"
    assert ask(answering(), unreadable, force=True) == ""
    assert "k8s-dr:force passes over this: s3://acme-database/cnpg/ cannot be listed: no" in warned


def promoted() -> FakeCluster:
    """A secondary whose database was promoted, and that serves."""
    asked = FakeCluster(records={"serving": {"region": "us-west-2"}})
    asked.databases["app-database"] = {"spec": {"replica": {"primary": "app-database-secondary"}}}
    return asked


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("preview", [False, True])
def test_a_region_whose_database_has_taken_writes_does_not_stand_by_and_no_force_gives_them_up(
    preview: bool, force: bool
) -> None:
    assert ask(promoted(), active="primary", preview=preview, force=force) == (
        "k8s-dr:active: database app-database was promoted here and has taken writes that the primary region does not have; it "
        "cannot follow that one again. Keep it: pulumi config set active secondary -s secondary"
    )


CREATION_CHECKS = (
    "owner-creation-check",
    "archive-primary-creation-check",
    "archive-secondary-creation-check",
    "cluster-creation-check",
)


def told_by_all(region: Recorder) -> set[str]:
    return {region.call_hook(f"failover-databases-app-database-{hook}") for hook in CREATION_CHECKS}


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_owner_archives_and_cluster_are_asked_alike_before_they_are_made(stack: Role) -> None:
    assert told_by_all(run_program(stack, {"peerReady": True})) == {""}
    used = FakeArchive(written={f"app-database-{stack}-g1"})
    (told,) = told_by_all(run_program(stack, {"peerReady": True}, archive=used))
    assert f"there is an archive of app-database-{stack}-g1 already" in told


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_where_cluster_or_archive_cannot_be_asked_nothing_is_made(stack: Role) -> None:
    asked = FakeCluster()
    unreadable = FakeArchive(error=ArchiveUnreadableError("s3://acme-database/cnpg/ cannot be listed: no"))
    (told,) = told_by_all(run_program(stack, {"peerReady": True}, cluster=asked, archive=unreadable))
    assert told == "database app-database cannot be made: s3://acme-database/cnpg/ cannot be listed: no"
    region = run_program(stack, {"peerReady": True}, cluster=asked)
    asked.error = ClusterUnreachableError("cluster prod does not answer")
    (told,) = told_by_all(region)
    assert told == "database app-database cannot be made: cluster prod does not answer"


def test_a_standby_that_reads_the_primarys_bucket_is_made_once_its_backup_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="acme-database-us-east-1-123456789012")
        region = run_program(
            "secondary",
            {**database(source="primary-bucket"), "peerReady": True},
            archive=FakeArchive(lacking="the replica is not asked"),
        )
        (told,) = told_by_all(region)
    assert f"there is no base backup of {SERVER} in s3://acme-database-us-east-1-123456789012/cnpg/{SERVER}/" in told
