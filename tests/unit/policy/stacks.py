"""Stacks as the policies see them, made by hand: good ones that a test spoils."""

from __future__ import annotations

import json
from typing import Any

from checks.model import Policy, Provider, Resource, Stack

PEER_READY = {"region": "us-east-1", "peerRegion": "us-west-2", "peerReady": True}
AWS = Provider(name="aws", props={"region": "us-east-1"})


def resource(kind: str, name: str = "it", /, *, protect: bool = False, provider: Provider | None = AWS, **props: Any) -> Resource:
    return Resource(type=kind, name=name, urn=f"urn:{name}", props=props, protect=protect, provider=provider)


def stack(*resources: Resource, name: str = "primary", active: str = "primary", region: dict[str, Any] = PEER_READY) -> Stack:
    root = resource("pulumi:pulumi:Stack", "root", provider=None, active=active)
    return Stack(name=name, resources=[root, resource("dr:region:Region", "region", provider=None, **region), *resources])


def of_resource(policy: Policy, subject: Resource, **config: Any) -> list[str]:
    """What the policy says of one resource."""
    assert policy.resource is not None
    return list(policy.resource(subject, policy.config(config)))


def of_stack(policy: Policy, subject: Stack, **config: Any) -> list[tuple[str, str]]:
    """What it says of a stack: name of the resource, message."""
    assert policy.stack is not None
    return [(found.resource.name, found.message) for found in policy.stack(subject, policy.config(config))]


TLS_ONLY = {"Effect": "Deny", "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
BLOCKED = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)


def backup_bucket(bucket: str = "acme-velero-us-east-1-123456789012", provider: Provider = AWS) -> dict[str, Resource]:
    """A bucket that nothing is wrong with, part by part."""

    def part(kind: str, **props: Any) -> Resource:
        return resource(f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}", kind, provider=provider, bucket=bucket, **props)

    sse = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "k"}}
    rule = {"id": "noncurrent", "status": "Enabled", "noncurrentVersionExpiration": {"noncurrentDays": 60.0}}
    parts = (
        part("Bucket", forceDestroy=False),
        part("BucketVersioning", versioningConfiguration={"status": "Enabled"}),
        part("BucketPublicAccessBlock", **BLOCKED),
        part("BucketServerSideEncryptionConfiguration", rules=[sse]),
        part("BucketPolicy", policy=json.dumps({"Statement": [TLS_ONLY]})),
        part("BucketLifecycleConfiguration", rules=[rule]),
        part("BucketReplicationConfig", rules=[{"status": "Enabled", "destination": {"bucket": "arn:aws:s3:::peer"}}]),
        part("BucketObjectLockConfiguration", rule={"defaultRetention": {"mode": "COMPLIANCE", "days": 30}}),
    )
    return {each.name: each for each in parts}
