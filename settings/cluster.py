"""This region's Kubernetes cluster, and what it has to make AWS trust its pods."""

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

    context: str = Field(min_length=1, description="the kubeconfig context; no other is ever used")
    name: str = Field(
        min_length=1,
        description="what the cluster is called (on EKS its name there), so that a changed kubeconfig replaces nothing",
    )
    distribution: Literal["eks", "self-managed"] = Field(description="eks, or self-managed (kubeadm, kOps, …)")
    kubeconfig: str | None = Field(default=None, description="path of the kubeconfig; by default the one kubectl uses")
    pod_identity_agent: Switch = Field(
        default=False,
        description="true: this program installs the add-on eks-pod-identity-agent; EKS Auto Mode brings it",
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
    ) = Field(default=None, description="the cluster's OIDC issuer, whose identity provider exists in IAM (identity: irsa)")
    node_role: Annotated[str, matching(re.compile(r"[\w+=,.@-]{1,64}"), "the name of a role", "nodes-use1")] | None = Field(
        default=None, description="name of the nodes' IAM role, which gets the permissions (identity: instance-profile)"
    )
    velero_role_arn: RoleArn | None = Field(
        default=None, description="a role of your own for Velero, in place of the one this program makes"
    )
    database_role_arn: RoleArn | None = Field(
        default=None, description="a role of your own for databases, in place of the one this program makes"
    )
    etcd_role_arn: RoleArn | None = Field(
        default=None, description="a role of your own for the etcd backup, in place of the one this program makes"
    )

    def role_arn(self, part: Part) -> str | None:
        """The role of the person's own for `part`; None where this program makes one."""
        given = {"velero": self.velero_role_arn, "database": self.database_role_arn, "etcd": self.etcd_role_arn}
        return given[part]
