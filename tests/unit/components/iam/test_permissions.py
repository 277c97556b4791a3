"""What each part may do at AWS, as JSON to read, and what it can never do whatever the topology."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from components.iam.permissions import (
    ServiceAccount,
    database_policy,
    drill_database_policy,
    drills_policy,
    etcd_policy,
    freshness_policy,
    guard_policy,
    irsa_trust,
    pod_identity_trust,
    velero_policy,
)
from settings.names import Names
from settings.roles import ROLES, Role, peer_of
from settings.topology import Purpose, Regions, Topology
from tests.unit.components.database.sides import TOPOLOGY

ISSUER = "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
ACCOUNTS = [ServiceAccount("databases", "app-database"), ServiceAccount("shop", "orders")]

# Everything that any part may do, anywhere. What is not here nobody may: versions, locks, buckets, keys, roles.
READS = {"s3:GetObject", "s3:ListBucket", "kms:Decrypt"}
WRITES = {"s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:DeleteObject", "kms:GenerateDataKey"}
PURPOSES: tuple[Purpose, ...] = ("velero", "database", "etcd")
PURPOSE_OF: dict[str, Purpose] = {
    "velero": "velero",
    "database": "database",
    "database-that-reads-the-peer": "database",
    "etcd": "etcd",
    "freshness": "database",
    "drill-database": "database",
}
"""Whose bucket is a part's own."""


@lru_cache(maxsize=8)
def policies(names: Names) -> dict[str, dict[str, Any]]:
    return {
        "velero": velero_policy(names),
        "database": database_policy(names, reads_peer=False),
        "database-that-reads-the-peer": database_policy(names, reads_peer=True),
        "etcd": etcd_policy(names),
        "freshness": freshness_policy(names),
        "guard": guard_policy(names),
        "drills": drills_policy(names),
        "drill-database": drill_database_policy(names),
    }


def trusts(names: Names) -> dict[str, dict[str, Any]]:
    return {"pod-identity": pod_identity_trust(names, "prod", ACCOUNTS), "irsa": irsa_trust(names, ISSUER, ACCOUNTS)}


def committed(role: Role) -> Names:
    return Names(topology=TOPOLOGY, role=role)


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("part", policies(committed("primary")))
def test_the_permissions_of(part: str, role: Role, snapshot: SnapshotAssertion) -> None:
    assert policies(committed(role))[part] == snapshot


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("mode", trusts(committed("primary")))
def test_the_trust_of(mode: str, role: Role, snapshot: SnapshotAssertion) -> None:
    assert trusts(committed(role))[mode] == snapshot


organizations = st.from_regex(r"[a-z0-9]{1,12}(-[a-z0-9]{1,3})?", fullmatch=True)
regions = st.sampled_from(["us-east-1", "us-west-2", "eu-central-1", "ap-southeast-4"])


@st.composite
def any_names(draw: st.DrawFn) -> Names:
    primary, secondary = draw(st.lists(regions, min_size=2, max_size=2, unique=True))
    topology = Topology(
        organization=draw(organizations),
        account_id=draw(st.from_regex(r"[0-9]{12}", fullmatch=True)),
        regions=Regions(primary=primary, secondary=secondary),
    )
    return Names(topology=topology, role=draw(st.sampled_from(ROLES)))


def statements(names: Names) -> Iterator[tuple[str, dict[str, Any]]]:
    for part, document in policies(names).items():
        for statement in document["Statement"]:
            yield part, statement


def reached(names: Names, part: str, action: str, arn: str) -> bool:
    """Whether `part` may do `action` to `arn`, as IAM matches patterns; conditions are not looked at."""
    return any(
        action in statement["Action"] and fnmatchcase(arn, statement["Resource"][0])
        for mine, statement in statements(names)
        if mine == part
    )


@given(any_names())
def test_nothing_is_a_star_and_nobody_may_more_than_read_and_write_objects(names: Names) -> None:
    for part, statement in statements(names):
        assert statement["Effect"] == "Allow"
        assert set(statement["Action"]) <= READS | WRITES, part
        (resource,) = statement["Resource"]
        assert resource.startswith(("arn:aws:s3:::", f"arn:aws:kms:{names.region}:", f"arn:aws:kms:{names.peer_region}:"))
        assert resource.removeprefix("arn:aws:s3:::")[0] != "*"


