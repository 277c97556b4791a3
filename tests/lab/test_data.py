"""A region dies while a client writes without a pause, to a real PostgreSQL of the real operator. The tests count every
acknowledged row."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import yaml

from components.database import freshness
from components.database.stopping import accepts_nothing
from components.monitoring.metrics import Exporter
from lab import databases, demo, late_writer, project
from lab.application import manifests
from lab.paths import CHECKOUT
from lab.regions.spec import SECONDARY
from lab.waiting import until
from lab.world import Lab
from report import model
from report.model import Report
from settings.names import PROGRAM_NAMESPACE
from settings.parts import Part
from settings.roles import ROLES, Role
from tests import faults
from tests.documented import blocks
from tests.engine.test_databases import TOUCHED_WITH_A_DATABASE
from tests.lab import dangers, metrics
from tests.lab.compromised_writer import Attack, moment
from tests.lab.conftest import CRON_JOB, Keeper, asked_by_pods, handed_on, make_a_cron_job
from tests.lab.pod_keys import key_of, outcomes
from tests.lab.prompt import PromptLab
from tests.permissions import DENIED, forbidden

SDKS = ("aws-sdk-go", "Boto3", "aws-cli")
"""In the user agents of Velero, of Barman, and of the CronJob that marks what was archived."""

GUARD_PERIOD = 60
"""Seconds between two looks of the guard, by its default."""

RBAC = "rbac.authorization.k8s.io/v1"
NOTE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ordinary", "namespace": "databases"}, "data": {"a": "b"}}


def items(lab: Lab, region: str, *what: str) -> list[dict[str, Any]]:
    return list(json.loads(lab.kubectl(region, "get", *what, "-o", "json"))["items"])


def kinds_in(description: str, namespace: str) -> dict[str, set[str]]:
    """A Backup's objects of one namespace, as names by kind. `velero backup describe --details` prints them."""
    listed = yaml.safe_load(description.partition("Resource List:")[2].partition("Backup Volumes:")[0])
    held = {
        kind: {name.partition("/")[2] for name in names if name.startswith(f"{namespace}/")} for kind, names in listed.items()
    }
    return {kind: names for kind, names in held.items() if names}


@dataclass(frozen=True, kw_only=True)
class Healed:
    """When the region that had died was switched on, and when it was ready."""

    switched_on: datetime
    ready: datetime


