"""KMS: keys and their aliases."""

from __future__ import annotations

from typing import ClassVar

import botocore.exceptions

from lab.standins.aws_provider.resource import Aws, Resource, Values, as_tags, gone


class Key(Resource):
    token = "aws:kms/key:Key"  # noqa: S105 - a type's token
    inputs: ClassVar = frozenset(
        {"description", "enableKeyRotation", "rotationPeriodInDays", "deletionWindowInDays", "multiRegion", "policy", "tags"}
    )
    computed: ClassVar = frozenset({"arn", "keyId"})
    fixed: ClassVar = frozenset({"multiRegion"})
    documents: ClassVar = frozenset({"policy"})

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        kms = aws.client("kms")
        policy = {"Policy": inputs["policy"]} if inputs.get("policy") else {}
        made = kms.create_key(
            Description=inputs.get("description", ""),
            MultiRegion=inputs.get("multiRegion", False),
            Tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in as_tags(inputs.get("tags"))],
            **policy,
        )["KeyMetadata"]
        self._rotate(kms, made["KeyId"], inputs)
        return made["KeyId"], {"arn": made["Arn"], "keyId": made["KeyId"]}

    @staticmethod
    def _rotate(kms: object, key: str, inputs: Values) -> None:
        if inputs.get("enableKeyRotation"):
            period = {"RotationPeriodInDays": inputs["rotationPeriodInDays"]} if "rotationPeriodInDays" in inputs else {}
            kms.enable_key_rotation(KeyId=key, **period)  # type: ignore[attr-defined]
        else:
            kms.disable_key_rotation(KeyId=key)  # type: ignore[attr-defined]

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        kms = aws.client("kms")
        found = kms.describe_key(KeyId=identifier)["KeyMetadata"]
        if found["KeyState"] == "PendingDeletion":
            return None
        live = {
            **inputs,
            "description": found["Description"],
            "enableKeyRotation": kms.get_key_rotation_status(KeyId=identifier)["KeyRotationEnabled"],
        }
        known = {key: value for key, value in live.items() if key in inputs} if inputs else live
        return known, {"arn": found["Arn"], "keyId": found["KeyId"]}

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:
        kms = aws.client("kms")
        kms.update_key_description(KeyId=identifier, Description=inputs.get("description", ""))
        self._rotate(kms, identifier, inputs)
        if inputs.get("policy") and inputs["policy"] != old.get("policy"):
            kms.put_key_policy(KeyId=identifier, PolicyName="default", Policy=inputs["policy"])
        stale = [key for key in old.get("tags") or {} if key not in (inputs.get("tags") or {})]
        if stale:
            kms.untag_resource(KeyId=identifier, TagKeys=stale)
        if inputs.get("tags"):
            tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in as_tags(inputs["tags"])]
            kms.tag_resource(KeyId=identifier, Tags=tags)
        return {"arn": old["arn"], "keyId": old["keyId"]}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        aws.client("kms").schedule_key_deletion(KeyId=identifier, PendingWindowInDays=state.get("deletionWindowInDays", 30))


class Alias(Resource):
    token = "aws:kms/alias:Alias"  # noqa: S105
    inputs: ClassVar = frozenset({"name", "targetKeyId"})
    computed: ClassVar = frozenset({"arn", "targetKeyArn"})
    fixed: ClassVar = frozenset({"name"})
    renewed: ClassVar = frozenset({"targetKeyArn"})

    def _computed(self, aws: Aws, name: str, target: str) -> Values:
        arn = f"arn:aws:kms:{aws.region}:{aws.account}:{name}"
        return {"arn": arn, "targetKeyArn": aws.client("kms").describe_key(KeyId=target)["KeyMetadata"]["Arn"]}

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        name = inputs["name"]
        aws.client("kms").create_alias(AliasName=name, TargetKeyId=inputs["targetKeyId"])
        return name, self._computed(aws, name, inputs["targetKeyId"])

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        pages = aws.client("kms").get_paginator("list_aliases").paginate()
        for alias in (alias for page in pages for alias in page["Aliases"]):
            if alias["AliasName"] == identifier and "TargetKeyId" in alias:
                target = alias["TargetKeyId"]
                computed = self._computed(aws, identifier, target)
                # The program may name the key by its ARN instead of its id. That is not a difference.
                written = inputs.get("targetKeyId", target)
                return {"name": identifier, "targetKeyId": written if written == computed["targetKeyArn"] else target}, computed
        return None

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:  # noqa: ARG002
        aws.client("kms").update_alias(AliasName=identifier, TargetKeyId=inputs["targetKeyId"])
        return self._computed(aws, identifier, inputs["targetKeyId"])

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        try:
            aws.client("kms").delete_alias(AliasName=identifier)
        except botocore.exceptions.ClientError as error:
            if not gone(error):
                raise


RESOURCES: tuple[type[Resource], ...] = (Key, Alias)
