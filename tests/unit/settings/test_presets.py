"""What each tier sets where nobody wrote a key, and what it does not let a key take away."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import load
from settings.load import SECRETS
from settings.model import Settings
from settings.presets import DEFAULT, PRESETS, with_tier_values
from settings.tiers import Tier
from tests.examples import REMOVED, example
from tests.unit.components.database.sides import STREAMING
from tests.unit.settings.test_mistakes import complaint

TIERS: tuple[Tier, ...] = get_args(Tier)
tiers = st.sampled_from(TIERS)
PROBE = "https://lb-primary.us-east-1.elb.amazonaws.com/"
CONNECTION = {"streaming": STREAMING["streaming"]}


def written(tier: str | None, *, workload: dict[str, Any], database: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The committed configuration with a tier, one workload and one database of which only the given keys are written."""
    return {
        "tier": tier or REMOVED,
        "failover": {"probe": PROBE},
        "workloads": [{"namespace": "production", "replicas": 3, **workload}],
        "databases": [{"name": "app-database", "namespace": "databases", **database}],
        **changes,
    }


def read(tier: str | None, **changes: Any) -> Settings:
    parts = {"workload": changes.pop("workload", {}), "database": changes.pop("database", {})}
    return load("secondary", example("secondary", written(tier, **parts, **changes)), SECRETS)


def told(tier: str | None, **changes: Any) -> str:
    parts = {"workload": changes.pop("workload", {}), "database": changes.pop("database", {})}
    return complaint("secondary", example("secondary", written(tier, **parts, **changes)))


# tier | a standby of each database, replicas of three in the region that stands by, replication, dns.mode
TABLE: list[tuple[Tier, bool, int, str, str]] = [
    ("backup-restore", False, 0, "archive", "standby-takes-over"),
    ("pilot-light", True, 0, "archive", "standby-takes-over"),
    ("warm-standby", True, 1, "streaming", "standby-takes-over"),
    ("active-active", True, 3, "streaming", "both-regions"),
]


@pytest.mark.parametrize(("tier", "standby", "replicas", "replication", "mode"), TABLE, ids=[row[0] for row in TABLE])
def test_a_tier_sets_what_nobody_wrote(tier: Tier, standby: bool, replicas: int, replication: str, mode: str) -> None:
    settings = read(tier, database=CONNECTION if replication == "streaming" else {})
    (database,), (workload,) = settings.databases, settings.workloads
    assert (database.standby, workload.standby_replicas, database.replication, settings.dns.mode) == (
        standby,
        replicas,
        replication,
        mode,
    )


def test_without_a_tier_it_is_pilot_light_which_sets_what_is_the_default_anyway() -> None:
    assert read(None) == read("pilot-light")
    assert DEFAULT == "pilot-light"
    bare = written("pilot-light", workload={}, database={})
    assert with_tier_values(bare)["workloads"] == [{"namespace": "production", "replicas": 3, "standbyReplicas": 0}]


# What a person writes over a tier, with everything else the tier's.
KEPT: list[tuple[Tier, dict[str, Any], dict[str, Any]]] = [
    ("pilot-light", {"workload": {"standbyReplicas": 2}}, {"standby_replicas": 2}),
    ("warm-standby", {"workload": {"standbyReplicas": 3}, "database": CONNECTION}, {"standby_replicas": 3}),
    ("active-active", {"workload": {"standbyReplicas": 5}, "database": CONNECTION}, {"standby_replicas": 5}),
    ("warm-standby", {"database": {"archiveTimeout": "20s"}}, {"replication": "archive"}),
    ("warm-standby", {"targets": {"rpo": "2m"}}, {"replication": "archive"}),
    ("active-active", {"targets": {"rpo": "1m"}}, {"replication": "archive"}),
]


@pytest.mark.parametrize(("tier", "changes", "kept"), KEPT)
def test_a_key_that_is_written_stays_where_it_takes_nothing_away(
    tier: Tier, changes: dict[str, Any], kept: dict[str, Any]
) -> None:
    settings = read(tier, **{key: dict(value) for key, value in changes.items()})
    found = {**settings.workloads[0].model_dump(), **settings.databases[0].model_dump()}
    assert {key: found[key] for key in kept} == kept


