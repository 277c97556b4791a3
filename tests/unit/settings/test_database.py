"""What follows from a database's settings: its names, its memory, and what a failover is held against."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import load
from settings.database import DatabaseSettings, Resources
from settings.load import SECRETS
from settings.roles import ROLES, Role
from settings.tiers import Objectives, Targets, objectives
from tests.examples import PASSWORD, example

names = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
generations = st.builds(lambda primary, secondary: {"primary": primary, "secondary": secondary}, *[st.integers(1, 99)] * 2)
databases = st.lists(st.tuples(names, generations), min_size=1, max_size=4, unique_by=lambda each: each[0])


def configured(chosen: list[tuple[str, dict[str, int]]], stack: Role, active: Role) -> list[DatabaseSettings]:
    changes: dict[str, Any] = {
        "active": active,
        "databases": [{"name": name, "namespace": "databases", "generations": each} for name, each in chosen],
        "databasePasswords": {name: PASSWORD for name, _ in chosen},
    }
    return load(stack, example(stack, changes), SECRETS).databases


@given(chosen=databases)
def test_both_stacks_call_every_side_alike_whoever_is_active(chosen: list[tuple[str, dict[str, int]]]) -> None:
    seen = {
        tuple((each.member(role), each.server(role)) for each in configured(chosen, stack, active) for role in ROLES)
        for stack in ROLES
        for active in ROLES
    }
    assert len(seen) == 1


@given(chosen=databases)
def test_every_side_of_every_database_archives_under_a_name_of_its_own(chosen: list[tuple[str, dict[str, int]]]) -> None:
    servers = [each.server(role) for each in configured(chosen, "primary", "primary") for role in ROLES]
    assert len(set(servers)) == len(servers)


@given(name=names, given_generations=generations)
def test_a_side_that_is_created_anew_never_archives_under_the_old_name(name: str, given_generations: dict[str, int]) -> None:
    before = DatabaseSettings.model_validate({"name": name, "namespace": "a", "generations": given_generations})
    for role in ROLES:
        raised = {**given_generations, role: given_generations[role] + 1}
        after = DatabaseSettings.model_validate({"name": name, "namespace": "a", "generations": raised})
        other: Role = "secondary" if role == "primary" else "primary"
        assert before.server(role) != after.server(role)
        assert before.server(other) == after.server(other)
        assert before.member(role) == after.member(role), "the Cluster's own topology has no generation"


def test_the_names_are_those_that_both_regions_agree_on() -> None:
    database = DatabaseSettings(name="app-database", namespace="databases")
    assert [database.member(role) for role in ROLES] == ["app-database-primary", "app-database-secondary"]
    assert [database.server(role) for role in ROLES] == ["app-database-primary-g1", "app-database-secondary-g1"]


@pytest.mark.parametrize(("memory", "mebibytes"), [("8Gi", 8192), ("512Mi", 512), ("1Ti", 1048576), ("2097152Ki", 2048)])
def test_memory_is_counted_in_mebibytes(memory: str, mebibytes: int) -> None:
    assert Resources(memory=memory).mebibytes == mebibytes


@pytest.mark.parametrize(
    "image",
    ["postgresql:18.4", "ghcr.io/cloudnative-pg/postgresql:18.4-system-trixie", "registry:5000/postgresql:15.18"],
)
def test_an_image_with_a_tag_that_says_its_version_is_taken(image: str) -> None:
    assert DatabaseSettings(name="a", namespace="a", image=image).image == image


def test_a_database_may_do_without_a_volume_for_its_wal() -> None:
    assert DatabaseSettings(name="a", namespace="a", wal_storage=None).wal_storage is None


def test_a_tier_promises_what_it_says_and_own_targets_take_its_place() -> None:
    def promised(own: Targets) -> Objectives:
        return objectives("pilot-light", own)

    assert promised(Targets()) == Objectives(tier="pilot-light", rpo_seconds=300, rto_seconds=1800)
    assert promised(Targets(rpo="10s")) == Objectives(tier="pilot-light", rpo_seconds=10, rto_seconds=1800)
    assert promised(Targets(rto="1h")) == Objectives(tier="pilot-light", rpo_seconds=300, rto_seconds=3600)


def test_a_higher_tier_promises_less_loss_and_a_shorter_outage() -> None:
    tiers = [objectives(tier, Targets()) for tier in ("backup-restore", "pilot-light", "warm-standby", "active-active")]
    assert [each.rpo_seconds for each in tiers] == sorted((each.rpo_seconds for each in tiers), reverse=True)
    assert [each.rto_seconds for each in tiers] == sorted((each.rto_seconds for each in tiers), reverse=True)


def test_what_is_asked_whether_the_primary_lives_is_what_users_call_unless_somebody_says_otherwise() -> None:
    assert load("secondary", example("secondary"), SECRETS).probe == "https://app.example.com/"
    probe = "http://172.30.0.11/healthz"
    assert load("secondary", example("secondary", {"failover": {"probe": probe}}), SECRETS).probe == probe
