"""What the AWS stand-in covers, replaces, and refuses."""

import json

import boto3
import pytest
from moto import mock_aws
from pulumi.runtime.proto import provider_pb2

from lab.standins.aws_provider import spelling
from lab.standins.aws_provider.provider import RESOURCES, AwsProvider, changes, resource_of
from lab.standins.aws_provider.resource import Aws
from lab.standins.aws_provider.route53 import record_inputs, record_set
from lab.standins.provider import NotCoveredError, RefusedError
from lab.standins.values import UNKNOWN, to_struct


def provider(**settings):
    subject = AwsProvider(engine=None, log=None)
    subject.configure({"region": "us-west-2", **settings})
    return subject


def urn(token, name="x"):
    return f"urn:pulumi:s::p::dr:storage:BackupBuckets${token}::{name}"


def test_another_type_is_refused_by_name():
    with pytest.raises(NotCoveredError, match="aws:ec2/instance:Instance"):
        provider().check(urn("aws:ec2/instance:Instance"), {}, {}, b"")


def test_another_property_is_refused_by_name():
    with pytest.raises(NotCoveredError, match="lifecycleRules of aws:s3/bucket:Bucket"):
        provider().check(urn("aws:s3/bucket:Bucket"), {}, {"bucket": "b", "lifecycleRules": []}, b"")


def test_a_provider_setting_that_it_does_not_know_is_refused_by_name():
    with pytest.raises(NotCoveredError, match="assumeRoles"):
        provider(assumeRoles='[{"roleArn": "x"}]')


def test_without_endpoints_it_previews_and_touches_nothing():
    subject = provider()
    token = "aws:kms/key:Key"
    identifier, state = subject.create(urn(token), {"description": "d"}, timeout=0, preview=True)
    assert (identifier, state["arn"], state["description"]) == ("", UNKNOWN, "d")
    with pytest.raises(RefusedError, match="endpoints"):
        subject.create(urn(token), {"description": "d"}, timeout=0, preview=False)


def test_what_moto_does_not_have_is_previewed_and_refused_by_name():
    subject, token = provider(), "aws:eks/podIdentityAssociation:PodIdentityAssociation"
    inputs = {"clusterName": "c", "namespace": "n", "serviceAccount": "s", "roleArn": "r"}
    assert subject.create(urn(token), inputs, timeout=0, preview=True)[1]["roleArn"] == "r"
    with pytest.raises(NotCoveredError, match="only previews it"):
        resource_of(token).create(None, inputs)


def test_a_name_that_is_not_given_is_made_once():
    subject, token = provider(), "aws:iam/rolePolicy:RolePolicy"
    first = subject.check(urn(token, "permissions"), {}, {"role": "r", "policy": "{}"}, b"")
    assert first["name"].startswith("permissions-")
    assert subject.check(urn(token, "permissions"), first, {"role": "r", "policy": "{}"}, b"") == first


@pytest.mark.parametrize("token", sorted(RESOURCES))
def test_each_type_says_what_it_covers(token):
    resource = RESOURCES[token]
    assert resource.fixed <= resource.inputs
    assert resource.renewed <= resource.computed
    assert resource.documents <= resource.inputs
    assert not resource.inputs & resource.computed


def test_a_policy_in_other_words_is_no_change():
    policy = resource_of("aws:s3/bucketPolicy:BucketPolicy")
    assert changes(policy, {"policy": '{"a": 1, "b": [2]}'}, {"policy": '{"b":[2],"a":1}'}) == []
    assert changes(policy, {"policy": '{"a": 1}'}, {"policy": '{"a": 2}'})


@pytest.mark.parametrize(
    ("token", "property_name", "replaces"),
    [
        ("aws:s3/bucket:Bucket", "bucket", True),
        ("aws:s3/bucket:Bucket", "tags", False),
        ("aws:s3/bucketObjectv2:BucketObjectv2", "content", False),
        ("aws:route53/record:Record", "type", True),
        ("aws:route53/record:Record", "ttl", False),
        ("aws:route53/healthCheck:HealthCheck", "requestInterval", True),
        ("aws:route53/healthCheck:HealthCheck", "failureThreshold", False),
    ],
)
def test_only_what_cannot_be_changed_in_place_replaces(token, property_name, replaces):
    assert (property_name in resource_of(token).fixed) is replaces


