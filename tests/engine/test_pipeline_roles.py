"""The pipelines' permissions are enough for what the pipelines do, and for no more. The tests use the real CLI, state in S3, and
moto with IAM switched on.

The program writes these policies for roles. Here users have them, because moto cannot assume a role with a token of GitHub.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from components.iam.delivery_policies import PIPELINES, Pipeline
from components.kube.runner.flag import moves_users, parse
from lab import project, stacks
from lab.cloud.access_keys import ADMINISTRATOR
from lab.cloud.lines import read_state
from lab.pulumi import Pulumi
from lab.rehearsal import backup
from lab.waiting import until
from settings.names import FLAG_KEY
from tests.api_server import process
from tests.engine import clusters
from tests.engine.conftest import SCHEDULES, chosen_engine, create_user, told_plainly

STATE = "acme-pulumi-us-west-2"
REGION = "us-west-2"


@dataclass(kw_only=True)
class Secondary:
    """The secondary's stack. An administrator has deployed it, as for every first deployment. Its state is in S3."""

    pulumi: Pulumi
    endpoint: str
    keys: dict[Pipeline, dict[str, str]]

    def as_pipeline(self, pipeline: Pipeline) -> Pulumi:
        """The same CLI, with one pipeline's permissions."""
        return dataclasses.replace(self.pulumi, environment={**self.pulumi.environment, **self.keys[pipeline]})

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, **ADMINISTRATOR.client)

    def state(self) -> bytes:
        """The stack's state file in S3."""
        found = self.client("s3").get_object(Bucket=STATE, Key=".pulumi/stacks/k8s-dr/secondary.json")
        return bytes(found["Body"].read())

    def change(self, key: str, **changes: Any) -> None:
        """Change a part of an object in Pulumi.yaml."""
        file = self.pulumi.directory / "Pulumi.yaml"
        document = yaml.safe_load(file.read_text())
        value = document["config"].setdefault(key, {"value": {}})["value"]
        value |= changes
        file.write_text(yaml.safe_dump(document, sort_keys=False))


@pytest.fixture(scope="module")
def secondary(tmp_path_factory: pytest.TempPathFactory, pulumi_binary: Path) -> Iterator[Secondary]:
    root = tmp_path_factory.mktemp("roles")
    chosen = chosen_engine(root, pulumi_binary)
    cluster, where = clusters.make(chosen, root / "cluster"), root / "endpoint.json"
    module = [sys.executable, "-m", "lab.cloud.endpoint"]
    options = ["--listen", "127.0.0.1:0", "--log", str(root / "log"), "--state", str(where)]
    with process([*module, *options], root / "aws.log"):
        try:
            cluster.start()
            until("the lab's AWS to answer", where.exists, timeout=60)
            endpoint = str((read_state(where) or {})["url"])
            kubeconfig = root / "kubeconfig"
            clusters.write_kubeconfig(kubeconfig, {f"lab-{role}": cluster for role in stacks.ROLES})
            pulumi = stacks.cli(chosen, root, provider_log=root / "calls")
            backend = f"s3://{STATE}?region={REGION}&endpoint={endpoint}&s3ForcePathStyle=true"
            pulumi = dataclasses.replace(pulumi, environment={**pulumi.environment, "PULUMI_BACKEND_URL": backend})
            found = Secondary(pulumi=pulumi, endpoint=endpoint, keys={})
            where_it_is = {"LocationConstraint": REGION}
            found.client("s3").create_bucket(Bucket=STATE, CreateBucketConfiguration=where_it_is)
            zone = found.client("route53").create_hosted_zone(Name=project.ZONE, CallerReference="lab")["HostedZone"]["Id"]
            files = project.ProjectFiles(endpoint=endpoint, zone_id=zone.rpartition("/")[2], kubeconfig=kubeconfig)
            stacks.prepare(pulumi, files, partial(create_user, endpoint))
            for key, value in {"repository": "acme/k8s-dr", "stateBucket": STATE, "createProvider": "false"}.items():
                pulumi.run("config", "set", "--path", f"delivery.{key}", value, "-s", "secondary")
            pulumi.up("secondary")
            found.keys = {pipeline: _user(found, pipeline) for pipeline in PIPELINES}
            for schedule in SCHEDULES:
                cluster.put(backup(schedule))
            yield found
        finally:
            cluster.close()


