"""IAM: roles and the policies written into them."""

from __future__ import annotations

import json
from typing import ClassVar

from lab.standins.aws_provider.resource import Aws, Resource, Values, as_tags


def _document(value: object) -> str:
    """IAM gives documents decoded or not, as it is asked."""
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
        live = {**inputs, "name": role["RoleName"], "assumeRolePolicy": _document(role["AssumeRolePolicyDocument"])}
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
        return {"name": name, "role": role, "policy": _document(found["PolicyDocument"])}, {}

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:  # noqa: ARG002
        self._put(aws, inputs)
        return {}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        role, _, name = identifier.partition(":")
        aws.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


RESOURCES: tuple[type[Resource], ...] = (Role, RolePolicy)
