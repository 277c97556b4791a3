"""A failover with a database, under the real engine: how a flip promotes the standby, and what stops the promotion."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from components.database.stopping import accepts_nothing
from lab.pulumi import touched
from lab.standins.recorded_cluster.kinds import OPERATORS
from lab.waiting import until
from tests.engine.conftest import DATABASE, Pair, configured, refused_flip, told_plainly
from tests.engine.test_database_creation import add, names
from tests.engine.test_flip import TOUCHED_BY_A_FLIP, planned
from tests.examples import ROOT

DATABASES = (DATABASE,)
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


def fall_behind(pair: Pair) -> None:
    """Let the standby be farther behind than an RPO of ten seconds: WAL of the primary has come, and none of it was replayed."""
    first = archived(pair, SERVER, 3)

    def later() -> bool:
        """Archive a segment again, until it is eleven seconds newer than the one before it: S3 tells only whole seconds."""
        one, other = (pair.s3().head_object(**place)["LastModified"] for place in (first, archived(pair, SERVER, 4)))
        return bool(other - one >= timedelta(seconds=11))

    until("a segment of eleven seconds later", later, timeout=60)
    pair.pulumi.run("config", "set", "--path", "targets.rpo", "10s", "-s", "secondary")


def test_both_regions_have_their_half_after_four_ups_and_deploying_again_changes_nothing(pair: Pair) -> None:
    assert cluster(pair, "primary")["spec"]["replica"]["self"] == "app-database-primary"
    assert cluster(pair)["spec"]["replica"]["self"] == "app-database-secondary"
    for role, database in (("primary", "primary"), ("secondary", "replica")):
        pair.pulumi.up(role, "--expect-no-changes")
        assert pair.pulumi.details(role)["databases"] == {"app-database": database}


@pytest.mark.long
def test_a_standby_is_made_from_the_replicated_archive_alone_as_the_page_on_recovery_says(pair: Pair) -> None:
    """The stacks have a database already, and with it what every standby depends on."""
    add(pair, "late-database")
    pair.bring_first_backup("late-database")
    targets = ["--target", "**dr:failover:Failover$**", "--target", "**dr:failover:Failover::**"]
    page = (ROOT / "docs" / "recovery.md").read_text()
    assert "pulumi up -s secondary --target '**dr:failover:Failover$**' --target '**dr:failover:Failover::**'" in page
    pair.pulumi.up("secondary", *targets)
    assert "late-database" in names(pair, "secondary")
    assert "late-database" not in names(pair, "primary")


@pytest.mark.long
def test_a_standby_that_an_up_was_killed_over_is_taken_over_by_the_commands_that_the_gate_names(pair: Pair) -> None:
    """The cluster has it and the state has not, so a promotion would meet it as `already exists`, half-way."""
    add(pair, "late-database")
    pair.bring_first_backup("late-database")
    targets = ["--target", "**dr:failover:Failover$**", "--target", "**dr:failover:Failover::**"]
    pair.secondary.outcomes.order({"kind": "Cluster", "name": "late-database", "phase": "Pending"})
    killed = pair.pulumi.start("up", "-s", "secondary", "--yes", "--skip-preview", *targets)
    until("the standby to be begun", lambda: "late-database" in names(pair, "secondary"), timeout=300)
    killed.kill()
    killed.wait()
    pair.pulumi.run("cancel", "-s", "secondary", "--yes")
    pair.secondary.outcomes.ordered.clear()
    pair.secondary.amend(CLUSTER, "databases", "late-database", {"metadata": {"labels": {"seen": "again"}}})

    refused = pair.flip(check=False)
    left = "database late-database: an up that was killed has left its standby behind"
    first = "pulumi config rm active -s secondary && pulumi up -s secondary --target '**dr:failover:Failover$**'"
    assert told_plainly(refused, left, first), refused.output
    assert pair.flag() == "primary"
    pair.pulumi.run("config", "rm", "active", "-s", "secondary")
    pair.pulumi.up("secondary", *targets)
    pair.flip()
    sides = {found["metadata"]["name"]: found["spec"]["replica"]["primary"] for found in pair.secondary.objects(CLUSTER)}
    assert sides == {name: f"{name}-secondary" for name in ("app-database", "late-database")}


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
    assert set(order[:3]) == {
        "failover-databases-app-database",
        "failover-databases-app-database-promoted",
        "failover-restores-hourly-critical",
    }
    assert order[3] == "failover-workloads-scale-production"
    assert set(order[4:6]) == {"failover-workloads-verify-production", "failover-workloads-endpoint"}
    assert order[6:8] == ["failover-flag", "failover-serving"]
    assert written_to(pair) == "app-database-secondary"
    details = pair.pulumi.details("secondary")
    assert details["databases"] == {"app-database": "promoted"}
    assert "promote app-database" in [step["name"] for step in details["failover"]["steps"]]
    pair.pulumi.up("secondary", "--expect-no-changes")


@pytest.mark.long
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
        {"status": 200, "said": "HTTP 200 OK"},
        pytest.param({"status": 404, "said": "HTTP 404 Not Found"}, marks=pytest.mark.long),
    ],
    ids=["with success", "with no such page"],
)
def test_a_standby_is_not_promoted_while_the_primary_answers_unless_forced(pair: Pair, end: dict[str, Any]) -> None:
    order = {"kind": "Pod", "name": "primary-answers-", "phase": "Succeeded", "message": json.dumps([end, end])}
    pair.secondary.outcomes.order(order)
    refused_flip(pair, "the primary region still answers at https://app.example.com/")
    assert not [pod for pod in pair.secondary.objects("Pod") if pod["metadata"]["name"].startswith("primary-answers-")]
    with configured(pair, "force", "true"):
        forced = pair.flip().output
    assert "warning: k8s-dr:force passes over this: the primary region still answers at https://app.example.com/" in forced
    assert pair.flag() == "secondary"
    assert written_to(pair) == "app-database-secondary"
    pair.pulumi.up("secondary", "--expect-no-changes")


def order_answers(pair: Pair, primary: int | None, control: int | None) -> None:
    """Order what the Pod is answered that asks the primary, and the control with it."""
    answers = [{"status": status, "said": f"HTTP {status}" if status else "nothing within 3 s"} for status in (primary, control)]
    order = {"kind": "Pod", "name": "primary-answers-", "phase": "Succeeded", "message": json.dumps(answers)}
    pair.secondary.outcomes.order(order)


@pytest.mark.long
def test_a_silence_that_the_control_shares_promotes_nothing_unless_forced_and_is_loud_by_day(pair: Pair) -> None:
    """Pods without a way out hear nothing from a living primary either."""
    order_answers(pair, None, None)
    control = "https://lb-secondary.lab.internal/ (Host: app.example.com)"
    by_day = pair.pulumi.up("secondary", "--expect-no-changes").output
    assert f"warning: the control {control} said nothing within 3 s: on the night nobody could tell a dead primary" in by_day
    refused_flip(pair, "nobody can tell whether the primary region still answers", control, "config set force true -s secondary")
    with configured(pair, "force", "true"):
        pair.flip()
    assert written_to(pair) == "app-database-secondary"


@pytest.mark.long
def test_by_day_a_primary_that_answers_is_the_good_case_and_one_that_does_not_is_told(pair: Pair) -> None:
    order_answers(pair, 200, 200)
    assert "the primary said" not in pair.pulumi.up("secondary", "--expect-no-changes").output
    order_answers(pair, None, 200)
    told = pair.pulumi.up("secondary", "--expect-no-changes").output
    assert "warning: the primary said nothing within 3 s at https://app.example.com/: this region would take it for dead" in told


@pytest.mark.only_with_standin("kubernetes", reason="no webhook of an operator judges what real API servers get here")
def test_a_promotion_that_the_operators_webhook_refuses_is_found_by_day_and_touches_nothing_on_the_night(pair: Pair) -> None:
    words = 'failed calling webhook "mcluster.cnpg.io": no endpoints available for service "cnpg-webhook-service"'
    pair.secondary.outcomes.order({"kind": "Cluster", "name": "app-database", "phase": "Refused", "message": words})
    told = f"database app-database would not be promoted: cluster lab-secondary refused: 500 {words}"
    assert f"warning: {told}" in pair.pulumi.up("secondary", "--expect-no-changes").output
    refused_flip(pair, told, "kubectl get pods -A -l app.kubernetes.io/name=cloudnative-pg")
    pair.secondary.outcomes.ordered.clear()
    pair.flip()
    assert written_to(pair) == "app-database-secondary"


def test_a_standby_that_is_farther_behind_than_the_rpo_is_not_promoted_unless_forced(pair: Pair) -> None:
    fall_behind(pair)
    lost = "has come into the archive that the standby has not replayed, and the RPO is 10 s"
    refused_flip(pair, lost, "pulumi config set force true -s secondary")
    pair.pulumi.configure("secondary", "force", "true")
    pair.flip()
    assert pair.flag() == "secondary"


@pytest.mark.long
def test_a_standby_that_has_archived_again_what_it_replayed_is_promoted_however_old_that_is(pair: Pair) -> None:
    fall_behind(pair)
    archived(pair, FOLLOWER, 4)
    pair.flip()
    assert pair.flag() == "secondary"


def inputs_of(pair: Pair, role: str, name: str) -> dict[str, Any]:
    """The inputs of a resource, as the state has them."""
    [found] = [each for each in pair.pulumi.resources(role) if each["urn"].endswith(f"::{name}") and each["custom"]]
    return dict(found["inputs"])


def minutes_ago(minutes: int) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def marked(pair: Pair, minutes: int, *, answered: int) -> None:
    """Let the primary's mark be so many minutes old in the secondary's bucket, and the primary have answered so long ago."""
    place = {"Bucket": "acme-database-us-west-2-123456789012", "Key": f"freshness/{SERVER}.json"}
    mark = json.loads(pair.s3().get_object(**place)["Body"].read())
    pair.s3().put_object(**place, Body=json.dumps({**mark, "written": minutes_ago(minutes)}).encode())
    record = {"data": {"asked": minutes_ago(1), "answered": minutes_ago(answered)}}
    pair.secondary.amend("ConfigMap", "k8s-dr", "freshness", record)


@pytest.mark.long
def test_replication_that_had_stopped_before_the_primary_died_promotes_nothing_unless_forced(pair: Pair) -> None:
    marked(pair, 90, answered=60)
    lost = "old when the primary last answered: S3 replication had stopped or was behind"
    refused_flip(pair, lost, "pulumi config set force true -s secondary")
    pair.pulumi.configure("secondary", "force", "true")
    pair.flip()
    assert pair.flag() == "secondary"


@pytest.mark.long
def test_an_outage_that_people_have_discussed_for_an_hour_is_no_lag(pair: Pair) -> None:
    marked(pair, 62, answered=60)
    pair.flip()
    assert pair.flag() == "secondary"


@pytest.mark.long
def test_by_day_an_up_of_the_standby_warns_of_a_mark_that_is_late(pair: Pair) -> None:
    marked(pair, 90, answered=1)
    warned = pair.pulumi.up("secondary", "--expect-no-changes")
    assert "the primary's last mark is 90 min" in warned.output
    assert "pulumi up -s primary says what S3 failed to copy" in warned.output


@pytest.mark.long
def test_what_the_cronjob_writes_into_its_record_is_no_drift(pair: Pair) -> None:
    marked(pair, 1, answered=1)
    before = inputs_of(pair, "secondary", "freshness-record")
    pair.pulumi.up("secondary", "--refresh")
    assert inputs_of(pair, "secondary", "freshness-record") == before
    [record] = [each for each in pair.secondary.objects("ConfigMap") if each["metadata"]["name"] == "freshness"]
    assert set(record["data"]) == {"asked", "answered"}


@pytest.mark.long
def test_a_promotion_does_not_wait_for_a_replica_that_is_missing(pair: Pair) -> None:
    phase = "Waiting for the instances to become active"
    pair.secondary.outcomes.order({"kind": "Cluster", "name": "app-database", "phase": phase})
    pair.flip()
    assert pair.flag() == "secondary"
    assert cluster(pair)["status"]["phase"] == phase


@pytest.mark.long
def test_a_standby_that_is_lost_is_not_promoted(pair: Pair) -> None:
    reason = "one of the WAL files is missing"
    pair.secondary.report(CLUSTER, "databases", "app-database", phase=UNRECOVERABLE, phaseReason=reason)
    refused_flip(pair, f"database app-database is not healthy here: {UNRECOVERABLE}: {reason}")


@pytest.mark.long
def test_without_its_operator_no_standby_is_promoted(pair: Pair) -> None:
    pair.secondary.uninstall(OPERATORS)
    pair.pulumi.configure("secondary", "active", "secondary")
    preview = pair.pulumi.run("preview", "-s", "secondary", check=False)
    assert told_plainly(preview, "CloudNativePG", "not installed in this cluster"), preview.output


@pytest.mark.parametrize("force", ["false", "true"])
def test_a_promoted_database_cannot_be_sent_back_to_follow_the_old_one(serving_secondary: Pair, force: str) -> None:
    pulumi = serving_secondary.pulumi
    before = pulumi.resources("secondary")
    pulumi.configure("secondary", "active", "primary")
    pulumi.configure("secondary", "force", force)
    preview = pulumi.run("preview", "-s", "secondary", check=False)
    refused = pulumi.up("secondary", check=False)
    for ran in (preview, refused):
        written = "was promoted here and has taken writes that the primary region does not have"
        assert told_plainly(ran, written, "pulumi config set active secondary -s secondary"), ran.output
    assert "set force" not in refused.output
    assert touched(before, pulumi.resources("secondary")) == []
    assert serving_secondary.flag() == "secondary"
    assert written_to(serving_secondary) == "app-database-secondary"


@pytest.mark.long
def test_a_database_that_was_made_anew_to_follow_lets_the_secondary_stand_by(serving_secondary: Pair) -> None:
    serving_secondary.stand_by()
    assert serving_secondary.flag() == "primary"
    assert written_to(serving_secondary) == "app-database-primary"
    assert serving_secondary.pulumi.details("secondary")["databases"] == {"app-database": "replica"}


@pytest.mark.long
def test_a_database_that_runs_does_not_take_another_generation(pair: Pair) -> None:
    file = pair.pulumi.directory / "Pulumi.yaml"
    content = file.read_text()
    before, calls, runs = pair.pulumi.resources("primary"), len(pair.calls()), cluster(pair, "primary")
    raised = yaml.safe_load(content)
    raised["config"]["databases"]["value"][0]["generations"] = {"primary": 2}
    file.write_text(yaml.safe_dump(raised, sort_keys=False))
    preview = pair.pulumi.run("preview", "-s", "primary", check=False)
    refused = pair.pulumi.up("primary", check=False)
    said = "database app-database: app-database-primary-g1 runs, and cannot go on as app-database-primary-g2"
    for ran in (preview, refused):
        assert told_plainly(ran, said, "set k8s-dr:databases[].generations back"), ran.output
    assert touched(before, pair.pulumi.resources("primary")) == []
    written = [call for call in pair.calls(calls) if call["method"] in ("Create", "Update", "Delete") and not call["preview"]]
    assert written == []
    assert cluster(pair, "primary") == runs
    file.write_text(content)
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


@pytest.mark.long
def test_an_up_that_goes_on_with_a_failover_says_in_one_line_what_the_gate_would_say(pair: Pair) -> None:
    """The database takes writes here already, so there is no way back, and a primary that answers must be stopped."""
    job = "failover-databases-app-database-promoted"
    pair.secondary.outcomes.order({"kind": "Job", "name": job, "phase": "Failed", "message": "timed out"})
    assert pair.flip(check=False).exit_code
    assert written_to(pair) == "app-database-secondary"
    pair.secondary.outcomes.ordered.clear()
    order_answers(pair, 200, 200)
    told = pair.pulumi.up("secondary").output
    says = "warning: this failover was begun by an earlier up, which asked the gate; asked now, the gate would say"
    assert f"{says}: the primary region still answers at https://app.example.com/" in told
    assert pair.flag() == "secondary"
    pair.secondary.outcomes.ordered.clear()
    assert says not in pair.pulumi.up("secondary", "--expect-no-changes").output, "it has ended"


def backups_of(pair: Pair, schedule: str) -> list[dict[str, Any]]:
    """The Backups in the primary's cluster that a ScheduledBackup has made."""
    found = pair.clusters["primary"].objects("Backup.postgresql.cnpg.io")
    return [each for each in found if each["metadata"]["labels"]["cnpg.io/scheduled-backup"] == schedule]


