"""Every policy that is made, of whichever kind and configuration, says what IAM knows, of what IAM asks it of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.examples import ROOT
from tests.unit.configurations import every_program
from tests.unit.iam_definitions import Kind, faults

Place = tuple[str, str]
"""Of a policy in what is registered: the type of the resource, and the path of the property."""

PLACES: dict[Place, Kind] = {
    ("aws:iam/policy:Policy", "policy"): "identity",
    ("aws:iam/role:Role", "assumeRolePolicy"): "trust",
    ("aws:iam/rolePolicy:RolePolicy", "policy"): "identity",
    ("aws:s3/bucketPolicy:BucketPolicy", "policy"): "resource",
}


@dataclass(frozen=True, kw_only=True)
class Policy:
    place: Place
    text: str
    whose: str


def written(inputs: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and text of every policy in what is registered, however deep. The SDK takes some as objects, too."""
    if isinstance(inputs, dict) and "Statement" in inputs:
        yield path, json.dumps(inputs)
    elif isinstance(inputs, dict):
        for name, inner in inputs.items():
            yield from written(inner, f"{path}.{name}" if path else name)
    elif isinstance(inputs, list):
        for inner in inputs:
            yield from written(inner, f"{path}[]")
    elif isinstance(inputs, str) and '"Statement":' in inputs:
        yield path, inputs


@pytest.fixture(scope="module")
def policies() -> list[Policy]:
    """Each policy once, with the first that has it."""
    found: dict[tuple[Place, str], Policy] = {}
    for program, recorder in every_program().items():
        for seen in recorder.custom():
            for path, text in written(seen.inputs):
                place = (seen.type, path)
                found.setdefault((place, text), Policy(place=place, text=text, whose=f"{seen.name} [{program}]"))
    return list(found.values())


def test_policies_are_where_they_are_known_to_be(policies: list[Policy]) -> None:
    assert {policy.place for policy in policies} == PLACES.keys()


def test_every_policy_says_what_iam_knows(policies: list[Policy]) -> None:
    lines = [f"{policy.whose}: {fault}" for policy in policies for fault in faults(json.loads(policy.text), PLACES[policy.place])]
    assert not lines, "\n".join(lines)


def test_every_policy_that_the_documentation_gives_to_copy_says_what_iam_knows() -> None:
    pages = {page.name: page.read_text() for page in (ROOT / "docs").glob("*.md")}
    documented = [
        (name, json.JSONDecoder().raw_decode(text, begin.start())[0])
        for name, text in pages.items()
        for begin in re.finditer(r'{\s*"Version"', text)
    ]
    assert documented
    assert not [(page, fault) for page, policy in documented for fault in faults(policy, "identity")]


def test_a_policy_is_found_however_it_is_given() -> None:
    policy: dict[str, Any] = {"Statement": []}
    text = json.dumps(policy)
    inputs = {"text": text, "object": policy, "inlinePolicies": [{"name": "it", "policy": text}]}
    assert list(written(inputs)) == [("text", text), ("object", text), ("inlinePolicies[].policy", text)]


BUCKET, OBJECTS = "arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"
KEYS, ROLE = "arn:aws:kms:us-east-1:123456789012:key/*", "arn:aws:iam::123456789012:role"
EKS = "arn:aws:eks:us-east-1:123456789012"


def told(kind: Kind = "identity", *, version: str = "2012-10-17", **statement: Any) -> list[str]:
    """What is told of a policy of one statement, which reads a bucket's objects but for what is said here. None takes out."""
    whole = {"Sid": "It", "Effect": "Allow", "Action": "s3:GetObject", "Resource": OBJECTS, **statement}
    document = {"Version": version, "Statement": [{key: value for key, value in whole.items() if value is not None}]}
    return [fault.removeprefix("It: ") for fault in faults(document, kind)]


def test_a_policy_without_a_fault_is_passed() -> None:
    assert not told()


