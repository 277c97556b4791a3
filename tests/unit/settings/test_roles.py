"""The table of roles, and what must hold for every pair of stacks whatever a person configures."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings.roles import DatabaseRole, Duties, Handover, Role, duties, peer_of, refusal, serving
from tests.examples import ROOT

ROLES: tuple[Role, ...] = ("primary", "secondary")
CONFIGURED: tuple[Role | None, ...] = (None, *ROLES)
"""What `active` may be: nobody has set it, or somebody has."""

roles = st.sampled_from(ROLES)
configured = st.sampled_from(CONFIGURED)

Scale = Literal["replicas", "standbyReplicas"]

# stack, active | serves, takes over, database, one without a standby, workloads at, scaled by the program, schedules paused, flag
TABLE: list[tuple[Role, Role | None, bool, bool, DatabaseRole, DatabaseRole, Scale, bool, bool, Role | None]] = [
    ("primary", None, True, False, "primary", "primary", "replicas", False, False, None),
    ("primary", "primary", True, False, "primary", "primary", "replicas", True, False, None),
    ("primary", "secondary", False, False, "fenced", "fenced", "standbyReplicas", True, True, None),
    ("secondary", None, False, False, "replica", "absent", "standbyReplicas", False, True, "primary"),
    ("secondary", "primary", False, False, "replica", "absent", "standbyReplicas", True, True, "primary"),
    ("secondary", "secondary", True, True, "promoted", "recovered", "replicas", True, False, "secondary"),
]
WORDS = {
    "primary": "primary, written to",
    "replica": "replica",
    "promoted": "promoted, no token (unplanned)",
    "fenced": "fenced: hibernated, still its old data",
    "absent": "absent: its archives and its owner's password alone",
    "recovered": "recovered from the archive, written to",
}
"""What the table of docs/roles.md calls the sides of a database."""


@pytest.mark.parametrize(
    ("stack", "active", "serves", "takes_over", "database", "without_standby", "scale_to", "enforces", "paused", "flag"), TABLE
)
def test_each_role_has_its_duties(
    stack: Role,
    active: Role | None,
    serves: bool,
    takes_over: bool,
    database: DatabaseRole,
    without_standby: DatabaseRole,
    scale_to: Scale,
    enforces: bool,
    paused: bool,
    flag: Role | None,
) -> None:
    assert duties(stack, active) == Duties(
        serves=serves,
        takes_over=takes_over,
        database=database,
        database_without_standby=without_standby,
        scale_to=scale_to,
        enforces_scale=enforces,
        schedules_paused=paused,
        flag=flag,
        hands_over=False,
        held=False,
        restores=takes_over,
    )


# stack, active, told | hands over, takes over, database, schedules paused, flag
SWITCHOVERS: list[tuple[Role, Role, Handover, bool, bool, DatabaseRole, bool, Role | None]] = [
    ("primary", "secondary", "planned", True, False, "demoted", True, None),
    ("secondary", "secondary", "token", False, True, "promoted", False, "secondary"),
    ("secondary", "primary", "planned", True, False, "demoted", True, "secondary"),
    ("primary", "primary", "token", False, True, "promoted", False, None),
    ("secondary", "primary", "receipt", False, False, "replica", True, "primary"),
]


@pytest.mark.parametrize(("stack", "active", "told", "gives", "takes", "database", "paused", "flag"), SWITCHOVERS)
def test_each_step_of_a_planned_switchover_has_its_duties(
    stack: Role, active: Role, told: Handover, gives: bool, takes: bool, database: DatabaseRole, paused: bool, flag: Role | None
) -> None:
    found = duties(stack, active, handover=told)
    assert (found.hands_over, found.takes_over, found.database, found.schedules_paused, found.flag) == (
        gives,
        takes,
        database,
        paused,
        flag,
    )


def test_whoever_is_held_takes_over_all_but_the_users() -> None:
    held, now = (duties("secondary", "secondary", handover="token", hold=hold) for hold in (True, False))
    assert held == replace(now, held=True, flag="primary")


@given(role=roles, active=configured, told=st.sampled_from([None, "planned", "receipt"]))
def test_nobody_is_held_but_in_a_planned_takeover(role: Role, active: Role | None, told: Handover | None) -> None:
    assert duties(role, active, handover=told, hold=True) == duties(role, active, handover=told)
    assert not duties("primary", active, handover="token", hold=True).held


def test_the_table_in_the_documentation_is_this_one() -> None:
    rows = [line for line in (ROOT / "docs" / "roles.md").read_text().splitlines() if line.startswith(("| primary", "| second"))]
    assert [[cell.strip() for cell in row.strip("|").split("|")] for row in rows] == [
        [
            stack,
            active or "not set",
            "yes" if serves else "no",
            "yes" if takes_over else "no",
            WORDS[database],
            WORDS[without_standby],
            f"scaled to `{scale_to}`" if enforces else "as deployed",
            "paused" if paused else "run",
            f"`{flag}`" if flag else "–",
        ]
        for stack, active, serves, takes_over, database, without_standby, scale_to, enforces, paused, flag in TABLE
    ]


@given(primary_active=configured, secondary_active=configured, standby=st.booleans())
def test_at_most_one_side_of_a_database_is_written_to_by_any_pair_of_stacks_that_is_not_refused(
    primary_active: Role | None, secondary_active: Role | None, standby: bool
) -> None:
    primary, secondary = duties("primary", primary_active), duties("secondary", secondary_active)
    if refusal("primary", primary_active, secondary.flag) is None:
        sides = {primary.database_role(standby=standby), secondary.database_role(standby=standby)}
        assert len(sides & {"primary", "promoted", "recovered"}) <= 1


@given(role=roles, active=configured)
def test_whether_a_standby_is_kept_is_nothing_to_the_primarys_side(role: Role, active: Role | None) -> None:
    mine = duties(role, active)
    assert (mine.database_role(standby=True) == mine.database_role(standby=False)) is (role == "primary")


@given(primary_active=configured, secondary_active=configured)
def test_at_most_one_region_is_told_to_serve_by_any_pair_of_stacks_that_is_not_refused(
    primary_active: Role | None, secondary_active: Role | None
) -> None:
    primary, secondary = duties("primary", primary_active), duties("secondary", secondary_active)
    refused = refusal("primary", primary_active, secondary.flag) is not None
    assert refused is (primary.serves and secondary.serves)


@given(role=roles, active=roles)
def test_flipping_twice_is_identity(role: Role, active: Role) -> None:
    assert duties(role, peer_of(peer_of(active))) == duties(role, active)


@given(active=configured)
def test_exactly_one_region_serves_when_both_stacks_say_the_same(active: Role | None) -> None:
    assert [role for role in ROLES if duties(role, active).serves] == [serving(active)]


@given(role=roles)
def test_setting_active_to_what_it_is_anyway_begins_to_scale_and_does_nothing_else(role: Role) -> None:
    assert duties(role, "primary") == replace(duties(role, None), enforces_scale=True)


@given(role=roles, active=configured)
def test_nothing_is_scaled_until_somebody_has_set_active(role: Role, active: Role | None) -> None:
    assert duties(role, active).enforces_scale is (active is not None)


@given(active=configured)
def test_the_secondary_alone_moves_the_flag_to_where_active_says(active: Role | None) -> None:
    assert duties("primary", active).flag is None
    assert duties("secondary", active).flag == serving(active)


@given(role=roles, active=configured)
def test_only_the_region_that_serves_backs_up_and_runs_at_full_size(role: Role, active: Role | None) -> None:
    mine = duties(role, active)
    assert mine.schedules_paused is not mine.serves
    assert (mine.scale_to == "replicas") is mine.serves


@pytest.mark.parametrize("active", [None, "primary"])
def test_a_primary_that_comes_back_is_refused_and_told_what_to_run(active: Role | None) -> None:
    reason = refusal("primary", active, "secondary")
    assert reason is not None
    assert reason.endswith("run: pulumi config set active secondary -s primary && pulumi up -s primary")
    assert "\n" not in reason


def test_a_secondary_that_serves_is_not_sent_back_by_a_stack_file_that_knows_of_no_failover() -> None:
    reason = refusal("secondary", None, serves_here=True)
    assert reason is not None
    assert reason.startswith("this region has taken over, but active is not set in Pulumi.secondary.yaml (was that committed?)")
    assert "run: pulumi config set active secondary -s secondary;" in reason
    assert reason.endswith("to move users back, hand over (docs/runbook.md, From B to A)")
    assert "active primary" not in reason, "it would leave behind what was written here"
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("role", "active", "flag", "serves_here"),
    [
        (role, active, flag, serves_here)
        for role in ROLES
        for active in CONFIGURED
        for flag in (None, *ROLES)
        for serves_here in (False, True)
        if not (role == "primary" and active != "secondary" and flag == "secondary")
        if not (role == "secondary" and active is None and serves_here)
    ],
)
def test_nothing_else_is_refused_and_a_flag_that_is_not_there_blocks_nobody(
    role: Role, active: Role | None, flag: Role | None, serves_here: bool
) -> None:
    assert refusal(role, active, flag, serves_here=serves_here) is None


def test_each_region_is_the_others_peer() -> None:
    assert [peer_of(role) for role in ROLES] == ["secondary", "primary"]