def test_a_connection_that_is_written_beside_replication_archive_is_still_a_contradiction_of_its_own() -> None:
    assert "databases[0].streaming" in told("warm-standby", database={**CONNECTION, "replication": "archive"})


CONTRADICTIONS: list[tuple[Tier | None, dict[str, Any], str]] = [
    (
        "warm-standby",
        {"workload": {"standbyReplicas": 0}, "database": CONNECTION},
        "warm-standby runs a part of every workload in the region that stands by, and workloads[0].standbyReplicas is 0; write 1 "
        "or more, or take it out, or set tier: pilot-light",
    ),
    (
        "active-active",
        {"workload": {"standbyReplicas": 2}, "database": CONNECTION},
        "active-active runs all of every workload in the region that stands by, and workloads[0].standbyReplicas is 2; write 3 "
        "or more, or take it out, or set tier: warm-standby",
    ),
    (
        "backup-restore",
        {"workload": {"standbyReplicas": 1}},
        "backup-restore runs nothing in the region that stands by, and workloads[0].standbyReplicas is 1: that is tier "
        "warm-standby; take standbyReplicas out, or set tier: warm-standby",
    ),
    (
        "backup-restore",
        {"database": {"standby": True}},
        "backup-restore runs nothing in the region that stands by, and databases[0].standby is true: that is tier pilot-light; "
        "take standby out, or set tier: pilot-light",
    ),
    *(
        (
            tier,
            {"database": {"standby": False}, "targets": {"rpo": "2m"}},
            f"{tier or DEFAULT} keeps a replica of every database in the region that stands by, and databases[0].standby is "
            "false; take standby out, or set tier: backup-restore",
        )
        for tier in (None, "pilot-light", "warm-standby", "active-active")
    ),
    (
        "warm-standby",
        {},
        "warm-standby has an RPO of 30 s, and databases[0] loses up to archiveTimeout, 60s, of rows by its archive alone "
        "(databases[].replication: archive); write streaming: {hosts: …, certificates: …} (docs/recovery.md), or an "
        "archiveTimeout of 30s or less, or a targets.rpo of 60s or more",
    ),
    (
        "active-active",
        {},
        "active-active has an RPO of 5 s, and databases[0] loses up to archiveTimeout, 60s, of rows by its archive alone "
        "(databases[].replication: archive); write streaming: {hosts: …, certificates: …} (docs/recovery.md), or a targets.rpo "
        "of 60s or more",
    ),
    (
        None,
        {"database": {"archiveTimeout": "10m"}},
        "pilot-light has an RPO of 300 s, and databases[0] loses up to archiveTimeout, 10m, of rows by its archive alone "
        "(databases[].replication: archive); write streaming: {hosts: …, certificates: …} (docs/recovery.md), or an "
        "archiveTimeout of 300s or less, or a targets.rpo of 10m or more",
    ),
    (
        "backup-restore",
        {"targets": {"rpo": "30s"}},
        "backup-restore has targets.rpo 30s, and databases[0] loses up to archiveTimeout, 60s, of rows by its archive alone "
        "(databases[].replication: archive); write an archiveTimeout of 30s or less, or a targets.rpo of 60s or more",
    ),
    (
        "active-active",
        {"dns": {"zoneId": "Z0123456789ABCDEFGHIJ", "names": ["app.example.com"], "mode": "record"}, "database": CONNECTION},
        "active-active sends users to both regions, and dns.mode is record; take mode out, or set tier: warm-standby",
    ),
    (
        "pilot-light",
        {"dns": {"zoneId": "Z0123456789ABCDEFGHIJ", "names": ["app.example.com"], "mode": "both-regions"}},
        "pilot-light sends users to one region at a time, and dns.mode is both-regions: that is tier active-active; take mode "
        "out, or set tier: active-active",
    ),
]


@pytest.mark.parametrize(("tier", "changes", "line"), CONTRADICTIONS)
def test_what_takes_away_from_a_tier_is_one_line_with_the_key_its_value_and_the_fix(
    tier: Tier | None, changes: dict[str, Any], line: str
) -> None:
    assert told(tier, **{key: dict(value) for key, value in changes.items()}) == f"k8s-dr:tier: {line}"