@pytest.mark.parametrize(
    ("action", "fault"),
    [
        ("s3:GetObjet", "IAM has no action s3:GetObjet; did you mean s3:GetObject"),
        ("s3:Fetch*", "IAM has no action s3:Fetch*"),
        ("s4:GetObject", "IAM has no action s4:GetObject"),
        ("GetObject", "IAM has no action GetObject"),
    ],
)
def test_an_action_that_does_not_exist_is_told(action: str, fault: str) -> None:
    for several in (action, ["s3:PutObject", action]):
        (line,) = told(Action=several)
        assert line.startswith(fault)


@pytest.mark.parametrize(
    ("action", "key", "fault"),
    [
        ("s3:ListBucket", "s3:prefx", "no request of s3:ListBucket has s3:prefx"),
        ("s3:ListBucketVersions", "kms:ViaService", "no request of s3:ListBucketVersions has kms:ViaService"),
        ("s3:ListBucket", "aws:SourceAcount", "no request of s3:ListBucket has aws:SourceAcount"),
        ("s3:ListBucket", "aws:RequestTag/team", "no request of s3:ListBucket has aws:RequestTag/team"),
        (["s3:ListBucket", "s3:GetBucketLocation"], "s3:prefix", "no request of s3:GetBucketLocation has s3:prefix"),
    ],
)
def test_a_condition_key_that_no_request_has_is_told(action: Any, key: str, fault: str) -> None:
    condition = {"StringEquals": {key: "it"}}
    assert told(Action=action, Resource=BUCKET, Condition=condition) == [fault]


def test_what_denies_may_have_a_key_of_some_of_its_actions_alone() -> None:
    condition = {"StringNotLike": {"s3:prefix": "it"}}
    assert not told(Effect="Deny", Action="s3:*", Resource=[BUCKET, OBJECTS], Condition=condition)
    (line,) = told(Effect="Deny", Condition=condition)
    assert line == "no request of s3:GetObject has s3:prefix"


def test_keys_of_tags_and_of_resources_are_known() -> None:
    assert not told(
        Action="kms:TagResource",
        Resource=KEYS,
        Condition={
            "StringEquals": {"aws:RequestTag/example.com/team": "it", "aws:ResourceTag/team": "it"},
            "ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/*"},
        },
    )


@pytest.mark.parametrize(
    ("operator", "key", "fault"),
    [
        ("StringLikes", "s3:prefix", "IAM has no operator StringLikes"),
        ("ForSomeValues:StringLike", "s3:prefix", "IAM has no operator ForSomeValues:StringLike"),
        ("Bool", "s3:prefix", "Bool does not compare s3:prefix, which is String"),
        ("StringEquals", "aws:SourceArn", "StringEquals does not compare aws:SourceArn, which is ARN"),
        ("ForAnyValue:StringLike", "s3:prefix", "ForAnyValue:StringLike says how many of s3:prefix, which is String"),
    ],
)
def test_an_operator_that_does_not_fit_its_key_is_told(operator: str, key: str, fault: str) -> None:
    assert told(Action="s3:ListBucket", Resource=BUCKET, Condition={operator: {key: "it"}}) == [fault]


def test_a_key_of_many_values_needs_to_be_told_how_many_of_them() -> None:
    key = {"Action": "kms:Decrypt", "Resource": KEYS}
    (line,) = told(**key, Condition={"StringEquals": {"kms:ResourceAliases": "alias/it"}})
    assert line == "StringEquals says not how many of kms:ResourceAliases, which is ArrayOfString"
    assert not told(**key, Condition={"StringEqualsIfExists": {"kms:ViaService": "it"}})