class TestByArchive:
    """The default: WAL goes through S3, and the standby reads it from the replicated bucket of its own region."""

    @pytest.fixture(scope="class")
    @classmethod
    def pair(cls, keeper: Keeper) -> Iterator[Lab]:
        """It goes on to the tests of the way back, in the state in which the last tests leave it."""
        with handed_on(PromptLab(plan=databases.Plan()), keeper) as lab:
            yield lab

    @pytest.fixture(scope="class")
    @classmethod
    def failed_over(cls, pair: Lab) -> tuple[Lab, Report]:
        pair.kubectl("primary", "apply", "-f", "-", stdin=yaml.safe_dump(NOTE))
        late_writer.install(pair.kubectl)
        make_a_cron_job(pair)
        pair.make_backups()
        return pair, demo.fail(pair, cache=False)

    @pytest.fixture(scope="class")
    @classmethod
    def healed(cls, failed_over: tuple[Lab, Report]) -> Healed:
        """The old primary is switched on. What takes its death comes before the first test that asks for this."""
        switched_on = datetime.now(UTC)
        failed_over[0].heal("primary")
        return Healed(switched_on=switched_on, ready=datetime.now(UTC))

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("part", ["velero", "database", "freshness", "guard"])
    def test_the_keys_of_its_pods_do_nothing_that_would_lose_a_backup_or_move_the_traffic(
        self, pair: Lab, part: Part, role: Role
    ) -> None:
        answers = outcomes(pair, forbidden(part, project.names(role)), key_of(pair, role, part))
        assert {call: came for call, came in answers.items() if came != DENIED} == {}
        assert list(answers.values()).count(DENIED) > 20

    def test_both_regions_mark_what_they_archive_and_the_secondary_hears_the_primary(self, pair: Lab) -> None:
        def marked(region: Role) -> bool:
            jobs = items(pair, region, "jobs", "-n", "k8s-dr", "-l", "app.kubernetes.io/name=freshness")
            return any((job.get("status") or {}).get("succeeded") for job in jobs)

        # The schedule comes every two minutes. That it comes is seen after the failover, where the survivor asks by itself.
        for region in ROLES:
            pair.kubectl(region, "create", "job", "freshness-now", f"--from=cronjob/{freshness.NAME}", "-n", PROGRAM_NAMESPACE)
        for region in ROLES:
            until(f"the {region} to have marked its archive", partial(marked, region), timeout=300)

        def heard() -> dict[str, str] | None:
            found = [
                each for each in items(pair, "secondary", "configmaps", "-n", "k8s-dr") if each["metadata"]["name"] == "freshness"
            ]
            return next((each["data"] for each in found if "answered" in (each.get("data") or {})), None)

        # The first question may be older than the application.
        data = until("the secondary to have heard the primary", heard, timeout=300)
        assert data
        assert data["answered"] >= data["asked"]

    @pytest.mark.parametrize("region", ROLES)
    @pytest.mark.parametrize("exporter", ["velero", "node-agent", "postgresql"])
    def test_every_metric_that_an_alert_reads_is_there_in_the_region_that_serves_and_in_the_other(
        self, pair: Lab, exporter: Exporter, region: Role
    ) -> None:
        # Instances answer for their queries half a minute after they have started.
        until(
            f"{exporter} of the {region} to have every metric that an alert reads",
            partial(metrics.complete, pair, region, exporter),
            timeout=180,
            interval=2,
        )

    def test_a_metric_that_velero_makes_when_it_first_counts_has_its_name_in_the_program(self, pair: Lab) -> None:
        program = pair.tools.path("velero").read_bytes()
        assert metrics.ONLY_ONCE_IT_FAILED.removeprefix("velero_").encode() in program

    @pytest.mark.parametrize("region", ROLES)
    def test_the_operators_metrics_are_where_the_monitor_looks(self, pair: Lab, region: Role) -> None:
        assert "controller_runtime_reconcile_total" in metrics.exposed(pair, region, "cloudnative-pg")

    def test_nothing_is_promoted_while_the_primary_answers(self, pair: Lab) -> None:
        refused = pair.pulumi.up("secondary", "-c", "active=secondary", check=False)
        pair.pulumi.run("config", "rm", "active", "-s", "secondary")
        assert refused.exit_code
        assert "the primary region still answers at http://app.example.com/" in refused.output
        assert pair.query("select pg_is_in_recovery()") == "t"

    def test_silence_means_nothing_while_pods_have_no_way_out(self, pair: Lab) -> None:
        """The primary serves, and a Pod of a private subnet without a way out hears nothing of it."""
        with dangers.private_egress(pair):
            refused = pair.pulumi.up("secondary", "-c", "active=secondary", check=False)
            pair.pulumi.run("config", "rm", "active", "-s", "secondary")
        assert refused.exit_code
        assert "nobody can tell whether the primary region still answers at http://app.example.com/" in refused.output
        assert pair.query("select pg_is_in_recovery()") == "t"

    @pytest.mark.parametrize("danger", dangers.AT_NIGHT)
    def test_a_preview_of_the_failover_objects_to(self, pair: Lab, danger: str) -> None:
        pair.wait_backed_up()
        with dangers.AT_NIGHT[danger].happens(pair):
            refused = dangers.previewed(pair)
        assert refused.exit_code
        for words in dangers.AT_NIGHT[danger].words:
            assert words in refused.output

    def test_a_context_that_leads_to_the_other_regions_cluster_is_refused_by_the_preview(self, pair: Lab) -> None:
        with dangers.other_context(pair):
            refused = pair.pulumi.run("preview", "-s", "secondary", check=False)
        assert refused.exit_code
        assert "k8s-dr:cluster.context: lab-primary leads to the cluster of the primary region" in refused.output

    def test_a_base_backup_that_was_copied_in_part_is_told_by_day(self, pair: Lab) -> None:
        with dangers.half_copied_base_backup(pair) as directory:
            told = pair.pulumi.up("secondary", "--expect-no-changes").output
        assert "warning: database app-database: no standby could be made now: the base backup s3://" in told
        assert f"{directory} has no data.tar yet" in told

    def test_once_all_that_is_over_a_preview_of_the_failover_has_no_objection(self, pair: Lab) -> None:
        opened = dangers.previewed(pair)
        assert opened.exit_code == 0, opened.output

    def test_the_secondary_writes_and_every_row_is_accounted_for(
        self, failed_over: tuple[Lab, Report], record_property: Callable[..., None]
    ) -> None:
        _, report = failed_over
        assert model.verdict(report) == []
        assert report.rows_acknowledged is not None
        assert report.rows_acknowledged > 100
        assert report.rows_lost is not None
        assert report.newest_surviving is not None, "the standby had followed"
        assert report.calls_to_dead_region == 0
        lost, down = report.rows_lost, report.seconds_without_writes
        happened = "the secondary took over; every acknowledged row is there or counted as lost"
        record_property(*faults.seen(when="while a client wrote", happened=happened, rows_lost=lost, seconds_down=down))

    def test_the_age_of_the_other_regions_backups_is_a_metric_of_the_survivor(self, failed_over: tuple[Lab, Report]) -> None:
        complete = partial(metrics.complete, failed_over[0], "secondary", "velero", after_a_backup=True)
        until("Velero to say when the last backup was completed", complete, timeout=180, interval=2)

    def test_the_counting_sees_a_row_too_many_and_a_row_too_few(self, failed_over: tuple[Lab, Report]) -> None:
        _, report = failed_over
        assert report.counting_proven is not None
        assert report.counting_proven.holds

    def test_the_flip_touches_one_cluster_more_and_the_job_that_confirms_it(self, failed_over: tuple[Lab, Report]) -> None:
        _, report = failed_over
        assert {(change.type, change.name, change.operation) for change in report.flip.resources} == TOUCHED_WITH_A_DATABASE

    def test_the_promotion_runs_beside_the_restore_and_before_the_traffic(self, failed_over: tuple[Lab, Report]) -> None:
        _, report = failed_over
        steps = {step.name: step for step in report.steps}
        assert steps["promote app-database"].start <= steps["restore hourly-critical"].end
        assert steps["promote app-database"].end <= steps["scale production"].start
        assert report.steps[-1].name == "traffic"

    def test_the_promoted_database_archives_on_a_timeline_of_its_own(self, failed_over: tuple[Lab, Report]) -> None:
        lab, _ = failed_over
        archived, timeline = lab.query(
            "select last_archived_wal, (select timeline_id from pg_control_checkpoint()) from pg_stat_archiver"
        ).split("|")
        assert int(timeline) > 1
        assert int(archived[:8], 16) > 1

    def test_velero_brings_back_what_is_ordinary_and_nothing_of_the_database(self, failed_over: tuple[Lab, Report]) -> None:
        lab, _ = failed_over
        backup = max(name for name in lab.completed_backups("secondary") if name.startswith("hourly-critical"))
        # A restore skips existing objects, so only the backup itself shows what it leaves out.
        held = kinds_in(lab.velero("secondary", "backup", "describe", backup, "--details"), "databases")
        assert "ordinary" in held["v1/ConfigMap"]
        # The plugin's Role to read its ObjectStores has no label that excludes it. The plugin makes a missing one anew.
        assert held.keys() <= {"v1/ConfigMap", "v1/Event", "v1/ServiceAccount", f"{RBAC}/Role", f"{RBAC}/RoleBinding"}
        assert held.get("v1/ServiceAccount", set()) <= {"default"}
        restored = ["-n", "databases", "-l", "velero.io/restore-name"]
        assert [item["metadata"]["name"] for item in items(lab, "secondary", "configmap", *restored)] == ["ordinary"]
        for kind in ("cluster.postgresql.cnpg.io", "objectstore.barmancloud.cnpg.io", "persistentvolumeclaim", "pod", "secret"):
            assert items(lab, "secondary", kind, *restored) == [], f"a {kind} came out of a backup"
            assert items(lab, "secondary", kind, "-n", "databases") != [], f"there is a {kind}, and the program made it"

    def test_another_up_changes_nothing(self, failed_over: tuple[Lab, Report]) -> None:
        lab, _ = failed_over
        lab.pulumi.up("secondary", "--expect-no-changes")

    def test_what_runs_in_the_survivor_asks_its_own_region_and_no_global_endpoint(
        self, failed_over: tuple[Lab, Report], healed: Healed
    ) -> None:
        """Velero, Barman and the CronJob of freshness, each by its own SDK. A client without a region asks us-east-1, dead or
        not. The CronJob comes every two minutes, in which the guard of the old primary has its two periods."""
        lab, report = failed_over
        killed = next(event.time for event in report.events if event.name == "region primary killed")
        until(
            "each SDK to have asked for something",
            lambda: all(any(sdk in each.agent for each in asked_by_pods(lab, SECONDARY, killed)) for sdk in SDKS),
            timeout=300,
        )
        asked = asked_by_pods(lab, SECONDARY, killed)
        assert {request.region for request in asked} == {SECONDARY.aws_region}
        assert {region for request in asked for region in request.regions} == {SECONDARY.aws_region}

    def test_a_primary_that_heals_stops_by_itself_and_no_pulumi_ran(
        self, failed_over: tuple[Lab, Report], healed: Healed
    ) -> None:
        lab, report = failed_over

        def record() -> dict[str, str]:
            found = lab.kubectl("primary", "get", "configmap", "guard", "-n", "k8s-dr", "-o", "json", check=False)
            return json.loads(found).get("data") or {} if found else {}

        until("the guard to have stopped the region", lambda: "stopped" in record(), timeout=2 * GUARD_PERIOD)
        until(
            "two periods of the guard to be over, and more attempts to write",
            lambda: (
                (made := late_writer.attempts(lab.kubectl))
                and made[-1].time > healed.ready + timedelta(seconds=2 * GUARD_PERIOD + 10)
            ),
            timeout=3 * GUARD_PERIOD + 30,
        )
        made = late_writer.attempts(lab.kubectl)
        late = [each for each in made if each.time > healed.ready + timedelta(seconds=2 * GUARD_PERIOD)]
        assert late
        assert not [each for each in late if each.taken], "the old primary still takes rows"
        seen = late_writer.split_brain(made, healed.switched_on)
        model.write(replace(report, split_brain=seen), lab.paths.report_json)
        print(
            f"split brain: {seen.rows} rows in {seen.seconds} s, the first {seen.first_after} s after the region was switched on"
        )

        workloads = items(lab, "primary", "deployments,statefulsets", "-n", manifests.APPLICATION_NAMESPACE)
        assert manifests.NAME in {item["metadata"]["name"] for item in workloads}
        for item in workloads:
            assert item["spec"]["replicas"] == 0, item["metadata"]["name"]
            assert not item["status"].get("readyReplicas"), item["metadata"]["name"]
        cron_jobs = items(lab, "primary", "cronjobs", "-n", manifests.APPLICATION_NAMESPACE)
        assert {item["metadata"]["name"]: item["spec"].get("suspend") for item in cron_jobs} == {CRON_JOB: True}
        own = items(lab, "primary", "schedules.velero.io", "-n", "velero")
        assert own
        assert all(item["spec"]["paused"] for item in own)
        told = [item for item in items(lab, "primary", "events", "-n", "k8s-dr") if item["reason"] == "RegionStopped"]
        assert any("database/app-database fenced" in item["message"] for item in told)
        jobs = items(lab, "primary", "jobs", "-n", "k8s-dr", "-l", "app.kubernetes.io/name=guard")
        assert any((job.get("status") or {}).get("failed") for job in jobs), "a metric says that a person is needed"

    def test_a_primary_that_comes_back_is_put_to_sleep_with_its_data(self, failed_over: tuple[Lab, Report]) -> None:
        lab, _ = failed_over
        refused = lab.pulumi.up("primary", check=False)
        assert refused.exit_code
        assert "the secondary region has taken over" in refused.output

        lab.pulumi.configure("primary", "active", "secondary")
        lab.pulumi.up("primary")

        cluster = json.loads(
            lab.kubectl("primary", "get", "cluster.postgresql.cnpg.io", databases.NAME, "-n", "databases", "-o", "json")
        )
        assert accepts_nothing(cluster)
        tried = len(late_writer.attempts(lab.kubectl))
        until("another attempt to write", lambda: len(late_writer.attempts(lab.kubectl)) > tried, timeout=60)
        assert not [each for each in late_writer.attempts(lab.kubectl)[tried:] if each.taken]
        assert items(lab, "primary", "persistentvolumeclaim", "-n", "databases") != []
        assert "serving" not in [item["metadata"]["name"] for item in items(lab, "primary", "configmaps", "-n", "k8s-dr")]
        lab.pulumi.up("primary", "--expect-no-changes")

    def test_backups_that_their_own_writer_destroyed_are_brought_back_in_the_survivor_and_restored(self, pair: Lab) -> None:
        attack = Attack(lab=pair, purpose="velero", part="velero", prefix="velero/primary")
        before = attack.contents("primary")
        attack.wait_same(set(before))
        at = moment()
        existing = {region: attack.versions(region) for region in ROLES}
        assert all(existing.values()), "there is something to lose in both regions"
        backup = max(name for name in pair.completed_backups("secondary") if name.startswith("hourly-critical"))

        attack.spoil(deleted=f"{attack.prefix}/backups/{backup}/")
        # Velero forgets a backup whose directory is gone. moto still lists an emptied directory, so the test deletes the Backup.
        pair.kubectl("secondary", "delete", "backup.velero.io", backup, "-n", "velero")

        planned = attack.recover("secondary", at)
        assert f" {len(before)}  to bring back" in planned
        assert backup not in pair.completed_backups("secondary"), "there is nothing from which Velero could know it"
        assert attack.contents("secondary") != before, "a dry run does nothing"
        attack.recover("secondary", at, "--apply")
        until("Velero to list the backup again", lambda: backup in pair.completed_backups("secondary"), timeout=180)
        only = ["--include-namespaces", manifests.APPLICATION_NAMESPACE, "--include-resources", "configmaps,secrets"]
        into = ["--namespace-mappings", f"{manifests.APPLICATION_NAMESPACE}:recovered", "--wait"]
        pair.velero("secondary", "restore", "create", "after-the-attack", "--from-backup", backup, *only, *into)
        found = pair.kubectl("secondary", "get", "restore.velero.io", "after-the-attack", "-n", "velero", "-o", "json")
        assert json.loads(found)["status"]["phase"] == "Completed"
        assert manifests.NAME in {item["metadata"]["name"] for item in items(pair, "secondary", "secret", "-n", "recovered")}

        attack.recover("primary", at, "--apply")
        attack.wait_same(set(before))
        assert {key: digest for key, digest in attack.contents("primary").items() if key in before} == before
        assert " 0  to bring back" in attack.recover("primary", at), "a second run finds nothing to do"
        assert all(existing[region] <= attack.versions(region) for region in ROLES), "no version was deleted by anybody"

    def test_the_writers_key_can_make_no_deletion_final(self, pair: Lab) -> None:
        answers = Attack(lab=pair, purpose="velero", part="velero", prefix="velero/primary").attempts()
        assert set(answers.values()) == {"AccessDenied"}, answers

    def test_the_writers_of_a_region_are_stopped_and_started_as_the_page_on_the_worst_day_says(self, pair: Lab) -> None:
        stop, start = (
            block.commands for block in blocks(CHECKOUT / "docs" / "worst-day.md") if "scale deployment velero" in block.commands
        )

        def do(commands: str) -> None:
            for line in commands.splitlines():
                if line.startswith("kubectl ") and "cronjob etcd-backup" not in line:  # no etcd is backed up here
                    pair.kubectl("primary", *shlex.split(line)[3:])

        def writers() -> list[str]:
            found = items(pair, "primary", "pods", "-n", "velero", "-l", "component=velero")
            return [each["metadata"]["name"] for each in found if each["status"]["phase"] == "Running"]

        until("Velero and its node agent to run", lambda: len(writers()) >= 2, timeout=120)
        do(stop)
        until("no writer of Velero's to run", lambda: not writers(), timeout=180)
        do(start)
        until("both to run again", lambda: len(writers()) >= 2, timeout=180)

    def test_a_database_archive_that_its_own_writer_destroyed_is_brought_back(self, pair: Lab) -> None:
        server = "app-database-primary-g1"
        attack = Attack(lab=pair, purpose="database", part="database", prefix=f"cnpg/{server}")
        before = attack.contents("secondary")  # less than in the primary: S3 replicates nothing older than its rule
        assert before
        at = moment()
        assert attack.ask("secondary", "missing", server) is None

        attack.spoil(deleted=f"{attack.prefix}/base/")
        # S3 would list no base backup. moto still lists the emptied directory, without its label file.
        assert "base backup" in attack.ask("secondary", "missing", server)

        attack.recover("secondary", at, "--apply")
        assert attack.ask("secondary", "missing", server) is None, "a standby can be made from it again"
        assert before.items() <= attack.contents("secondary").items()