@pytest.mark.long
def test_a_first_backup_that_the_plugin_has_deleted_is_not_taken_again_whoever_refreshes(pair: Pair) -> None:
    [first] = backups_of(pair, "app-database-first-g1")
    pair.clusters["primary"].remove("Backup.postgresql.cnpg.io", "databases", first["metadata"]["name"])
    pair.pulumi.up("primary", "--refresh")
    assert backups_of(pair, "app-database-first-g1") == []


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
    assert accepts_nothing(cluster(serving_secondary, "primary"))
    asleep = cluster(serving_secondary, "primary")
    assert asleep["metadata"]["annotations"]["cnpg.io/hibernation"] == "on"
    assert asleep["spec"]["replica"]["primary"] == "app-database-primary", "it keeps its data, and follows nobody"
    assert asleep["status"]["readyInstances"] == 0
    made_by_the_first = "app-database-first-g1"
    assert backups_of(serving_secondary, made_by_the_first) == [], "the archive keeps what it took"
    [schedule] = serving_secondary.clusters["primary"].objects("ScheduledBackup")
    assert schedule["spec"]["suspend"] is True
    assert pulumi.details("primary")["databases"] == {"app-database": "fenced"}
    pulumi.up("primary", "--expect-no-changes")

    serving_secondary.remake_databases()
    serving_secondary.leave()
    pulumi.run("config", "rm", "active", "-s", "primary")
    pulumi.up("primary")
    assert "cnpg.io/hibernation" not in cluster(serving_secondary, "primary")["metadata"]["annotations"]
    [first] = backups_of(serving_secondary, made_by_the_first)
    assert first["status"]["phase"] == "completed"
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