@pytest.mark.parametrize(
    ("actions", "resources", "misdirected", "unasked"),
    [
        ("s3:ListBucket", OBJECTS, ["s3:ListBucket"], [OBJECTS]),
        ("s3:GetObject", BUCKET, ["s3:GetObject"], [BUCKET]),
        (["s3:GetObject", "s3:ListBucket"], OBJECTS, ["s3:ListBucket"], []),
        ("s3:GetObject", [OBJECTS, BUCKET], [], [BUCKET]),
        ("kms:ListAliases", KEYS, ["kms:ListAliases"], [KEYS]),
        ("kms:ListAliases", ["*", KEYS], [], [KEYS]),
        (["eks:ListAddons", "eks:DescribeAddon"], f"{EKS}:cluster/prod", ["eks:DescribeAddon"], []),
        ("eks:DescribeAddon", f"{EKS}:addons/prod/*", ["eks:DescribeAddon"], [f"{EKS}:addons/prod/*"]),
        (["iam:AttachRolePolicy", "iam:AttachUserPolicy"], f"{ROLE}/it", ["iam:AttachUserPolicy"], []),
    ],
)
def test_an_action_with_a_resource_of_another_type_is_told(
    actions: Any, resources: Any, misdirected: list[str], unasked: list[str]
) -> None:
    assert told(Action=actions, Resource=resources) == [
        *(f"{action} is asked of none of its resources" for action in misdirected),
        *(f"none of its actions is asked of {resource}" for resource in unasked),
    ]


@pytest.mark.parametrize("resources", ["*", ["*", OBJECTS]])
def test_everything_is_for_actions_that_are_asked_of_nothing_in_particular(resources: Any) -> None:
    assert told(Resource=resources) == ["s3:GetObject is asked of resources with names, and * is none"]


@pytest.mark.parametrize(
    ("actions", "resources"),
    [
        (["s3:GetObject", "s3:ListBucket"], [OBJECTS, BUCKET]),
        ("s3:GetBucket*", BUCKET),
        ("kms:ListAliases", "*"),
        ("eks:DescribeAccessEntry", f"{EKS}:access-entry/prod/*"),
        ("iam:GetRole", f"{ROLE}/path/of/it"),
    ],
)
def test_an_action_with_a_resource_that_it_is_asked_of_is_passed(actions: Any, resources: Any) -> None:
    assert not told(Action=actions, Resource=resources)


@pytest.mark.parametrize(
    ("kind", "changes", "lines"),
    [
        ("identity", {"Principal": "*"}, ["a statement of such a policy has no Principal"]),
        ("resource", {"Principal": "*"}, []),
        ("resource", {}, ["a statement of such a policy needs Principal"]),
        ("identity", {"Conditions": {}}, ["a statement of such a policy has no Conditions"]),
        ("identity", {"Effect": "allow"}, ["IAM has no effect allow"]),
        ("identity", {"version": "2008-10-17"}, ["the version is 2008-10-17"]),
        (
            "identity",
            {"Action": None, "NotAction": "s3:PutObject"},
            ["a statement of such a policy needs Action", "a statement of such a policy has no NotAction"],
        ),
    ],
)
def test_an_element_that_such_a_policy_does_not_have_is_told(kind: Kind, changes: dict[str, Any], lines: list[str]) -> None:
    assert told(kind, **changes) == lines


ISSUER = "oidc.example.com/id/EXAMPLE"
WEB: dict[str, Any] = {
    "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"},
    "Action": ["sts:AssumeRoleWithWebIdentity"],
    "Resource": None,
}


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, []),
        ({"Condition": {"StringEquals": {f"{ISSUER}:aud": "it", f"{ISSUER}:sub": "it"}}}, []),
        (
            {"Condition": {"StringEquals": {f"{ISSUER}:subject": "it"}}},
            [f"no request of sts:AssumeRoleWithWebIdentity has {ISSUER}:subject"],
        ),
        (
            {"Condition": {"StringEquals": {"oidc.example.com/id/OTHER:sub": "it"}}},
            ["no request of sts:AssumeRoleWithWebIdentity has oidc.example.com/id/OTHER:sub"],
        ),
        ({"Action": "sts:AssumeRoleWithWebIdentiy"}, ["IAM has no action sts:AssumeRoleWithWebIdentiy; did you mean"]),
        ({"Action": "s3:GetObject"}, ["s3:GetObject is asked of none of its resources", "none of its actions is asked of"]),
        ({"Resource": "*"}, ["a statement of such a policy has no Resource"]),
    ],
)
def test_who_may_take_a_role_is_judged_by_the_keys_of_who_vouches_for_him(changes: dict[str, Any], lines: list[str]) -> None:
    found = told("trust", **{**WEB, **changes})
    assert len(found) == len(lines)
    assert all(line.startswith(wanted) for line, wanted in zip(found, lines, strict=True))
