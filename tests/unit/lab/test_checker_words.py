"""The lab's Route 53 says what its checkers see, as the program asks it by day."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.traffic.checkers import judged
from lab.cloud.checker_words import words
from lab.cloud.enforcement import ROUTE_53_ADDRESS
from settings.names import FLAG_KEY
from tests.unit.lab.aws import client, serving

BUCKET = "acme-dr-flag-us-west-2-123456789012"
FLAG = {
    "Type": "HTTPS_STR_MATCH",
    "FullyQualifiedDomainName": f"{BUCKET}.s3.us-west-2.amazonaws.com",
    "Port": 443,
    "ResourcePath": f"/{FLAG_KEY}",
    "SearchString": '"secondary"',
    "Inverted": True,
}


def said(route53: Any, check: str) -> str:
    [observation] = route53.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
    return str(observation["StatusReport"]["Status"])


def test_a_flag_that_checkers_may_not_read_is_told_from_one_that_does_not_say_secondary(tmp_path: Path) -> None:
    with serving(tmp_path / "access.jsonl") as url:
        route53, s3 = client(url, "route53", "us-east-1", patience=60), client(url, "s3", "us-west-2", patience=60)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        s3.put_object(Bucket=BUCKET, Key=FLAG_KEY, Body=b'{"active":"primary"}')
        check = route53.create_health_check(CallerReference="1", HealthCheckConfig=FLAG)["HealthCheck"]["Id"]
        refused = route53.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
        assert said(route53, check) == "Failure: HTTP Status Code 403"
        assert "cannot read the traffic flag" in str(judged("flag", check, refused))
        condition = {"IpAddress": {"aws:SourceIp": f"{ROUTE_53_ADDRESS}/32"}}
        statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Condition": condition}
        policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": f"arn:aws:s3:::{BUCKET}/*"}]}
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
        assert said(route53, check) == "Failure: HTTP Status Code 200, string not found"
        read = route53.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
        assert judged("flag", check, read) is None


def test_a_calculated_check_has_no_words_of_a_checker(tmp_path: Path) -> None:
    with serving(tmp_path / "access.jsonl") as url:
        route53 = client(url, "route53", "us-east-1", patience=60)
        one = route53.create_health_check(CallerReference="1", HealthCheckConfig=FLAG)["HealthCheck"]["Id"]
        both = {"Type": "CALCULATED", "ChildHealthChecks": [one], "HealthThreshold": 1}
        check = route53.create_health_check(CallerReference="2", HealthCheckConfig=both)["HealthCheck"]["Id"]
        with pytest.raises(ClientError, match="calculated"):
            route53.get_health_check_status(HealthCheckId=check)


def test_words_have_the_form_of_route_53s_answers() -> None:
    assert words(True, "HTTP 200") == "Success: HTTP Status Code 200"
    assert words(False, "no answer in time") == "Failure: no answer in time"
