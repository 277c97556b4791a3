"""Nothing that holds data can be deleted by a command, or by a mistake in the program."""

from __future__ import annotations

from collections.abc import Iterator

from .model import Config, Policy, Resource

_STATEFUL = {
    "aws:s3/bucket:Bucket": "a bucket",
    "aws:s3/bucketV2:BucketV2": "a bucket",
    "aws:kms/key:Key": "a key, without which nothing that it encrypted can be read",
    "aws:kms/replicaKey:ReplicaKey": "a key, without which nothing that it encrypted can be read",
    "aws:route53/zone:Zone": "a hosted zone, whose name servers would not come back",
    "kubernetes:postgresql.cnpg.io/v1:Cluster": "a database, whose volumes go with it",
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": "a CRD, with which every object of its kind goes",
    "kubernetes:core/v1:PersistentVolumeClaim": "a volume",
}


def check(resource: Resource, config: Config) -> Iterator[str]:
    del config
    description = _STATEFUL.get(resource.type)
    if description and not resource.protect:
        yield f"{resource.name} is {description}, and is not protected: give it, or its component, ResourceOptions(protect=True)"


POLICY = Policy(
    name="deletion-protection",
    description="Buckets, keys, hosted zones, databases, volumes and CRDs are protected.",
    level="mandatory",
    resource=check,
)
