"""Who the pods are to AWS: what is the default, what a cluster must have for it, and mistakes, with nothing of a key shown."""

from __future__ import annotations

from typing import Any

import pytest

from settings import load
from settings.load import SECRETS
from tests.examples import example
from tests.unit.settings.test_mistakes import complaint, part

KEY = {"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": "wJalrXUtnFEMI"}
OFF = {"guard": {"enabled": False}, "drills": {"enabled": False}}
EACH = {"velero": KEY, "database": KEY, "freshness": KEY, "guard": KEY, "drills": KEY, "drillDatabase": KEY}
STATIC: dict[str, Any] = {"identity": "static", "staticCredentials": EACH}
ISSUER = "oidc.eks.us-west-2.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
FIX = "pulumi config set --secret --path 'staticCredentials.{}' -s secondary"
NOT_AN_OBJECT = "the secret is not an object; for each of its parts run:"
ROLE = "is not the ARN of a role; write one as in arn:aws:iam::123456789012:role/velero"


def cluster(**changes: Any) -> dict[str, Any]:
    return part("cluster", **changes)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    # What the cluster must have.
    (
        {"identity": "podIdentity"},
        "identity: podIdentity is not one of 'pod-identity', 'irsa', 'instance-profile', 'static'; did you mean pod-identity?",
    ),
    (
        cluster(distribution="self-managed"),
        "identity: is missing, and cluster.distribution is self-managed; write irsa, instance-profile or static; only EKS has "
        "pod identities",
    ),
    (
        {**cluster(distribution="self-managed"), "identity": "pod-identity"},
        "identity: pod-identity needs Amazon EKS, and cluster.distribution is self-managed; write irsa, instance-profile or "
        "static instead",
    ),
    (
        {"identity": "irsa"},
        "identity: irsa needs cluster.oidcIssuer, the cluster's OIDC issuer without https:// (on EKS: aws eks describe-cluster "
        "--name NAME --query cluster.identity.oidc.issuer); add it",
    ),
    (
        {"identity": "instance-profile"},
        "identity: instance-profile needs cluster.nodeRole, the name of the nodes' IAM role; add it",
    ),
    (
        {**cluster(nodeRole="nodes", veleroRoleArn="arn:aws:iam::123456789012:role/own"), "identity": "instance-profile"},
        "identity: instance-profile takes no role, but cluster has one of veleroRoleArn, databaseRoleArn, etcdRoleArn, "
        "freshnessRoleArn, guardRoleArn, drillsRoleArn, drillDatabaseRoleArn; take that out",
    ),
    (
        cluster(oidcIssuer=f"https://{ISSUER}"),
        f"cluster.oidcIssuer: https://{ISSUER} is not an issuer without https://; write {ISSUER}",
    ),
    (cluster(veleroRoleArn="velero"), f"cluster.veleroRoleArn: velero {ROLE}"),
    (cluster(nodeRole="role/nodes"), "cluster.nodeRole: role/nodes is not the name of a role; write nodes"),
    # Static keys: too few, too many, not what they should be.
    (
        {
            "identity": "static",
            "staticCredentials": {"database": KEY, "freshness": KEY, "guard": KEY, "drills": KEY, "drillDatabase": KEY},
        },
        "staticCredentials: has no key for velero while identity is static; run, and the same for secretAccessKey: pulumi config "
        "set --secret --path staticCredentials.velero.accessKeyId -s secondary",
    ),
    (
        {
            "identity": "static",
            "staticCredentials": {"velero": KEY, "freshness": KEY, "guard": KEY, "drills": KEY, "drillDatabase": KEY},
        },
        "staticCredentials: has no key for database while identity is static; run, and the same for secretAccessKey: pulumi "
        "config set --secret --path staticCredentials.database.accessKeyId -s secondary",
    ),
    (
        {"staticCredentials": EACH},
        "staticCredentials: has a key for velero while identity is pod-identity, and nobody uses it; set identity: static, or "
        "run: pulumi config rm staticCredentials -s secondary",
    ),
    (
        {"identity": "static", "staticCredentials": {**EACH, "etcd": KEY}},
        "staticCredentials: has a key for etcd, which this stack does not run; run: pulumi config rm --path "
        "staticCredentials.etcd -s secondary",
    ),
    (
        {"identity": "static", "staticCredentials": {"velero": {"accessKeyId": "AKIAEXAMPLE"}}},
        "staticCredentials.velero.secretAccessKey: is missing (the key that belongs to the id); run: "
        + FIX.format("velero.secretAccessKey"),
    ),
    (
        {"identity": "static", "staticCredentials": {"velero": {**KEY, "accessKeyId": ""}}},
        "staticCredentials.velero.accessKeyId: is empty; run: " + FIX.format("velero.accessKeyId"),
    ),
    (
        {"staticCredentials": "wJalrXUtnFEMI"},
        "staticCredentials: the secret cannot be read; run: pulumi config rm "
        "staticCredentials -s secondary && " + FIX.format("PART.accessKeyId"),
    ),
    ({"staticCredentials": '"wJalrXUtnFEMI"'}, f"staticCredentials: {NOT_AN_OBJECT} " + FIX.format("PART.accessKeyId")),
    ({"staticCredentials": {"etcd": "x"}}, f"staticCredentials.etcd: {NOT_AN_OBJECT} " + FIX.format("etcd.accessKeyId")),
    (
        {"staticCredentials": {"velro": KEY}},
        "staticCredentials: the secret has an unknown key, did you mean velero?",
    ),
    (
        {"staticCredentials": {"velero": {**KEY, "token": "x"}}},
        "staticCredentials.velero: the secret has an unknown key (known: accessKeyId, secretAccessKey)",
    ),
    (
        {"staticCredentials.velero.accessKeyId": "AKIAEXAMPLE"},
        "staticCredentials.velero.accessKeyId: was stored without --path and changed nothing; run: pulumi config rm "
        "staticCredentials.velero.accessKeyId -s secondary && pulumi config set --secret --path "
        "staticCredentials.velero.accessKeyId -s secondary",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=[message.split(";")[0][:70] for _, message in MISTAKES])
