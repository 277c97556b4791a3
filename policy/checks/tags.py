"""Whoever finds a resource in the AWS account knows whose it is.

Kubernetes objects are not checked: a restore would carry the labels of one region into the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .model import UNKNOWN, Config, Policy, Resource, dig

_TAGGED = {
    "aws:ec2/volume:Volume",
    "aws:eks/addon:Addon",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    "aws:iam/policy:Policy",
    "aws:iam/role:Role",
    "aws:iam/user:User",
    "aws:kms/key:Key",
    "aws:kms/replicaKey:ReplicaKey",
    "aws:route53/healthCheck:HealthCheck",
    "aws:route53/zone:Zone",
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketV2:BucketV2",
}
"""Types that must be tagged. An S3 object could be too, but it belongs to its bucket, and can have ten tags at most."""


def check(resource: Resource, config: Config) -> Iterator[str]:
    if resource.type not in _TAGGED:
        return
    own = resource.get("tags")
    if own is UNKNOWN:
        return
    tags = {**_defaults(resource), **(own or {})}
    if missing := [key for key in config["keys"] if not tags.get(key)]:
        yield f"{resource.name} has no tag {', '.join(missing)}: set default_tags of the AWS provider, or its own tags"


def _defaults(resource: Resource) -> Mapping[str, str]:
    found = dig(resource.provider.structured("defaultTags"), "tags") if resource.provider else None
    return found if isinstance(found, Mapping) else {}


POLICY = Policy(
    name="ownership-tags",
    description="AWS resources say which stack made them, which role their region has, and who owns them.",
    level="mandatory",
    resource=check,
    schema={
        "keys": {
            "type": "array",
            "items": {"type": "string"},
            "default": ["stack", "role", "owner"],
            "description": "tags that every resource must have",
        }
    },
)
