"""A failover with a database, under the real engine: how a flip promotes the standby, and what stops the promotion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import yaml

from lab.project import lab_database
from lab.pulumi import touched
from lab.standins.recorded_cluster.kinds import OPERATORS
from lab.waiting import until
from tests.engine.conftest import Pair, configured, refused_flip, told_plainly
from tests.engine.test_flip import TOUCHED_BY_A_FLIP, planned

# WAL is archived often enough for the RPO of one second that a test sets.
DATABASES = (lab_database(archiveTimeout="1s"),)
TOUCHED_WITH_A_DATABASE = TOUCHED_BY_A_FLIP | {
    ("kubernetes:postgresql.cnpg.io/v1:Cluster", "failover-databases-app-database", "update"),
    ("kubernetes:batch/v1:Job", "failover-databases-app-database-promoted", "create"),
}
SERVER, FOLLOWER = "app-database-primary-g1", "app-database-secondary-g1"
CLUSTER = "Cluster.postgresql.cnpg.io"
UNRECOVERABLE = "Cluster is unrecoverable and needs manual intervention"


def cluster(pair: Pair, role: str = "secondary") -> dict[str, Any]:
    [found] = pair.clusters[role].objects(CLUSTER)
    return found


def written_to(pair: Pair) -> str:
    """The side of the database that takes writes, as the secondary's Cluster has it."""
    return str(cluster(pair)["spec"]["replica"]["primary"])


def archived(pair: Pair, server: str, segment: int) -> dict[str, str]:
    """Put a WAL segment into the secondary's bucket; returns its bucket and key."""
    name = f"0000000100000000{segment:08X}"
    place = {"Bucket": "acme-database-us-west-2-123456789012", "Key": f"cnpg/{server}/wals/{name[:16]}/{name}.zst"}
    pair.s3().put_object(**place, Body=b"")
    return place


@contextmanager
def behind(pair: Pair) -> Iterator[None]:
    """Let the standby be farther behind than an RPO of one second: the primary's WAL has arrived, and none of it was replayed."""
    places = [archived(pair, SERVER, 3)]

    def later() -> bool:
        """Archive a segment again, until it is two seconds newer than the one before it: S3 tells only whole seconds."""
        places[1:] = [archived(pair, SERVER, 4)]
        one, other = (pair.s3().head_object(**place)["LastModified"] for place in places)
        return bool(other - one >= timedelta(seconds=2))

    try:
        until("a segment of two seconds later", later, timeout=10)
        with configured(pair, "targets.rpo", "1s"):
            yield
    finally:
        for place in places:
            pair.s3().delete_object(**place)


def test_both_regions_have_their_half_after_four_ups_and_deploying_again_changes_nothing(pair: Pair) -> None:
    assert cluster(pair, "primary")["spec"]["replica"]["self"] == "app-database-primary"
    assert cluster(pair)["spec"]["replica"]["self"] == "app-database-secondary"
    for role, database in (("primary", "primary"), ("secondary", "replica")):
        pair.pulumi.up(role, "--expect-no-changes")
        assert pair.pulumi.outputs(role)["databases"] == {"app-database": database}


def test_a_flip_promotes_the_database_beside_the_restores_and_before_anything_is_scaled(pair: Pair) -> None:
    pair.pulumi.configure("secondary", "active", "secondary")
    assert planned(pair.pulumi.run("preview", "-s", "secondary", "--json").output) == TOUCHED_WITH_A_DATABASE
    before, since = pair.pulumi.resources("secondary"), len(pair.calls())
    pair.pulumi.up("secondary")
    done = {(entry["type"], entry["name"], entry["operation"]) for entry in touched(before, pair.pulumi.resources("secondary"))}
    assert done == TOUCHED_WITH_A_DATABASE
    order = [
        call["urn"].rpartition("::")[2]
        for call in pair.calls(since)
        if call["method"] in ("Create", "Update") and not call["preview"]
    ]
    promoted = order.index("failover-databases-app-database-promoted")
    assert order.index("failover-databases-app-database") < promoted
    assert order.index("failover-restores-hourly-critical") < order.index("failover-restores-daily-full")
    assert set(order[:4]) == {
        "failover-databases-app-database",
        "failover-databases-app-database-promoted",
        "failover-restores-hourly-critical",
        "failover-restores-daily-full",
    }
    assert order[4:8] == [
        "failover-workloads-scale-production",
        "failover-workloads-verify-production",
        "failover-flag",
        "failover-serving",
    ]
    assert written_to(pair) == "app-database-secondary"
    outputs = pair.pulumi.outputs("secondary")
    assert outputs["databases"] == {"app-database": "promoted"}
    assert "promote app-database" in [step["name"] for step in outputs["failover"]["steps"]]
    pair.pulumi.up("secondary", "--expect-no-changes")


