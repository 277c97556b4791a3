"""Both regions compute the same names, and none depends on who is active."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from settings.names import FLAG_KEY, Names, fitting
from settings.roles import Role, peer_of
from settings.topology import Regions, Topology

PURPOSES = ("velero", "etcd", "database")
REGIONS = ["us-east-1", "us-west-2", "eu-central-1", "ap-northeast-1", "ca-west-1", "ap-southeast-4"]

topologies = st.builds(
    lambda organization, account, regions: Topology(
        organization=organization, account_id=account, regions=Regions(primary=regions[0], secondary=regions[1])
    ),
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,19}", fullmatch=True),
    st.from_regex(r"[0-9]{12}", fullmatch=True),
    st.permutations(REGIONS),
)


def both(topology: Topology) -> tuple[Names, Names]:
    return Names(topology=topology, role="primary"), Names(topology=topology, role="secondary")


@given(topologies)
def test_each_region_computes_the_others_buckets(topology: Topology) -> None:
    primary, secondary = both(topology)
    for purpose in PURPOSES:
        assert primary.peer_bucket(purpose) == secondary.bucket(purpose)
        assert secondary.peer_bucket(purpose) == primary.bucket(purpose)


@given(topologies)
def test_bucket_names_are_seven_different_ones_that_s3_accepts(topology: Topology) -> None:
    primary, secondary = both(topology)
    names = [side.bucket(purpose) for side in (primary, secondary) for purpose in PURPOSES] + [primary.flag_bucket]
    assert len(set(names)) == 7
    for name in names:
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", name)


@given(topologies)
def test_both_regions_know_the_flag_by_one_name_in_the_secondary_region(topology: Topology) -> None:
    primary, secondary = both(topology)
    assert primary.flag_bucket == secondary.flag_bucket
    assert primary.flag_host == secondary.flag_host == f"{primary.flag_bucket}.s3.{secondary.region}.amazonaws.com"
    assert FLAG_KEY == "dr/active.json"


@given(topologies)
def test_both_regions_agree_on_who_writes_below_which_prefix(topology: Topology) -> None:
    primary, secondary = both(topology)
    for role in ("primary", "secondary"):
        assert primary.velero_prefix(role) == secondary.velero_prefix(role)
    assert not primary.velero_prefix("primary").startswith(primary.velero_prefix("secondary"))
    assert not primary.velero_prefix("secondary").startswith(primary.velero_prefix("primary"))


@given(topologies, st.sampled_from(["daily-full", "hourly-critical"]))
def test_both_regions_agree_on_schedules_and_their_names_differ_by_region(topology: Topology, backup: str) -> None:
    primary, secondary = both(topology)
    for role in ("primary", "secondary"):
        assert primary.schedule(backup, role) == secondary.schedule(backup, role)
    assert primary.schedule(backup, "primary") != primary.schedule(backup, "secondary")


@given(topologies, st.sampled_from(["primary", "secondary"]))
def test_the_peers_key_is_named_as_the_peer_names_it(topology: Topology, role: Role) -> None:
    own, peer = Names(topology=topology, role=role), Names(topology=topology, role=peer_of(role))
    assert own.peer_key_alias_arn == f"arn:aws:kms:{peer.region}:{topology.account_id}:{peer.key_alias}"


@given(topologies)
def test_replication_roles_differ_since_iam_knows_no_regions_and_fit_its_limit(topology: Topology) -> None:
    primary, secondary = both(topology)
    assert primary.replication_role != secondary.replication_role
    assert max(len(primary.replication_role), len(secondary.replication_role)) <= 64


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,90}[a-z0-9])?", fullmatch=True), st.integers(min_value=20, max_value=63))
def test_a_name_to_which_something_is_added_is_cut_to_the_room_that_is_left(name: str, room: int) -> None:
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", fitting(name, room=room))
    assert len(fitting(name, room=room)) <= room
    assert (fitting(name, room=room) == name) is (len(name) <= room)


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,90}[a-z0-9])?", fullmatch=True))
def test_a_name_that_is_too_long_is_cut_to_one_that_kubernetes_accepts(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fitting(name))
    assert (fitting(name) == name) is (len(name) <= 63)


def test_a_name_is_never_cut_behind_a_dash() -> None:
    assert fitting("a" * 53 + "--" + "b" * 20).startswith("a" * 53 + "-")
    assert "--" not in fitting("a" * 53 + "--" + "b" * 20)


def test_names_that_differ_in_their_ends_alone_stay_different() -> None:
    assert fitting("a" * 63 + "-one") != fitting("a" * 63 + "-two")
