"""Finds and deletes what these tests make in an account: everything whose name begins with `PREFIX`, and nothing else.

No Pulumi: the program protects its buckets and keys from deletion, and a run that was killed leaves no state behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

PREFIX = "drtest-"
"""How every organization of these tests begins. The organization is the first part of every name that the program computes."""

KEY_DAYS = 7
"""Days until AWS deletes a key. It allows no fewer, and charges nothing for a key that waits for its deletion."""

Clients = Callable[[str, str], Any]
"""A boto3 client of a service in a region."""


@dataclass(kw_only=True)
class Leftovers:
    """What begins with `owner` in two regions of an account. `owner` is one run's organization, or the prefix of all."""

    clients: Clients
    regions: Sequence[str]
    owner: str
    deleted: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.owner.startswith(PREFIX):
            raise ValueError(f"{self.owner} does not begin with {PREFIX}: it is not of these tests")

    def find(self) -> list[str]:
        """What is there, a line each. Keys that wait for their deletion do not count."""
        return [name for name, _ in self._everything()]

    def delete(self) -> None:
        """Delete all of it. What could not be deleted is in `failed`; the rest is deleted whatever happens before."""
        # Without its rule, S3 copies no deletion to a bucket that is just being emptied.
        for bucket, region in list(self._buckets()):
            self._try(f"replication of {bucket}", lambda b=bucket, r=region: self._s3(r).delete_bucket_replication(Bucket=b))
        for name, delete in list(self._everything()):
            if self._try(name, delete):
                self.deleted.append(name)

    def _try(self, name: str, delete: Callable[[], object]) -> bool:
        try:
            delete()
        except (ClientError, BotoCoreError) as error:
            self.failed.append(f"{name}: {error}")
            return False
        return True

    def _everything(self) -> Iterator[tuple[str, Callable[[], object]]]:
        for bucket, region in self._buckets():
            yield f"bucket {bucket}", lambda b=bucket, r=region: self._delete_bucket(self._s3(r), b)
        yield from self._keys()
        yield from self._iam()
        yield from self._route53()

    def _mine(self, name: str) -> bool:
        return name.startswith(self.owner)

    def _s3(self, region: str) -> Any:
        return self.clients("s3", region)

    def _buckets(self) -> Iterator[tuple[str, str]]:
        for bucket in self._s3(self.regions[0]).list_buckets()["Buckets"]:
            if self._mine(bucket["Name"]):
                where = self._s3(self.regions[0]).get_bucket_location(Bucket=bucket["Name"])["LocationConstraint"]
                yield bucket["Name"], where or "us-east-1"

    def _delete_bucket(self, s3: Any, bucket: str) -> None:
        for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if found:
                objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
                s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        s3.delete_bucket(Bucket=bucket)

    def _keys(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Keys by the organization in their description: a run that was killed early has a key without its alias."""
        for region in self.regions:
            kms = self.clients("kms", region)
            for page in kms.get_paginator("list_aliases").paginate():
                for alias in page["Aliases"]:
                    if self._mine(alias["AliasName"].removeprefix("alias/")):
                        yield (
                            f"{alias['AliasName']} in {region}",
                            lambda k=kms, a=alias["AliasName"]: k.delete_alias(AliasName=a),
                        )
            for page in kms.get_paginator("list_keys").paginate():
                for key in page["Keys"]:
                    about = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
                    ours = self._mine(about.get("Description", "").removeprefix("Backups of "))
                    if ours and about["KeyState"] != "PendingDeletion":
                        yield (
                            f"key {key['KeyId']} in {region}",
                            lambda k=kms, i=key["KeyId"]: k.schedule_key_deletion(KeyId=i, PendingWindowInDays=KEY_DAYS),
                        )

    def _iam(self) -> Iterator[tuple[str, Callable[[], object]]]:
        iam = self.clients("iam", self.regions[0])
        for page in iam.get_paginator("list_policies").paginate(Scope="Local"):
            for policy in page["Policies"]:
                if self._mine(policy["PolicyName"]):
                    yield f"policy {policy['PolicyName']}", lambda arn=policy["Arn"]: _delete_policy(iam, arn)
        for page in iam.get_paginator("list_roles").paginate():
            for role in page["Roles"]:
                if self._mine(role["RoleName"]):
                    yield f"role {role['RoleName']}", lambda name=role["RoleName"]: _delete_role(iam, name)
        for page in iam.get_paginator("list_users").paginate():
            for user in page["Users"]:
                if self._mine(user["UserName"]):
                    yield f"user {user['UserName']}", lambda name=user["UserName"]: _delete_user(iam, name)

    def _route53(self) -> Iterator[tuple[str, Callable[[], object]]]:
        route53 = self.clients("route53", "us-east-1")
        for page in route53.get_paginator("list_hosted_zones").paginate():
            for zone in page["HostedZones"]:
                if self._mine(zone["Name"]):
                    yield f"zone {zone['Name']}", lambda identifier=zone["Id"]: _delete_zone(route53, identifier)
        for page in route53.get_paginator("list_health_checks").paginate():
            for check in page["HealthChecks"]:
                # The host of the flag's bucket, whose name begins with the organization.
                if self._mine(check["HealthCheckConfig"].get("FullyQualifiedDomainName", "")):
                    yield f"health check {check['Id']}", lambda i=check["Id"]: route53.delete_health_check(HealthCheckId=i)


def _delete_policy(iam: Any, arn: str) -> None:
    attached = iam.list_entities_for_policy(PolicyArn=arn)
    for user in attached["PolicyUsers"]:
        iam.detach_user_policy(UserName=user["UserName"], PolicyArn=arn)
    for role in attached["PolicyRoles"]:
        iam.detach_role_policy(RoleName=role["RoleName"], PolicyArn=arn)
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    iam.delete_policy(PolicyArn=arn)


def _delete_role(iam: Any, name: str) -> None:
    for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def _delete_user(iam: Any, name: str) -> None:
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    for policy in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]:
        iam.detach_user_policy(UserName=name, PolicyArn=policy["PolicyArn"])
    iam.delete_user(UserName=name)


def _delete_zone(route53: Any, identifier: str) -> None:
    for page in route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=identifier):
        records = [each for each in page["ResourceRecordSets"] if each["Type"] not in ("NS", "SOA")]
        changes = [{"Action": "DELETE", "ResourceRecordSet": each} for each in records]
        if changes:
            route53.change_resource_record_sets(HostedZoneId=identifier, ChangeBatch={"Changes": changes})
    route53.delete_hosted_zone(Id=identifier)