def _user(stack: Secondary, pipeline: Pipeline) -> dict[str, str]:
    """Give a user the policies of the pipeline's role; returns the user's access key."""
    iam, name = stack.client("iam"), f"acme-{pipeline}-{REGION}"
    key = create_user(stack.endpoint, f"github-{pipeline}")
    policy = iam.get_role_policy(RoleName=name, PolicyName=name)["PolicyDocument"]
    iam.put_user_policy(UserName=f"github-{pipeline}", PolicyName=name, PolicyDocument=json.dumps(policy))
    for attached in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.attach_user_policy(UserName=f"github-{pipeline}", PolicyArn=attached["PolicyArn"])
    return key.environment


def test_a_preview_needs_no_more_than_its_role_has(secondary: Secondary) -> None:
    ran = secondary.as_pipeline("preview").run("preview", "-s", "secondary", "--diff")
    assert "AccessDenied" not in ran.output
    assert "was not checked" not in ran.output


@pytest.mark.long
@pytest.mark.parametrize("pipeline", ["preview", "drift"])
def test_who_may_only_read_cannot_deploy(secondary: Secondary, pipeline: Pipeline) -> None:
    before = secondary.state()
    refused = secondary.as_pipeline(pipeline).up("secondary", check=False)
    assert told_plainly(refused, "AccessDenied") or told_plainly(refused, "Forbidden"), refused.output
    assert secondary.state() == before


@pytest.mark.long
def test_a_preview_cannot_read_how_aws_is_configured(secondary: Secondary) -> None:
    refused = secondary.as_pipeline("preview").run("preview", "-s", "secondary", "--refresh", check=False)
    assert told_plainly(refused, "AccessDenied") or told_plainly(refused, "Forbidden"), refused.output


@pytest.mark.long
def test_the_drift_check_of_buckets_roles_and_records_needs_no_more_than_its_role_has(secondary: Secondary) -> None:
    """The lab's IAM does not resolve a key's alias in calls to KMS itself, so this test leaves keys out."""
    left_out = [f"--exclude=**{kind}**" for kind in ("kubernetes:", "aws:kms/")]
    secondary.as_pipeline("drift").run("preview", "-s", "secondary", "--refresh", "--expect-no-changes", *left_out)


def test_a_deployment_changes_buckets_records_and_kubernetes_with_what_its_role_has(secondary: Secondary) -> None:
    secondary.change("storage", noncurrentDays=61)
    secondary.change("dns", ttl=59)
    secondary.as_pipeline("deploy").up("secondary")
    rules = secondary.client("s3").get_bucket_lifecycle_configuration(Bucket="acme-velero-us-west-2-123456789012")["Rules"]
    assert 61 in {rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays") for rule in rules}


@pytest.mark.long
def test_a_deployment_cannot_give_itself_more(secondary: Secondary) -> None:
    key = secondary.keys["deploy"]
    credentials = {"aws_access_key_id": key["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": key["AWS_SECRET_ACCESS_KEY"]}
    iam = boto3.client("iam", endpoint_url=secondary.endpoint, region_name=REGION, **credentials)
    roles = [f"acme-{pipeline}-{REGION}" for pipeline in PIPELINES]
    iam.get_role(RoleName=roles[0])  # it can read the role, so the refusals below are about writing
    for role in roles:
        with pytest.raises(iam.exceptions.ClientError, match="AccessDenied"):
            iam.put_role_policy(RoleName=role, PolicyName="more", PolicyDocument="{}")
    s3 = boto3.client("s3", endpoint_url=secondary.endpoint, region_name=REGION, **credentials)
    for bucket in ("acme-velero-us-west-2-123456789012", "acme-database-us-west-2-123456789012"):
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            s3.delete_bucket(Bucket=bucket)


def test_a_failover_needs_no_more_than_the_role_of_deployments_has(secondary: Secondary) -> None:
    deploy = secondary.as_pipeline("deploy")
    deploy.run("config", "set", "active", "secondary", "-s", "secondary")
    deploy.up("secondary")
    stored = secondary.client("s3").get_object(Bucket="acme-dr-flag-us-west-2-123456789012", Key=FLAG_KEY)
    content = stored["Body"].read().decode()
    assert parse(content).active == "secondary"
    assert moves_users(content)