@given(any_names())
def test_every_key_is_used_through_s3_alone_and_known_by_the_alias_of_the_backups(names: Names) -> None:
    for _, statement in statements(names):
        if {action.partition(":")[0] for action in statement["Action"]} == {"kms"}:
            region = statement["Resource"][0].split(":")[3]
            assert statement["Condition"] == {
                "StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"},
                "ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{names.topology.organization}-dr"},
            }
        else:
            assert not [action for action in statement["Action"] if action.startswith("kms:")]


@given(any_names())
def test_the_drills_read_every_backup_of_their_region_and_write_records_that_nobody_can_write_anew(names: Names) -> None:
    buckets = {purpose: names.bucket(purpose) for purpose in PURPOSES}
    for key in (f"{buckets['velero']}/velero/{role}/backups/a/a.tar.gz" for role in ROLES):
        assert reached(names, "drills", "s3:GetObject", f"arn:aws:s3:::{key}")
    assert reached(names, "drills", "s3:GetObject", f"arn:aws:s3:::{buckets['database']}/cnpg/a-primary-g1/base/b/data.tar")
    writes = [each for part, each in statements(names) if part == "drills" and set(each["Action"]) & WRITES]
    assert [each["Resource"] for each in writes if "s3:PutObject" in each["Action"]] == [
        [f"arn:aws:s3:::{buckets['velero']}/drills/{names.role}/*"]
    ]
    assert [each["Condition"] for each in writes if "s3:PutObject" in each["Action"]] == [{"Null": {"s3:if-none-match": "false"}}]
    assert not [each for each in writes if set(each["Action"]) & {"s3:DeleteObject", "s3:AbortMultipartUpload"}]


@given(any_names())
def test_the_throw_away_cluster_reads_archives_of_its_region_and_nothing_else(names: Names) -> None:
    """PostgreSQL starts there on files that whoever writes the other region's archive has written."""
    own = [statement for part, statement in statements(names) if part == "drill-database"]
    assert {action for statement in own for action in statement["Action"]} == {"s3:ListBucket", "s3:GetObject", "kms:Decrypt"}
    bucket, others = names.bucket("database"), [names.bucket("velero"), names.bucket("etcd"), names.peer_bucket("database")]
    for role in ROLES:
        assert reached(names, "drill-database", "s3:GetObject", f"arn:aws:s3:::{bucket}/cnpg/a-{role}-g1/base/b/data.tar")
    assert not reached(names, "drill-database", "s3:GetObject", f"arn:aws:s3:::{bucket}/freshness/inventory-primary.json")
    for other, key in itertools.product(
        others, ("velero/primary/a", "etcd/primary/a", "cnpg/a-primary-g1/a", "drills/primary/a")
    ):
        assert not reached(names, "drill-database", "s3:GetObject", f"arn:aws:s3:::{other}/{key}")


@given(any_names(), st.sampled_from(sorted(READS | WRITES)))
def test_nobody_touches_the_flag_or_a_bucket_of_another_part(names: Names, action: str) -> None:
    for part, own in PURPOSE_OF.items():
        others = [purpose for purpose in PURPOSES if purpose != own]
        strange = [names.flag_bucket, *map(names.bucket, others), *map(names.peer_bucket, others)]
        for bucket, key in itertools.product(strange, ("", "/dr/active.json", "/cnpg/app-primary-g1/a", "/velero/primary/a")):
            assert not reached(names, part, action, f"arn:aws:s3:::{bucket}{key}"), (part, action, bucket)


