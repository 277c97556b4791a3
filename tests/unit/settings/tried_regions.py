"""As `tried_harmful`, of a line that belongs to the other region's stack, or that both regions answer."""

from __future__ import annotations

from typing import Any

from tests.unit.settings.tried_parts import cluster, connected, database, dns

Row = tuple[str, dict[str, Any], str]

EKS = "arn:aws:eks:us-west-2:123456789012:cluster"


def on_eks(context: str) -> dict[str, Any]:
    return cluster(context=context, name="prod-usw2", distribution="eks")


HARMFUL: list[Row] = [
    (
        "a context of EKS in the other region",
        on_eks("arn:aws:eks:us-east-1:123456789012:cluster/prod-usw2"),
        "cluster.context: arn:aws:eks:us-east-1:123456789012:cluster/prod-usw2 is of a cluster in us-east-1, and this stack's "
        "region is us-west-2; write the context of its own cluster",
    ),
    (
        "a context of eksctl in the other region",
        on_eks("me@prod-use1.us-east-1.eksctl.io"),
        "cluster.context: me@prod-use1.us-east-1.eksctl.io is of a cluster in us-east-1, and this stack's region is us-west-2; "
        "write the context of its own cluster",
    ),
    (
        "a context of another account's cluster",
        on_eks("arn:aws:eks:us-west-2:210987654321:cluster/prod-usw2"),
        "cluster.context: arn:aws:eks:us-west-2:210987654321:cluster/prod-usw2 is of a cluster of account 210987654321, and "
        "topology.accountId is 123456789012; write the context of a cluster of that account",
    ),
    (
        "a context of another cluster",
        on_eks(f"{EKS}/staging"),
        f"cluster.context: {EKS}/staging is of cluster staging, and cluster.name is prod-usw2; write the context of that cluster",
    ),
    (
        "the role that the other stack makes for its Pods",
        cluster(guardRoleArn="arn:aws:iam::123456789012:role/acme-guard-us-east-1"),
        "cluster.guardRoleArn: arn:aws:iam::123456789012:role/acme-guard-us-east-1 is the role that stack primary makes for the "
        "Pods of its own cluster, and it trusts no other; write one that trusts this cluster, or take it out, and this stack "
        "makes its own",
    ),
    (
        "a wildcard that both regions answer, asked by default",
        {"tier": "active-active", **dns(mode="both-regions", names=["*.apps.example.com"]), **database(**connected())},
        "failover.probe: must be a URL that only the primary region answers, and with dns.mode both-regions the secondary "
        "answers at www.apps.example.com too; write the primary's own load balancer, as in probe: "
        "https://lb-primary.us-east-1.elb.amazonaws.com/",
    ),
    (
        "a label that series of both regions have alike",
        {"monitoring": {"enabled": True, "regionLabel": "namespace"}},
        "monitoring.regionLabel: namespace is a label of each series, alike in both regions; write one of externalLabels, as in "
        "region",
    ),
]

VALID: list[tuple[str, dict[str, Any]]] = [
    (
        "a name of one's own for a cluster that AWS is not asked for",
        {
            **cluster(
                context=f"{EKS}/shop",
                name="prod-usw2",
                distribution="eks",
                oidcIssuer="oidc.eks.us-west-2.amazonaws.com/id/EXAMPLE",
            ),
            "identity": "irsa",
        },
    ),
    ("a context of EKS by its ARN", on_eks(f"{EKS}/prod-usw2")),
    ("a context of eksctl", on_eks("me@prod-usw2.us-west-2.eksctl.io")),
    ("a context by a name of one's own", on_eks("prod")),
    ("a role of one's own", cluster(guardRoleArn="arn:aws:iam::123456789012:role/guard")),
    ("a label of each Prometheus", {"monitoring": {"enabled": True, "regionLabel": "region"}}),
]
