"""The roles of the pipelines that preview, check and deploy this program from GitHub. No pipeline has a key to be stolen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import get_args

import pulumi
import pulumi_aws as aws

from components.iam.delivery_policies import (
    AUDIENCE,
    ISSUER,
    Attached,
    Pipeline,
    Scope,
    attached,
    attached_name,
    permissions,
    pipeline_trust,
    pipelines_of,
    provider_arn,
    role_name,
)
from components.iam.statements import text
from settings.delivery import DeliverySettings
from settings.model import Settings
from settings.names import Names
from settings.parts import PARTS

LONGEST_SESSION = 6 * 3600
"""Seconds that a deployment's credentials last: as long as GitHub lets a job run, so that no failover loses them half-way."""


@dataclass(frozen=True, kw_only=True)
class DeliveryArgs:
    names: Names
    settings: Settings
    delivery: DeliverySettings

    @property
    def scope(self) -> Scope:
        settings, cluster = self.settings, self.settings.cluster
        existing = sorted({arn for part in PARTS if (arn := cluster.role_arn(part)) is not None})
        return Scope(
            names=self.names,
            delivery=self.delivery,
            zone_id=settings.dns.zone_id,
            hosts=settings.dns.names,
            cluster=cluster.name if cluster.distribution == "eks" else None,
            node_role=cluster.node_role if settings.identity_mode == "instance-profile" else None,
            existing_roles=existing if settings.identity_mode == "pod-identity" else [],
            static_users=settings.identity_mode == "static",
            permissions_boundary=settings.aws.permissions_boundary,
            alarm_regions=self._alarm_regions(),
        )

    def _alarm_regions(self) -> list[str]:
        """Where CloudWatch has alarms. Those on health checks are in us-east-1, where Route 53 publishes its metrics."""
        monitoring = self.settings.monitoring
        own = [self.names.region] if monitoring.alarms else []
        return sorted({*own, *(["us-east-1"] if monitoring.health_check_alarms else [])})


class Delivery(pulumi.ComponentResource):
    """One role for each pipeline of this stack; in the primary also the identity provider that vouches for GitHub's workflows.

    For the platform team's GitHub repository. Nothing here depends on `active`. A pipeline can neither make nor change its own
    role: the first deployment, and each later change of these roles, runs from a laptop.
    """

    def __init__(self, name: str, args: DeliveryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:iam:Delivery", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        scope = args.scope
        # No thumbprint: AWS trusts the authority of GitHub's certificate by itself.
        providers = (
            [
                aws.iam.OpenIdConnectProvider(
                    f"{name}-github",
                    url=f"https://{ISSUER}",
                    client_id_lists=[AUDIENCE],
                    opts=child(protect=True),
                )
            ]
            if args.delivery.create_provider and args.names.role == "primary"
            else []
        )
        roles: dict[Pipeline, aws.iam.Role] = {}
        for pipeline in pipelines_of(args.names.role):
            roles[pipeline] = aws.iam.Role(
                f"{name}-{pipeline}",
                name=role_name(pipeline, args.names),
                assume_role_policy=text(pipeline_trust(pipeline, scope)),
                permissions_boundary=args.settings.aws.permissions_boundary,
                max_session_duration=LONGEST_SESSION if pipeline == "deploy" else None,
                # IAM refuses a role that trusts a provider which does not exist.
                opts=child(depends_on=providers),
            )
            aws.iam.RolePolicy(
                f"{name}-{pipeline}",
                name=role_name(pipeline, args.names),
                role=roles[pipeline].id,
                policy=text(permissions(pipeline, scope)),
                opts=child(),
            )
        for what in get_args(Attached):
            beside = aws.iam.Policy(
                f"{name}-deploy-{what}", name=attached_name(what, args.names), policy=text(attached(what, scope)), opts=child()
            )
            aws.iam.RolePolicyAttachment(f"{name}-deploy-{what}", role=roles["deploy"].name, policy_arn=beside.arn, opts=child())
        if scope.cluster and args.delivery.cluster_access:
            self._make_administrator(name, scope.cluster, roles["deploy"])
        self.register_outputs({"provider": provider_arn(args.names)})

    def _make_administrator(self, name: str, cluster: str, role: aws.iam.Role) -> None:
        """Makes `role` an administrator of the cluster: the program installs operators with CRDs and ClusterRoles."""
        entry = aws.eks.AccessEntry(
            f"{name}-cluster",
            cluster_name=cluster,
            principal_arn=role.arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.eks.AccessPolicyAssociation(
            f"{name}-cluster",
            cluster_name=cluster,
            principal_arn=role.arn,
            policy_arn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
            access_scope={"type": "cluster"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[entry]),
        )
