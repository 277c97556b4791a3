"""What the lab's AWS asks of IAM about calls of IAM itself: by name, or a denial would prove nothing."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from lab.cloud import moto_state
from lab.cloud.permissions import Asked, needed
from lab.cloud.policies import Question
from lab.cloud.scope import Target

ACCOUNT = "123456789012"
POLICY = f"arn:aws:iam::{ACCOUNT}:policy/own"


def asked(service: str, operation: str, **fields: str) -> Asked:
    target = Target(service=service, region="us-east-1", bucket="bucket" if service == "s3" else None)
    body = urlencode(fields).encode()
    return Asked(
        target=target, operation=operation, path="/", query={}, headers={}, body=body, account=ACCOUNT, source="127.0.0.1"
    )


@pytest.mark.parametrize(
    ("operation", "fields", "resource"),
    [
        ("GetRole", {"RoleName": "r"}, f"arn:aws:iam::{ACCOUNT}:role/r"),
        ("PutRolePolicy", {"RoleName": "r", "PolicyName": "more"}, f"arn:aws:iam::{ACCOUNT}:role/r"),
        ("CreateAccessKey", {"UserName": "u"}, f"arn:aws:iam::{ACCOUNT}:user/u"),
        ("CreatePolicy", {"PolicyName": "own"}, POLICY),
        ("CreatePolicyVersion", {"PolicyArn": POLICY}, POLICY),
        ("ListUsers", {}, "*"),
    ],
)
def test_iam_is_asked_for_whom_or_what_a_call_names(operation: str, fields: dict[str, str], resource: str) -> None:
    (question,) = needed(asked("iam", operation, **fields), moto_state)
    assert (question.action, question.resource) == (f"iam:{operation}", resource)


def test_a_policy_is_attached_to_a_role_and_its_name_is_a_condition() -> None:
    assert needed(asked("iam", "AttachRolePolicy", RoleName="r", PolicyArn=POLICY), moto_state) == [
        Question(action="iam:AttachRolePolicy", resource=f"arn:aws:iam::{ACCOUNT}:role/r", context={"iam:PolicyARN": POLICY})
    ]


def test_only_sts_answers_everybody_who_they_are() -> None:
    assert needed(asked("sts", "GetCallerIdentity"), moto_state) == []
    assert needed(asked("s3", "GetCallerIdentity"), moto_state) != []