NO_STANDBY: list[tuple[dict[str, Any], str]] = [
    (
        {**STREAMING},
        "has replication: streaming and no standby to stream to (standby: false, as tier backup-restore sets it); take "
        "replication and streaming out, or set tier: warm-standby",
    ),
    (
        {"source": "primary-bucket"},
        "has source: primary-bucket and no standby (standby: false, as tier backup-restore sets it): it would be recovered from "
        "the bucket of a dead region; take source out, or set tier: pilot-light",
    ),
]


@pytest.mark.parametrize(("database", "line"), NO_STANDBY, ids=["streaming", "primary-bucket"])
@pytest.mark.parametrize("by_hand", [False, True])
def test_what_is_recovered_at_a_failover_streams_from_nobody_and_comes_from_its_own_regions_bucket(
    database: dict[str, Any], line: str, by_hand: bool
) -> None:
    assert told("backup-restore", database={**database, **({"standby": False} if by_hand else {})}) == (
        f"k8s-dr:databases[0]: {line}"
    )


def test_a_mistake_elsewhere_is_told_by_itself_and_nothing_of_the_tier_beside_it() -> None:
    for replicas in (0, "3", True, None):
        (line,) = told("active-active", workload={"replicas": replicas}).splitlines()
        assert line.startswith("k8s-dr:workloads[0].replicas: ")
    (line,) = told("warm-standby", targets={"rpo": "soon"}).splitlines()
    assert line.startswith("k8s-dr:targets.rpo: soon")
    (line,) = told("hot-standby").splitlines()
    assert line.startswith("k8s-dr:tier: hot-standby is not one of 'backup-restore', 'pilot-light'")


@pytest.mark.parametrize("raw", [None, [], "text", {}, {"tier": ["x"]}, {"workloads": 3, "databases": {}}, {"workloads": [1]}])
def test_what_is_no_configuration_is_left_for_the_models_to_refuse(raw: Any) -> None:
    assert with_tier_values(raw) == raw


overrides = st.fixed_dictionaries({}, optional={"standbyReplicas": st.integers(0, 9), "names": st.just(["deployment/web"])})
database_overrides = st.fixed_dictionaries(
    {},
    optional={
        "standby": st.booleans(),
        "replication": st.sampled_from(["archive", "streaming"]),
        "streaming": st.just(STREAMING["streaming"]),
        "archiveTimeout": st.sampled_from(["20s", "60s", "10m"]),
    },
)
dns = st.fixed_dictionaries({"zoneId": st.just("Z1")}, optional={"mode": st.sampled_from(["record", "both-regions"])})


@given(tier=tiers, workload=overrides, database=database_overrides, names=dns)
def test_whatever_is_written_stays_and_a_tier_sets_nothing_twice(
    tier: Tier, workload: dict[str, Any], database: dict[str, Any], names: dict[str, Any]
) -> None:
    raw = written(tier, workload=workload, database=database, dns=names)
    once = with_tier_values(raw)
    assert with_tier_values(once) == once
    assert raw["dns"].items() <= once["dns"].items()
    for key in ("workloads", "databases"):
        assert all(before.items() <= after.items() for before, after in zip(raw[key], once[key], strict=True))


@given(tier=tiers, replicas=st.integers(1, 50), connected=st.booleans())
def test_what_a_tier_sets_by_itself_never_contradicts_it_but_for_a_connection_that_it_cannot_invent(
    tier: Tier, replicas: int, connected: bool
) -> None:
    connection = CONNECTION if connected and PRESETS[tier].streams else {}
    line = told(tier, workload={"replicas": replicas}, database=connection)
    assert bool(line) is (PRESETS[tier].streams and not connected)
    assert line == "" or "write streaming: {hosts: …, certificates: …}" in line


@given(tier=tiers, replicas=st.integers(1, 9), standby_replicas=st.integers(0, 12), standby=st.booleans())
def test_whatever_is_accepted_keeps_what_the_tier_promises(
    tier: Tier, replicas: int, standby_replicas: int, standby: bool
) -> None:
    workload = {"replicas": replicas, "standbyReplicas": standby_replicas}
    database = {"standby": standby, **(CONNECTION if PRESETS[tier].streams and standby else {})}
    if told(tier, workload=workload, database=database):
        return
    least = {"backup-restore": 0, "pilot-light": 0, "warm-standby": 1, "active-active": replicas}[tier]
    assert standby_replicas >= least
    assert standby is (tier != "backup-restore")
    assert tier != "backup-restore" or standby_replicas == 0
