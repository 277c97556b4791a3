"""A failover of tier backup-restore, under the real engine. There is no standby: the failover makes the database from its
archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from lab.project import lab_database
from lab.pulumi import Ran, touched
from lab.standins.archive import put_base_backup
from tests.engine.conftest import Pair, configured, refused_flip, told_plainly
from tests.engine.test_flip import TOUCHED_BY_A_FLIP, planned

TIER = "backup-restore"
DATABASES = (lab_database(),)
STEM = "failover-databases-app-database"
BUCKET = "acme-database-us-west-2-123456789012"
SERVER, OWN = "app-database-primary-g1", "app-database-secondary-g1"
RECOVERED = {
    ("kubernetes:postgresql.cnpg.io/v1:Cluster", STEM, "create"),
    ("kubernetes:postgresql.cnpg.io/v1:ScheduledBackup", f"{STEM}-backups", "create"),
    ("kubernetes:batch/v1:Job", f"{STEM}-promoted", "create"),
}
REASON = "Instance creation failed for the following jobs: app-database-1-full-recovery"
UNRECOVERABLE = "Cluster is unrecoverable and needs manual intervention"


def clusters(pair: Pair, role: str = "secondary") -> list[dict[str, Any]]:
    return pair.clusters[role].objects("Cluster.postgresql.cnpg.io")


class TestBeforeAFailover:
    def test_the_secondary_has_what_a_recovery_needs_and_no_database(self, pair: Pair) -> None:
        assert clusters(pair) == []
        assert pair.secondary.objects("ScheduledBackup") == []
        stores = {store["metadata"]["name"] for store in pair.secondary.objects("ObjectStore")}
        assert stores == {"app-database-primary", "app-database-secondary"}
        [primary] = clusters(pair, "primary")
        assert primary["spec"]["replica"]["primary"] == "app-database-primary"
        for role, side in (("primary", "primary"), ("secondary", "absent")):
            pair.pulumi.up(role, "--expect-no-changes")
            assert pair.pulumi.outputs(role)["databases"] == {"app-database": side}

    def test_without_a_base_backup_here_nothing_is_begun_and_no_force_makes_one(self, pair: Pair) -> None:
        keys = put_base_backup(pair.s3(), BUCKET, SERVER)
        pair.s3().delete_object(Bucket=BUCKET, Key=keys[0])
        try:
            with configured(pair, "force", "true"):
                archive = "database app-database is recovered from the primary's archive in this region, and the base backup"
                refused_flip(pair, archive, "has no data.tar yet")
        finally:
            pair.bring_first_backup("app-database")

    def test_a_name_that_was_archived_to_before_is_refused_with_the_generation_to_raise(self, pair: Pair) -> None:
        put_base_backup(pair.s3(), BUCKET, OWN)
        try:
            refused_flip(pair, "k8s-dr:databases[].generations.secondary: 2, in Pulumi.yaml")
        finally:
            # Delete every version: moto still lists the directory of a deleted object.
            for version in pair.s3().list_object_versions(Bucket=BUCKET, Prefix=f"cnpg/{OWN}/")["Versions"]:
                pair.s3().delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])

    def test_nothing_is_recovered_while_the_primary_answers(self, pair: Pair) -> None:
        pair.secondary.outcomes.order({"kind": "Pod", "name": "primary-answers-", "phase": "Succeeded"})
        refused_flip(pair, "the primary region still answers at https://app.example.com/")


@dataclass(kw_only=True)
class Failover:
    """A failover that failed at first, because the archive could not be read. It was then repeated as the message says."""

    planned: set[tuple[str, str, str]]
    failed: Ran
    flag_after_failure: str
    jobs_after_failure: str
    restored: set[str]
    order: list[str]


@pytest.fixture(scope="module")
def failover(deployed: Pair) -> Failover:
    """The pair cannot return to its ordinary state after this, so the tests that use it come last."""
    deployed.have_backups()
    pulumi, secondary = deployed.pulumi, deployed.secondary
    secondary.outcomes.order({"kind": "Cluster", "name": "app-database", "phase": UNRECOVERABLE, "phaseReason": REASON})
    pulumi.configure("secondary", "active", "secondary")
    plan = planned(pulumi.run("preview", "-s", "secondary", "--json").output)
    failed = pulumi.up("secondary", check=False)
    flag, jobs, restored = deployed.flag(), str(secondary.objects("Job")), deployed.restore_names()
    secondary.outcomes.ordered.clear()
    delete(deployed)
    since = len(deployed.calls())
    pulumi.up("secondary", "--refresh")
    made = [call for call in deployed.calls(since) if call["method"] == "Create" and not call["preview"]]
    return Failover(
        planned=plan,
        failed=failed,
        flag_after_failure=flag,
        jobs_after_failure=jobs,
        restored=restored,
        order=[call["urn"].rpartition("::")[2] for call in made],
    )


def delete(pair: Pair) -> None:
    """Do what `kubectl delete cluster.postgresql.cnpg.io app-database -n databases` does."""
    pair.secondary.remove("Cluster.postgresql.cnpg.io", "databases", "app-database")


class TestAFailover:
    def test_its_plan_holds_the_database_itself_beside_what_every_flip_touches(self, failover: Failover) -> None:
        assert failover.planned == TOUCHED_BY_A_FLIP | RECOVERED

    def test_a_recovery_that_fails_ends_the_up_at_once_with_the_operators_reason_and_moves_no_traffic(
        self, failover: Failover
    ) -> None:
        ended = f"database app-database: {UNRECOVERABLE}: {REASON}. Once the cause is gone: "
        delete = "kubectl delete cluster.postgresql.cnpg.io app-database -n databases first"
        way_on = f"pulumi up --refresh -s secondary; if its recovery never ended, and only then: {delete}"
        assert told_plainly(failover.failed, ended, way_on), failover.failed.output
        assert failover.failed.seconds < 600, "the recovery's own timeout is hours"
        assert failover.flag_after_failure == "primary"
        assert "failover-workloads-scale" not in failover.jobs_after_failure

    def test_begun_again_it_goes_on_with_what_was_restored_and_scales_once_the_database_writes(
        self, failover: Failover, deployed: Pair
    ) -> None:
        order = failover.order
        assert order.index(STEM) < order.index(f"{STEM}-promoted") < order.index("failover-workloads-scale-production")
        assert deployed.restore_names() == failover.restored, "what was restored is not restored again"
        assert deployed.flag() == "secondary"

    @pytest.mark.usefixtures("failover")
    def test_the_database_came_from_the_primarys_archive_and_follows_nobody(self, deployed: Pair) -> None:
        [made] = clusters(deployed)
        assert made["spec"]["replica"]["primary"] == "app-database-secondary"
        assert made["spec"]["bootstrap"]["recovery"]["source"] == "app-database-primary"
        outputs = deployed.pulumi.outputs("secondary")
        assert outputs["databases"] == {"app-database": "recovered"}
        assert "recover app-database" in [step["name"] for step in outputs["failover"]["steps"]]

    @pytest.mark.usefixtures("failover")
    def test_another_up_changes_nothing_and_nobody_deletes_it_by_a_command(self, deployed: Pair) -> None:
        deployed.pulumi.up("secondary", "--expect-no-changes")
        [resource] = [each for each in deployed.pulumi.resources("secondary") if each["urn"].endswith(f":Cluster::{STEM}")]
        assert (resource["protect"], resource["retainOnDelete"]) == (True, True)

    @pytest.mark.usefixtures("failover")
    def test_it_cannot_be_sent_back_to_follow_the_old_one(self, deployed: Pair) -> None:
        before = deployed.pulumi.resources("secondary")
        deployed.pulumi.configure("secondary", "active", "primary")
        refused = deployed.pulumi.up("secondary", check=False)
        deployed.pulumi.configure("secondary", "active", "secondary")
        written = "was promoted here and has taken writes that the primary region does not have"
        assert told_plainly(refused, written), refused.output
        assert touched(before, deployed.pulumi.resources("secondary")) == []

    @pytest.mark.usefixtures("failover")
    def test_under_a_tier_with_a_standby_it_is_what_a_promotion_would_have_left(self, deployed: Pair) -> None:
        file = deployed.pulumi.directory / "Pulumi.yaml"
        content = file.read_text()
        file.write_text(content.replace("value: backup-restore", "value: pilot-light"))
        try:
            plan = planned(deployed.pulumi.run("preview", "-s", "secondary", "--json").output)
        finally:
            file.write_text(content)
        assert plan == {("kubernetes:postgresql.cnpg.io/v1:Cluster", STEM, "update")}, "how it is waited for, and nothing else"

    @pytest.mark.usefixtures("failover")
    def test_once_it_was_given_up_by_hand_as_the_page_on_tiers_says_the_secondary_stands_by_again(self, deployed: Pair) -> None:
        [urn] = [each["urn"] for each in deployed.pulumi.resources("secondary") if each["urn"].endswith(f":Cluster::{STEM}")]
        deployed.pulumi.run("state", "unprotect", urn, "-s", "secondary", "--yes")
        delete(deployed)
        deployed.pulumi.configure("secondary", "active", "primary")
        deployed.pulumi.up("secondary")
        assert deployed.pulumi.outputs("secondary")["databases"] == {"app-database": "absent"}
        assert deployed.flag() == "primary"
        assert clusters(deployed) == []