@given(any_names(), st.sampled_from(["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]))
def test_nobody_writes_in_the_other_region_or_what_the_other_region_wrote(names: Names, action: str) -> None:
    peer = peer_of(names.role)
    for part in policies(names):
        for purpose in PURPOSES:
            for key in (f"velero/{names.role}/backups/a", f"cnpg/app-{names.role}-g1/base/a", f"etcd/{names.role}/a"):
                assert not reached(names, part, action, f"arn:aws:s3:::{names.peer_bucket(purpose)}/{key}")
            for key in (f"velero/{peer}/backups/a", f"velero/{peer}/kopia/a", f"cnpg/app-{peer}-g1/wals/a", f"etcd/{peer}/a"):
                assert not reached(names, part, action, f"arn:aws:s3:::{names.bucket(purpose)}/{key}")


@given(any_names())
def test_a_restore_may_write_its_results_next_to_the_peers_backup_and_nothing_else_there(names: Names) -> None:
    below = f"arn:aws:s3:::{names.bucket('velero')}/{names.velero_prefix(peer_of(names.role))}"
    assert reached(names, "velero", "s3:PutObject", f"{below}/restores/a/a-logs.gz")
    assert not reached(names, "velero", "s3:PutObject", f"{below}/restores-of-another/a")
    assert not reached(names, "velero", "s3:PutObject", f"{below}/backups/restores/a")


@given(any_names(), st.sampled_from(sorted(READS | WRITES)))
def test_the_guard_reads_the_flag_and_no_other_object_of_any_bucket(names: Names, action: str) -> None:
    flag = f"arn:aws:s3:::{names.flag_bucket}/dr/active.json"
    assert reached(names, "guard", action, flag) is (action == "s3:GetObject")
    others = [names.flag_bucket, *map(names.bucket, PURPOSES), *map(names.peer_bucket, PURPOSES)]
    for bucket, key in itertools.product(others, ("", "/dr/active.json.old", "/dr/", "/cnpg/app-primary-g1/a", "/freshness/a")):
        assert not reached(names, "guard", action, f"arn:aws:s3:::{bucket}{key}"), bucket


@given(any_names())
def test_velero_lists_both_prefixes_and_no_other(names: Names) -> None:
    (listing,) = [statement for statement in velero_policy(names)["Statement"] if "s3:ListBucket" in statement["Action"]]
    patterns = listing["Condition"]["StringLike"]["s3:prefix"]
    for prefix, listed in (("velero/primary/", True), ("velero/secondary/kopia/shop/", True), ("", False), ("velero/", False)):
        assert any(fnmatchcase(prefix, pattern) for pattern in patterns) is listed


@given(any_names())
def test_the_etcd_backup_deletes_and_lists_nothing(names: Names) -> None:
    actions = {action for statement in etcd_policy(names)["Statement"] for action in statement["Action"]}
    assert not actions & {"s3:DeleteObject", "s3:ListBucket"}


@given(any_names())
def test_the_peers_archive_is_read_only_where_a_standby_follows_it_there(names: Names) -> None:
    archive = f"arn:aws:s3:::{names.peer_bucket('database')}/cnpg/app-{peer_of(names.role)}-g1/wals/a"
    assert reached(names, "database-that-reads-the-peer", "s3:GetObject", archive)
    assert not reached(names, "database", "s3:GetObject", archive)
    peers_key = f"arn:aws:kms:{names.peer_region}:{names.topology.account_id}:key/1234"
    assert reached(names, "database-that-reads-the-peer", "kms:Decrypt", peers_key)
    assert not reached(names, "database-that-reads-the-peer", "kms:GenerateDataKey", peers_key)
    assert not reached(names, "database", "kms:Decrypt", peers_key)


@given(any_names())
def test_every_document_fits_into_what_iam_takes(names: Names) -> None:
    compact = [json.dumps(document, separators=(",", ":")) for document in policies(names).values()]
    assert max(map(len, compact)) <= 6144
    assert max(len(json.dumps(document)) for document in trusts(names).values()) <= 2048


@given(any_names())
def test_a_role_is_taken_by_the_named_service_accounts_of_one_cluster_alone(names: Names) -> None:
    (pod,) = trusts(names)["pod-identity"]["Statement"]
    region, account = names.region, names.topology.account_id
    assert pod["Condition"]["StringEquals"] == {
        "aws:RequestTag/eks-cluster-arn": f"arn:aws:eks:{region}:{account}:cluster/prod",
        "aws:RequestTag/kubernetes-namespace": ["databases", "shop"],
        "aws:RequestTag/kubernetes-service-account": ["app-database", "orders"],
    }
    (web,) = trusts(names)["irsa"]["Statement"]
    assert web["Principal"] == {"Federated": f"arn:aws:iam::{account}:oidc-provider/{ISSUER}"}
    assert web["Condition"]["StringEquals"] == {
        f"{ISSUER}:aud": "sts.amazonaws.com",
        f"{ISSUER}:sub": ["system:serviceaccount:databases:app-database", "system:serviceaccount:shop:orders"],
    }
