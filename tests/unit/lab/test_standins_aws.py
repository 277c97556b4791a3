"""What the AWS stand-in covers, replaces, and refuses."""

import pytest

from lab.standins.aws_provider import spelling
from lab.standins.aws_provider.provider import RESOURCES, AwsProvider, changes, resource_of
from lab.standins.aws_provider.route53 import record_inputs, record_set
from lab.standins.provider import NotCoveredError, RefusedError
from lab.standins.values import UNKNOWN


def provider(**settings):
    subject = AwsProvider(engine=None, log=None)
    subject.configure({"region": "us-west-2", **settings})
    return subject


def urn(token, name="x"):
    return f"urn:pulumi:s::p::dr:storage:Storage${token}::{name}"


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
