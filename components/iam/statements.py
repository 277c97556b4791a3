"""The vocabulary of all IAM policies, for roles, users, buckets and trust: statements, documents and ARNs as plain data."""

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
    """A statement that allows `actions` on `resources`. Only the policy of a bucket names a `principal`."""
    return _statement(sid, "Allow", actions, resources, principal, condition)


def deny(
    sid: str,
    actions: Sequence[str],
    *resources: str,
    principal: Mapping[str, str] | Literal["*"] | None = None,
    condition: Mapping[str, Any] | None = None,
) -> Statement:
    """A statement that refuses `actions` on `resources`, whatever else allows them."""
    return _statement(sid, "Deny", actions, resources, principal, condition)


def trust(principal: Mapping[str, str], actions: Sequence[str], condition: Mapping[str, Any] | None = None) -> Document:
    """A role's trust policy: who may assume the role. It names no resource, because it belongs to the role."""
    return document(_statement("Trust", "Allow", actions, (), principal, condition))


def document(*statements: Statement) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def text(policy: Document) -> str:
    """A policy as JSON, the form that AWS takes."""
    return json.dumps(policy)


def bucket_arn(bucket: str) -> str:
    return f"arn:aws:s3:::{bucket}"


def objects_arn(bucket: str, keys: str = "*") -> str:
    """ARN of objects in a bucket; `keys` is a key, or a pattern of keys with `*`."""
    return f"{bucket_arn(bucket)}/{keys}"


def eks_arn(names: Names, kind: str, name: str) -> str:
    """Something of EKS in the region of `names`, as in `cluster` and its name."""
    return f"arn:aws:eks:{names.region}:{names.topology.account_id}:{kind}/{name}"


def alarm_arn(names: Names, alarm: str, region: str) -> str:
    """An alarm of CloudWatch."""
    return f"arn:aws:cloudwatch:{region}:{names.topology.account_id}:alarm:{alarm}"


def zone_arn(zone_id: str) -> str:
    """A hosted zone of Route 53, which is global and names no account."""
    return f"arn:aws:route53:::hostedzone/{zone_id}"


HEALTH_CHECKS_ARN = "arn:aws:route53:::healthcheck/*"
"""Every health check of the account: Route 53 gives each a random id."""


def keys_arn(names: Names, region: str) -> str:
    """ARN of every KMS key of the account in a region. A key's id is not known beforehand: `by_alias` says which key is meant."""
    return f"arn:aws:kms:{region}:{names.topology.account_id}:key/*"


def by_alias(names: Names) -> dict[str, Any]:
    """The condition that only the backups' key fulfils, in either region: its alias is the same in both and known beforehand."""
    return {"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias}}


def through_s3(*regions: str) -> dict[str, Any]:
    """The condition that a key is used by S3 in one of `regions`, for an object, and never by a direct call to KMS."""
    services = [f"s3.{region}.amazonaws.com" for region in regions]
    return {"StringEquals": {"kms:ViaService": services if len(services) > 1 else services[0]}}


def use_key(sid: str, actions: Sequence[str], names: Names, region: str) -> Statement:
    """Allow actions with the key of the backups in `region`, through S3 alone."""
    return allow(sid, actions, keys_arn(names, region), condition={**through_s3(region), **by_alias(names)})


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
