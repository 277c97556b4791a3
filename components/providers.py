"""The two providers of a region. Each names its cluster or AWS region, so that the current one is never used by accident."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from settings.aws import Aws
from settings.model import Settings
from settings.names import Names


def make_providers(settings: Settings, names: Names, parent: pulumi.Resource) -> list[pulumi.ProviderResource]:
    """The Kubernetes provider of the stack's own cluster, and the AWS provider of its own region."""
    child = pulumi.ResourceOptions(parent=parent)
    cluster = settings.cluster
    return [
        k8s.Provider(
            "kubernetes",
            context=cluster.context,
            kubeconfig=cluster.kubeconfig,
            cluster_identifier=cluster.name,
            enable_server_side_apply=True,
            # Without this, a rotated key or password replaces its Secret. The old Secret is retained, so the new one fails with
            # "already exists".
            enable_secret_mutable=True,
            opts=child,
        ),
        aws_provider(settings, names, child),
    ]


def aws_provider(settings: Settings, names: Names, opts: pulumi.ResourceOptions) -> aws.Provider:
    """The AWS provider of the stack's own region. It refuses another account than the stack's."""
    return aws.Provider(
        "aws",
        region=names.region,
        profile=settings.aws.profile,
        allowed_account_ids=[settings.topology.account_id],
        default_tags={"tags": {**settings.aws.tags, **names.tags}},
        opts=opts,
        **_custom_endpoint(settings.aws, alarms=settings.monitoring.has_alarms),
    )


def _custom_endpoint(settings: Aws, *, alarms: bool) -> dict[str, Any]:
    """Options for an AWS-compatible endpoint: one URL for every service that the program uses. None of them for AWS itself."""
    if not settings.endpoint:
        return {}
    services = ("eks", "iam", "kms", "route53", "s3", "sts", *(("cloudwatch",) if alarms else ()))
    return {
        "endpoints": [dict.fromkeys(services, settings.endpoint)],
        "s3_use_path_style": True,
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
    }
