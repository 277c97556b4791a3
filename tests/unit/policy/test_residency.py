"""region-residency."""

import pytest

from checks import residency
from checks.model import UNKNOWN
from tests.unit.policy.stacks import of_stack, resource, stack


def judged(subject, **config):
    return of_stack(residency.POLICY, stack(subject), **config)


@pytest.mark.parametrize(
    ("subject", "path"),
    [
        (resource("pulumi:providers:aws", region="eu-central-1"), "region"),
        (resource("aws:s3/bucket:Bucket", region="eu-central-1"), "region"),
        (resource("aws:s3/x:X", rules=[{"key": "arn:aws:kms:eu-central-1:123456789012:alias/x"}]), "rules[0].key"),
        (resource("aws:iam/rolePolicy:RolePolicy", policy='{"Resource": "arn:aws:sns:eu-central-1:1:t"}'), "policy"),
        (
            resource("kubernetes:velero.io/v1:BackupStorageLocation", spec={"config": {"region": "eu-central-1"}}),
            "spec.config.region",
        ),
        (resource("aws:x/y:Z", arn="arn:aws-cn:kms:eu-central-1:1:key/k"), "arn"),
    ],
)
def test_a_region_that_is_not_the_stacks_is_named_with_its_place(subject, path):
    ((_, message),) = judged(subject)
    assert message.startswith(f"{path} of it is in eu-central-1")
    assert judged(subject, regions=["eu-central-1"]) == []


@pytest.mark.parametrize(
    "subject",
    [
        resource("aws:kms/alias:Alias", arn="arn:aws:kms:us-west-2:123456789012:alias/x", region="us-east-1"),
        resource("aws:s3/bucket:Bucket", arn="arn:aws:s3:::acme", region=UNKNOWN),
        resource("kubernetes:core/v1:ConfigMap", data={"region": "everywhere"}),
        resource("dr:failover:Failover", region="eu-central-1"),
    ],
    ids=lambda subject: subject.type,
)
def test_its_own_region_and_its_peers_are_good(subject):
    assert judged(subject) == []


def test_what_is_everybodys_in_us_east_1_is_good_in_every_stack():
    certificate = resource("aws:x/y:Z", arn="arn:aws:acm:us-east-1:123456789012:certificate/c")
    key = resource("aws:x/y:Z", arn="arn:aws:kms:us-east-1:123456789012:key/k")
    assert judged(certificate, regions=["eu-west-1"]) == []
    assert judged(key, regions=["eu-west-1"])


def test_an_alarm_on_a_health_check_may_be_where_route_53_publishes_its_metrics_and_no_other_alarm():
    topic = "arn:aws:sns:us-east-1:123456789012:on-call"
    alarm, other = (
        resource("aws:cloudwatch/metricAlarm:MetricAlarm", namespace=namespace, region="us-east-1", alarmActions=[topic])
        for namespace in ("AWS/Route53", "AWS/S3")
    )
    assert judged(alarm, regions=["eu-west-1"]) == []
    assert judged(other, regions=["eu-west-1"])
    role = resource("aws:iam/x:X", policy="arn:aws:cloudwatch:us-east-1:123456789012:alarm:acme-dr-*")
    assert judged(role, regions=["eu-west-1"]) == []


def test_a_stack_that_declares_no_region_is_told_where_to_say_it():
    undeclared = stack(resource("pulumi:providers:aws", region="us-east-1"), region={})
    ((_, message),) = of_stack(residency.POLICY, undeclared)
    assert "regions in the policy's configuration" in message