def test_names_are_spelled_as_the_api_spells_them_and_back():
    rules = [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "k"}, "bucketKeyEnabled": True}]
    api = spelling.to_api(rules)
    assert api == [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"}, "BucketKeyEnabled": True}
    ]
    assert spelling.from_api(api) == rules


@pytest.mark.parametrize(
    "extra",
    [
        {
            "ttl": 60,
            "records": ["lb.example.org"],
            "setIdentifier": "s",
            "healthCheckId": "h",
            "failoverRoutingPolicies": [{"type": "PRIMARY"}],
        },
        {"ttl": 60, "records": ["lb.example.org"], "setIdentifier": "s", "weightedRoutingPolicies": [{"weight": 0}]},
        {"aliases": [{"name": "lb.example.org", "zoneId": "Z1", "evaluateTargetHealth": True}]},
    ],
)
def test_a_record_is_read_back_as_it_was_written(extra):
    inputs = {"zoneId": "Z", "name": "app.example.com", "type": "A", **extra}
    assert record_inputs(record_set(inputs), "Z", "app.example.com") == inputs


def test_an_update_is_previewed_with_what_it_changes_unknown():
    token = "aws:s3/bucketObjectv2:BucketObjectv2"
    old = {"bucket": "b", "key": "k", "arn": "a", "etag": "e", "versionId": "v"}
    state = provider().update(urn(token), "b/k", old, {"bucket": "b", "key": "k", "content": "c"}, timeout=0, preview=True)
    assert (state["arn"], state["etag"], state["versionId"]) == ("a", UNKNOWN, UNKNOWN)


TAGS = {"defaultTags": '{"tags": {"owner": "acme", "role": "primary"}}'}


def test_the_tags_of_the_provider_are_on_what_it_makes_under_those_of_the_resource():
    token = "aws:s3/bucket:Bucket"
    _, state = provider(**TAGS).create(urn(token), {"bucket": "b", "tags": {"role": "own"}}, timeout=0, preview=True)
    assert state["tags"] == {"role": "own"}
    assert state["tagsAll"] == {"owner": "acme", "role": "own"}


def test_an_object_may_decline_the_tags_of_the_provider():
    token = "aws:s3/bucketObjectv2:BucketObjectv2"
    plain = {"bucket": "b", "key": "k"}
    _, tagged = provider(**TAGS).create(urn(token), plain, timeout=0, preview=True)
    assert tagged["tagsAll"] == {"owner": "acme", "role": "primary"}
    declined = {**plain, "overrideProvider": {"defaultTags": {"tags": {}}}}
    _, untagged = provider(**TAGS).create(urn(token), declined, timeout=0, preview=True)
    assert untagged["tagsAll"] == {}


def test_other_tags_of_the_provider_are_an_update_of_all_that_has_them():
    token, inputs = "aws:s3/bucket:Bucket", {"bucket": "b"}
    request = provider_pb2.DiffRequest(urn=urn(token), olds=to_struct({**inputs, "tagsAll": {"owner": "acme"}}))
    request.old_inputs.CopyFrom(to_struct(inputs))
    request.news.CopyFrom(to_struct(inputs))
    other = provider(**TAGS).diff(request)
    assert list(other.diffs) == ["tagsAll"]
    assert not other.replaces
    same = provider(defaultTags='{"tags": {"owner": "acme"}}').diff(request)
    assert same.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_access_logs_are_read_back_as_they_were_set_and_are_gone_when_nobody_sets_them():
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in ("acme-velero", "acme-logs"):
            s3.create_bucket(Bucket=bucket)
        delivery = {
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::acme-logs/access/*",
        }
        s3.put_bucket_policy(Bucket="acme-logs", Policy=json.dumps({"Version": "2012-10-17", "Statement": [delivery]}))
        aws = Aws(region="us-east-1", account="123456789012", client=lambda _: s3)
        subject = resource_of("aws:s3/bucketLogging:BucketLogging")
        inputs = {
            "bucket": "acme-velero",
            "targetBucket": "acme-logs",
            "targetPrefix": "access/",
            "targetObjectKeyFormat": {"partitionedPrefix": {"partitionDateSource": "EventTime"}},
        }
        identifier, _ = subject.create(aws, inputs)
        assert subject.read(aws, identifier, inputs) == (inputs, {})
        subject.delete(aws, identifier, inputs)
        assert subject.read(aws, identifier, {}) is None
