"""A failover of tier backup-restore, under the real engine. There is no standby: the failover makes the database from its
archive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from lab.pulumi import Ran, touched
from lab.standins.archive import put_base_backup
from lab.waiting import until
from settings.roles import ROLES
from tests.engine import switchover
from tests.engine import test_rejoin as rejoin
from tests.engine.acting import acting
from tests.engine.checkpoints import PutBack
from tests.engine.conftest import DATABASE, Deployment, Pair, configured, refused_flip, told_plainly
from tests.engine.test_flip import TOUCHED_BY_A_FLIP, planned
from tests.engine.volumes import Volumes

TIER = "backup-restore"
DATABASES = (DATABASE,)
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
            assert pair.pulumi.details(role)["databases"] == {"app-database": side}

    def test_without_a_base_backup_here_nothing_is_begun_and_no_force_makes_one(self, pair: Pair) -> None:
        keys = put_base_backup(pair.s3(), BUCKET, SERVER)
        pair.s3().delete_object(Bucket=BUCKET, Key=keys[0])
        pair.pulumi.configure("secondary", "force", "true")
        archive = "database app-database is recovered from the primary's archive in this region, and the base backup"
        refused_flip(pair, archive, "has no data.tar yet")

    def test_a_name_that_was_archived_to_before_is_refused_with_the_generation_to_raise(self, pair: Pair) -> None:
        put_base_backup(pair.s3(), BUCKET, OWN)
        refused_flip(pair, "k8s-dr:databases[].generations.secondary: 2, in Pulumi.yaml")

    def test_nothing_is_recovered_while_the_primary_answers(self, pair: Pair) -> None:
        answer = json.dumps([{"status": 200, "said": "HTTP 200 OK"}] * 2)
        pair.secondary.outcomes.order({"kind": "Pod", "name": "primary-answers-", "phase": "Succeeded", "message": answer})
        refused_flip(pair, "the primary region still answers at https://app.example.com/")


class TestAnUpThatIsKilledWhileTheDatabaseIsRecovered:
    def test_goes_on_at_the_next_up_with_the_very_cluster_that_is_there(self, pair: Pair) -> None:
        pulumi, secondary = pair.pulumi, pair.secondary
        secondary.outcomes.order({"kind": "Cluster", "name": "app-database", "phase": "Pending"})
        pulumi.configure("secondary", "active", "secondary")
        killed = pulumi.start("up", "-s", "secondary", "--yes", "--skip-preview")
        until("the recovery to begin", lambda: clusters(pair), timeout=300)
        killed.kill()
        killed.wait()
        [left] = clusters(pair)
        pulumi.run("cancel", "-s", "secondary", "--yes")
        assert not [each for each in pulumi.resources("secondary") if each["urn"].endswith(f":Cluster::{STEM}")]

        secondary.outcomes.ordered.clear()
        secondary.amend("Cluster.postgresql.cnpg.io", "databases", "app-database", {"metadata": {"labels": {"seen": "again"}}})
        pulumi.up("secondary")
        assert pair.flag() == "secondary"
        assert [each["metadata"]["uid"] for each in clusters(pair)] == [left["metadata"]["uid"]]
        pulumi.up("secondary")
        pulumi.up("secondary", "--expect-no-changes")
        [resource] = [each for each in pulumi.resources("secondary") if each["urn"].endswith(f":Cluster::{STEM}")]
        assert (resource["protect"], resource["retainOnDelete"]) == (True, True)

    def test_and_a_cluster_that_is_not_exactly_ours_is_left_alone(self, pair: Pair) -> None:
        metadata = {"name": "app-database", "namespace": "databases"}
        other = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": metadata}
        pair.secondary.put({**other, "spec": {"instances": 1, "storage": {"size": "1Gi"}, "bootstrap": {"initdb": {}}}})
        record = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "creating", "namespace": "k8s-dr"}}
        pair.secondary.put({**record, "data": {"app-database": "begun"}})
        failed = pair.flip(check=False)
        assert told_plainly(failed, "app-database", "already exists"), failed.output
        assert pair.flag() == "primary"


@dataclass(frozen=True, kw_only=True)
class Failover:
    """A failover that failed at first, because the archive could not be read. It was then repeated as the message says."""

    after: PutBack
    planned: set[tuple[str, str, str]]
    failed: Ran
    flag_after_failure: str
    jobs_after_failure: str
    restored: set[str]
    order: list[str]


@pytest.fixture(scope="module")
def failover(deployment: Deployment) -> Failover:
    pair = deployment.stand_by()
    pulumi, secondary = pair.pulumi, pair.secondary
    secondary.outcomes.order({"kind": "Cluster", "name": "app-database", "phase": UNRECOVERABLE, "phaseReason": REASON})
    pulumi.configure("secondary", "active", "secondary")
    plan = planned(pulumi.run("preview", "-s", "secondary", "--json").output)
    failed = pulumi.up("secondary", check=False)
    flag, jobs, restored = pair.flag(), str(secondary.objects("Job")), pair.restore_names()
    secondary.outcomes.ordered.clear()
    delete(pair)
    since = len(pair.calls())
    pulumi.up("secondary", "--refresh", "--run-program")
    made = [call for call in pair.calls(since) if call["method"] == "Create" and not call["preview"]]
    return Failover(
        after=pair.checkpoint(),
        planned=plan,
        failed=failed,
        flag_after_failure=flag,
        jobs_after_failure=jobs,
        restored=restored,
        order=[call["urn"].rpartition("::")[2] for call in made],
    )


@pytest.fixture
def recovered(deployment: Deployment, failover: Failover) -> Pair:
    """The pair after that failover."""
    failover.after()
    return deployment.pair


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
        way_on = f"pulumi up --refresh --run-program -s secondary; if its recovery never ended, and only then: {delete}"
        assert told_plainly(failover.failed, ended, way_on), failover.failed.output
        assert failover.failed.seconds < 600, "the recovery's own timeout is hours"
        assert failover.flag_after_failure == "primary"
        assert "failover-workloads-scale" not in failover.jobs_after_failure

    def test_begun_again_it_goes_on_with_what_was_restored_and_scales_once_the_database_writes(
        self, failover: Failover, recovered: Pair
    ) -> None:
        order = failover.order
        assert order.index(STEM) < order.index(f"{STEM}-promoted") < order.index("failover-workloads-scale-production")
        assert recovered.restore_names() == failover.restored, "what was restored is not restored again"
        assert recovered.flag() == "secondary"

    def test_the_database_came_from_the_primarys_archive_and_follows_nobody(self, recovered: Pair) -> None:
        [made] = clusters(recovered)
        assert made["spec"]["replica"]["primary"] == "app-database-secondary"
        assert made["spec"]["bootstrap"]["recovery"]["source"] == "app-database-primary"
        details = recovered.pulumi.details("secondary")
        assert details["databases"] == {"app-database": "recovered"}
        assert "recover app-database" in [step["name"] for step in details["failover"]["steps"]]

    def test_another_up_changes_nothing_and_nobody_deletes_it_by_a_command(self, recovered: Pair) -> None:
        recovered.pulumi.up("secondary", "--expect-no-changes")
        [resource] = [each for each in recovered.pulumi.resources("secondary") if each["urn"].endswith(f":Cluster::{STEM}")]
        assert (resource["protect"], resource["retainOnDelete"]) == (True, True)

    def test_it_cannot_be_sent_back_to_follow_the_old_one(self, recovered: Pair) -> None:
        before = recovered.pulumi.resources("secondary")
        recovered.pulumi.configure("secondary", "active", "primary")
        refused = recovered.pulumi.up("secondary", check=False)
        written = "was promoted here and has taken writes that the primary region does not have"
        assert told_plainly(refused, written), refused.output
        assert touched(before, recovered.pulumi.resources("secondary")) == []

    def test_under_a_tier_with_a_standby_it_is_what_a_promotion_would_have_left(self, recovered: Pair) -> None:
        file = recovered.pulumi.directory / "Pulumi.yaml"
        file.write_text(file.read_text().replace("value: backup-restore", "value: pilot-light"))
        plan = planned(recovered.pulumi.run("preview", "-s", "secondary", "--json").output)
        assert plan == {("kubernetes:postgresql.cnpg.io/v1:Cluster", STEM, "update")}, "how it is waited for, and nothing else"

    @pytest.mark.long
    def test_the_old_side_is_given_up_and_sleeps_on_until_it_is_recovered_on_the_way_home(self, recovered: Pair) -> None:
        pulumi, there, volumes = recovered.pulumi, recovered.clusters["primary"], Volumes(cluster=recovered.clusters["primary"])
        pulumi.configure("primary", "active", "secondary")
        pulumi.up("primary")
        for _ in range(2):
            volumes.act()
        old = rejoin.uid(recovered)
        rejoin.raise_generation(recovered)
        pulumi.configure("primary", "rejoin", rejoin.OLD)
        for _ in range(2):
            pulumi.up("primary")
        assert pulumi.details("primary")["databases"] == {"app-database": "absent"}
        assert (rejoin.uid(recovered), rejoin.state_of(recovered), rejoin.kept(there)) == (old, [], [])
        pulumi.up("primary", "--expect-no-changes")

        with switchover.operators(recovered, "secondary"), acting(volumes.act):
            switchover.tell_to_give_up(recovered, "secondary")
            pulumi.up("secondary")
            switchover.tell_to_take_over(recovered, "primary")
            with configured(recovered, "failover.preflight", "1s", "primary"):
                refused = pulumi.up("primary", check=False)
            archive = "database app-database is recovered from the secondary's archive in this region, and"
            assert told_plainly(refused, archive), refused.output
            assert (rejoin.uid(recovered), rejoin.kept(there), there.objects("Restore")) == (old, [], [])
            put_base_backup(recovered.s3(), rejoin.ARCHIVE, OWN)
            pulumi.up("primary")
            switchover.tell_to_move_users(recovered)
            pulumi.up("secondary")
        [claim], volume = rejoin.kept(there), rejoin.volume_of_old(there, old)
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
        assert (rejoin.server(recovered), rejoin.state_of(recovered)) == (rejoin.NEW, [(f"{STEM}-g2", True)])
        assert rejoin.uid(recovered) != old
        assert recovered.flag() == "primary"
        for role in ROLES:
            pulumi.up(role, "--expect-no-changes")

    def test_once_it_was_given_up_by_hand_as_the_page_on_tiers_says_the_secondary_stands_by_again(self, recovered: Pair) -> None:
        [urn] = [each["urn"] for each in recovered.pulumi.resources("secondary") if each["urn"].endswith(f":Cluster::{STEM}")]
        recovered.pulumi.run("state", "unprotect", urn, "-s", "secondary", "--yes")
        delete(recovered)
        recovered.leave()
        assert recovered.pulumi.details("secondary")["databases"] == {"app-database": "absent"}
        assert recovered.flag() == "primary"
        assert clusters(recovered) == []
