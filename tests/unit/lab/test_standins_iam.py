"""IAM's types of the AWS stand-in, against moto: what is made is what is read, and what is deleted is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lab.standins.aws_provider.provider import resource_of
from lab.standins.aws_provider.resource import Aws, Resource, gone
from lab.standins.provider import NotCoveredError

READ = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}})
WRITE = READ.replace("GetObject", "PutObject")
PROVIDER = {"url": "https://token.example.com", "clientIdLists": ["sts.amazonaws.com"]}
POLICY = "aws:iam/policy:Policy"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    with mock_aws():
        yield Aws(region="us-east-1", account="123456789012", client=lambda service: boto3.client(service, "us-east-1"))


def read(aws: Aws, resource: Resource, identifier: str, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """The inputs as they are now; None if it is gone."""
    try:
        found = resource.read(aws, identifier, inputs)
    except ClientError as error:
        if not gone(error):
            raise
        return None
    return found[0] if found else None


@pytest.fixture
def holders(aws: Aws) -> str:
    """A policy's ARN; a user and a role called `acme`."""
    iam = aws.client("iam")
    iam.create_user(UserName="acme")
    iam.create_role(RoleName="acme", AssumeRolePolicyDocument=READ)
    return resource_of(POLICY).create(aws, {"name": "acme", "policy": READ})[0]


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        (POLICY, {"name": "acme-velero", "policy": READ, "description": "d", "tags": {"a": "b"}}),
        ("aws:iam/openIdConnectProvider:OpenIdConnectProvider", PROVIDER),
    ],
)
def test_what_is_made_is_what_is_read_until_it_is_deleted(aws: Aws, token: str, inputs: dict[str, Any]) -> None:
    resource = resource_of(token)
    identifier, computed = resource.create(aws, inputs)
    assert read(aws, resource, identifier, inputs) == inputs
    assert computed["arn"] == identifier
    resource.delete(aws, identifier, inputs)
    assert read(aws, resource, identifier, inputs) is None


@pytest.mark.parametrize("holder", ["user", "role"])
def test_a_policy_is_attached_and_detached(aws: Aws, holders: str, holder: str) -> None:
    resource = resource_of(f"aws:iam/{holder}PolicyAttachment:{holder.title()}PolicyAttachment")
    inputs = {holder: "acme", "policyArn": holders}
    identifier, _ = resource.create(aws, inputs)
    assert read(aws, resource, identifier, {}) == inputs
    resource.delete(aws, identifier, inputs)
    assert read(aws, resource, identifier, {}) is None


def test_a_changed_policy_counts_at_once_however_often_it_changes(aws: Aws, holders: str) -> None:
    resource, old = resource_of(POLICY), {"arn": holders, "policyId": "x", "policy": READ}
    for document in (WRITE, READ) * 4:
        resource.update(aws, holders, old, {"name": "acme", "policy": document})
        assert json.loads(str((read(aws, resource, holders, {}) or {})["policy"])) == json.loads(document)
    resource.delete(aws, holders, old)
    assert read(aws, resource, holders, {}) is None


def test_a_provider_s_thumbprints_follow_the_program_and_its_audiences_are_refused(aws: Aws) -> None:
    resource = resource_of("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
    identifier, computed = resource.create(aws, PROVIDER)
    changed = {**PROVIDER, "thumbprintLists": ["a" * 40]}
    resource.update(aws, identifier, {**PROVIDER, **computed}, changed)
    assert read(aws, resource, identifier, changed) == changed
    with pytest.raises(NotCoveredError, match="clientIdLists"):
        resource.update(aws, identifier, {**PROVIDER, **computed}, {**PROVIDER, "clientIdLists": ["other.example.com"]})
