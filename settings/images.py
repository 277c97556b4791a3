"""Every image that the program runs."""

from __future__ import annotations

from pydantic import Field

from settings.fields import Model


class Images(Model):
    """Every image that the program runs. Point them at a registry in your own region, so that a failover depends on no other."""

    velero: str = Field(default="docker.io/velero/velero:v1.18.3", description="Velero's server, node agent and CRD installer")
    velero_plugin_for_aws: str = Field(
        default="docker.io/velero/velero-plugin-for-aws:v1.14.3", description="Velero's plugin for S3"
    )
    kubectl: str = Field(
        default="registry.k8s.io/kubectl:v1.37.2", description="kubectl, for the Jobs that scale and check workloads"
    )
    etcd: str = Field(
        default="gcr.io/etcd-development/etcd:v3.6.5", description="etcd's own tools, which take and verify snapshots"
    )
    aws_cli: str = Field(default="public.ecr.aws/aws-cli/aws-cli:2.31.0", description="the AWS CLI, which uploads etcd snapshots")
    cloudnative_pg: str = Field(
        default="ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0",
        description="the CloudNativePG operator, where this program installs it",
    )
    barman_cloud_plugin: str = Field(
        default="ghcr.io/cloudnative-pg/plugin-barman-cloud:v0.14.0",
        description="the Barman Cloud plugin, where this program installs it",
    )
    barman_cloud_sidecar: str = Field(
        default="ghcr.io/cloudnative-pg/plugin-barman-cloud-sidecar:v0.14.0",
        description="the Barman Cloud plugin's sidecar in each database instance",
    )
