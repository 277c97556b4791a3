"""The way round where rows are streamed, where both regions serve, and where Route 53's records move the users."""

from __future__ import annotations

import pytest

from lab import circle, databases, demo
from lab.circle import User
from lab.world import Lab
from report import model
from settings.roles import ROLES, Role, peer_of
from tests.lab.conftest import deployed

STREAMED = [
    databases.Plan(replication="streaming", source="primary-bucket"),
    databases.Plan(tier="warm-standby", replication="streaming"),
    databases.Plan(tier="active-active", replication="streaming"),
]


def switch(lab: Lab, user: User, to: Role) -> None:
    """One switchover, after which nothing is missing and nothing is left to do."""
    circle.wait_for_rows(lab, to, user.must_be_there())
    with user.leg(f"switchover to the {to}", to) as record:
        circle.switch(lab, to, record)
    assert user.missing(to) == set()
    circle.wait_for_rows(lab, peer_of(to), user.must_be_there())
    for role in ROLES:
        lab.pulumi.up(role, "--expect-no-changes")


@pytest.mark.parametrize("plan", STREAMED, ids=lambda plan: f"{plan.tier}, {plan.source}")
def test_the_whole_way_round_where_rows_are_streamed(plan: databases.Plan) -> None:
    with deployed(Lab(plan=plan)) as lab:
        report = demo.fail(lab, cache=False)
        assert model.verdict(report) == []
        with circle.user(lab) as user:
            with user.leg("the old primary follows again", "secondary") as record:
                circle.come_back(lab, record)
                circle.rejoin(lab, record)
            circle.wait_for_rows(lab, "primary", user.must_be_there())
            assert lab.query("select status from pg_stat_wal_receiver", "primary") == "streaming"
            for to in ("primary", "secondary", "primary"):
                switch(lab, user, to)


def test_switchovers_of_a_lab_that_never_failed_over_where_a_record_moves_the_users() -> None:
    """In this mode a failover needs Route 53's control plane, which dies with the primary's region in the lab."""
    with deployed(Lab(plan=databases.Plan(), mode="record")) as lab:
        lab.wait_backed_up()
        with circle.user(lab) as user:
            user.wait_served("primary")
            for to in ("secondary", "primary"):
                switch(lab, user, to)


def test_what_was_given_is_taken_back_where_the_other_region_never_took_over() -> None:
    """The token is worth nothing then: the other region refuses it as stale."""
    with deployed(Lab(plan=databases.Plan())) as lab:
        lab.wait_backed_up()
        with circle.user(lab) as user:
            user.wait_served("primary")
            with user.leg("given and taken back", "primary") as record:
                circle.hand_over(lab, "secondary", record)
                token = circle.told(lab, "primary")
                circle.take_back(lab, record, "primary")
                circle.up(lab, record, "primary")
            refused = lab.pulumi.run(
                "preview", "-s", "secondary", "-c", "active=secondary", "-c", f"handover={token}", check=False
            )
            assert refused.exit_code
            assert "the token is stale" in " ".join(refused.output.split()), refused.output
            for key in ("active", "handover"):
                lab.pulumi.run("config", "rm", key, "-s", "secondary")
            assert user.missing("primary") == set()
            circle.wait_for_rows(lab, "secondary", user.must_be_there())
