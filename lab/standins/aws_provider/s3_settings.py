"""S3: the settings of buckets. Each setting is a separate resource whose id is the bucket's name."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from lab.standins.aws_provider.resource import Aws, Resource, Values
from lab.standins.aws_provider.spelling import from_api, seen_through, to_api

_BUCKET = frozenset({"bucket"})


class Setting(Resource):
    """One setting. Creation and every update write it as a whole."""

    fixed: ClassVar = _BUCKET

    @abstractmethod
    def put(self, s3: Any, bucket: str, inputs: Values) -> None:
        """Write the setting."""

    @abstractmethod
    def get(self, s3: Any, bucket: str) -> Values:
        """Read the setting, with Pulumi's property names. boto3 raises a ClientError if it is not set."""

    @abstractmethod
    def reset(self, s3: Any, bucket: str) -> None:
        """Return the setting to its default."""

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        self.put(aws.client("s3"), inputs["bucket"], inputs)
        return inputs["bucket"], {}

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        live = {"bucket": identifier, **self.get(aws.client("s3"), identifier)}
        return seen_through(inputs, live) if inputs else live, {}

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:  # noqa: ARG002
        self.put(aws.client("s3"), identifier, inputs)
        return {}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        self.reset(aws.client("s3"), identifier)


class Versioning(Setting):
    token = "aws:s3/bucketVersioning:BucketVersioning"  # noqa: S105 - a type's token
    inputs: ClassVar = frozenset({"bucket", "versioningConfiguration"})

    def put(self, s3: Any, bucket: str, inputs: Values) -> None:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=to_api(inputs["versioningConfiguration"]))

    def get(self, s3: Any, bucket: str) -> Values:
        found = s3.get_bucket_versioning(Bucket=bucket)
        return {"versioningConfiguration": {"status": found.get("Status", "Disabled")}}

    def reset(self, s3: Any, bucket: str) -> None:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


class Encryption(Setting):
    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"  # noqa: S105
    inputs: ClassVar = frozenset({"bucket", "rules"})

    def put(self, s3: Any, bucket: str, inputs: Values) -> None:
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": to_api(inputs["rules"])})

    def get(self, s3: Any, bucket: str) -> Values:
        found = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
        return {"rules": from_api(found["Rules"])}

    def reset(self, s3: Any, bucket: str) -> None:
        s3.delete_bucket_encryption(Bucket=bucket)


class PublicAccessBlock(Setting):
    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"  # noqa: S105
    inputs: ClassVar = frozenset({"bucket", "blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"})

    def put(self, s3: Any, bucket: str, inputs: Values) -> None:
        switches = {key: value for key, value in inputs.items() if key != "bucket"}
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=to_api(switches))

    def get(self, s3: Any, bucket: str) -> Values:
        found: Values = from_api(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"])
        return found

    def reset(self, s3: Any, bucket: str) -> None:
        s3.delete_public_access_block(Bucket=bucket)


class OwnershipControls(Setting):
    token = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"  # noqa: S105
    inputs: ClassVar = frozenset({"bucket", "rule"})

    def put(self, s3: Any, bucket: str, inputs: Values) -> None:
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [to_api(inputs["rule"])]})

    def get(self, s3: Any, bucket: str) -> Values:
        found = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
        return {"rule": from_api(found["Rules"][0])}

    def reset(self, s3: Any, bucket: str) -> None:
        s3.delete_bucket_ownership_controls(Bucket=bucket)


class Policy(Setting):
    token = "aws:s3/bucketPolicy:BucketPolicy"  # noqa: S105
    inputs: ClassVar = frozenset({"bucket", "policy"})
    documents: ClassVar = frozenset({"policy"})

    def put(self, s3: Any, bucket: str, inputs: Values) -> None:
        s3.put_bucket_policy(Bucket=bucket, Policy=inputs["policy"])

    def get(self, s3: Any, bucket: str) -> Values:
        return {"policy": s3.get_bucket_policy(Bucket=bucket)["Policy"]}

    def reset(self, s3: Any, bucket: str) -> None:
        s3.delete_bucket_policy(Bucket=bucket)


class Lifecycle(Setting):
    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"  # noqa: S105
    inputs: ClassVar = frozenset({"bucket", "rules"})

    def put(self, s3: Any, bucket: str, inputs: Values) -> None:
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": to_api(inputs["rules"])})

    def get(self, s3: Any, bucket: str) -> Values:
        return {"rules": from_api(s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"])}

    def reset(self, s3: Any, bucket: str) -> None:
        s3.delete_bucket_lifecycle(Bucket=bucket)


class ObjectLock(Setting):
    token = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"  # noqa: S105
    inputs: ClassVar = frozenset({"bucket", "rule", "objectLockEnabled"})

    def put(self, s3: Any, bucket: str, inputs: Values) -> None:
        rule = {"Rule": to_api(inputs["rule"])} if "rule" in inputs else {}
        s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", **rule})

    def get(self, s3: Any, bucket: str) -> Values:
        found: Values = from_api(s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"])
        return found

    def reset(self, s3: Any, bucket: str) -> None:
        s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})


class Logging(Setting):
    token = "aws:s3/bucketLogging:BucketLogging"  # noqa: S105
    inputs: ClassVar = frozenset({"bucket", "targetBucket", "targetPrefix", "targetObjectKeyFormat"})

    def put(self, s3: Any, bucket: str, inputs: Values) -> None:
        enabled = to_api({key: value for key, value in inputs.items() if key != "bucket"})
        s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})

    def get(self, s3: Any, bucket: str) -> Values:
        found: Values = from_api(s3.get_bucket_logging(Bucket=bucket).get("LoggingEnabled", {}))
        return found

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        """S3 returns nothing if logging is not set. moto does not return the format of the logs' keys."""
        live = self.get(aws.client("s3"), identifier)
        if not live:
            return None
        unseen = {key: value for key, value in inputs.items() if key == "targetObjectKeyFormat"}
        return {"bucket": identifier, **unseen, **live}, {}

    def reset(self, s3: Any, bucket: str) -> None:
        s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})


class Replication(Setting):
    token = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"  # noqa: S105
    inputs: ClassVar = frozenset({"bucket", "role", "rules"})

    def put(self, s3: Any, bucket: str, inputs: Values) -> None:
        configuration = {"Role": inputs["role"], "Rules": to_api(inputs["rules"])}
        s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration=configuration)

    def get(self, s3: Any, bucket: str) -> Values:
        found: Values = from_api(s3.get_bucket_replication(Bucket=bucket)["ReplicationConfiguration"])
        return found

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        """Compare only role, rules and destinations, because moto returns rules without their prefix and criteria."""
        found = super().read(aws, identifier, inputs)
        if found is None or not inputs:
            return found
        live = found[0]
        same = (live.get("role"), _essence(live.get("rules", []))) == (inputs.get("role"), _essence(inputs.get("rules", [])))
        return (inputs if same else live), {}

    def reset(self, s3: Any, bucket: str) -> None:
        s3.delete_bucket_replication(Bucket=bucket)


def _essence(rules: list[Values]) -> list[tuple[str, str, str]]:
    return [(rule.get("id", ""), rule.get("status", ""), rule.get("destination", {}).get("bucket", "")) for rule in rules]


RESOURCES: tuple[type[Resource], ...] = (
    Versioning,
    Encryption,
    PublicAccessBlock,
    OwnershipControls,
    Policy,
    Lifecycle,
    ObjectLock,
    Logging,
    Replication,
)