def test_a_mistake_is_one_line_with_key_value_and_fix(changes: dict[str, Any], message: str) -> None:
    assert complaint("secondary", example("secondary", changes)) == f"k8s-dr:{message}"
    assert "\n" not in message


def test_on_eks_pods_have_pod_identities_unless_something_else_is_written() -> None:
    assert load("secondary", example("secondary"), SECRETS).identity_mode == "pod-identity"


@pytest.mark.parametrize(
    "changes",
    [
        {**cluster(oidcIssuer=ISSUER), "identity": "irsa"},
        {**cluster(nodeRole="nodes-usw2"), "identity": "instance-profile"},
        {**cluster(distribution="self-managed", oidcIssuer="oidc.example.com"), "identity": "irsa"},
        {**cluster(distribution="self-managed"), "identity": "static", "staticCredentials": {**EACH, "etcd": KEY}},
        STATIC,
        cluster(veleroRoleArn="arn:aws:iam::123456789012:role/teams/own"),
    ],
    ids=["irsa", "instance-profile", "irsa-self-managed", "static-self-managed", "static", "own-role"],
)
def test_what_a_cluster_has_can_be_used(changes: dict[str, Any]) -> None:
    assert complaint("secondary", example("secondary", changes)) == ""


def test_a_part_that_the_stack_does_not_run_needs_no_key() -> None:
    without = {"databases": [], "databasePasswords": {}, "velero": {"managed": False}, **OFF}
    configured = load("secondary", example("secondary", {**without, "identity": "static"}), SECRETS)
    assert configured.parts == []


def test_an_identity_that_is_wrong_is_not_also_one_of_the_keys() -> None:
    told = complaint("secondary", example("secondary", {"identity": "statc", "staticCredentials": {}}))
    assert len(told.splitlines()) == 1


def test_keys_print_as_stars() -> None:
    configured = load("secondary", example("secondary", STATIC), SECRETS)
    assert not [text for text in KEY.values() if text in repr(configured)]
    assert configured.static_credentials.velero is not None
    assert configured.static_credentials.velero.secret_data() == KEY
