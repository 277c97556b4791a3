"""The one vocabulary of IAM policies, for roles, users, buckets and trust: statements, documents and ARNs as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from settings.names import Names

Statement = dict[str, Any]
Document = dict[str, Any]


def allow(
    sid: str,
    actions: Sequence[str],
    *resources: str,
    principal: Mapping[str, str] | Literal["*"] | None = None,
    condition: Mapping[str, Any] | None = None,
) -> Statement:
    """Actions that are allowed on resources; `principal` in the policy of a bucket alone."""
    return _statement(sid, "Allow", actions, resources, principal, condition)


def deny(
    sid: str,
    actions: Sequence[str],
    *resources: str,
    principal: Mapping[str, str] | Literal["*"] | None = None,
    condition: Mapping[str, Any] | None = None,
) -> Statement:
    """Actions that are refused, whatever else allows them."""
    return _statement(sid, "Deny", actions, resources, principal, condition)


def trust(principal: Mapping[str, str], actions: Sequence[str], condition: Mapping[str, Any] | None = None) -> Document:
    """A role's trust policy: who may take the role. It names no resource, for it is about the role that it belongs to."""
    return document(_statement("Trust", "Allow", actions, (), principal, condition))


def document(*statements: Statement) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def text(policy: Document) -> str:
    """A policy as AWS takes it."""
    return json.dumps(policy)


def bucket_arn(bucket: str) -> str:
    return f"arn:aws:s3:::{bucket}"


def objects_arn(bucket: str, keys: str = "*") -> str:
    """Objects of a bucket; `keys` is a key, or a pattern of keys with `*`."""
    return f"{bucket_arn(bucket)}/{keys}"


def iam_arn(names: Names, kind: Literal["role", "policy", "user", "oidc-provider"], name: str) -> str:
    return f"arn:aws:iam::{names.topology.account_id}:{kind}/{name}"


def keys_arn(names: Names, region: str) -> str:
    """Every key of the account in a region. Nobody knows a key's id beforehand, so `by_alias` says which of them is meant."""
    return f"arn:aws:kms:{region}:{names.topology.account_id}:key/*"


def by_alias(names: Names) -> dict[str, Any]:
    """The condition that only the backups' key fulfils, in either region: both know its alias without asking."""
    return {"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias}}


def use_key(sid: str, actions: Sequence[str], names: Names, region: str) -> Statement:
    """The backups' key in `region`, through S3 alone."""
    through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}}
    return allow(sid, actions, keys_arn(names, region), condition={**through_s3, **by_alias(names)})


def _statement(
    sid: str,
    effect: Literal["Allow", "Deny"],
    actions: Sequence[str],
    resources: Sequence[str],
    principal: Mapping[str, str] | Literal["*"] | None,
    condition: Mapping[str, Any] | None,
) -> Statement:
    return {
        "Sid": sid,
        "Effect": effect,
        **({"Principal": principal} if principal else {}),
        "Action": list(actions),
        **({"Resource": list(resources)} if resources else {}),
        **({"Condition": dict(condition)} if condition else {}),
    }