def test_a_field_that_somebody_else_has_taken_does_not_keep_a_standby_from_being_promoted(pair: Pair) -> None:
    live = cluster(pair)
    theirs = {key: live[key] for key in ("apiVersion", "kind")}
    theirs |= {"metadata": {"name": "app-database", "namespace": "databases"}}
    theirs |= {"spec": {"replica": {"primary": "app-database-primary"}}}
    pair.secondary.put(theirs, manager="kubectl-edit")
    pair.flip()
    assert written_to(pair) == "app-database-secondary"
    assert pair.flag() == "secondary"


@pytest.mark.parametrize(
    "end",
    [
        {"phase": "Succeeded"},
        {"phase": "Failed", "message": "Error from server (NotFound): the server could not find the requested resource"},
    ],
    ids=["with success", "with no such page"],
)
def test_a_standby_is_not_promoted_while_the_primary_answers_unless_forced(pair: Pair, end: dict[str, str]) -> None:
    pair.secondary.outcomes.order({"kind": "Pod", "name": "primary-answers-", **end})
    refused_flip(pair, "the primary region still answers at https://app.example.com/")
    assert not [pod for pod in pair.secondary.objects("Pod") if pod["metadata"]["name"].startswith("primary-answers-")]
    with configured(pair, "force", "true"):
        pair.flip()
    assert pair.flag() == "secondary"
    assert written_to(pair) == "app-database-secondary"
    pair.pulumi.up("secondary", "--expect-no-changes")


def test_a_standby_that_is_farther_behind_than_the_rpo_is_not_promoted_unless_forced(pair: Pair) -> None:
    with behind(pair):
        lost = "has come into the archive that the standby has not replayed, and the RPO is 1 s"
        refused_flip(pair, lost, "pulumi config set force true -s secondary")
        with configured(pair, "force", "true"):
            pair.flip()
    assert pair.flag() == "secondary"


def test_a_standby_that_has_archived_again_what_it_replayed_is_promoted_however_old_that_is(pair: Pair) -> None:
    with behind(pair):
        place = archived(pair, FOLLOWER, 4)
        try:
            pair.flip()
        finally:
            pair.s3().delete_object(**place)
    assert pair.flag() == "secondary"


def test_a_promotion_does_not_wait_for_a_replica_that_is_missing(pair: Pair) -> None:
    phase = "Waiting for the instances to become active"
    pair.secondary.outcomes.order({"kind": "Cluster", "name": "app-database", "phase": phase})
    pair.flip()
    assert pair.flag() == "secondary"
    assert cluster(pair)["status"]["phase"] == phase


def test_a_standby_that_is_lost_is_not_promoted(pair: Pair) -> None:
    well, reason = cluster(pair)["status"]["phase"], "one of the WAL files is missing"
    pair.secondary.report(CLUSTER, "databases", "app-database", phase=UNRECOVERABLE, phaseReason=reason)
    try:
        refused_flip(pair, f"database app-database is not healthy here: {UNRECOVERABLE}: {reason}")
    finally:
        pair.secondary.report(CLUSTER, "databases", "app-database", phase=well, phaseReason=None)


def test_without_its_operator_no_standby_is_promoted(pair: Pair) -> None:
    pair.secondary.uninstall(OPERATORS)
    pair.pulumi.configure("secondary", "active", "secondary")
    preview = pair.pulumi.run("preview", "-s", "secondary", check=False)
    pair.pulumi.run("config", "rm", "active", "-s", "secondary")
    pair.secondary.install(OPERATORS)
    assert told_plainly(preview, "CloudNativePG", "not installed in this cluster"), preview.output


@pytest.mark.parametrize("force", ["false", "true"])
def test_a_promoted_database_cannot_be_sent_back_to_follow_the_old_one(serving_secondary: Pair, force: str) -> None:
    pulumi = serving_secondary.pulumi
    before = pulumi.resources("secondary")
    pulumi.configure("secondary", "active", "primary")
    with configured(serving_secondary, "force", force):
        preview = pulumi.run("preview", "-s", "secondary", check=False)
        refused = pulumi.up("secondary", check=False)
    for ran in (preview, refused):
        written = "was promoted here and has taken writes that the primary region does not have"
        assert told_plainly(ran, written, "pulumi config set active secondary -s secondary"), ran.output
    assert "set force" not in refused.output
    assert touched(before, pulumi.resources("secondary")) == []
    assert serving_secondary.flag() == "secondary"
    assert written_to(serving_secondary) == "app-database-secondary"


def test_a_database_that_was_made_anew_to_follow_lets_the_secondary_stand_by(serving_secondary: Pair) -> None:
    serving_secondary.remake_databases()
    serving_secondary.pulumi.configure("secondary", "active", "primary")
    serving_secondary.pulumi.up("secondary")
    assert serving_secondary.flag() == "primary"
    assert written_to(serving_secondary) == "app-database-primary"
    assert serving_secondary.pulumi.outputs("secondary")["databases"] == {"app-database": "replica"}


