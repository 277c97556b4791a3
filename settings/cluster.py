"""This region's Kubernetes cluster, and what AWS needs to know of it to trust its pods."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from settings.fields import Model, Switch, matching
from settings.parts import Part

RoleArn = Annotated[
    str,
    matching(re.compile(r"arn:aws:iam::\d{12}:role/\S+"), "the ARN of a role", "arn:aws:iam::123456789012:role/velero"),
]


class Cluster(Model):
    """This region's Kubernetes cluster."""

    context: str = Field(min_length=1, description="the kubeconfig context; the program uses no other")
    name: str = Field(
        min_length=1,
        description="the cluster's name, on EKS its name there. Pulumi identifies the cluster by it, so that a changed "
        "kubeconfig replaces no resource",
    )
    distribution: Literal["eks", "self-managed"] = Field(description="eks, or self-managed (kubeadm, kOps, …)")
    kubeconfig: str | None = Field(default=None, description="path of the kubeconfig; by default the one that kubectl uses")
    pod_identity_agent: Switch = Field(
        default=False,
        description="true: this program installs the add-on eks-pod-identity-agent, which EKS Auto Mode already has",
    )
    oidc_issuer: (
        Annotated[
            str,
            matching(
                re.compile(r"(?!https?://)[a-z0-9.-]+(/\S+)?"),
                "an issuer without https://",
                "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="with identity irsa: the cluster's OIDC issuer; IAM must have an identity provider for it already",
    )
    node_role: Annotated[str, matching(re.compile(r"[\w+=,.@-]{1,64}"), "the name of a role", "nodes-use1")] | None = Field(
        default=None,
        description="with identity instance-profile: name of the nodes' IAM role, to which the program attaches its policies",
    )
    velero_role_arn: RoleArn | None = Field(
        default=None, description="ARN of your own role for Velero, in place of the one that this program creates"
    )
    database_role_arn: RoleArn | None = Field(
        default=None, description="ARN of your own role for databases, in place of the one that this program creates"
    )
    etcd_role_arn: RoleArn | None = Field(
        default=None, description="ARN of your own role for the etcd backup, in place of the one that this program creates"
    )

    def role_arn(self, part: Part) -> str | None:
        """The role that a person configured for `part`; None where this program creates one."""
        given = {"velero": self.velero_role_arn, "database": self.database_role_arn, "etcd": self.etcd_role_arn}
        return given[part]
