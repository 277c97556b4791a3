"""deletion-protection, static-credentials, explicit-providers, ownership-tags, vendored-charts: of one resource each."""

import base64
import json

import pytest

from checks import charts, credentials, protection, providers, tags
from checks.model import UNKNOWN, Provider
from tests.unit.policy.stacks import of_resource, resource

KEY_ID = "AKIA" + "IOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
FILE = f"[default]\naws_access_key_id=x\naws_secret_access_key={SECRET}\n"


@pytest.mark.parametrize(
    "kind",
    [
        "aws:s3/bucket:Bucket",
        "aws:kms/key:Key",
        "aws:route53/zone:Zone",
        "kubernetes:postgresql.cnpg.io/v1:Cluster",
        "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
    ],
)
def test_what_holds_data_is_protected(kind):
    (message,) = of_resource(protection.POLICY, resource(kind, "precious"))
    assert "precious" in message
    assert "protect=True" in message
    assert of_resource(protection.POLICY, resource(kind, protect=True)) == []


def test_what_holds_none_need_not_be():
    assert of_resource(protection.POLICY, resource("kubernetes:batch/v1:Job")) == []


def secret(**contents):
    return resource("kubernetes:core/v1:Secret", **contents)


@pytest.mark.parametrize(
    "subject",
    [
        resource("aws:iam/accessKey:AccessKey", user="velero"),
        resource("pulumi:providers:aws", accessKey="x", secretKey=SECRET),
        resource("kubernetes:core/v1:ConfigMap", data={"note": f"key {KEY_ID}, ask Bob"}),
        secret(stringData={"cloud": FILE}),
        secret(data={"cloud": base64.b64encode(FILE.encode()).decode()}),
        secret(data={"text": base64.b64encode(KEY_ID.encode()).decode()}),
        secret(stringData={"accessKeyId": "velero-key-id", "region": "us-east-1"}),
        secret(stringData={"AWS_SECRET_ACCESS_KEY": UNKNOWN}),
        resource(
            "kubernetes:batch/v1:Job",
            spec={"template": {"spec": {"containers": [{"env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": SECRET}]}]}}},
        ),
    ],
    ids=lambda subject: subject.type,
)
def test_an_access_key_is_found_wherever_it_is_and_never_repeated(subject):
    messages = of_resource(credentials.POLICY, subject)
    assert messages
    assert not [message for message in messages if SECRET in message or KEY_ID in message]


@pytest.mark.parametrize(
    "subject",
    [
        secret(stringData={"username": "app", "password": "correct horse battery staple"}),
        secret(data=UNKNOWN),
        resource("kubernetes:core/v1:ConfigMap", data={"hash": f"x{KEY_ID}{KEY_ID}"}),
        resource(
            "kubernetes:batch/v1:Job",
            spec={"containers": [{"env": [{"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}}]}]},
        ),
        resource(
            "kubernetes:core/v1:ServiceAccount", metadata={"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/r"}}
        ),
    ],
    ids=lambda subject: subject.type,
)
def test_what_is_no_access_key_is_not_taken_for_one(subject):
    assert of_resource(credentials.POLICY, subject) == []


def test_a_resource_of_the_default_provider_is_refused():
    (message,) = of_resource(providers.POLICY, resource("aws:kms/key:Key", provider=Provider(name="default_7_51_1")))
    assert "disable-default-providers" in message
    assert of_resource(providers.POLICY, resource("aws:kms/key:Key")) == []


@pytest.mark.parametrize(
    ("props", "missing"),
    [
        ({"context": "prod"}, "clusterIdentifier"),
        ({"clusterIdentifier": "prod"}, "context"),
        ({"context": "", "clusterIdentifier": "prod"}, "context"),
    ],
)
def test_a_kubernetes_provider_says_which_cluster(props, missing):
    (message,) = of_resource(providers.POLICY, resource("pulumi:providers:kubernetes", provider=None, **props))
    assert f"no {missing}" in message


def test_a_provider_that_says_all_is_good():
    named = resource("pulumi:providers:kubernetes", provider=None, context="prod", clusterIdentifier=UNKNOWN)
    assert of_resource(providers.POLICY, named) == []
    assert of_resource(providers.POLICY, resource("pulumi:providers:aws", provider=None, region="us-east-1")) == []
    assert of_resource(providers.POLICY, resource("pulumi:providers:aws", provider=None))


ALL = {"stack": "k8s-dr-primary", "role": "primary", "owner": "acme"}


def test_tags_come_from_the_provider_or_from_the_resource():
    tagging = Provider(name="aws", props={"defaultTags": json.dumps({"tags": ALL})})
    assert of_resource(tags.POLICY, resource("aws:iam/role:Role", provider=tagging)) == []
    assert of_resource(tags.POLICY, resource("aws:iam/role:Role", tags=ALL)) == []
    assert of_resource(tags.POLICY, resource("aws:iam/role:Role", tags=UNKNOWN)) == []


def test_the_tags_that_are_missing_are_named():
    (message,) = of_resource(tags.POLICY, resource("aws:iam/role:Role", tags={"stack": "k8s-dr-primary", "owner": ""}))
    assert "no tag role, owner" in message
    emptied = Provider(name="aws", props={"defaultTags": json.dumps({"tags": ALL})})
    assert of_resource(tags.POLICY, resource("aws:s3/bucket:Bucket", provider=emptied, tags={"owner": ""}))


def test_a_team_may_ask_for_other_tags():
    assert of_resource(tags.POLICY, resource("aws:kms/key:Key", tags={"cost-center": "7"}), keys=["cost-center"]) == []


def test_what_cannot_be_tagged_needs_no_tags():
    assert of_resource(tags.POLICY, resource("aws:iam/rolePolicy:RolePolicy")) == []


@pytest.mark.parametrize(
    "props",
    [
        {"chart": "velero", "repositoryOpts": {"repo": "https://vmware-tanzu.github.io/helm-charts"}},
        {"chart": "oci://registry.example.com/velero"},
    ],
)
def test_a_chart_of_a_repository_is_advised_against(props):
    (message,) = of_resource(charts.POLICY, resource("kubernetes:helm.sh/v3:Release", **props))
    assert "make charts" in message


def test_a_chart_on_disk_is_good():
    assert of_resource(charts.POLICY, resource("kubernetes:helm.sh/v3:Release", chart="./charts/cloudnative-pg.tgz")) == []