def test_a_database_that_runs_does_not_take_another_generation(pair: Pair) -> None:
    file = pair.pulumi.directory / "Pulumi.yaml"
    content = file.read_text()
    before, calls, runs = pair.pulumi.resources("primary"), len(pair.calls()), cluster(pair, "primary")
    raised = yaml.safe_load(content)
    raised["config"]["databases"]["value"][0]["generations"] = {"primary": 2}
    file.write_text(yaml.safe_dump(raised, sort_keys=False))
    try:
        preview = pair.pulumi.run("preview", "-s", "primary", check=False)
        refused = pair.pulumi.up("primary", check=False)
    finally:
        file.write_text(content)
    said = "database app-database: app-database-primary-g1 runs, and cannot go on as app-database-primary-g2"
    for ran in (preview, refused):
        assert told_plainly(ran, said, "set k8s-dr:databases[].generations back"), ran.output
    assert touched(before, pair.pulumi.resources("primary")) == []
    written = [call for call in pair.calls(calls) if call["method"] in ("Create", "Update", "Delete") and not call["preview"]]
    assert written == []
    assert cluster(pair, "primary") == runs
    pair.pulumi.up("primary", "--expect-no-changes")


def test_a_promotion_that_fails_moves_no_traffic_says_why_and_is_tried_again_by_the_next_up(pair: Pair) -> None:
    job = "failover-databases-app-database-promoted"
    pair.secondary.outcomes.order(
        {"kind": "Job", "name": job, "phase": "Failed", "message": "timed out waiting for the first write"}
    )
    failed = pair.flip(check=False)
    assert told_plainly(failed, job, "timed out waiting for the first write"), failed.output
    assert pair.flag() == "primary"
    assert "failover-workloads-scale" not in str(pair.secondary.objects("Job"))
    restored = pair.restore_names()
    pair.secondary.outcomes.ordered.clear()
    pair.pulumi.up("secondary")
    assert pair.flag() == "secondary"
    assert pair.restore_names() == restored, "what was restored is not restored again"


def test_a_primary_that_comes_back_puts_its_database_to_sleep_and_destroys_nothing(serving_secondary: Pair) -> None:
    pulumi = serving_secondary.pulumi
    before = pulumi.resources("primary")
    pulumi.configure("primary", "active", "secondary")
    pulumi.up("primary")
    done = {(entry["name"], entry["operation"]) for entry in touched(before, pulumi.resources("primary"))}
    assert done == {
        ("failover", "update"),
        ("failover-serving", "delete"),
        ("failover-workloads-scale-production", "create"),
        ("failover-databases-app-database", "update"),
        ("failover-databases-app-database-backups", "update"),
        ("failover-databases-app-database-first-backup", "delete"),
        ("schedules-daily-full", "update"),
        ("schedules-hourly-critical", "update"),
    }
    asleep = cluster(serving_secondary, "primary")
    assert asleep["metadata"]["annotations"]["cnpg.io/hibernation"] == "on"
    assert asleep["spec"]["replica"]["primary"] == "app-database-primary", "it keeps its data, and follows nobody"
    assert asleep["status"]["readyInstances"] == 0
    assert serving_secondary.clusters["primary"].objects("Backup.postgresql.cnpg.io") == [], "the archive keeps what it took"
    [schedule] = serving_secondary.clusters["primary"].objects("ScheduledBackup")
    assert schedule["spec"]["suspend"] is True
    assert pulumi.outputs("primary")["databases"] == {"app-database": "fenced"}
    pulumi.up("primary", "--expect-no-changes")

    serving_secondary.stand_by()
    pulumi.run("config", "rm", "active", "-s", "primary")
    pulumi.up("primary")
    assert "cnpg.io/hibernation" not in cluster(serving_secondary, "primary")["metadata"]["annotations"]
    [first] = serving_secondary.clusters["primary"].objects("Backup.postgresql.cnpg.io")
    assert first["metadata"]["name"] == "app-database-first-g1"
    pulumi.up("primary", "--expect-no-changes")


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_nothing_of_a_database_is_deleted_by_a_command(pair: Pair, role: str) -> None:
    resources = {resource["urn"].rpartition("::")[2]: resource for resource in pair.pulumi.resources(role)}
    kept = {name for name, resource in resources.items() if resource.get("retainOnDelete")}
    assert {
        "failover-databases-app-database",
        "failover-databases-app-database-owner",
        "failover-databases-app-database-archive-primary",
        "failover-databases-app-database-archive-secondary",
    } <= kept
    assert resources["failover-databases-app-database"]["protect"] is True


def test_the_owners_password_is_nowhere_in_the_clear(pair: Pair) -> None:
    for role in ("primary", "secondary"):
        state = pair.pulumi.run("stack", "export", "-s", role).output
        assert "correct horse" not in state
        assert "correct horse" not in json.dumps(pair.pulumi.outputs(role))
