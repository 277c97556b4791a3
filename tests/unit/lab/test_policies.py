"""What IAM makes of policies: the rules that the lab's answers rest on."""

from __future__ import annotations

from typing import Any

import pytest

from lab.cloud.policies import Question, UnknownPolicyError, answer, matches

READ = "s3:GetObject"
OBJECT = "arn:aws:s3:::bucket/a/key"


def ask(*statements: dict[str, Any], principal: str | None = None, action: str = READ, **context: Any) -> str:
    """Whether `action` may be done with OBJECT; each statement is of READ with everything unless it says otherwise."""
    given = [
        {"Effect": "Allow", **({} if "NotAction" in each else {"Action": READ}), "Resource": "*", **each} for each in statements
    ]
    question = Question(
        action=action, resource=OBJECT, context={name.replace("_", ":"): value for name, value in context.items()}
    )
    return answer(question, [{"Version": "2012-10-17", "Statement": given}], principal)


def on(operator: str, *wanted: str) -> dict[str, Any]:
    return {"Condition": {operator: {"aws:Key": list(wanted)}}}


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("s3:*Object", "s3:getobject", False),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a/b/c", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b", False),
        ("arn:aws:s3:::b/?", "arn:aws:s3:::b/a", True),
        ("arn:aws:s3:::b.c", "arn:aws:s3:::bxc", False),
        ("a+(b)", "a+(b)", True),
    ],
)
def test_a_wildcard_is_any_text_and_nothing_else_is_special(pattern: str, value: str, fits: bool) -> None:
    assert matches(pattern, value) is fits


def test_nothing_is_allowed_that_no_statement_allows() -> None:
    assert ask({"Action": ["s3:PutObject", "s3:DeleteObject"]}) == "not allowed"
    assert ask({"Resource": "arn:aws:s3:::bucket/b/*"}) == "not allowed"
    assert ask({"Action": ["s3:PutObject", "S3:getobject"], "Resource": "arn:aws:s3:::bucket/a/*"}) == "allowed"


def test_one_denial_outweighs_every_permission() -> None:
    assert ask({}, {"Effect": "Deny", "Action": "s3:Get*"}) == "denied"
    assert ask({}, {"Effect": "Deny", "Action": "s3:Put*"}) == "allowed"


def test_what_is_excluded_is_everything_else() -> None:
    assert ask({"NotAction": "s3:Put*"}) == "allowed"
    assert ask({"NotAction": "s3:Get*"}) == "not allowed"


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        (on("StringEquals", "a", "b"), "b", True),
        (on("StringEquals", "a"), "A", False),
        (on("StringEquals", "a"), None, False),
        (on("StringEqualsIfExists", "a"), None, True),
        (on("StringEqualsIgnoreCase", "a"), "A", True),
        (on("StringNotEquals", "a", "b"), "c", True),
        (on("StringNotEquals", "a", "b"), "b", False),
        (on("StringNotEquals", "a"), None, True),
        (on("StringLike", "velero/own/*"), "velero/own/", True),
        (on("StringLike", "velero/own/*"), "", False),
        (on("StringNotLike", "velero/*"), "velero/own", False),
        (on("ArnLike", "arn:aws:kms:*:1:key/*"), "arn:aws:kms:us-east-1:1:key/x", True),
        (on("Bool", "true"), "false", False),
        (on("Null", "true"), None, True),
        (on("Null", "true"), "a", False),
        (on("Null", "false"), "a", True),
        (on("IpAddress", "15.177.0.0/18"), "15.177.0.1", True),
        (on("IpAddress", "15.177.0.0/18"), "172.30.0.1", False),
        (on("NotIpAddress", "15.177.0.0/18"), "172.30.0.1", True),
        (on("ForAnyValue:StringEquals", "b"), ("a", "b"), True),
        (on("ForAnyValue:StringEquals", "b"), (), False),
        (on("ForAnyValue:StringEquals", "b"), None, False),
        (on("ForAllValues:StringEquals", "a", "b"), ("a", "b"), True),
        (on("ForAllValues:StringEquals", "a"), ("a", "b"), False),
    ],
)
def test_a_statement_counts_where_its_conditions_hold(condition: dict[str, Any], value: Any, holds: bool) -> None:
    context = {} if value is None else {"aws_key": value}
    assert ask(condition, **context) == ("allowed" if holds else "not allowed")
    assert ask({}, {"Effect": "Deny", **condition}, **context) == ("denied" if holds else "allowed")


def test_all_conditions_of_a_statement_have_to_hold() -> None:
    both = {"Condition": {"StringEquals": {"aws:Key": "a", "aws:Other": "b"}}}
    assert ask(both, aws_key="a", aws_other="b") == "allowed"
    assert ask(both, aws_key="a", aws_other="c") == "not allowed"


def test_what_is_not_known_is_no_silent_permission() -> None:
    with pytest.raises(UnknownPolicyError, match="DateLessThan"):
        ask(on("DateLessThan", "2026-01-01T00:00:00Z"), aws_key="x")
    with pytest.raises(UnknownPolicyError, match="NotPrincipal"):
        ask({"Effect": "Deny", "NotPrincipal": {"AWS": "somebody"}}, principal="another")


@pytest.mark.parametrize(
    ("named", "asked", "expected"),
    [
        ("*", "*", "allowed"),
        ({"AWS": "*"}, "arn:aws:iam::1:user/a", "allowed"),
        ({"AWS": ["arn:aws:iam::1:user/a"]}, "arn:aws:iam::1:user/a", "allowed"),
        ({"AWS": "arn:aws:iam::1:user/a"}, "arn:aws:iam::1:user/b", "not allowed"),
        ({"AWS": "arn:aws:iam::1:user/a"}, "*", "not allowed"),
        ({"Service": "s3.amazonaws.com"}, "*", "not allowed"),
    ],
)
def test_a_bucket_s_policy_counts_for_whom_it_names(named: Any, asked: str, expected: str) -> None:
    assert ask({"Principal": named}, principal=asked) == expected
