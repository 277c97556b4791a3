"""The roles of the pipelines that preview and deploy this program."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from settings.fields import Label, Model, Switch, matching

_OWNER = r"[A-Za-z0-9-]+(@\d+)?"
_REPOSITORY = re.compile(rf"{_OWNER}/[\w.-]+(@\d+)?")


class DeliverySettings(Model):
    """GitHub Actions, which previews pull requests and deploys; its roles trust one repository and nobody else."""

    repository: Annotated[str, matching(_REPOSITORY, "owner/name", "acme/k8s-dr or acme@123456/k8s-dr@456789")] = Field(
        description="the GitHub repository whose workflows may take the roles, as GitHub's tokens name it: one that was made or"
        " renamed since July 2026 has ids in it (gh api repos/OWNER/NAME/actions/oidc/customization/sub)"
    )
    branch: str = Field(default="main", min_length=1, description="the branch that is deployed")
    environment: Label = Field(default="production", description="the GitHub environment whose reviewers release a deployment")
    failover_environment: Label = Field(
        default="failover", description="the GitHub environment of the failover button, whose reviewers are those on call"
    )
    state_bucket: Annotated[str, matching(re.compile(r"[a-z0-9][a-z0-9.-]{2,62}"), "a bucket", "acme-pulumi-us-east-1")] = Field(
        description="the bucket of this stack's state, in this region"
    )
    state_key_arn: (
        Annotated[
            str,
            matching(
                re.compile(r"arn:aws:kms:[a-z0-9-]+:\d{12}:key/\S+"),
                "the ARN of a key",
                "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
            ),
        ]
        | None
    ) = Field(default=None, description="the KMS key of this stack's secrets provider; none with a passphrase")
    create_provider: Switch = Field(
        default=True, description="false where the account has GitHub's identity provider already; the primary stack creates it"
    )
    cluster_access: Switch = Field(
        default=False,
        description="true, on EKS: the role that deploys administers the cluster, by an access entry; the cluster's"
        " authentication mode must include API",
    )
