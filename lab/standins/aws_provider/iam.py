"""IAM: roles, their inline policies, and OpenID Connect providers."""

from __future__ import annotations

import json
from typing import ClassVar

from lab.standins.aws_provider.resource import Aws, Resource, Values, as_tags
from lab.standins.provider import NotCoveredError


def as_document(value: object) -> str:
    """A policy document as JSON text. boto3 returns some documents as text and others already decoded."""
    return value if isinstance(value, str) else json.dumps(value)


class Role(Resource):
    token = "aws:iam/role:Role"  # noqa: S105 - a type's token
    inputs: ClassVar = frozenset({"name", "assumeRolePolicy", "description", "path", "maxSessionDuration", "tags"})
    computed: ClassVar = frozenset({"arn", "createDate", "uniqueId"})
    fixed: ClassVar = frozenset({"name", "path"})
    documents: ClassVar = frozenset({"assumeRolePolicy"})
    named = "name"

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        options = {"Description": "description", "Path": "path", "MaxSessionDuration": "maxSessionDuration"}
        made = aws.client("iam").create_role(
            RoleName=inputs["name"],
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            Tags=as_tags(inputs.get("tags")),
            **{option: inputs[key] for option, key in options.items() if key in inputs},
        )["Role"]
        return inputs["name"], self._computed(made)

    @staticmethod
    def _computed(role: Values) -> Values:
        return {"arn": role["Arn"], "createDate": role["CreateDate"].isoformat(), "uniqueId": role["RoleId"]}

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        role = aws.client("iam").get_role(RoleName=identifier)["Role"]
        live = {**inputs, "name": role["RoleName"], "assumeRolePolicy": as_document(role["AssumeRolePolicyDocument"])}
        if "description" in inputs:
            live["description"] = role.get("Description", "")
        return live, self._computed(role)

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:
        iam = aws.client("iam")
        iam.update_assume_role_policy(RoleName=identifier, PolicyDocument=inputs["assumeRolePolicy"])
        duration = {"MaxSessionDuration": inputs["maxSessionDuration"]} if "maxSessionDuration" in inputs else {}
        iam.update_role(RoleName=identifier, Description=inputs.get("description", ""), **duration)
        if stale := [key for key in old.get("tags") or {} if key not in (inputs.get("tags") or {})]:
            iam.untag_role(RoleName=identifier, TagKeys=stale)
        if inputs.get("tags"):
            iam.tag_role(RoleName=identifier, Tags=as_tags(inputs["tags"]))
        return {key: old[key] for key in self.computed}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        aws.client("iam").delete_role(RoleName=identifier)


class RolePolicy(Resource):
    token = "aws:iam/rolePolicy:RolePolicy"  # noqa: S105
    inputs: ClassVar = frozenset({"name", "role", "policy"})
    fixed: ClassVar = frozenset({"name", "role"})
    documents: ClassVar = frozenset({"policy"})
    named = "name"

    @staticmethod
    def _put(aws: Aws, inputs: Values) -> None:
        aws.client("iam").put_role_policy(RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"])

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        self._put(aws, inputs)
        return f"{inputs['role']}:{inputs['name']}", {}

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:  # noqa: ARG002
        role, _, name = identifier.partition(":")
        found = aws.client("iam").get_role_policy(RoleName=role, PolicyName=name)
        return {"name": name, "role": role, "policy": as_document(found["PolicyDocument"])}, {}

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:  # noqa: ARG002
        self._put(aws, inputs)
        return {}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        role, _, name = identifier.partition(":")
        aws.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


class OpenIdConnectProvider(Resource):
    """A token issuer that IAM trusts. IAM stores its URL without a scheme; a program may write it with one."""

    token = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"  # noqa: S105
    inputs: ClassVar = frozenset({"url", "clientIdLists", "thumbprintLists", "tags"})
    computed: ClassVar = frozenset({"arn"})
    fixed: ClassVar = frozenset({"url"})

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        thumbprints = {"ThumbprintList": inputs["thumbprintLists"]} if inputs.get("thumbprintLists") else {}
        made = aws.client("iam").create_open_id_connect_provider(
            Url=inputs["url"], ClientIDList=inputs["clientIdLists"], Tags=as_tags(inputs.get("tags")), **thumbprints
        )
        arn = made["OpenIDConnectProviderArn"]
        return arn, {"arn": arn}

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        found = aws.client("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=identifier)
        given = str(inputs.get("url", ""))
        url = given if given.removeprefix("https://") == found["Url"] else f"https://{found['Url']}"
        live = {**inputs, "url": url, "clientIdLists": found["ClientIDList"]}
        if "thumbprintLists" in inputs:
            live["thumbprintLists"] = found["ThumbprintList"]
        return live, {"arn": identifier}

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:
        iam, provider = aws.client("iam"), {"OpenIDConnectProviderArn": identifier}
        if old["clientIdLists"] != inputs["clientIdLists"]:
            raise NotCoveredError("moto cannot change the clientIdLists of an OpenIdConnectProvider; install pulumi-resource-aws")
        if inputs.get("thumbprintLists"):
            iam.update_open_id_connect_provider_thumbprint(ThumbprintList=inputs["thumbprintLists"], **provider)
        if stale := [key for key in old.get("tags") or {} if key not in (inputs.get("tags") or {})]:
            iam.untag_open_id_connect_provider(TagKeys=stale, **provider)
        if inputs.get("tags"):
            iam.tag_open_id_connect_provider(Tags=as_tags(inputs["tags"]), **provider)
        return {key: old[key] for key in self.computed}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        aws.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=identifier)


RESOURCES: tuple[type[Resource], ...] = (Role, RolePolicy, OpenIdConnectProvider)
