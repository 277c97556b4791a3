"""IAM: managed policies, and their attachments to users and roles."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from lab.standins.aws_provider.iam import as_document
from lab.standins.aws_provider.resource import Aws, Resource, Values, as_tags

_MOST_VERSIONS = 5
"""How many versions of a policy IAM keeps at most."""

_HOLDER_PARAMETERS = {"user": "UserName", "role": "RoleName"}
_PAGINATORS = {"user": "list_attached_user_policies", "role": "list_attached_role_policies"}


class Policy(Resource):
    token = "aws:iam/policy:Policy"  # noqa: S105 - a type's token
    inputs: ClassVar = frozenset({"name", "policy", "description", "path", "tags"})
    computed: ClassVar = frozenset({"arn", "policyId"})
    fixed: ClassVar = frozenset({"name", "description", "path"})
    documents: ClassVar = frozenset({"policy"})
    named = "name"

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        options = {"Description": "description", "Path": "path"}
        made = aws.client("iam").create_policy(
            PolicyName=inputs["name"],
            PolicyDocument=inputs["policy"],
            Tags=as_tags(inputs.get("tags")),
            **{option: inputs[key] for option, key in options.items() if key in inputs},
        )["Policy"]
        return made["Arn"], self._computed(made)

    @staticmethod
    def _computed(policy: Values) -> Values:
        return {"arn": policy["Arn"], "policyId": policy["PolicyId"]}

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        iam = aws.client("iam")
        policy = iam.get_policy(PolicyArn=identifier)["Policy"]
        version = iam.get_policy_version(PolicyArn=identifier, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        live = {**inputs, "name": policy["PolicyName"], "policy": as_document(version["Document"])}
        return live, self._computed(policy)

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:
        iam = aws.client("iam")
        others = [version for version in self._versions(iam, identifier) if not version["IsDefaultVersion"]]
        if len(others) == _MOST_VERSIONS - 1:
            oldest = min(others, key=lambda version: version["CreateDate"])
            iam.delete_policy_version(PolicyArn=identifier, VersionId=oldest["VersionId"])
        iam.create_policy_version(PolicyArn=identifier, PolicyDocument=inputs["policy"], SetAsDefault=True)
        if stale := [key for key in old.get("tags") or {} if key not in (inputs.get("tags") or {})]:
            iam.untag_policy(PolicyArn=identifier, TagKeys=stale)
        if inputs.get("tags"):
            iam.tag_policy(PolicyArn=identifier, Tags=as_tags(inputs["tags"]))
        return {key: old[key] for key in self.computed}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        iam = aws.client("iam")
        for version in self._versions(iam, identifier):
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=identifier, VersionId=version["VersionId"])
        iam.delete_policy(PolicyArn=identifier)

    @staticmethod
    def _versions(iam: Any, identifier: str) -> list[Values]:
        return list(iam.list_policy_versions(PolicyArn=identifier)["Versions"])


class _Attachment(Resource):
    """The attachment of a policy to a user or role. IAM has no id for an attachment."""

    holder: ClassVar[Literal["user", "role"]]
    """What the policy is attached to. The input with its name is called the same."""

    def _arguments(self, inputs: Values) -> dict[str, str]:
        return {_HOLDER_PARAMETERS[self.holder]: inputs[self.holder], "PolicyArn": inputs["policyArn"]}

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        iam = aws.client("iam")
        attach = {"user": iam.attach_user_policy, "role": iam.attach_role_policy}[self.holder]
        attach(**self._arguments(inputs))
        return f"{inputs[self.holder]}/{inputs['policyArn']}", {}

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:  # noqa: ARG002
        holder, _, arn = identifier.partition("/")
        pages = aws.client("iam").get_paginator(_PAGINATORS[self.holder])
        for page in pages.paginate(**{_HOLDER_PARAMETERS[self.holder]: holder}):
            if any(found["PolicyArn"] == arn for found in page["AttachedPolicies"]):
                return {self.holder: holder, "policyArn": arn}, {}
        return None

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:  # noqa: ARG002 - everything is fixed
        return {}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        iam = aws.client("iam")
        detach = {"user": iam.detach_user_policy, "role": iam.detach_role_policy}[self.holder]
        detach(**self._arguments(state))


class UserPolicyAttachment(_Attachment):
    token = "aws:iam/userPolicyAttachment:UserPolicyAttachment"  # noqa: S105
    inputs: ClassVar = frozenset({"user", "policyArn"})
    fixed: ClassVar = inputs
    holder = "user"


class RolePolicyAttachment(_Attachment):
    token = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"  # noqa: S105
    inputs: ClassVar = frozenset({"role", "policyArn"})
    fixed: ClassVar = inputs
    holder = "role"


RESOURCES: tuple[type[Resource], ...] = (Policy, UserPolicyAttachment, RolePolicyAttachment)
