"""Who the pods are to AWS: a policy for each part, and the role, user or nodes that it is attached to.

IAM's control plane is in us-east-1, which may be the region that is down. So everything here is made long before a failover and
depends on nothing that a failover changes. Other components get role ARNs as text that is computed from names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws

from components.iam.access import BY_ANNOTATION, BY_ASSOCIATION, Access
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
from components.iam.statements import Document, text
from settings.cluster import Cluster
from settings.identity import IdentityMode, StaticCredentials
from settings.names import Names
from settings.parts import Part


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """What this stack runs, and what its pods have to be told.

    `parts` are the parts that this stack runs, `accounts` the service accounts of each part's pods. `reads_peer_archive` says
    that a database follows the archive in the peer's bucket. `taking_over` tells whether this run makes the region serve:
    whoever is on call then has no use for advice by day. `permissions_boundary` is the ARN of what bounds every role here.
    """

    names: Names
    mode: IdentityMode
    cluster: Cluster
    parts: Sequence[Part]
    accounts: Mapping[Part, Sequence[ServiceAccount]]
    reads_peer_archive: bool
    static_credentials: StaticCredentials
    taking_over: Callable[[], bool]
    permissions_boundary: str | None = None


class Identity(pulumi.ComponentResource):
    """What AWS lets this region's backup writers do, and how their pods prove who they are.

    For Velero, the databases, the etcd backup, the guard and the drills, each with permissions of its own. Where the cluster's
    settings name an existing role, the part uses that role with its permissions, and none is made here. Nothing here depends on
    `active`.
    """

    access: dict[Part, Access]
    """For each part in use: what its Kubernetes objects say, and what must exist before its pods start."""

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:iam:Identity", name, None, opts)
        self._stem, self._args = name, args
        # Only in the update, for the engine runs the program for the preview too. In a pull request the policy pack reports it.
        if args.mode == "static" and not pulumi.runtime.is_dry_run() and not args.taking_over():
            pulumi.log.warn(
                f"k8s-dr:identity: static: the access keys of {', '.join(args.parts)} never expire, and whoever reads a Secret "
                "that holds one can use it from anywhere; take pod-identity or irsa where the cluster can have it, else rotate "
                "the keys: docs/identity.md",
                self,
            )
        agent = self._agent()
        self.access = {part: self._access_of(part, agent) for part in args.parts}
        self.register_outputs({})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _agent(self) -> list[pulumi.Resource]:
        """The EKS add-on that hands credentials to pods on every node; nothing where it is not needed or there already."""
        if self._args.mode != "pod-identity" or not self._args.cluster.pod_identity_agent:
            return []
        agent = aws.eks.Addon(
            f"{self._stem}-agent",
            cluster_name=self._args.cluster.name,
            addon_name="eks-pod-identity-agent",
            opts=self._child(),
        )
        return [agent]

    def _access_of(self, part: Part, agent: Sequence[pulumi.Resource]) -> Access:
        args = self._args
        existing_role = args.cluster.role_arn(part)
        role = existing_role or args.names.principal_arn(part)
        grant = [] if existing_role else self._grant(part)
        match args.mode:
            case "irsa":
                return Access(role_arn=role, injection=BY_ANNOTATION, ready=grant)
            case "pod-identity":
                return Access(injection=BY_ASSOCIATION, ready=[*agent, *grant, *self._associate(part, role, grant)])
            case "static":
                return Access(key=args.static_credentials.of(part), ready=grant)
            case "instance-profile":
                return Access(ready=grant)

    def _grant(self, part: Part) -> list[pulumi.Resource]:
        """The part's policy, and its attachment to the role, user or nodes that act for the part."""
        name, args = f"{self._stem}-{part}", self._args
        principal = args.names.principal(part)
        policy = aws.iam.Policy(f"{name}-policy", name=principal, policy=text(self._policy(part)), opts=self._child())
        if args.mode == "static":
            # Somebody else makes the user and its key: a key that is made here would be in Pulumi's state.
            return [
                policy,
                aws.iam.UserPolicyAttachment(f"{name}-attachment", user=principal, policy_arn=policy.arn, opts=self._child()),
            ]
        if args.mode == "instance-profile":
            assert args.cluster.node_role is not None  # checked with the settings
            return [policy, self._attach(name, args.cluster.node_role, policy)]
        role = aws.iam.Role(
            f"{name}-role",
            name=principal,
            assume_role_policy=text(self._trust(part)),
            permissions_boundary=args.permissions_boundary,
            opts=self._child(),
        )
        return [policy, role, self._attach(name, role.name, policy)]

    def _attach(self, name: str, role: pulumi.Input[str], policy: aws.iam.Policy) -> aws.iam.RolePolicyAttachment:
        return aws.iam.RolePolicyAttachment(f"{name}-attachment", role=role, policy_arn=policy.arn, opts=self._child())

    def _policy(self, part: Part) -> Document:
        names = self._args.names
        match part:
            case "velero":
                return velero_policy(names)
            case "database":
                return database_policy(names, reads_peer=self._args.reads_peer_archive)
            case "etcd":
                return etcd_policy(names)
            case "freshness":
                return freshness_policy(names)
            case "guard":
                return guard_policy(names)
            case "drills":
                return drills_policy(names)
            case "drill-database":
                return drill_database_policy(names)

    def _trust(self, part: Part) -> Document:
        args, accounts = self._args, self._args.accounts[part]
        if args.mode == "irsa":
            assert args.cluster.oidc_issuer is not None  # checked with the settings
            return irsa_trust(args.names, args.cluster.oidc_issuer, accounts)
        return pod_identity_trust(args.names, args.cluster.name, accounts)

    def _associate(self, part: Part, role: str, after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        child = partial(self._child, depends_on=list(after))
        return [
            aws.eks.PodIdentityAssociation(
                f"{self._stem}-{part}-{name}",
                cluster_name=self._args.cluster.name,
                namespace=namespace,
                service_account=account,
                role_arn=role,
                opts=child(),
            )
            for name, (namespace, account) in _told_apart(self._args.accounts[part])
        ]


def _told_apart(accounts: Sequence[tuple[str, str]]) -> list[tuple[str, tuple[str, str]]]:
    """Each namespace and account with a name of its own: eu-orders of shop and orders of shop-eu read alike with a hyphen. The
    first keeps the hyphen; a dot is in no name of a namespace."""
    named: dict[str, tuple[str, str]] = {}
    for namespace, account in accounts:
        name = f"{namespace}-{account}"
        named[name if name not in named else f"{namespace}.{account}"] = (namespace, account)
    return list(named.items())
