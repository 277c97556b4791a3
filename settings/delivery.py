"""The GitHub repository whose pipelines preview and deploy this program, and what their IAM roles may touch."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from settings.fields import Label, Model, Switch, matching

_OWNER = r"[A-Za-z0-9-]+(@\d+)?"
_REPOSITORY = re.compile(rf"{_OWNER}/[\w.-]+(@\d+)?")


class DeliverySettings(Model):
    """GitHub Actions, which previews pull requests and deploys. Its IAM roles trust one repository and nobody else."""

    repository: Annotated[str, matching(_REPOSITORY, "owner/name", "acme/k8s-dr or acme@123456/k8s-dr@456789")] = Field(
        description="the GitHub repository whose workflows may assume the roles, as GitHub's OIDC tokens name it: for a "
        "repository created or renamed since July 2026, with ids (gh api repos/OWNER/NAME/actions/oidc/customization/sub)"
    )
    branch: str = Field(default="main", min_length=1, description="the branch whose pushes are deployed")
    environment: Label = Field(default="production", description="the GitHub environment whose reviewers approve a deployment")
    failover_environment: Label = Field(
        default="failover", description="the GitHub environment of the failover workflow; make those on call its reviewers"
    )
    state_bucket: Annotated[str, matching(re.compile(r"[a-z0-9][a-z0-9.-]{2,62}"), "a bucket", "acme-pulumi-us-east-1")] = Field(
        description="the S3 bucket in this region that holds this stack's Pulumi state"
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
    ) = Field(
        default=None, description="the KMS key that encrypts this stack's secrets; not set where a passphrase encrypts them"
    )
    create_provider: Switch = Field(
        default=True, description="false where the account has GitHub's identity provider already; the primary stack creates it"
    )
    cluster_access: Switch = Field(
        default=False,
        description="true, on EKS: the role that deploys administers the cluster, by an access entry; the cluster's"
        " authentication mode must include API",
    )
