"""The table of roles, and what must hold for every pair of stacks whatever a person configures."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings.roles import Duties, Role, duties, peer_of, refusal

ROLES: tuple[Role, ...] = ("primary", "secondary")
roles = st.sampled_from(ROLES)

# stack, active | serves, takes over, workloads at, scaled by the program, schedules paused, flag
TABLE: list[tuple[Role, Role, bool, bool, Literal["replicas", "standbyReplicas"], bool, bool, Role | None]] = [
    ("primary", "primary", True, False, "replicas", False, False, None),
    ("primary", "secondary", False, False, "standbyReplicas", True, True, None),
    ("secondary", "primary", False, False, "standbyReplicas", False, True, "primary"),
    ("secondary", "secondary", True, True, "replicas", True, False, "secondary"),
]


@pytest.mark.parametrize(("stack", "active", "serves", "takes_over", "scale_to", "enforces", "paused", "flag"), TABLE)
def test_each_role_has_its_duties(
    stack: Role,
    active: Role,
    serves: bool,
    takes_over: bool,
    scale_to: Literal["replicas", "standbyReplicas"],
    enforces: bool,
    paused: bool,
    flag: Role | None,
) -> None:
    assert duties(stack, active) == Duties(
        serves=serves,
        takes_over=takes_over,
        scale_to=scale_to,
        enforces_scale=enforces,
        schedules_paused=paused,
        flag=flag,
    )


@given(primary_active=roles, secondary_active=roles)
def test_at_most_one_region_is_told_to_serve_by_any_pair_of_stacks_that_is_not_refused(
    primary_active: Role, secondary_active: Role
) -> None:
    primary, secondary = duties("primary", primary_active), duties("secondary", secondary_active)
    refused = refusal("primary", primary_active, secondary.flag) is not None
    assert refused is (primary.serves and secondary.serves)


@given(role=roles, active=roles)
def test_flipping_twice_is_identity(role: Role, active: Role) -> None:
    assert duties(role, peer_of(peer_of(active))) == duties(role, active)


@given(active=roles)
def test_exactly_one_region_serves_when_both_stacks_say_the_same(active: Role) -> None:
    assert [role for role in ROLES if duties(role, active).serves] == [active]


@given(active=roles)
def test_the_secondary_alone_moves_the_flag_to_where_active_says(active: Role) -> None:
    assert duties("primary", active).flag is None
    assert duties("secondary", active).flag == active


@given(role=roles, active=roles)
def test_only_the_region_that_serves_backs_up_and_runs_at_full_size(role: Role, active: Role) -> None:
    mine = duties(role, active)
    assert mine.schedules_paused is not mine.serves
    assert (mine.scale_to == "replicas") is mine.serves


def test_a_primary_that_comes_back_is_refused_and_told_what_to_run() -> None:
    reason = refusal("primary", "primary", "secondary")
    assert reason is not None
    assert reason.endswith("run: pulumi config set active secondary -s primary && pulumi up -s primary")
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("role", "active", "flag"),
    [
        (role, active, flag)
        for role in ROLES
        for active in ROLES
        for flag in (None, *ROLES)
        if (role, active, flag) != ("primary", "primary", "secondary")
    ],
)
def test_nothing_else_is_refused_and_a_flag_that_cannot_be_read_blocks_nobody(
    role: Role, active: Role, flag: Role | None
) -> None:
    assert refusal(role, active, flag) is None


def test_each_region_is_the_others_peer() -> None:
    assert [peer_of(role) for role in ROLES] == ["secondary", "primary"]
