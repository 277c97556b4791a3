"""A planned switchover: what the region that gives up is asked, and the one that takes over by its token."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import pytest

from components.failover.handover import objections_to_giving_up, objections_to_running_pods, objections_to_the_token
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.runner.flag import Flag
from components.kube.runner.mark import Mark
from settings.handover import Demotion, Token
from settings.load import SECRETS, load
from settings.roles import Role, peer_of
from tests.examples import example
from tests.unit.components.database.sides import ASLEEP, STREAMING, database, live, settings, side
from tests.unit.fakes import FakeArchive, FakeCluster
from tests.unit.recorder import attempt_program, run_program

STEM = "failover-databases-app-database"
SEGMENT, SYSTEM = "000000020000000000000009", "7400000000000000000"
DEMOTION = Demotion(segment=SEGMENT, timeline=2, system=SYSTEM)


def token(given_by: Role = "primary", **changes: Any) -> Token:
    said = {"databases": {"app-database": DEMOTION.token}, "backups": {"hourly-critical": "hourly-critical-last"}}
    return Token(given_by=given_by, **{**said, **changes})


def serving(stack: Role, **status: Any) -> FakeCluster:
    body = live(replace(side(stack, stack), database_role="promoted"), **status)
    return FakeCluster(databases={"app-database": body}, records={"serving": {}})


def follower(stack: Role, **status: Any) -> FakeCluster:
    return FakeCluster(databases={"app-database": live(replace(side(stack), database_role="replica"), **status)})


class TestGivingUp:
    def ask(self, cluster: FakeCluster, archive: FakeArchive | None = None, role: Role = "primary") -> list[str]:
        return [str(each) for each in objections_to_giving_up(cluster, archive or FakeArchive(), [settings()], role)]

    @pytest.mark.parametrize("role", ["primary", "secondary"])
    def test_nothing_stands_against_it_where_both_sides_are_well(self, role: Role) -> None:
        assert self.ask(serving(role), role=role) == []

    def test_a_region_that_does_not_serve_has_nothing_to_hand_over(self) -> None:
        (told,) = self.ask(follower("primary"))
        assert told == (
            "the primary region does not serve, so it has nothing to hand over; run: pulumi config rm handover -s primary"
        )

    def test_one_that_has_demoted_already_goes_on(self) -> None:
        given = follower("primary")
        given.records["handover"] = {"token": token().text}
        assert self.ask(given) == []

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (
                {"phase": "Failing over"},
                "is not healthy: Failing over; if the primary region cannot serve on, it is a failover: ",
            ),
            (
                {"conditions": [{"type": "ContinuousArchiving", "status": "False", "message": "exit status 4"}]},
                "archives nothing (exit status 4), and its last WAL would not reach the secondary",
            ),
        ],
    )
    def test_a_sick_side_fails_over_instead(self, status: dict[str, Any], words: str) -> None:
        (told,) = self.ask(serving("primary", **status))
        assert words in told

    def test_a_peer_that_is_silent_or_behind_could_not_take_over(self) -> None:
        old = Mark(written=datetime.now(UTC) - timedelta(hours=1), segment=None, archived=None, bases={})
        (told,) = self.ask(serving("primary"), FakeArchive(marked=old))
        assert "the secondary's side last said at " in told
        (told,) = self.ask(serving("primary"), FakeArchive(marked=None))
        assert "the secondary's side has never said here what it has archived" in told

    def test_a_side_that_is_missing_is_no_side(self) -> None:
        (told,) = self.ask(FakeCluster(records={"serving": {}}))
        assert told.startswith("database app-database is not here as app-database-primary-g1; if the primary region cannot serve")


def test_pods_that_stand_by_beside_files_would_lose_what_they_write_after_the_last_backup() -> None:
    stands_by = {"workloads": [{"namespace": "production", "replicas": 3, "standbyReplicas": 1}], "tier": "warm-standby"}
    settings_of = load("primary", example("primary", {**stands_by, **database(**STREAMING)}), SECRETS)
    claims = {"items": [{"metadata": {"namespace": "production", "name": "files-0"}}]}
    cluster = FakeCluster(paths={"/api/v1/namespaces/production/persistentvolumeclaims": claims})
    (told,) = objections_to_running_pods(cluster, settings_of)
    assert told.judgement
    assert told.reason.startswith(
        "k8s-dr:workloads[0].standbyReplicas: 1 of them keep running here, and namespace production has"
    )
    assert not [*objections_to_running_pods(FakeCluster(), settings_of)]


class TestTheToken:
    def ask(self, cluster: FakeCluster, archive: FakeArchive, given: Token | None = None) -> list[str]:
        taker = peer_of((given or token()).given_by)
        sides = [replace(side(taker), database_role="promoted")]
        return [str(each) for each in objections_to_the_token(cluster, archive, sides, given or token())]

    @pytest.mark.parametrize("taker", ["primary", "secondary"])
    def test_a_database_without_a_standby_needs_its_base_backup_before_anything_is_begun(self, taker: Role) -> None:
        giver = peer_of(taker)
        made = [replace(side(taker, standby=False), database_role="recovered")]
        here = {f"app-database-{giver}-g1": SEGMENT}
        lacking = FakeArchive(segments=here, lacking="there is no base backup of it")
        (told,) = objections_to_the_token(FakeCluster(), lacking, made, token(giver))
        assert told.reason.startswith(f"database app-database is recovered from the {giver}'s archive in this region, and there")
        assert told.passing
        assert not [*objections_to_the_token(FakeCluster(), FakeArchive(segments=here), made, token(giver))]

    @pytest.mark.parametrize("giver", ["primary", "secondary"])
    def test_it_is_good_once_its_last_segment_is_here(self, giver: Role) -> None:
        archive = FakeArchive(segments={f"app-database-{giver}-g1": SEGMENT})
        assert self.ask(follower(peer_of(giver), systemID=SYSTEM), archive, token(giver)) == []

    @pytest.mark.parametrize("newest", [None, "000000020000000000000008", "0000000100000000000000FF"])
    def test_its_last_segment_is_waited_for(self, newest: str | None) -> None:
        segments = {"app-database-primary-g1": newest} if newest else {}
        cluster, archive = follower("secondary"), FakeArchive(segments=segments)
        (told,) = objections_to_the_token(cluster, archive, [side("secondary", "secondary")], token())
        assert told.passing
        assert f"its last WAL segment {SEGMENT} is not in this region's bucket yet" in told.reason

    def test_one_from_before_the_other_region_wrote_on_is_stale(self) -> None:
        archive = FakeArchive(segments={"app-database-primary-g1": "000000030000000000000009"})
        (told,) = self.ask(follower("secondary"), archive)
        assert "the token is stale; let the primary give up again: pulumi up -s primary, and take its token anew" in told

    def test_one_of_another_database_is_foreign(self) -> None:
        (told,) = self.ask(follower("secondary", systemID="1"), FakeArchive(segments={"app-database-primary-g1": SEGMENT}))
        assert f"the token is of a database with system identifier {SYSTEM}, and this one has 1: it is foreign" in told

    def test_what_was_promoted_by_it_is_not_asked_again(self) -> None:
        promoted = live(replace(side("secondary", "secondary"), token=DEMOTION.token), systemID=SYSTEM)
        newer = FakeArchive(segments={"app-database-primary-g1": "000000030000000000000009"})
        assert self.ask(FakeCluster(databases={"app-database": promoted}), newer) == []


class TestTheProgram:
    def test_a_region_that_gives_up_prints_a_token_of_its_demotions_and_last_backups(self) -> None:
        changes = {"active": "secondary", "handover": "planned", "peerReady": True}
        region = run_program("primary", changes, cluster=serving("primary"))
        made = region[STEM]
        assert made.spec["replica"]["primary"] == "app-database-secondary"
        assert "promotionToken" not in made.spec["replica"]
        assert made.metadata["annotations"]["pulumi.com/waitFor"] == "jsonpath={.status.demotionToken}"
        assert "failover-final-backups-hourly-critical" in region.names()
        assert "failover-serving" not in region.names()
        assert region["failover-handover"].metadata["name"] == "handover"
        assert region.outputs["handover"].startswith("handover.")
        assert "nobody serves until: handover=$(pulumi stack output handover -s primary) && " in region.outputs["next"]

    @pytest.mark.parametrize("stack", ["primary", "secondary"])
    def test_a_region_that_gives_up_pauses_its_schedules_before_its_last_backups(self, stack: Role) -> None:
        """So a later Backup of them says that it has served since, and that the token is stale."""
        region = run_program(stack, {"active": peer_of(stack), "handover": "planned", "peerReady": True}, cluster=serving(stack))
        schedule = "schedules-hourly-critical"
        assert region[schedule].spec["paused"] is True
        assert schedule in region["failover-final-backups-hourly-critical"].depends_on
        (schedules,) = region.of("Schedules")
        assert "failover-workloads-scale-production" in schedules.depends_on, "and not before the gate has opened"
        serves = run_program(stack, {"active": stack} if stack == "secondary" else {}, cluster=serving(stack))
        assert region[schedule].identity == serves[schedule].identity, "the state knows it by the same name"

    @pytest.mark.parametrize("stack", ["primary", "secondary"])
    def test_a_region_that_takes_over_by_a_token_promotes_with_it_and_restores_what_it_names(self, stack: Role) -> None:
        given = token(peer_of(stack))
        changes = {"active": stack, "handover": given.text, "peerReady": True}
        flag = Flag(active="secondary", handover="primary") if stack == "primary" else None
        region = run_program(stack, changes, cluster=follower(stack), flag=lambda: flag)
        replica = region[STEM].spec["replica"]
        assert replica == {
            "self": f"app-database-{stack}",
            "primary": f"app-database-{stack}",
            "source": f"app-database-{peer_of(stack)}",
            "promotionToken": DEMOTION.token,
        }
        assert region[STEM].spec["postgresql"]["parameters"]["wal_retrieve_retry_interval"] == "1s"
        assert region["failover-restores-hourly-critical"].spec["backupName"] == "hourly-critical-last"
        assert region.outputs["handover"] == given.receipt
        assert {f"{STEM}-promoted", "failover-restores-hourly-critical"} <= region["failover-serving"].depends_on

    def test_the_secondary_keeps_its_users_until_it_is_told_the_receipt_of_its_own_token(self) -> None:
        given = token("secondary")
        waits = run_program("secondary", {"active": "primary", "handover": "planned"}, cluster=serving("secondary"))
        assert waits["failover-flag"].inputs["content"] == '{"active":"secondary","handover":"primary"}'
        moved = follower("secondary")
        moved.records["handover"] = {"token": given.text}
        told = {"active": "primary", "handover": given.receipt}
        assert run_program("secondary", told, cluster=moved)["failover-flag"].inputs["content"] == '{"active":"primary"}'

    @pytest.mark.parametrize("kept", [{"token": token("secondary", backups={"hourly-critical": "another"}).text}, {}])
    def test_any_other_receipt_moves_nobody(self, kept: dict[str, str]) -> None:
        moved = follower("secondary")
        moved.records["handover"] = kept
        told = {"active": "primary", "handover": token("secondary").receipt}
        reached, error = attempt_program("secondary", told, cluster=moved)
        assert isinstance(error, pulumi.RunError)
        assert "is no receipt of the token that this region has given; users stay here" in str(error)
        assert not reached.identities()

    def test_users_are_held_after_everything_else_has_happened(self) -> None:
        changes = {"active": "secondary", "handover": token().text, "hold": True, "peerReady": True}
        region = run_program("secondary", changes, cluster=follower("secondary"))
        assert region["failover-flag"].inputs["content"] == '{"active":"primary"}'
        assert "failover-serving" not in region.names()
        assert region[f"{STEM}-promoted"]
        assert region.outputs["next"].endswith("pulumi up -s secondary --config k8s-dr:hold=false")
        assert region.outputs["handover"] == "none"

    def test_a_failover_holds_nobody(self) -> None:
        region = run_program("secondary", {"active": "secondary", "hold": True, "peerReady": True}, cluster=follower("secondary"))
        assert region["failover-flag"].inputs["content"] == '{"active":"secondary"}'

    def test_what_was_taken_back_stays_so_in_every_later_up(self) -> None:
        taken = serving("secondary")
        taken.records["restore-attempts"] = {"came": "taken back"}
        for changes in ({}, {"force": True}):
            region = run_program("secondary", {"active": "secondary", "peerReady": True, **changes}, cluster=taken)
            assert not region.of("Restore")
            assert region.outputs["databases"] == "app-database: promoted"

    def test_a_succession_that_was_interrupted_goes_on_as_one(self) -> None:
        half = serving("primary")
        half.records = {"restore-attempts": {"came": "succeeded"}}
        region = run_program("primary", {"active": "primary", "peerReady": True}, cluster=half)
        assert "failover-restores-hourly-critical" in region.names()
        assert region[f"{STEM}-promoted"]

    def test_what_died_before_it_had_a_token_to_give_is_taken_back_and_restores_nothing(self) -> None:
        half = follower("primary")
        half.records["serving"] = {}
        region = run_program("primary", {"active": "primary", "force": True, "peerReady": True}, cluster=half)
        assert not region.of("Restore")
        assert region[STEM].spec["replica"]["primary"] == "app-database-primary"

    def test_a_record_that_cannot_be_read_is_not_taken_for_none(self) -> None:
        silent = FakeCluster(error=ClusterUnreachableError("cluster prod-use1 does not answer"))
        reached, error = attempt_program("primary", {"active": "primary"}, cluster=silent)
        assert str(error) == "cluster prod-use1 does not answer; nothing was touched"
        assert not reached.identities()

    def test_a_primary_that_follows_does_not_write_without_a_token(self) -> None:
        reached, error = attempt_program("primary", {"active": "primary"}, cluster=follower("primary"))
        assert str(error).startswith("k8s-dr:active: primary: database app-database follows the secondary, which may serve")
        assert not reached.identities()

    def test_a_primary_whose_secondary_is_lost_succeeds_it_by_force(self) -> None:
        region = run_program("primary", {"active": "primary", "force": True}, cluster=follower("primary"))
        assert region[STEM].spec["replica"]["primary"] == "app-database-primary"
        assert "failover-restores-hourly-critical" in region.names()

    def test_a_primary_takes_back_what_nobody_has_taken_and_restores_nothing_over_it(self) -> None:
        gave = follower("primary")
        gave.records["handover"] = {"token": token().text}
        region = run_program("primary", {"active": "primary", "force": True}, cluster=gave)
        assert region[STEM].spec["replica"]["primary"] == "app-database-primary"
        assert not [name for name in region.names() if name.startswith("failover-restores-") and "modifiers" not in name]

    def test_what_the_secondary_has_promoted_is_taken_over_and_not_back(self) -> None:
        gave = follower("primary")
        gave.records["handover"] = {"token": token().text}
        taken = FakeArchive(segments={"app-database-secondary-g1": "000000030000000000000001"})
        region = run_program("primary", {"active": "primary", "force": True}, cluster=gave, archive=taken)
        assert "failover-restores-hourly-critical" in region.names()

    @pytest.mark.parametrize(
        ("stack", "changes"),
        [
            ("secondary", {"active": "secondary", "handover": "planned"}),
            ("secondary", {"active": "secondary", "handover": token("secondary").receipt}),
            ("primary", {"active": "secondary", "handover": token("secondary").text}),
        ],
    )
    def test_what_is_left_of_an_earlier_switchover_stops_neither_a_failover_nor_a_fence(
        self, stack: Role, changes: dict[str, Any]
    ) -> None:
        cluster = follower("secondary") if stack == "secondary" else serving("primary", **ASLEEP)
        region = run_program(stack, {**changes, **database(), "peerReady": True}, cluster=cluster)
        expected = "app-database-secondary" if stack == "secondary" else "app-database-primary"
        assert region[STEM].spec["replica"]["primary"] == expected
        assert region.outputs["handover"] == "none"

    @pytest.mark.parametrize("stack", ["primary", "secondary"])
    def test_a_region_that_has_given_its_token_away_serves_again_only_by_force(self, stack: Role) -> None:
        gave = follower(stack)
        gave.records["handover"] = {"token": token(stack).text}
        reached, error = attempt_program(stack, {"active": stack, "peerReady": True}, cluster=gave)
        assert str(error).startswith(f"k8s-dr:active: {stack}: this region has given up, and the {peer_of(stack)} may have taken")
        assert not reached.identities()
        region = run_program(stack, {"active": stack, "force": True, "peerReady": True}, cluster=gave)
        assert region[STEM].spec["replica"]["primary"] == f"app-database-{stack}"
        assert not region.of("Restore"), "its own objects are the newest"

    def test_users_who_are_here_are_not_held_elsewhere(self) -> None:
        serves = serving("secondary")
        region = run_program("secondary", {"active": "secondary", "hold": True, "peerReady": True}, cluster=serves)
        assert region["failover-flag"].inputs["content"] == '{"active":"secondary"}'
        assert "failover-serving" in region.names()
