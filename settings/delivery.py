"""The GitHub repository whose pipelines preview and deploy this program, and what their IAM roles may touch."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from settings import nearly
from settings.aws import KeyArn
from settings.fields import Model, Switch, matching, two

_OWNER = r"[A-Za-z0-9-]+(@\d+)?"
_REPOSITORY = re.compile(rf"{_OWNER}/(?!\.{{1,2}}(@|$))(?!.*\.git(@|$))[\w.-]+(@\d+)?", re.ASCII)
# GitHub's sub has refs/heads/ before the branch, and is compared by StringEquals. The rest is git-check-ref-format's.
_BRANCH = re.compile(r"(?!(refs|heads|remotes|origin)/)(?!.*(\.\.|//|@\{|/\.|\.lock(/|$)|[/.]$))[^\s~^:?*\[\\/.-][^\s~^:?*\[\\]*")

_NAME_OF_A_REPOSITORY = two(
    matching(_REPOSITORY, "owner/name, without .git", "acme/k8s-dr or acme@123456/k8s-dr@456789", nearly=nearly.repository),
    "acme/k8s-dr",
    "acme@123456/k8s-dr@456789",
)
# S3, rules for names of buckets: no address, and none of the prefixes and suffixes that S3 keeps for itself.
_BUCKET = re.compile(
    r"(?!.*\.\.)(?!(\d+\.){3}\d+$)(?!xn--|sthree-|amzn-s3-demo-)(?!.*(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$)"
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
)


# GitHub takes almost any text. IAM compares it with the token's sub, where a colon separates and * is a wildcard.
_ENVIRONMENT = matching(
    re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}"),
    "the name of a GitHub environment without spaces",
    "production",
    "Prod-EU",
    nearly=lambda text: text.strip().replace(" ", "-"),
)


class DeliverySettings(Model):
    """GitHub Actions, which previews pull requests and deploys. Its IAM roles trust one repository and nobody else."""

    repository: Annotated[str, _NAME_OF_A_REPOSITORY] = Field(
        description="the GitHub repository whose workflows may assume the roles, as GitHub's OIDC tokens name it: for a "
        "repository created or renamed since July 2026, with ids (gh api repos/OWNER/NAME/actions/oidc/customization/sub)"
    )
    branch: Annotated[
        str, matching(_BRANCH, "the name of a branch, without refs/heads/", "main", "release/1.x", nearly=nearly.branch)
    ] = Field(default="main", description="the branch whose pushes are deployed")
    environment: Annotated[str, _ENVIRONMENT] = Field(
        default="production", description="the GitHub environment whose reviewers approve a deployment"
    )
    failover_environment: Annotated[str, _ENVIRONMENT] = Field(
        default="failover", description="the GitHub environment of the failover workflow; make those on call its reviewers"
    )
    state_bucket: Annotated[str, matching(_BUCKET, "a bucket", "acme-pulumi-us-east-1", "acme-state", nearly=nearly.bucket)] = (
        Field(description="the S3 bucket in this region that holds this stack's Pulumi state")
    )
    state_key_arn: KeyArn | None = Field(
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
