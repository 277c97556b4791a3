"""The roles of the pipelines that preview, check and deploy this program from GitHub, without a key that could be stolen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pulumi
import pulumi_aws as aws

from components.iam.delivery_policies import (
    AUDIENCE,
    ISSUER,
    PIPELINES,
    Pipeline,
    Scope,
    permissions,
    provider_arn,
    reads_name,
    role_name,
    trust,
)
from components.iam.statements import text
from settings.delivery import DeliverySettings
from settings.model import Settings
from settings.names import Names
from settings.parts import PARTS

LONGEST_SESSION = 6 * 3600
"""Seconds that a role lasts, as long as GitHub lets a job run: a failover must not lose its credentials half-way."""


@dataclass(frozen=True, kw_only=True)
class DeliveryArgs:
    names: Names
    settings: Settings
    delivery: DeliverySettings

    @property
    def scope(self) -> Scope:
        settings, cluster = self.settings, self.settings.cluster
        return Scope(
            names=self.names,
            delivery=self.delivery,
            zone_id=settings.dns.zone_id,
            hosts=settings.dns.names,
            cluster=cluster.name if cluster.distribution == "eks" else None,
            node_role=cluster.node_role if settings.identity_mode == "instance-profile" else None,
            given_roles=[arn for part in PARTS if (arn := cluster.role_arn(part)) is not None],
            static_users=settings.identity_mode == "static",
        )


class Delivery(pulumi.ComponentResource):
    """One role a pipeline, of this stack and its region; and in the primary the identity provider that vouches for workflows.

    For the platform team's GitHub repository. Nothing here depends on `active`. A pipeline cannot make its own role: the first
    deployment is made from a laptop, and so is each later change of these roles.
    """

    def __init__(self, name: str, args: DeliveryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:iam:Delivery", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        scope = args.scope
        # Without a thumbprint: AWS trusts the authority of GitHub's certificate by itself.
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
        for pipeline in PIPELINES:
            roles[pipeline] = aws.iam.Role(
                f"{name}-{pipeline}",
                name=role_name(pipeline, args.names),
                assume_role_policy=text(trust(pipeline, scope)),
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
        reads = aws.iam.Policy(
            f"{name}-deploy-reads", name=reads_name(args.names), policy=text(permissions("drift", scope)), opts=child()
        )
        aws.iam.RolePolicyAttachment(f"{name}-deploy-reads", role=roles["deploy"].name, policy_arn=reads.arn, opts=child())
        if scope.cluster and args.delivery.cluster_access:
            self._administer(name, scope.cluster, roles["deploy"])
        self.register_outputs({"provider": provider_arn(args.names)})

    def _administer(self, name: str, cluster: str, role: aws.iam.Role) -> None:
        """The program installs operators with CRDs and ClusterRoles: nothing less than an administrator can."""
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
